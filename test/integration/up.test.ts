/** What a container is, seen from inside and from outside, for every kind of caller. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { boxctl, PROGRAM, run, type Ended } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import {
  callerOptions,
  callers,
  ownedFolder,
  self,
  sh,
  specFolder,
  state,
  up,
  type Caller,
} from '../support/container.ts';
import { tempFolder } from '../support/temp.ts';

const KINDS = ['pid', 'mnt', 'uts', 'ipc', 'net', 'user', 'cgroup', 'time'] as const;

function fails({ stderr }: Ended): never {
  throw new Error(stderr);
}

/** Lines of standard output of a run that went well. */
function lines(ended: Ended): readonly string[] {
  if (ended.status !== 0) fails(ended);
  return ended.stdout.trimEnd().split('\n');
}

const namespaces = (pid: number | 'self'): Record<string, string> =>
  Object.fromEntries(KINDS.map((kind) => [kind, readlinkSync(`/proc/${pid}/ns/${kind}`)]));

/** The container's first process, as the host numbers it: the child of the launcher, which is boxctl's. */
function firstProcess(boxctlPid: number): number | undefined {
  const childrenOf = (pid: number): number[] =>
    readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
    );
  // It shows its program to nobody, and its name to all.
  const isLauncher = (pid: number): boolean =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('boxctl-launcher');
  const all = (pid: number): number[] => [pid, ...childrenOf(pid).flatMap(all)];
  const launcher = all(boxctlPid).find(isLauncher);
  return launcher === undefined ? undefined : childrenOf(launcher)[0];
}

