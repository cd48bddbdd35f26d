/** `init: true`: whoever has started the container joins it, looks into it and ends it as one without. */
import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { box, outputOf, until, type Box } from '../support/background.ts';
import { PROGRAM, run } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, type Caller } from '../support/container.ts';
import { changedRootfs } from '../support/rootfs.ts';
import { isRoot } from '../support/user.ts';

const script = (text: string): readonly string[] => ['sh', '-c', text.replaceAll('$', '$$$$')];
const shell = (text: string): readonly string[] => ['CMD', ...script(text)];
const sh = (web: Box, text: string, ...options: string[]) => web.run(['exec', ...options, web.name, 'sh', '-c', text]);

/** A container with init that runs. */
async function started(keys: Readonly<Record<string, unknown>>, caller: Caller): Promise<Box> {
  const web = box({ init: true, ...keys }, caller);
  expect(await web.run(['up', '-d', '--allow', 'all'])).toMatchObject({ status: 0, stderr: '' });
  return web;
}

/** All that a process has in its memory. */
function memoryOf(pid: number): string {
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  const pieces = readFileSync(`/proc/${pid}/maps`, 'utf8')
    .split('\n')
    .map((line) => /^([\da-f]+)-([\da-f]+) r.* (?!\[v)\S*$/u.exec(line))
    .map((found) => {
      if (found === null) return '';
      const [start, end] = [Number.parseInt(found[1] ?? '', 16), Number.parseInt(found[2] ?? '', 16)];
      const bytes = Buffer.alloc(end - start);
      readSync(memory, bytes, 0, bytes.length, start);
      return bytes.toString('latin1');
    });
  closeSync(memory);
  return pieces.join('');
}

const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts'];
/** Namespaces that are the host's, or another's: what is private is asked of the first process all the same. */
const KINDS: readonly (readonly [title: string, keys: Readonly<Record<string, unknown>>])[] = [
  ['namespaces of its own', {}],
  ['the processes of the host', { namespaces: { pid: 'host' } }],
  ['the network of the host', { namespaces: { net: 'host' } }],
  ['the ipc, names and cgroups of the host', { namespaces: { ipc: 'host', uts: 'host', cgroup: 'host' } }],
];

describe.skipIf(!hasBusybox).each(callers)('a container with init, started by $title', (caller) => {
  test.each(KINDS)('with %s is joined by exec, which is in all of its namespaces', async (_, keys) => {
    const web = await started(keys, caller);
    const seen = await sh(web, NAMESPACES.map((name) => `readlink /proc/self/ns/${name}`).join('; '));
    expect({ status: seen.status, stderr: seen.stderr }).toEqual({ status: 0, stderr: '' });
    const { pid = 0 } = (await web.listed()) ?? {};
    const own = NAMESPACES.map((name) => readlinkSync(`/proc/${pid}/ns/${name}`));
    expect(seen.stdout.trim().split('\n')).toEqual(own);
  });

  test('is joined by exec with pipes, a terminal, a user, a folder, values and its own status', async () => {
    const web = await started({ environment: { A: 'a' } }, caller);
    expect(await sh(web, 'echo "$A $B"; pwd; exit 7', '-e', 'B=b', '-w', '/etc')).toMatchObject({
      status: 7,
      stdout: 'a b\n/etc\n',
      stderr: '',
    });
    expect(await sh(web, 'kill -KILL $$')).toMatchObject({ status: 137 });
    expect(await web.run(['exec', '-i', web.name, 'cat'], { stdin: 'typed' })).toMatchObject({ stdout: 'typed' });
    expect(await web.run(['exec', web.name, '/not-there'])).toMatchObject({ status: 127 });
    const isSmall = caller.keys['uid_map'] !== undefined;
    if (!isSmall) {
      expect(await web.run(['exec', '-u', 'app', web.name, 'id', '-u'])).toMatchObject({ stdout: '1000\n' });
      const words = ['exec', '-it', web.name, 'sh', '-c', 'test -t 0 && tty; exit 4'].map((word) => `'${word}'`);
      const typed = await run(
        ['script', '-qec', `${process.execPath} ${PROGRAM} ${words.join(' ')}`, '/dev/null'],
        callerOptions(caller, web.folder),
      );
      expect([typed.status, typed.stdout.includes('/dev/pts/')]).toEqual([4, true]);
    }
    const asked = web.run(
      [
        'exec',
        web.name,
        ...script('trap "exit 9" TERM; echo up; while :; do sleep 0.05; done').map((word) =>
          word.replaceAll('$$', '$'),
        ),
      ],
      {
        onStart: (child) => child.stdout?.once('data', () => child.kill('SIGTERM')),
      },
    );
    expect(await asked).toMatchObject({ status: 9 });
  });

  test('is looked into by shell, cp, top, changes, stats, port, inspect and logs', async () => {
    const web = await started({ command: script('echo here; exec sleep 1000') }, caller);
    expect(await web.run(['shell', web.name], { stdin: 'echo $0; exit 5\n' })).toMatchObject({ status: 5 });
    writeFileSync(join(web.folder, 'given'), 'given\n');
    expect(await web.run(['cp', join(web.folder, 'given'), `${web.name}:/root/got`])).toMatchObject({
      status: 0,
      stderr: '',
    });
    expect(await sh(web, 'cat /root/got; echo back >/root/back')).toMatchObject({ stdout: 'given\n' });
    const out = await web.run(['cp', `${web.name}:/root/back`, '-']);
    expect({ status: out.status, stderr: out.stderr }).toEqual({ status: 0, stderr: '' });
    expect(out.stdout).toContain('back\n');
    const processes = JSON.parse((await web.run(['top', '--json', web.name])).stdout) as readonly {
      readonly container_pid: number;
      readonly uid: number;
      readonly command: readonly string[];
    }[];
    expect(processes.map(({ container_pid, uid, command }) => [container_pid, uid, command.join(' ')])).toEqual([
      [1, 0, 'boxctl-init 2'],
      [2, 0, 'sleep 1000'],
    ]);
    expect((await web.run(['changes', web.name])).stdout.split('\n')).toContain('A /root/got');
    const [sample] = JSON.parse((await web.run(['stats', '--json', '--no-stream', web.name])).stdout) as readonly {
      readonly pids: { readonly current: number };
      readonly network: unknown;
    }[];
    expect(sample?.pids.current).toBe(2);
    expect(sample?.network).not.toBeUndefined();
    expect(await web.run(['inspect', web.name])).toMatchObject({ status: 0, stderr: '' });
    expect(await web.run(['port', web.name])).toMatchObject({ status: 0, stderr: '' });
    expect(await web.run(['logs', web.name])).toMatchObject({ status: 0, stdout: 'here\n' });
  });

  test('has its health checks and hooks run in it', async () => {
    const web = box(
      {
        init: true,
        command: script('trap "cat /tmp/log; exit 3" TERM; while :; do sleep 0.05; done'),
        post_start: [{ command: script('echo after >>/tmp/log') }],
        pre_stop: [{ command: script('echo before >>/tmp/log') }],
        healthcheck: { test: shell('test ! -e /tmp/ill'), interval: '100ms', retries: 2 },
      },
      caller,
    );
    expect(await web.run(['up', '--wait', '--wait-timeout', '20'])).toMatchObject({ status: 0, stderr: '' });
    const states = async () => (await web.run(['ps', '--all', '--no-trunc'])).stdout;
    expect(await states()).toContain('(healthy)');
    await sh(web, 'touch /tmp/ill');
    await until(async () => (await states()).includes('(unhealthy)') || undefined);
    const { id = '' } = (await web.listed()) ?? {};
    expect(await web.run(['stop', web.name])).toMatchObject({ status: 0 });
    expect(await web.listed()).toMatchObject({ exit_status: 3 });
    expect((await web.run(['logs', web.name])).stdout).toBe('after\nbefore\n');
    if (caller.user === undefined) expect(outputOf(web, id)).toBe('after\nbefore\n');
  });

  test('is stopped where a hook after the start fails, at its line', async () => {
    const web = box({ init: true, post_start: [{ command: ['sh', '-c', 'echo broken; exit 7'] }] }, caller);
    const { status, stderr } = await web.run(['up', '-d']);
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/container\.yaml:\d+:\d+: error: .*7/u);
    expect(stderr).toContain('broken');
  });

  test('is joined as well after its launcher, `restart` or `start` has started it again', async () => {
    const web = await started(
      { restart: 'always', command: script('[ -e /tmp/twice ] && exec sleep 1000; touch /tmp/twice; exit 1') },
      caller,
    );
    await until(
      async () => ((await web.listed())?.restarts === 1 && (await web.listed())?.status === 'running') || undefined,
    );
    expect(await sh(web, 'cat /proc/1/comm')).toMatchObject({ status: 0, stdout: 'boxctl-init\n' });
    expect(await web.run(['restart', '-t', '0', web.name])).toMatchObject({ status: 0 });
    expect(await sh(web, 'echo again')).toMatchObject({ status: 0, stdout: 'again\n' });
    expect(await web.run(['stop', '-t', '0', web.name])).toMatchObject({ status: 0 });
    expect(await web.run(['start', web.name])).toMatchObject({ status: 0 });
    expect(await sh(web, 'echo once more')).toMatchObject({ status: 0, stdout: 'once more\n' });
  });

  test.each(['SCMP_ACT_KILL_PROCESS', 'SCMP_ACT_ERRNO'])(
    'whose filter answers execveat with %s is started and ended all the same, and is told to be closed to whom it is',
    async (action) => {
      const web = box({ init: true, seccomp: './filter.json' }, caller);
      const filter = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['execveat'], action }] };
      writeFileSync(join(web.folder, 'filter.json'), JSON.stringify(filter));
      expect(await web.run(['up', '-d', '--allow', 'all'])).toMatchObject({ status: 0, stderr: '' });
      const { status, stdout, stderr } = await sh(web, 'cat /proc/1/comm');
      if (caller.user === undefined && isRoot) expect([status, stdout]).toEqual([0, 'boxctl-launcher\n']);
      else {
        expect([status, stdout]).toEqual([125, '']);
        expect(stderr).toContain('has to allow it `execveat`');
      }
      expect(await web.run(['stop', web.name])).toMatchObject({ status: 0 });
      expect(await web.listed()).toMatchObject({ exit_status: 3 });
    },
  );

  test.skipIf(!isRoot)('has nothing of the launcher in its first process (needs root)', async () => {
    const marker = `marker-${process.pid}`;
    const web = await started({ environment: { MARKER: marker }, labels: { other: marker } }, caller);
    const { pid = 0 } = (await web.listed()) ?? {};
    expect(readlinkSync(`/proc/${pid}/exe`)).toBe('/memfd:boxctl-init (deleted)');
    expect(readdirSync(`/proc/${pid}/fd`)).toEqual([]);
    expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).toBe('');
    const memory = memoryOf(pid);
    expect(memory.length).toBeGreaterThan(4096);
    expect(memory).toContain('boxctl-init');
    for (const text of [marker, 'boxctl-launcher', web.folder, caller.store]) expect(memory).not.toContain(text);
  });
});

