/**
 * Attacks on boxctl itself: on its program, on its processes while they are inside, on what they hold open, and on the
 * libraries that they load.
 */
import { execFileSync, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { attackFolder } from '../../support/attack.ts';
import { box } from '../../support/background.ts';
import { boxctl, INSTALLED, PROGRAM, run, type Ended, type RunOptions } from '../../support/boxctl.ts';
import { hasBusybox } from '../../support/busybox.ts';
import { callerOptions, callers, self, sh, specFolder, type Caller } from '../../support/container.ts';
import { FRONT, frontAlone, neededNode, warm } from '../../support/front.ts';
import { changedRootfs } from '../../support/rootfs.ts';
import { tempFolder } from '../../support/temp.ts';
import { isRoot } from '../../support/user.ts';

const PROGRAMS = [
  process.execPath,
  ...readdirSync(join(INSTALLED, 'dist/native')).map((name) => join(INSTALLED, 'dist/native', name)),
];

/** Whether a user namespace with this map (user_namespaces(7)) has the user of the host. */
function hasUser(map: string, uid: number): boolean {
  return map
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/u).map(Number))
    .some(([, first = 0, size = 0]) => uid >= first && uid < first + size);
}

/** The programs that a container is started by, as they are on the disk. */
function checksums(): Readonly<Record<string, string>> {
  return Object.fromEntries(
    PROGRAMS.map((path) => [path, createHash('sha256').update(readFileSync(path)).digest('hex')]),
  );
}

function descendants(pid: number): readonly number[] {
  try {
    const own = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
    );
    return [...own, ...own.flatMap(descendants)];
  } catch {
    return []; // it has ended
  }
}

interface Hunter {
  /** As the host numbers it. */
  readonly pid: number;
  /** Ends it, and gives what it caught, without repetitions. */
  stop(): Promise<readonly string[]>;
}

/** A container with the hostile program in it, for others to join. */
async function startHunter(caller: Caller, spec: Readonly<Record<string, unknown>>): Promise<Hunter> {
  const folder = attackFolder('', { seccomp: 'unconfined', init: true, ...spec }, caller, 'hunt');
  let end: (text: string) => void = () => undefined;
  const stdin = new Promise<string>((resolve) => {
    end = resolve;
  });
  let child: ChildProcess | undefined;
  let ended: Promise<Ended> | undefined;
  await new Promise<void>((resolve) => {
    ended = boxctl(
      ['up', '--allow', 'all'],
      callerOptions(caller, folder, {
        stdin,
        held: true,
        onStart: (started) => {
          child = started;
          started.stdout?.once('data', () => resolve());
          started.once('exit', () => resolve());
        },
      }),
    );
  });
  const pid = descendants(child?.pid ?? 0).findLast((each) => readlinkSync(`/proc/${each}/exe`) === '/w/attack');
  if (pid === undefined) throw new Error((await ended)?.stderr);
  return {
    pid,
    stop: async () => {
      end('\n');
      const { stdout = '' } = (await ended) ?? {};
      return stdout.trim().split('\n').slice(1);
    },
  };
}

/** By the library, since a process of Node's for each would take most of the time: a few at once, many one after the other. */
const START_MANY = `
  import { compile, ensureImage, gatherHostFacts, launch, loadSpec, ownershipFor, planContainer } from '${INSTALLED}/dist/index.js';
  const document = loadSpec('container.yaml', { env: {}, home: '/' });
  const host = gatherHostFacts(process.env);
  const image = await ensureImage(document.spec.image, ownershipFor(document, host), host);
  const plan = planContainer(compile(document, image, host), image, host);
  let left = Number(process.argv[1]);
  let failed = 0;
  const some = async () => {
    while (left-- > 0) failed += (await launch(plan).done).failed === undefined ? 0 : 1;
  };
  await Promise.all([some(), some(), some()]);
  console.log('failed', failed);
`;

/**
 * Starts the container of a folder many times. Its standard streams are no sockets, so that every socket that is found is
 * one of boxctl's own.
 */
function startMany(caller: Caller, folder: string, rounds: number): Promise<Ended> {
  const node = [process.execPath, '--input-type=module', '-e', START_MANY, String(rounds)];
  return run(['sh', '-c', 'exec "$@" </dev/null 2>&1 | cat', 'sh', ...node], callerOptions(caller, folder));
}

