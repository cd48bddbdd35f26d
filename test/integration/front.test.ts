/** Starts from kept plans: what they are like, when they are made, and that whatever has changed is seen. */
import { spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { boxctl, INSTALLED, run, type Ended } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { hasLimits } from '../support/container.ts';
import { callers, plain, project, shell, withEnvironment, type Project } from '../support/front-project.ts';
import { FRONT, front, frontAlone, neededNode, warm } from '../support/front.ts';
import { underTerminal } from '../support/front-terminal.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot, testUser } from '../support/user.ts';

const MOUNTS = readFileSync('/proc/self/mountinfo', 'utf8');
const CGROUP_MOUNT = /^(?:\S+ ){4}(\S+) .* - cgroup2? /mu.exec(MOUNTS)?.[1] ?? '';
/** Linux 5.15. */
const NUMBERS_MEDIA = readdirSync('/sys/block').some((name) => existsSync(`/sys/block/${name}/diskseq`));
const UP = ['up', '--quiet'];

describe.skipIf(!hasBusybox)('a start from a kept plan (needs busybox-static)', () => {
  describe.each(callers)('as %s', (_, user) => {
    test('needs no Node from the third start on, and is the same', async () => {
      const made = project(shell('cat; echo out; echo err >&2; exit 3'), user);
      const fresh = await boxctl(UP, { ...made.options, stdin: 'in\n' });
      expect(plain(fresh)).toEqual({ status: 3, stdout: 'in\nout\n', stderr: 'err\n' });
      const starts = [];
      for (let start = 0; start < 3; start++) starts.push(plain(await front(UP, { ...made.options, stdin: 'in\n' })));
      starts.push(plain(await frontAlone(UP, { ...made.options, stdin: 'in\n' })));
      expect(starts).toEqual(starts.map(() => plain(fresh)));
    });

    test('keeps its plan in a folder and a file that nobody else can read', async () => {
      const made = project({}, user);
      expect(plain(await warm(UP, made.options))).toEqual({ status: 0, stdout: '', stderr: '' });
      const folder = join(made.options.env?.['BOXCTL_STORE'] ?? '', 'plans');
      expect(statSync(folder).mode & 0o7777).toBe(0o700);
      const names = readdirSync(folder);
      expect(names).toHaveLength(2);
      for (const name of names) {
        expect(statSync(join(folder, name))).toMatchObject({ mode: 0o100600, uid: user?.uid ?? process.getuid?.() });
      }
    });
  });

  type Spec = Readonly<Record<string, unknown>>;

  const SPECS: readonly (readonly [title: string, spec: Spec])[] = [
    ['an exit status', shell('exit 42')],
    ['a signal', shell('kill -KILL $$; sleep 1')],
    ['the signal of a filter', { ...shell('mkdir /tmp/x'), security_opt: ['seccomp:./profile.json'] }],
    ['a time limit', { ...shell('sleep 100'), limits: { time: '200ms' }, stop_grace_period: '100ms' }],
    ['its own first process', { ...shell('echo $$; exit 5'), init: true }],
    [
      'volumes, tmpfs, a working folder and variables',
      {
        ...shell('pwd; echo $A; cat /data/x; touch /tmp/y; ls /tmp'),
        working_dir: '/w',
        environment: { A: 'b' },
        volumes: ['./data:/data:ro'],
        tmpfs: ['/tmp'],
      },
    ],
    ['shared namespaces', { ...shell('hostname >/dev/null; echo x'), namespaces: { uts: 'host', ipc: 'host' } }],
  ];

  const LIMITED: readonly (readonly [title: string, spec: Spec])[] = [
    [
      'a limit that was reached',
      { ...shell('for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait'), limits: { pids: 4 } },
    ],
    ['a limit that was not reached', { ...shell('echo x'), limits: { pids: 50, memory: '64MiB' } }],
  ];

  test.each([...SPECS, ...(hasLimits ? LIMITED : [])])(
    'ends with the words of a start by Node: %s',
    async (_, spec) => {
      const made = project(spec);
      mkdirSync(join(made.folder, 'data'));
      writeFileSync(join(made.folder, 'data/x'), 'content\n');
      const profile = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_KILL_PROCESS' }],
      };
      writeFileSync(join(made.folder, 'profile.json'), JSON.stringify(profile));
      const words = ['up', '--allow', 'all'];
      const fresh = plain(await boxctl(words, made.options));
      expect(plain(await front(words, made.options))).toEqual(fresh);
      const folder = join(made.options.env?.['BOXCTL_STORE'] ?? '', 'plans');
      expect(readdirSync(folder)).toHaveLength(2);
      expect(plain(await front(words, made.options))).toEqual(fresh);
      expect(plain(await front(words, made.options))).toEqual(fresh);
    },
  );

  test('runs another command, each with a plan of its own', async () => {
    const made = project({});
    for (const word of ['one', 'two']) {
      expect(plain(await warm(['run', '--quiet', '--', 'echo', word], made.options))).toMatchObject({
        status: 0,
        stdout: `${word}\n`,
      });
    }
    expect(neededNode(await frontAlone(['run', '--quiet', '--', 'echo', 'three'], made.options))).toBe(true);
  });

  test('a step that fails is told by Node, in the words of a fresh start', async () => {
    const made = project(shell('echo x'));
    expect((await warm(UP, made.options)).stdout).toBe('x\n');
    const folder = join(made.options.env?.['BOXCTL_STORE'] ?? '', 'layers');
    const [layer = ''] = readdirSync(folder);
    const index = readdirSync(join(folder, layer)).map((name) => join(folder, layer, name));
    for (const path of index) rmSync(path, { recursive: true });
    const again = await front(UP, made.options);
    expect(plain(again)).toEqual({ status: 0, stdout: 'x\n', stderr: '' });
  });

  test('SIGTERM becomes the stop signal of the container', async () => {
    const made = project(shell('trap "echo stopped; exit 7" TERM; echo ready; while :; do sleep 0.1; done'));
    // A fresh start for a moment, so that its plan is kept.
    const stopped = async (env: Readonly<Record<string, string>>): Promise<unknown> => {
      const child = spawn(FRONT, UP, {
        cwd: made.folder,
        env: { PATH: process.env['PATH'], ...made.options.env, ...env },
      });
      let out = '';
      child.stdout.on('data', (chunk: Buffer) => {
        if (out === '') child.kill('SIGTERM');
        out += chunk.toString();
      });
      return new Promise((resolve) => void child.on('close', (status) => resolve({ status, out })));
    };
    const expected = { status: 7, out: 'ready\nstopped\n' };
    expect(await stopped({})).toEqual(expected);
    expect(await stopped({})).toEqual(expected);
    expect(await stopped({ PATH: '/nowhere' })).toEqual(expected);
  });

  test('the container dies with the program that was started', async () => {
    const made = project(shell('echo $$; exec sleep 1000.5'));
    const programs: string[] = [];
    // The first starts are Node's. What is left of a container whose launcher may have been killed, too, is swept by the next.
    for (let start = 0; start < 8 && programs.at(-1) !== FRONT; start++) {
      await front(['run', '--quiet', '--', 'true'], made.options);
      const child = spawn(FRONT, UP, { cwd: made.folder, env: { PATH: process.env['PATH'], ...made.options.env } });
      await new Promise((resolve) => void child.stdout.once('data', resolve));
      programs.push(readlinkSync(`/proc/${child.pid}/exe`));
      // Node keeps the plan when it is told that the command runs.
      await sleep(500);
      const ended = new Promise((resolve) => void child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
      await expect.poll(sleepers).toBe(0);
    }
    expect(programs.at(-1)).toBe(FRONT);
  }, 120_000);

  test('others find what it was made from while it runs, and nothing stays of that', async () => {
    const made = project({ ...shell('echo ready; exec sleep 1000.7'), name: 'front-found' });
    for (let start = 0; start < 8; start++) {
      const child = spawn(FRONT, UP, { cwd: made.folder, env: { PATH: process.env['PATH'], ...made.options.env } });
      await new Promise((resolve) => void child.stdout.once('data', resolve));
      await sleep(500);
      const isFront = readlinkSync(`/proc/${child.pid}/exe`) === FRONT;
      const { stdout } = await boxctl(['ps', '--json'], made.options);
      const { stdout: said, stderr } = await boxctl(['exec', 'front-found', 'hostname'], made.options);
      const ended = new Promise((resolve) => void child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
      await boxctl(['ps'], made.options);
      if (!isFront) continue;
      expect(stdout).toContain(join(made.folder, 'container.yaml'));
      expect({ said, stderr }).toEqual({ said: 'front-found\n', stderr: '' });
      return;
    }
    throw new Error('no start without Node');
  }, 120_000);

  test('holds no value of an env_file, and none that is used otherwise than as a value of a variable', async () => {
    const specs = [
      { hostname: '${MARKER}' },
      { name: '${MARKER}' },
      { labels: { a: '${MARKER}' } },
      { command: ['echo', '${MARKER}'] },
      { environment: ['${MARKER}=x'] },
      { environment: { A: '${MARKER}', PATH: '/bin:/${MARKER}' } },
      { env_file: './values.env' },
      { environment: ['MARKER'], env_file: './values.env' },
      { env_file: './inherited.env' },
    ];
    for (const spec of specs) {
      const made = project({ ...spec });
      writeFileSync(join(made.folder, 'values.env'), 'A=marker-of-a-secret\n');
      writeFileSync(join(made.folder, 'inherited.env'), 'MARKER\n');
      const options = withEnvironment(made, { MARKER: 'marker-of-a-secret' });
      for (let start = 0; start < 3; start++) expect((await front(UP, options)).status).toBe(0);
      const folder = join(made.options.env?.['BOXCTL_STORE'] ?? '', 'plans');
      expect({ spec, kept: existsSync(folder) ? readdirSync(folder) : [] }).toEqual({ spec, kept: [] });
    }
  });

  test.each([
    ['an exit', 'test -t 0 && test -t 1 && stty size && tty; stty raw -echo; exit 4'],
    ['a signal', 'stty raw -echo; kill -KILL $$'],
  ])('at a terminal is like one by Node, draws nothing, and leaves the terminal as it was: %s', async (_, script) => {
    const made = project({ ...shell(script), tty: true, stdin_open: true });
    const words = ['up'];
    const fresh = await underTerminal(words, made.options);
    for (let start = 0; start < 2; start++) await underTerminal(words, made.options);
    const alone = await underTerminal(words, made.options, { withNode: !script.includes('exit') });
    expect(alone.before).toBe(alone.after);
    expect({ ...alone, output: alone.output.trim() }).toEqual({ ...fresh, output: fresh.output.trim() });
    // Standard input is none: whether that is an error is for Node to say.
    expect(neededNode(await frontAlone(words, made.options))).toBe(true);
  });

  test('is left to Node where the command line asks for more than a quiet start', async () => {
    const made = project({});
    await warm(['up'], made.options);
    const folder = join(made.options.env?.['BOXCTL_STORE'] ?? '', 'plans');
    const kept = readdirSync(folder);
    expect(kept).toHaveLength(2);
    for (const words of [['--json'], ['--verbose'], ['--progress', 'list'], ['-e', 'A=b'], ['--show-values']]) {
      for (let start = 0; start < 2; start++) await front(['up', ...words], made.options);
      expect({ words, kept: readdirSync(folder) }).toEqual({ words, kept });
    }
    await front(['validate'], made.options);
    expect((await front(['--version'], made.options)).stdout).toMatch(/^boxctl \d/u);
  });
});

function sleepers(): number {
  return readdirSync('/proc').filter((name) => {
    if (!/^\d+$/u.test(name)) return false;
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'utf8') === 'sleep\u00001000.5\u0000';
    } catch {
      return false;
    }
  }).length;
}