describe.skipIf(!hasBusybox).each(callers)(
  'a container in the user namespace of another one, started by $title',
  (caller) => {
    /** Beside another one that runs: by an ordinary user, `network_mode` says so. */
    async function beside(keys: Readonly<Record<string, unknown>>): Promise<Box> {
      const first = box({}, caller);
      expect(await first.run(['up', '-d'])).toMatchObject({ status: 0 });
      const { pid = 0 } = (await first.listed()) ?? {};
      const joins =
        caller.user === undefined && isRoot
          ? { namespaces: { user: `/proc/${pid}/ns/user` } }
          : { network_mode: `container:${first.name}`, uid_map: undefined, gid_map: undefined };
      return box({ ...joins, ...keys }, caller);
    }

    test.each([{}, { init: true }])(
      'is joined in all of its namespaces, and has its checks run there, with %j',
      async (keys) => {
        const check = {
          test: shell('[ $(cat /proc/1/comm) != boxctl-launche ] && test -e /tmp/hook'),
          interval: '100ms',
        };
        const web = await beside({
          ...keys,
          tmpfs: ['/tmp'],
          command: script('echo $$ >/tmp/own; trap "exit 3" TERM; while :; do sleep 0.05; done'),
          post_start: [{ command: script('readlink /proc/self/ns/pid >/tmp/hook') }],
          healthcheck: check,
        });
        const { status, stderr } = await web.run(['up', '--wait', '--wait-timeout', '20', '--allow', 'all']);
        expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
        const seen = await sh(
          web,
          `cat /tmp/hook; ${NAMESPACES.map((name) => `readlink /proc/self/ns/${name}`).join('; ')}`,
        );
        const { pid = 0 } = (await web.listed()) ?? {};
        // What the launcher has made is not inside: its child is.
        const inside = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
        const own = NAMESPACES.map((name) => readlinkSync(`/proc/${inside}/ns/${name}`));
        expect(seen.stdout.trim().split('\n')).toEqual([own[NAMESPACES.indexOf('pid')], ...own]);
        expect(await web.run(['cp', `${web.name}:/tmp/own`, '-'])).toMatchObject({ status: 0, stderr: '' });
        const processes = JSON.parse((await web.run(['top', '--json', web.name])).stdout) as readonly {
          readonly command: readonly string[];
        }[];
        expect(processes.map(({ command }) => command.join(' '))).not.toContain('boxctl-launcher');
        expect((await web.run(['stats', '--no-stream', web.name])).stdout).toContain(web.name);
        expect(await web.run(['stop', web.name])).toMatchObject({ status: 0 });
        expect(await web.listed()).toMatchObject({ exit_status: 3 });
      },
    );

    test('of the foreground is entered and ended by its name', async () => {
      const web = await beside({});
      let isStarted = false;
      const running = web.run(['up', '--allow', 'all'], { held: true, onStart: () => void (isStarted = true) });
      const { name } = await until(async () => (isStarted ? web.listed() : undefined));
      await until(async () => ((await sh(web, 'true')).status === 0 ? true : undefined));
      expect(await web.run(['stop', name])).toMatchObject({ status: 0 });
      expect(await running).toMatchObject({ status: 3 });
    });
  },
);