/** An image with a program that is run by whatever runs it. */
const selfish = (): string =>
  changedRootfs((tree) => {
    writeFileSync(join(tree, 'evil'), '#!/proc/self/exe\n');
    chmodSync(join(tree, 'evil'), 0o755);
  });

type Start = (args: readonly string[], options: RunOptions) => Promise<Ended>;

interface Held {
  readonly ended: Ended;
  readonly programs: ReadonlyMap<string, number>;
  readonly maps: ReadonlySet<string>;
}

type OptionsWith = (more: RunOptions) => RunOptions;

/** `holdPrograms` of a start from a kept plan. Another container of the same user's that starts or ends can drop the plan. */
async function holdKept(words: readonly string[], optionsWith: OptionsWith): Promise<Held> {
  for (let attempt = 0; ; attempt++) {
    expect((await warm(words, optionsWith({}))).status).toBe(0);
    const held = await holdPrograms(frontAlone, words, optionsWith);
    if (!neededNode(held.ended) || attempt === 5) return held;
  }
}

/** Runs it, and holds open every program of boxctl's that a process of it is executed from, at any time. */
async function holdPrograms(start: Start, words: readonly string[], optionsWith: OptionsWith): Promise<Held> {
  const programs = new Map<string, number>();
  const maps = new Set<string>();
  const ownMap = readFileSync('/proc/self/uid_map', 'utf8');
  let pid = 0;
  const onStart = (child: ChildProcess): void => {
    pid = child.pid ?? 0;
  };
  const ended = start(words, optionsWith({ onStart }));
  const over = ended.then(() => true);
  while (!(await Promise.race([over, sleep(1).then(() => false)]))) {
    for (const each of descendants(pid)) {
      try {
        const link = readlinkSync(`/proc/${each}/exe`);
        const key = `${each} ${link}`;
        const map = readFileSync(`/proc/${each}/uid_map`, 'utf8');
        // Before it executes the launcher, its process is the front's on the host.
        const isFront = link === FRONT && map === ownMap;
        if (link.includes('boxctl') && !isFront && !programs.has(key)) {
          const fd = openSync(`/proc/${each}/exe`, 'r');
          // It may have executed the next one meanwhile.
          if (readlinkSync(`/proc/self/fd/${fd}`) === link) programs.set(key, fd);
          else closeSync(fd);
        }
        // Another process may have got its number meanwhile.
        if (map !== '' && map !== ownMap && descendants(pid).includes(each)) maps.add(map);
      } catch {
        // It has ended, or is the container's.
      }
    }
  }
  return { ended: await ended, programs, maps };
}

/** None of the programs, whose processes have ended, can be opened for writing by users with one of the maps. */
async function expectOutOfReach(programs: ReadonlyMap<string, number>, maps: ReadonlySet<string>): Promise<void> {
  expect(programs.size).toBeGreaterThan(0);
  for (const [key, fd] of programs) {
    const write = (): string => {
      let again: number | undefined;
      try {
        again = openSync(`/proc/self/fd/${fd}`, 'r+');
        writeSync(again, '#', 0);
        return 'written';
      } catch (error) {
        return String(error).replace(/^Error: (\w+).*$/su, '$1');
      } finally {
        if (again !== undefined) closeSync(again);
      }
    };
    if (/\/memfd:boxctl-(?:launcher|init) \(deleted\)$/u.test(key)) {
      // A launcher that serves ends a moment after boxctl. Until then the kernel refuses since it runs.
      await expect.poll(write).not.toBe('ETXTBSY');
      expect(write()).toMatch(/^(EPERM|EACCES)$/u);
    } else {
      // The file itself: no user of the container is its owner, and nobody else may write to it.
      const { uid, mode } = fstatSync(fd);
      expect(key).toContain(join(INSTALLED, 'dist/native/boxctl-launcher'));
      expect(mode & 0o22).toBe(0);
      expect(maps.size).toBeGreaterThan(0);
      expect([...maps].filter((map) => hasUser(map, uid))).toEqual([]);
    }
    closeSync(fd);
  }
}