describe.skipIf(!hasBusybox)('a kept plan is not used (needs busybox-static)', () => {
  /** A file with all that a plan without a network can be made from. */
  function full(): Project {
    const made = project({
      command: ['sh', '-c', 'cat /data/x /project/y'],
      environment: { A: 'x$${B:-none}', C: '${UNSET_HERE:-none}' },
      security_opt: ['seccomp:./profile.json'],
      volumes: ['../outside:/data:ro', './inner:/project'],
      devices: ['/dev/zero:/dev/z'],
    });
    const around = dirname(made.folder);
    mkdirSync(join(around, 'real'));
    writeFileSync(join(around, 'real/x'), 'x\n');
    symlinkSync('real', join(around, 'outside'));
    mkdirSync(join(made.folder, 'inner/.git'), { recursive: true });
    writeFileSync(join(made.folder, 'inner/y'), 'y\n');
    writeFileSync(join(made.folder, 'inner/.git/HEAD'), 'ref: refs/heads/main\n');
    writeFileSync(join(made.folder, 'inner/.git/config'), '[core]\n\tbare = false\n');
    const profile = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [] };
    writeFileSync(join(made.folder, 'profile.json'), JSON.stringify(profile));
    writeFileSync(join(around, 'config/boxctl/policy.yaml'), 'allow: [all]\n');
    return made;
  }

  test('where anything of its record in the file system has changed, one at a time', async () => {
    const made = full();
    const around = dirname(made.folder);
    expect(plain(await warm(UP, made.options))).toEqual({ status: 0, stdout: 'x\ny\n', stderr: '' });
    const listed = await boxctl(['plan', '--inputs', '--json'], made.options);
    const { inputs } = JSON.parse(listed.stdout) as {
      inputs: readonly {
        kind: string;
        path?: string;
        found?: { error?: string; kind?: string };
        whole?: boolean;
        follows?: boolean;
      }[];
    };
    const own = inputs.filter(({ kind, path = '' }) => kind === 'path' && path.startsWith(`${around}/`));
    expect(own.length).toBeGreaterThan(25);
    const tried: string[] = [];
    const isUsed = async (): Promise<boolean> => !neededNode(await frontAlone(UP, made.options));
    for (const { path = '', found = {}, whole = false } of own) {
      // A new image has other files in the store.
      if (found.error === undefined && !existsSync(path)) continue;
      // An archive is still being read beside the first starts, after which the store has more of it.
      for (let again = 0; again < 5 && !(await isUsed()); again++) await warm(UP, made.options);
      expect({ path, used: await isUsed() }).toEqual({ path, used: true });
      if (found.error !== undefined) {
        if (!existsSync(dirname(path))) continue;
        writeFileSync(path, '');
        expect({ path, made: 'a file', used: await isUsed() }).toEqual({ path, made: 'a file', used: false });
        rmSync(path);
      } else if (found.kind === 'folder') {
        const { mode } = lstatSync(path);
        chmodSync(path, (mode & 0o777) === 0o755 ? 0o750 : 0o711);
        expect({ path, changed: 'mode', used: await isUsed() }).toEqual({ path, changed: 'mode', used: false });
        chmodSync(path, mode & 0o7777);
        if (whole) {
          writeFileSync(join(path, 'new'), '');
          expect({ path, changed: 'names', used: await isUsed() }).toEqual({ path, changed: 'names', used: false });
          rmSync(join(path, 'new'));
        }
      } else {
        const bytes = readFileSync(path);
        const { atime, mtime, mode } = statSync(path);
        // The same bytes and times: only the inode, or the time of the change of the inode, tells.
        writeFileSync(path, bytes);
        utimesSync(path, atime, mtime);
        expect({ path, changed: 'written', used: await isUsed() }).toEqual({ path, changed: 'written', used: false });
        await warm(UP, made.options);
        writeFileSync(`${path}.other`, bytes, { mode: mode & 0o7777 });
        utimesSync(`${path}.other`, atime, mtime);
        renameSync(`${path}.other`, path);
        expect({ path, changed: 'replaced', used: await isUsed() }).toEqual({ path, changed: 'replaced', used: false });
      }
      tried.push(path);
    }
    expect(tried.length).toBeGreaterThan(20);
  }, 600_000);

  test('where a link on the way leads elsewhere', async () => {
    const made = full();
    await warm(UP, made.options);
    const link = join(dirname(made.folder), 'outside');
    cpSync(join(dirname(made.folder), 'real'), join(dirname(made.folder), 'other'), { recursive: true });
    writeFileSync(join(dirname(made.folder), 'other/x'), 'other\n');
    rmSync(link);
    symlinkSync('other', link);
    expect(neededNode(await frontAlone(UP, made.options))).toBe(true);
    expect(plain(await front(UP, made.options))).toEqual({ status: 0, stdout: 'other\ny\n', stderr: '' });
  });

  test('where what was allowed is not allowed any more', async () => {
    const made = full();
    await warm(UP, made.options);
    writeFileSync(join(dirname(made.folder), 'config/boxctl/policy.yaml'), 'allow: []\n');
    expect(neededNode(await frontAlone(UP, made.options))).toBe(true);
    const { status, stderr } = await front(UP, made.options);
    expect({ status, stderr }).toMatchObject({ status: 125, stderr: expect.stringContaining('not allowed') as string });
  });

  test('where a variable that was looked up has changed, and where one was set', async () => {
    const made = full();
    await warm(['up'], made.options);
    const around = dirname(made.folder);
    const changed = [
      { HOME: join(around, 'run') },
      { XDG_CONFIG_HOME: join(around, 'run') },
      { BOXCTL_PROGRESS: 'list' },
      { UNSET_HERE: 'x' },
      { NO_COLOR: '1' },
      { BOXCTL_STORE: join(around, 'store2') },
    ];
    for (const env of changed) {
      expect({ env, needed: neededNode(await frontAlone(['up'], withEnvironment(made, env))) }).toEqual({
        env,
        needed: true,
      });
    }
    expect(neededNode(await warm(['up'], withEnvironment(made, { SOMETHING_ELSE: 'x' })))).toBe(false);
  });

  test('with other words, or in another folder', async () => {
    const made = project({});
    const file = join(made.folder, 'container.yaml');
    await warm([...UP, file], made.options);
    expect(neededNode(await warm([...UP, file], made.options))).toBe(false);
    expect(neededNode(await frontAlone([...UP, file], { ...made.options, cwd: '/' }))).toBe(true);
    for (const words of [['up'], UP, [...UP, file, file], [...UP, '--locked', file], ['run', '--quiet', file]]) {
      expect({ words, needed: neededNode(await frontAlone(words, made.options)) }).toEqual({ words, needed: true });
    }
  });

  const PROCESS: readonly (readonly [title: string, words: readonly string[], rootOnly: boolean])[] = [
    ['without new privileges', ['setpriv', '--no-new-privs'], false],
    ['with other groups', ['setpriv', '--groups', '12345'], true],
    ['with fewer capabilities', ['setpriv', '--bounding-set', '-sys_time'], true],
    ['on fewer processors', ['taskset', '-c', '0'], false],
    ['with another score for the killer of processes', ['choom', '-n', '500', '--'], false],
    ['in another namespace of names', ['unshare', '-u'], true],
    ['in another network namespace', ['unshare', '-n'], true],
    ['in another mount namespace', ['unshare', '-m'], true],
    ['in another ipc namespace', ['unshare', '-i'], true],
    ['in another cgroup namespace', ['unshare', '-C'], true],
    ['in another pid namespace', ['unshare', '-pf', '--mount-proc'], true],
  ];

  test('by a process that is another in what counts', async () => {
    const made = project({});
    await warm(UP, made.options);
    const env = { PATH: `/nowhere`, ...made.options.env };
    for (const [title, words, rootOnly] of PROCESS) {
      if (rootOnly && !isRoot) continue;
      const script = 'PATH=/nowhere exec "$@"';
      const ended = await run([...words, '/bin/sh', '-c', script, 'sh', FRONT, ...UP], {
        cwd: made.folder,
        env: { ...env, PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
      });
      expect({ title, needed: neededNode(ended) }).toEqual({ title, needed: true });
    }
    expect(neededNode(await warm(UP, made.options))).toBe(false);
  });

  test.skipIf(!isRoot)(
    'where something is mounted over a hierarchy of control groups, and not elsewhere (needs root)',
    async () => {
      const made = project({});
      mkdirSync(join(made.folder, 'elsewhere'));
      const over = CGROUP_MOUNT;
      // All in one mount namespace. Each start but the last needs no Node.
      const script = `set -e
      for i in 1 2 3; do "$@" >/dev/null 2>&1; done
      alone() { (PATH=/nowhere; exec "$@") >/dev/null 2>&1 || echo "$1 needed Node" | sed 's/.*needed/needed/'; }
      echo first; alone "$@"
      mount -t tmpfs none elsewhere; echo elsewhere; alone "$@"
      mount --bind ${over} elsewhere; echo again; alone "$@"
      mount -t tmpfs none ${over}; echo over; alone "$@"`;
      const ended = await run(['unshare', '-m', '/bin/sh', '-c', script, 'sh', FRONT, ...UP], made.options);
      expect(ended.stdout).toBe('first\nelsewhere\nagain\nover\nneeded Node\n');
    },
  );

  test.skipIf(!isRoot || !NUMBERS_MEDIA)(
    'where another image is mounted at the same place, with files of the same times (needs root and Linux 5.15)',
    async () => {
      const made = project({});
      const around = dirname(made.folder);
      const archive = join(made.folder, 'rootfs.tar');
      // As tools make them with SOURCE_DATE_EPOCH: what has changed is in no number of stat(2).
      for (const name of ['one', 'two']) {
        const tree = join(around, name);
        mkdirSync(tree);
        writeFileSync(join(tree, 'container.yaml'), stringify({ image: archive, command: ['echo', name] }));
        utimesSync(join(tree, 'container.yaml'), 1_600_000_000, 1_600_000_000);
        const image = `${tree}.img`;
        await run(['mkfs.ext4', '-q', '-U', '6c1f9a1e-6b0e-4f4e-9d55-3f1a3c0c9a11', '-d', tree, image, '4M']);
        const times = ['ctime 0x5f5e1000', 'ctime_extra 0', 'mtime_extra 0'];
        const changes = times.map((time) => `sif container.yaml ${time}`).join('\n');
        await run(['debugfs', '-w', '-f', '-', image], { stdin: changes });
      }
      mkdirSync(join(around, 'place'));
      // The same loop device for both: it is free again once nothing is mounted from it. The first starts of the first keep its plan.
      const script = `set -e
      status() { stat -c '%d %i %s %Y %Z' place/container.yaml >>status; }
      up() { (cd place && "$@"); }
      device=$(losetup --find --show --read-only one.img)
      mount -o ro $device place; losetup --detach $device; status
      for i in 1 2 3 4; do up "$@"; done >/dev/null
      (PATH=/nowhere; up "$@")
      umount place; losetup --read-only $device two.img
      mount -o ro $device place; losetup --detach $device; status
      up "$@"; up "$@"; (PATH=/nowhere; up "$@")
      umount place
      uniq status | wc -l`;
      const words = ['unshare', '-m', '/bin/sh', '-c', script, 'sh', FRONT, ...UP, '--allow', 'all'];
      const ended = await run(words, { ...made.options, cwd: around });
      expect(plain(ended)).toEqual({ status: 0, stdout: 'one\ntwo\ntwo\ntwo\n1\n', stderr: '' });
    },
  );

  test('by another boxctl, and where files of boxctl itself have changed', async () => {
    const made = project({});
    const copy = tempFolder({ open: true });
    cpSync(join(INSTALLED, 'dist'), join(copy, 'dist'), { recursive: true, preserveTimestamps: true });
    const program = join(copy, 'dist/boxctl');
    const alone = (): Promise<Ended> => run([program, ...UP], withEnvironment(made, { PATH: '/nowhere' }));
    await sleep(50);
    for (let start = 0; start < 3; start++) await run([program, ...UP], made.options);
    expect(neededNode(await alone())).toBe(false);
    expect(neededNode(await frontAlone(UP, made.options))).toBe(true);
    for (const name of ['boxctl.cjs', 'start.pack', 'rest.pack', 'native/boxctl-launcher']) {
      // A launcher may still be undoing what it did, and its file cannot be written until then.
      await expect.poll(() => appendFileSync(join(copy, 'dist', name), '')).toBe(undefined);
      const { atime, mtime } = statSync(join(copy, 'dist', name));
      utimesSync(join(copy, 'dist', name), atime, mtime);
      expect({ name, needed: neededNode(await alone()) }).toEqual({ name, needed: true });
      await sleep(50);
      await run([program, ...UP], made.options);
      expect({ name, needed: neededNode(await alone()) }).toEqual({ name, needed: false });
    }
  });

  test.skipIf(testUser === undefined)('while something that a killed launcher has left is to be swept', async () => {
    const made = project({}, testUser);
    await warm(UP, made.options);
    const state = join(dirname(made.folder), 'run/boxctl');
    const left = join(state, 'left-0123456789ab');
    writeFileSync(left, '{"version":1,"rmdir":[],"rmtree":[]}\n', { mode: 0o600 });
    chownSync(left, testUser?.uid ?? 0, testUser?.gid ?? 0);
    expect(neededNode(await frontAlone(UP, made.options))).toBe(true);
    expect((await front(UP, made.options)).status).toBe(0);
    expect(existsSync(left)).toBe(false);
    expect(neededNode(await warm(UP, made.options))).toBe(false);
  });

  test('where others could have put it there, or could read it', async () => {
    const made = project({});
    await warm(UP, made.options);
    const folder = join(made.options.env?.['BOXCTL_STORE'] ?? '', 'plans');
    const [name = ''] = readdirSync(folder).toSorted();
    const file = join(folder, name);
    const isUsed = async (): Promise<boolean> => !neededNode(await frontAlone(UP, made.options));
    expect(await isUsed()).toBe(true);
    chmodSync(file, 0o644);
    expect(await isUsed()).toBe(false);
    chmodSync(file, 0o600);
    expect(await isUsed()).toBe(true);
    if (isRoot) {
      chownSync(file, 12345, 0);
      expect(await isUsed()).toBe(false);
      chownSync(file, 0, 0);
    }
    renameSync(file, `${file}.x`);
    symlinkSync(`${file}.x`, file);
    expect(await isUsed()).toBe(false);
    rmSync(file);
    renameSync(`${file}.x`, file);
    expect(await isUsed()).toBe(true);
  });

  test('where its bytes are not sound, whatever they are', async () => {
    const made = project({});
    await warm(UP, made.options);
    const folder = join(made.options.env?.['BOXCTL_STORE'] ?? '', 'plans');
    const [name = ''] = readdirSync(folder).toSorted();
    const bytes = readFileSync(join(folder, name));
    const planSize = bytes.readUInt32LE(28);
    const head = bytes.length - planSize;
    const tryBytes = async (what: string, changed: Uint8Array, may = false): Promise<void> => {
      writeFileSync(join(folder, name), changed);
      const { status, signal, stderr } = await frontAlone(UP, made.options);
      const isRight = status === 125 || (status === 0 && may);
      expect({ what, signal, isRight, stderr }).toMatchObject({ what, signal: null, isRight: true });
    };
    for (const size of [0, 1, 35, 36, 100, head - 1, head, bytes.length - 1]) {
      await tryBytes(`cut to ${size}`, bytes.subarray(0, size));
    }
    await tryBytes('longer', Buffer.concat([bytes, Buffer.from([0])]));
    // Every byte of the header, and others at regular places, with each of three values.
    for (let at = 0; at < head; at += at < 36 ? 4 : 97) {
      for (const value of [0, 0xff, (bytes[at] ?? 0) ^ 0x40]) {
        const changed = Buffer.from(bytes);
        changed[at] = value;
        if (changed.equals(bytes) || (at >= 32 && at < 36)) continue;
        // A change of what is compared can be one that makes no difference, such as the folder of records.
        await tryBytes(`${value} at ${at}`, changed, at >= 36);
      }
    }
    writeFileSync(join(folder, name), bytes);
    expect(neededNode(await warm(UP, made.options))).toBe(false);
  }, 300_000);
});