describe.skipIf(!hasBusybox).each(callers.filter(({ keys }) => !('uid_map' in keys)))(
  'a command that cannot be looked into, in a container of $title,',
  (caller) => {
    const image = () =>
      changedRootfs((tree) => {
        for (const [name, mode] of [
          ['unreadable', 0o711],
          ['setuid', 0o4755],
        ] as const) {
          mkdirSync(join(tree, name));
          copyFileSync(join(tree, 'bin/busybox'), join(tree, name, 'busybox'));
          chmodSync(join(tree, name, 'busybox'), mode);
        }
      });

    test.each(['unreadable', 'setuid'])('since its program is %s, is beside others all the same', async (name) => {
      const web = box(
        { image: image(), user: 'app', no_new_privileges: false, command: [`/${name}/busybox`, 'sleep', '1000'] },
        caller,
      );
      expect(await web.run(['up', '-d', '--allow', 'all'])).toMatchObject({ status: 0, stderr: '' });
      expect(await sh(web, 'echo here')).toMatchObject({ status: 0, stdout: 'here\n' });
      expect(await web.run(['cp', `${web.name}:/etc/hostname`, '-'])).toMatchObject({ status: 0, stderr: '' });
      expect((await web.run(['top', web.name])).stdout).toContain('sleep 1000');
      expect((await web.run(['changes', web.name])).status).toBe(0);
      expect((await web.run(['stats', '--no-stream', web.name])).stdout).toContain(web.name);
    });
  },
);