/** Runs a container that waits for a line, and looks at it from outside meanwhile. */
async function whileItRuns<T>(
  spec: Readonly<Record<string, unknown>>,
  caller: Caller,
  look: (pid: number) => T | Promise<T>,
  args: readonly string[] = ['up'],
): Promise<T> {
  let found: T | undefined;
  const ended = await sh('echo ready; read line', spec, caller, {
    args,
    // The pipe stays open until the test has looked.
    stdin: () =>
      new Promise<string>((resolve) => {
        started = resolve;
      }),
    onStart: (child) => {
      child.stdout?.once('data', () => {
        const looking = async (): Promise<void> => {
          const pid = firstProcess(child.pid ?? 0);
          if (pid !== undefined) found = await look(pid);
        };
        void looking().finally(() => started('go\n'));
      });
      child.once('exit', () => started(''));
    },
  });
  if (found === undefined) fails(ended);
  return found;
}
let started: (text: string) => void = () => undefined;

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test('the container has its own host name, and the host keeps its own', async () => {
    const script = 'hostname; hostname other; hostname; dnsdomainname -y 2>/dev/null; cat /proc/sys/kernel/domainname';
    const before = hostname();
    const found = lines(await sh(script, { hostname: 'inside', domainname: 'example.internal' }, caller));
    // Renaming needs CAP_SYS_ADMIN, which the usual set does not have.
    expect([found[0], found[1], found.at(-1)]).toEqual(['inside', 'inside', 'example.internal']);
    expect(hostname()).toBe(before);
  });

  test('its command is process 1 and sees no other processes', async () => {
    expect(lines(await sh('echo $$; echo /proc/[0-9]*; :', {}, caller))).toEqual(['1', '/proc/1']);
  });

  test('root inside is an unprivileged id outside', async () => {
    const found = await whileItRuns({}, caller, (pid) => ({
      owner: /^Uid:\t(\d+)/mu.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1],
      map: readFileSync(`/proc/${pid}/uid_map`, 'utf8').trim().split('\n')[0]?.trim().split(/\s+/u),
    }));
    expect(found.owner).toBe(String(caller.rootOutside));
    expect(found.map?.slice(0, 2)).toEqual(['0', String(caller.rootOutside)]);
    expect(lines(await sh('id -u; id -g', {}, caller))).toEqual(['0', '0']);
  });

  test('all eight namespaces are its own', async () => {
    const mine = namespaces('self');
    const its = await whileItRuns({}, caller, namespaces);
    expect(KINDS.filter((kind) => mine[kind] === its[kind])).toEqual([]);
  });

  test.each(['pid', 'uts', 'ipc', 'net', 'cgroup', 'time'] as const)(
    'the %s namespace alone can be the host’s',
    async (kind) => {
      const mine = namespaces('self');
      const args = ['up', '--allow', `namespace=${kind}`];
      const its = await whileItRuns({ namespaces: { [kind]: 'host' } }, caller, namespaces, args);
      expect(KINDS.filter((other) => mine[other] === its[other])).toEqual([kind]);
    },
  );

  test('its root is the image alone: nothing of the host’s is mounted or reached', async () => {
    const [root, mounts, parent, device] = lines(
      await sh(
        'echo /*; cut -d" " -f5 /proc/self/mountinfo | tr "\\n" " "; echo; cd /; cd ../../..; ls -d ../..; stat -c %d / ',
        {},
        caller,
        { once: 'the kernel gives each file system a number' },
      ),
    );
    expect(root).toBe('/bin /dev /etc /home /proc /root /sys /tmp');
    const points = mounts?.trim().split(' ') ?? [];
    expect(points).toContain('/');
    // Its names are files in memory, which are boxctl's.
    expect(points.filter((point) => !/^\/($|proc|dev|sys|etc\/(?:hosts|hostname|resolv\.conf)$)/u.test(point))).toEqual(
      [],
    );
    expect(parent).toBe('../..');
    expect(device).toMatch(/^\d+$/u);
  });

  test('what it writes is seen by no other container and does not change the image', async () => {
    const script = 'cat /etc/passwd | head -n 1; echo changed >/etc/passwd; rm /bin/vi; ls /bin/vi; echo >/new';
    const first = lines(await sh(script, {}, caller));
    expect(first[0]).toMatch(/^root:/u);
    expect(lines(await sh(`${script}`, {}, caller))).toEqual(first);
  });

  test('with read_only nothing can be written but to its tmpfs', async () => {
    const script =
      'echo >/file; echo >/etc/passwd; echo yes >/tmp/file && cat /tmp/file; echo no >/dev/file; mount | grep " / "';
    const { stdout, stderr, status } = await sh(script, { read_only: true, tmpfs: ['/tmp'] }, caller);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^yes\n.* on \/ type overlay \(ro,/u);
    expect(stderr.match(/Read-only file system/gu)).toHaveLength(2);
  });

  test('a volume is the host’s folder: writable, or read-only when it says so', async () => {
    const folder = specFolder(
      {
        volumes: ['./data:/data', './data:/fixed:ro', './file:/etc/file:ro'],
        command: [
          'sh',
          '-c',
          'cat /etc/file; cat /fixed/old; echo new >/data/new; echo >/fixed/no; stat -c %u:%a /data/new',
        ],
      },
      caller,
    );
    const data = ownedFolder(caller, 'data', folder);
    writeFileSync(join(data, 'old'), 'old\n');
    writeFileSync(join(folder, 'file'), 'file\n');
    const ended = await boxctl(['up'], callerOptions(caller, folder));
    expect(ended.stdout).toBe('file\nold\n0:644\n');
    expect(ended.stderr).toContain('/fixed/no: Read-only file system');
    expect(readFileSync(join(data, 'new'), 'utf8')).toBe('new\n');
    expect(readdirSync(data).toSorted()).toEqual(['new', 'old']);
  });

  test('environment, working directory and entrypoint are the file’s', async () => {
    const spec = {
      environment: { A: '1', B: 'two words' },
      working_dir: '/made/for/it',
      entrypoint: ['sh', '-c', 'echo "$$A $$B $$1"; pwd; env | sort | cut -d= -f1 | tr "\\n" " "', 'sh'],
      command: ['argument'],
    };
    expect(lines(await up(spec, caller))).toEqual([
      '1 two words argument',
      '/made/for/it',
      'A B HOME HOSTNAME PATH PWD SHLVL',
    ]);
  });

  test('it starts with no new privileges, a filter, and the usual capabilities', async () => {
    const script = 'grep -E "^(NoNewPrivs|Seccomp|CapEff|CapBnd|CapInh|CapAmb):" /proc/self/status';
    const usual = '00000000a80425fb';
    expect(lines(await sh(script, {}, caller)).map((line) => line.replaceAll('\t', ' '))).toEqual([
      'CapInh: 0000000000000000',
      `CapEff: ${usual}`,
      `CapBnd: ${usual}`,
      'CapAmb: 0000000000000000',
      'NoNewPrivs: 1',
      'Seccomp: 2',
    ]);
  });

  test('the system calls that other runtimes block are blocked', async () => {
    const script = `
      unshare -U true; echo "unshare $?"
      mount -t tmpfs none /tmp; echo "mount $?"
      mknod /dev/sda b 8 0; echo "mknod $?"
      chroot / true && echo "chroot 0"
      echo 1 >/proc/sys/kernel/panic; echo "sysctl $?"
      cat /proc/kcore | wc -c
      ls /sys/firmware | wc -l
    `;
    const { stdout } = await sh(script, {}, caller);
    expect(stdout).toMatch(/^unshare 1\nmount \d+\nmknod 1\nchroot 0\nsysctl [12]\n0\n0\n$/u);
  });

  test('/dev has the standard nodes and nothing else', async () => {
    const found = lines(
      await sh(
        'ls /dev | tr "\\n" " "; echo; echo x >/dev/null; head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c',
        {},
        caller,
      ),
    );
    expect(found[0]?.trim()).toBe('fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero');
    expect(found.slice(1)).toEqual(['4', '4']);
  });

  test('standard input and output are its own, binary-clean, in a pipe', async () => {
    const bytes = randomBytes(3_000_000);
    const { stdoutBytes, stderr, status } = await up({ command: ['cat'] }, caller, { stdin: bytes });
    expect({ status, stderr, same: bytes.equals(stdoutBytes) }).toEqual({ status: 0, stderr: '', same: true });
  });

  test.each([{ tty: false }, { tty: true }])(
    'a command whose output is not read any more fails to write, with %o',
    async (keys) => {
      const command = ['sh', '-c', "trap '' PIPE; while echo y 2>/dev/null; do :; done; exit 7"];
      const folder = specFolder({ command, ...keys, limits: { time: '10s' }, stop_grace_period: '0s' }, caller);
      const script = `{ ${process.execPath} ${PROGRAM} up --quiet; echo $? >&2; } | head -n 1`;
      const { stdout, stderr } = await run(['sh', '-c', script], callerOptions(caller, folder));
      expect({ stdout: stdout.trim(), stderr }).toEqual({ stdout: 'y', stderr: '7\n' });
    },
  );

  test.each([
    ['a shell that edits its lines', ['sh', '-i'], 'echo to""ld\n', /told/u],
    ['a line that has no end', ['sh', '-i'], 'echo to""ld', /told/u],
    ['no input at all', ['sh', '-i'], '', /#|\$/u],
    ['a program that reads lines', ['cat'], 'one\ntwo', /one\r\ntwo/u],
    ['a program that begins to read late', ['sh', '-c', 'sleep 1; cat; cat; echo over'], 'one\n', /one\r\n[^]*over/u],
    ['a program that reads single keys', ['sh', '-c', 'stty raw -echo; sleep 0.5; head -c 4 | wc -c'], 'abc', /4/u],
  ])('the end of an input that is no terminal arrives at a command with one: %s', async (_, command, stdin, said) => {
    const spec = { command, tty: true, stdin_open: true, limits: { time: '15s' } };
    const { stdout, stderr, status } = await up(spec, caller, { stdin, varies: 'it echoes before or after' });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    expect(stdout).toMatch(said);
  });

  test('the exit status is the command’s, or Docker’s for what went wrong', async () => {
    const status = async (command: readonly string[]): Promise<number | null> => (await up({ command }, caller)).status;
    expect(await status(['sh', '-c', 'exit 7'])).toBe(7);
    expect(await status(['sh', '-c', "sh -c 'kill -TERM $$$$'; exit $$?"])).toBe(143);
    expect(await status(['/etc/passwd'])).toBe(126);
    expect(await status(['/nowhere'])).toBe(127);
    expect(await status(['nowhere'])).toBe(127);
    expect((await up({ command: 7 }, caller)).status).toBe(125);
  });

  test('init reaps what the command leaves behind, and passes its status on', async () => {
    const script =
      '(sleep 0.05 &) ; sh -c "(sleep 0.01; exit 3) & exit 0"; sleep 0.2; echo $$; grep -l "State:.Z" /proc/[0-9]*/status; exit 9';
    const { stdout, status } = await sh(script, { init: true }, caller);
    expect({ stdout, status }).toEqual({ stdout: '2\n', status: 9 });
  });

  test('signals to boxctl reach the command', async () => {
    const { stdout, status } = await sh(
      'trap "echo caught; exit 5" TERM; echo ready; while :; do sleep 0.05; done',
      {},
      caller,
      {
        onStart: (child) => child.stdout?.once('data', () => signalBoxctl(child.pid ?? 0, 'SIGTERM')),
      },
    );
    expect({ stdout, status }).toEqual({ stdout: 'ready\ncaught\n', status: 5 });
  });

  test('the container ends when boxctl is killed', async () => {
    const before = state(caller);
    let pid: number | undefined;
    await sh('echo ready; sleep 100', {}, caller, {
      onStart: (child) =>
        child.stdout?.once('data', () => {
          pid = firstProcess(child.pid ?? 0);
          signalBoxctl(child.pid ?? 0, 'SIGKILL');
        }),
    });
    expect(pid).toBeGreaterThan(1);
    await expect.poll(() => isAlive(pid ?? 0)).toBe(false);
    await expect.poll(() => state(caller)).toEqual(before);
  });

  test('what it wrote is removed when launcher and record are lost, and not before its end', async () => {
    const store = ownedFolder(caller, 'store', tempFolder({ open: true }));
    const own = { ...caller, store };
    const layers = (): readonly string[] => readdirSync(join(store, 'upper'));
    const [before, after] = await whileItRuns({}, own, async (pid) => {
      const [name = ''] = layers();
      rmSync(join(caller.stateFolder, name));
      await sh('true', {}, own);
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      spawnSync('kill', ['-KILL', /^PPid:\t(\d+)$/mu.exec(status)?.[1] ?? '']);
      return [[name], layers()];
    });
    expect(after).toEqual(before);
    await expect
      .poll(async () => {
        await sh('true', {}, own);
        return layers();
      })
      .toEqual([]);
  });

  test('an ended container leaves no mount, cgroup, record or launcher', async () => {
    const before = state(caller);
    await sh('echo >/file; sleep 100 & exit 3', { tmpfs: ['/tmp'], hostname: 'x' }, caller);
    await sh('exit 0', { init: true }, caller);
    await up({ command: ['/nowhere'] }, caller);
    await expect.poll(() => state(caller)).toEqual(before);
  });
});

function isAlive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

/** The process that runs Node: the child itself, or what setpriv became. */
function signalBoxctl(pid: number, signal: 'SIGTERM' | 'SIGKILL'): void {
  spawnSync('kill', [`-${signal.slice(3)}`, String(pid)]);
}

test.skipIf(!hasBusybox)('a path that looks like a template of the launcher is used literally', async () => {
  for (const name of ['$ID', '$CHILD', 'a$FD(x)', '$BIRTH', '$$']) {
    const store = ownedFolder(self, name, tempFolder());
    const spec = { volumes: ['kept:/v'], command: ['sh', '-c', 'echo x >/v/x; echo y >/y; cat /v/x /y'] };
    const { status, stdout, stderr } = await up(spec, self, { env: { BOXCTL_STORE: store } });
    expect({ name, status, stdout, stderr }).toEqual({ name, status: 0, stdout: 'x\ny\n', stderr: expect.any(String) });
    expect(readdirSync(join(store, 'upper'))).toEqual([]);
  }
});