// To join a user namespace that maps one id alone leaves no group for terminals.
const joining = callers.filter(({ keys }) => !('uid_map' in keys));

describe.skipIf(!hasBusybox).each(joining)('as $title (needs busybox-static and cc)', (caller) => {
  test.each([
    ['joins others', {}, ['/bin/busybox']],
    ['joins others with a reaper', { init: true }, ['/bin/busybox', '/memfd:boxctl-init (deleted)']],
    ['is told to run itself', { command: ['/evil'] }, ['/memfd:boxctl-launcher (deleted)']],
  ])(
    'a process that %s gives nothing away before it is the command (CVE-2016-9962, CVE-2019-5736)',
    { timeout: 120_000 },
    async (_title, more, programs) => {
      const before = checksums();
      const hunter = await startHunter(caller, { cap_add: ['SYS_PTRACE'] });
      const namespaces = { pid: `/proc/${hunter.pid}/ns/pid`, user: `/proc/${hunter.pid}/ns/user` };
      const folder = specFolder({ image: selfish(), command: ['sleep', '0.02'], namespaces, ...more }, caller);
      const rounds = 200;
      const ended = await startMany(caller, folder, rounds);
      expect(ended.stdout).toMatch(/(?:^|\n)failed 0\n$/u);
      const caught = await hunter.stop();
      const seen = Number(caught.at(-1)?.replace('seen ', ''));
      expect(seen).toBeGreaterThan(rounds / 3);
      // The file system of a victim is the victim's.
      const allowed = new Set([
        'cwd /',
        'root /',
        'fd /dev/null',
        'fd pipe:',
        'overwritten /bin/busybox',
        `seen ${seen}`,
      ]);
      for (const path of programs) for (const what of ['exe', 'mem', 'ptrace']) allowed.add(`${what} ${path}`);
      expect(caught.filter((line) => !allowed.has(line))).toEqual([]);
      expect(checksums()).toEqual(before);
    },
  );
});

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static and cc)', (caller) => {
  const WAYS: readonly (readonly [title: string, spec: object, start: Start])[] = [
    ['by Node', {}, boxctl],
    ['by Node with a reaper', { init: true }, boxctl],
    ['from a kept plan', {}, frontAlone],
    ['from a kept plan with a reaper', { init: true }, frontAlone],
    ...(caller.user === undefined && isRoot
      ? ([
          ['by Node as root of the host', { namespaces: { user: 'host' } }, boxctl],
          ['from a kept plan as root of the host', { namespaces: { user: 'host' } }, frontAlone],
        ] as const)
      : []),
  ];

  test.each(WAYS)(
    'no user of the container can write to the program of its processes, now or later, started %s (CVE-2019-5736)',
    async (_title, more, start) => {
      const folder = specFolder({ command: ['sleep', '0.3'], ...more }, caller);
      const words = ['up', '--quiet', '--allow', 'all'];
      const optionsWith: OptionsWith = (options) => callerOptions(caller, folder, options);
      const held = start === frontAlone ? holdKept(words, optionsWith) : holdPrograms(start, words, optionsWith);
      const { ended, programs, maps } = await held;
      expect(ended).toMatchObject({ status: 0, stderr: '' });
      await expectOutOfReach(programs, maps);
    },
  );

  const JOINED: readonly (readonly [title: string, spec: Readonly<Record<string, unknown>>])[] = [
    ['a container', {}],
    ...(caller.user === undefined && isRoot
      ? ([['a container whose root is root of the host', { namespaces: { user: 'host' } }]] as const)
      : []),
  ];

  test.each(JOINED)(
    'no user of the container can write to the program of what joins %s from a kept plan (CVE-2019-5736)',
    async (_title, spec) => {
      const web = box(spec, caller);
      expect(await web.run(['up', '--detach', '--allow', 'all'])).toMatchObject({ status: 0 });
      const words = ['exec', web.name, 'sleep', '0.3'];
      const { ended, programs, maps } = await holdKept(words, (more) => callerOptions(caller, web.folder, more));
      expect(ended).toMatchObject({ status: 0, stderr: '' });
      await expectOutOfReach(programs, maps);
    },
  );

  test.each([
    ['has no capability for it', {}, ['']],
    // The sealed file of native/init, which holds that program alone.
    ['may trace', { cap_add: ['SYS_PTRACE', 'DAC_OVERRIDE', 'SYS_ADMIN'], seccomp: 'unconfined' }, ['<']],
  ])(
    'a command that %s does not get at the launcher by the reaper beside it (CVE-2019-5736)',
    async (_title, more, opened) => {
      const before = checksums();
      const attack =
        'for way in "<" ">" ">>" "<>"; do (eval ": $way/proc/1/exe") 2>/dev/null && printf %s "$way"; done; echo; ' +
        'wc -c </proc/1/exe || true; ls /proc/1/fd 2>/dev/null | wc -l';
      const { status, stdout } = await sh(attack, { init: true, ...more }, caller, { args: ['up', '--allow', 'all'] });
      const [ways, ...rest] = stdout.trimEnd().split('\n');
      expect([status, ways]).toEqual([0, ...opened]);
      expect(rest.at(-1)).toBe('0');
      if (rest.length > 1) expect(Number(rest[0])).toBeLessThan(4096);
      expect(checksums()).toEqual(before);
    },
  );

  test.each([{}, { init: true }, { tty: true }])(
    'a command that is run by /proc/self/exe runs nothing, with %j (CVE-2019-5736)',
    async (more) => {
      const before = checksums();
      const { status, stdout } = await sh('', { image: selfish(), command: ['/evil'], ...more }, caller);
      expect([status === 0, stdout]).toEqual([false, '']);
      expect(checksums()).toEqual(before);
    },
  );

  test('a descriptor that boxctl inherits does not come inside, nor is it a way out (CVE-2024-21626)', async () => {
    for (const path of [undefined, '/proc/self/fd/7', '/proc/self/fd/7/etc', '/proc/1/fd/7']) {
      const spec = { command: ['sh', '-c', 'pwd; ls /proc/self/fd; cat ./shadow etc/shadow'], working_dir: path };
      const script = 'exec "$@" 7</ 9</etc </dev/null 2>&1 | cat';
      const command = ['sh', '-c', script, 'sh', process.execPath, PROGRAM, 'up'];
      const { stdout } = await run(command, callerOptions(caller, specFolder(spec, caller)));
      expect(stdout).not.toContain('root:');
      // The fourth is ls's own.
      if (path === undefined) expect(stdout).toMatch(/^\/\n0\n1\n2\n3\ncat: /u);
      else expect(stdout).toMatch(/^boxctl: container\.yaml:.* (?:ELOOP|ENOENT|EACCES)/u);
    }
  });

  // Only root may look at the descriptors of a process that is not dumpable.
  test.skipIf(!isRoot)(
    'no socket of its processes has a name, and none is listened on (CVE-2020-15257; needs root)',
    async () => {
      let inodes: readonly string[] = [];
      let names: ReadonlyMap<string, string> = new Map();
      await sh('echo ready; sleep 0.2', { tty: true, init: true }, caller, {
        onStart: (child) =>
          child.stdout?.once('data', () => {
            const fds = descendants(child.pid ?? 0).flatMap((pid) =>
              readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`)),
            );
            inodes = fds.flatMap((target) => /^socket:\[(\d+)\]$/u.exec(target)?.slice(1) ?? []);
            const table = readFileSync('/proc/net/unix', 'utf8').trim().split('\n').slice(1);
            names = new Map(table.map((line) => line.split(/\s+/u)).map((line) => [line[6] ?? '', line[7] ?? '']));
          }),
      });
      expect(inodes.length).toBeGreaterThan(0);
      expect(inodes.map((inode) => names.get(inode) ?? '').filter((name) => name !== '')).toEqual([]);
    },
  );

  test('another user cannot read or write the store and the state (CVE-2021-41103, CVE-2021-41091)', async () => {
    const image = changedRootfs((tree) => {
      execFileSync('cp', [join(tree, 'bin/busybox'), join(tree, 'bin/gain')]);
      chmodSync(join(tree, 'bin/gain'), 0o6755);
    });
    let found = '';
    await sh(
      'cp /bin/gain /gain; chmod 6755 /gain; echo ready; sleep 0.3',
      { image, no_new_privileges: false },
      caller,
      {
        onStart: (child) =>
          child.stdout?.once('data', () => {
            const folders = [caller.store, caller.stateFolder].filter((path) => existsSync(path));
            expect(folders).toContain(caller.store);
            expect(folders.map((path) => statSync(path).mode & 0o7777)).toEqual(folders.map(() => 0o700));
            expect(folders.map((path) => statSync(path).uid)).toEqual(folders.map(() => caller.uid));
            const script = 'find "$@" -mindepth 1 2>/dev/null; true';
            const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups', '--', 'sh', '-c', script, 'sh'];
            if (isRoot) found = execFileSync('setpriv', [...nobody, ...folders], { encoding: 'utf8' });
          }),
      },
    );
    expect(found).toBe('');
  });
});

describe.skipIf(!hasBusybox)('names that are paths (needs busybox-static)', () => {
  test.each(['../x', '.', '..', '', 'a/b', '/x', '-x', '.x', 'a\u0000b', 'a\nb', 'a b', 'x'.repeat(300), 'ä'])(
    'such as %j are refused for a container or a volume',
    async (name) => {
      const one = await sh('echo ran', { name });
      expect([one.status, one.stdout]).toEqual([125, '']);
      const two = await sh('echo ran', { volumes: [{ type: 'volume', source: name, target: '/v' }] });
      expect([two.status, two.stdout]).toEqual([125, '']);
    },
  );
});

describe.skipIf(!isRoot || !hasBusybox || !existsSync('/usr/bin/strace'))(
  'libraries (needs root, busybox-static, cc and strace)',
  () => {
    test('of the image are not loaded by boxctl, and its nsswitch.conf is not read (CVE-2019-14271)', async () => {
      const work = tempFolder({ open: true });
      const source = join(work, 'evil.c');
      writeFileSync(
        source,
        '#include <fcntl.h>\n__attribute__((constructor)) static void f(void) { open("/w/loaded", O_CREAT | O_WRONLY, 0600); }\n',
      );
      execFileSync('cc', ['-shared', '-fPIC', '-o', join(work, 'evil.so'), source]);
      const image = changedRootfs((tree) => {
        const libraries = join(tree, 'lib/x86_64-linux-gnu');
        execFileSync('mkdir', ['-p', libraries, join(tree, 'etc')]);
        for (const name of ['libnss_files.so.2', 'libnss_compat.so.2', 'libc.so.6', 'ld-linux-x86-64.so.2']) {
          execFileSync('cp', [join(work, 'evil.so'), join(libraries, name)]);
        }
        writeFileSync(join(tree, 'etc/ld.so.preload'), '/lib/x86_64-linux-gnu/libnss_files.so.2\n');
        writeFileSync(join(tree, 'etc/nsswitch.conf'), 'passwd: compat files\ngroup: compat files\n');
      });
      const spec = {
        image,
        user: 'app',
        group_add: ['app'],
        init: true,
        tty: true,
        volumes: ['./:/w'],
        command: ['true'],
      };
      const folder = specFolder(spec);
      chmodSync(folder, 0o777);
      // The first time the image is unpacked, which is another story.
      await boxctl(['up'], callerOptions(self, folder));
      const trace = join(work, 'trace');
      const strace = [
        'strace',
        '-f',
        '-qq',
        '-s',
        '200',
        '-e',
        'trace=open,openat,openat2,execve,pivot_root',
        '-o',
        trace,
      ];
      const { status } = await run([...strace, process.execPath, PROGRAM, 'up'], callerOptions(self, folder));
      expect(status).toBe(0);
      const lines = readFileSync(trace, 'utf8').split('\n');
      const entered = lines.findIndex((line) => line.includes('pivot_root('));
      const command = lines.findIndex((line, at) => at > entered && line.includes('execve('));
      expect(entered).toBeGreaterThan(0);
      expect(command).toBeGreaterThan(entered);
      const opened = lines.slice(entered, command).filter((line) => /\b(?:open|openat|openat2)\(/u.test(line));
      expect(opened.filter((line) => /\.so|nss|ld-|passwd|group"/u.test(line))).toEqual([]);
      expect(existsSync(join(folder, 'loaded'))).toBe(false);
    });
  },
);