describe.skipIf(!hasBusybox || !isRoot).each(callers.filter(({ user }) => user !== undefined))(
  'a program of the host’s root that nobody else may read, as the command of $title (needs root)',
  (caller) => {
    const folderWith = (web: Box): void => {
      copyFileSync('/bin/busybox', join(web.folder, 'busybox'));
      chmodSync(join(web.folder, 'busybox'), 0o711);
    };

    test('closes the container, which is told, and with init does not', async () => {
      const keys = { volumes: ['./busybox:/w/busybox:ro'], command: ['/w/busybox', 'sleep', '1000'] };
      const closed = box(keys, caller);
      folderWith(closed);
      expect(await closed.run(['up', '-d', '--allow', 'all'])).toMatchObject({ status: 0, stderr: '' });
      for (const words of [
        ['exec', closed.name, 'true'],
        ['cp', `${closed.name}:/etc/hostname`, '-'],
      ]) {
        const { status, stderr } = await closed.run(words);
        expect(status).toBe(125);
        expect(stderr).toContain(`an ordinary user cannot join the container ${closed.name}: the program of its first`);
        expect(stderr).toContain('with `init: true`');
      }
      const open = box({ ...keys, init: true }, caller);
      folderWith(open);
      expect(await open.run(['up', '-d', '--allow', 'all'])).toMatchObject({ status: 0, stderr: '' });
      expect(await sh(open, 'echo here')).toMatchObject({ status: 0, stdout: 'here\n' });
      expect(await open.run(['cp', `${open.name}:/etc/hostname`, '-'])).toMatchObject({ status: 0, stderr: '' });
    });
  },
);
