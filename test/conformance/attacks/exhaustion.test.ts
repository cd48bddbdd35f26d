/** A container that takes all it can get: processes, memory, descriptors, terminals and inodes. The host goes on. */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { attackFolder, attacker, attempts } from '../../support/attack.ts';
import { boxctl, run, type Ended, type RunOptions } from '../../support/boxctl.ts';
import { hasBusybox } from '../../support/busybox.ts';
import { callerOptions, callers, self, sh, type Caller } from '../../support/container.ts';
import { cgroups } from '../../support/host-state.ts';
import { isRoot, testUser } from '../../support/user.ts';

/** What a person on the host would notice first. */
function hostWorks(): void {
  expect(spawnSync('true').status).toBe(0);
  const folder = mkdtempSync(join(tmpdir(), 'boxctl-test-'));
  try {
    for (let index = 0; index < 50; index++) writeFileSync(join(folder, String(index)), 'x');
    const open = Array.from({ length: 200 }, () => openSync(join(folder, '0'), 'r'));
    for (const fd of open) closeSync(fd);
  } finally {
    rmSync(folder, { recursive: true });
  }
  // A pseudo-terminal of the host's own.
  closeSync(openSync('/dev/ptmx', 'r+'));
}

/** Looks at the host when the container says that it has all that it could get. It holds that until its input ends. */
async function whileHeld(script: string, caller: Caller, options: RunOptions = {}): Promise<Ended> {
  let during: unknown = new Error('it was never held');
  let text = '';
  let letGo: (input: string) => void = () => undefined;
  const ended = await sh(script, { limits: { time: '60s' } }, caller, {
    ...options,
    stdin: () => new Promise((resolve) => (letGo = resolve)),
    onStart: (child) =>
      child.stdout?.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (!text.includes('held')) return;
        try {
          hostWorks();
          during = undefined;
        } catch (error) {
          during = error;
        }
        letGo('');
      }),
  });
  expect(during).toBeUndefined();
  return ended;
}

/** Starts so many processes that hold files, and goes on once each of them has them all or has ended. */
const holders = (count: number, files: string): string =>
  `i=0; while [ $i -lt ${count} ]; do ({ echo >>/dev/shm/tried; exec sleep 1000; } ${files}; echo >>/dev/shm/tried) 2>/dev/null & i=$((i+1)); done
   until [ "$(wc -l </dev/shm/tried)" -ge ${count} ]; do sleep 0.1; done 2>/dev/null`;

/** A container that was killed shortly before would still have it: its namespaces are removed some time after its end. */
const COUNTED = { once: 'what a container has used up, the kernel gives back some time after its end' };

/** Starts a container that takes all that it can get of something, and gives what `during` finds while it holds that. */
async function whileTaken<T>(
  what: string,
  spec: Readonly<Record<string, unknown>>,
  caller: Caller,
  during: () => Promise<T>,
  options: RunOptions = COUNTED,
): Promise<{ readonly got: number; readonly found: T }> {
  let letGo = (_input: string): void => undefined;
  const input = new Promise<string>((resolve) => (letGo = resolve));
  const folder = attackFolder(what, { ...spec, limits: { time: '60s' } }, caller, 'exhaust');
  let ended: Promise<Ended> | undefined;
  const held = new Promise<number>((resolve, reject) => {
    ended = boxctl(['up', '--allow', 'all'], {
      ...callerOptions(caller, folder),
      ...options,
      stdin: input,
      onStart: (child) => child.stdout?.on('data', (text: Buffer) => resolve(Number(text.toString().slice(5)))),
    });
    void ended.then(({ stderr }) => reject(new Error(`it was never held: ${stderr}`)));
  });
  try {
    const got = await held;
    return { got, found: await during() };
  } finally {
    letGo('');
    await ended;
  }
}

/** What a program of the host gets of each, as root or as a user. */
async function onHost(user: Caller['user']): Promise<Readonly<Record<string, number>>> {
  return attempts(await run([attacker('exhaust'), 'one'], user === undefined ? {} : { user }));
}

const ALL = { inotify: 0, queue: 0, signal: 0, key: 0 };
/** keyctl(2) is refused by the default filter. */
const UNFILTERED = { seccomp: 'unconfined' };
/** Its root is root of the host. */
const MAP = { uid_map: ['0:0:65536'], gid_map: ['0:0:65536'] };
const [major = 0, minor = 0] = release().split('.').map(Number);
const hasPidMax = major > 6 || (major === 6 && minor >= 14);

describe.skipIf(!isRoot || !hasBusybox || testUser === undefined)(
  'what the kernel counts for a user (need root, busybox-static and the user boxctl-test)',
  () => {
    const KINDS = ['inotify', 'queues', 'signals', 'keys'];

    // With root's id in its map, a container's keys are root's own, whoever made the namespace.
    const CASES = KINDS.flatMap((what) => [
      ['a map of its own', what, {}] as const,
      ...(what === 'keys' ? [] : [['a map with root’s id', what, MAP] as const]),
    ]);

    test.each(CASES)(
      'a container with %s uses up its %s, and root and another user of the host have theirs',
      { timeout: 120_000 },
      async (_title, what, spec) => {
        const take = () =>
          whileTaken(what, { ...UNFILTERED, ...spec }, self, async () => [
            await onHost(undefined),
            await onHost(testUser),
          ]);
        let taken = await take();
        // The kernel gives back what an earlier container had some time after its end.
        for (let tries = 0; taken.got <= 5 && tries < 60; tries++) {
          await new Promise((resolve) => setTimeout(resolve, 1000));
          taken = await take();
        }
        expect(taken.got).toBeGreaterThan(5);
        expect(taken.found).toEqual([ALL, ALL]);
      },
    );

    test.each(KINDS)('containers with ids of their own do not use up each other’s %s', async (what) => {
      const spec = { ...UNFILTERED, uid_map: 'auto' };
      const { found } = await whileTaken(what, spec, self, async () => {
        const folder = attackFolder('one', spec, self, 'exhaust');
        return attempts(await boxctl(['up', '--allow', 'all'], callerOptions(self, folder)));
      });
      expect(found).toEqual(ALL);
    });

    test.each(KINDS)('a user’s container uses up its %s, and root of the host has its own', async (what) => {
      const [, caller] = callers;
      if (caller === undefined) throw new Error('there is no user');
      const { found } = await whileTaken(what, UNFILTERED, caller, () => onHost(undefined));
      expect(found).toEqual(ALL);
    });
  },
);

describe.skipIf(!hasBusybox || !hasPidMax).each(callers)(
  'as $title (needs busybox-static and Linux 6.14)',
  (caller) => {
    test('without a limit in the file a container has no more than 4096 processes, and the host goes on', async () => {
      const { got } = await whileTaken('processes', {}, caller, async () => hostWorks(), { held: true });
      expect(got).toBeGreaterThan(3000);
      expect(got).toBeLessThan(4096);
    });
  },
);

const TIME = { stop_grace_period: '0s' };

describe.skipIf(!isRoot || !hasBusybox)('with limits (need root and busybox-static)', () => {
  test('a fork bomb gets as many processes as limits.pids allows, and ends with its container', async () => {
    const before = cgroups();
    const bomb = 'b() { b | b & }; b; sleep 5; echo alive';
    const watched = sh(bomb, { ...TIME, limits: { pids: 64, time: '3s' } });
    const look = setInterval(hostWorks, 500);
    const { status } = await watched.finally(() => clearInterval(look));
    expect(status).not.toBe(0);
    hostWorks();
    await expect.poll(() => cgroups(), { timeout: 10_000 }).toEqual(before);
  });

  test('a container cannot use more than limits.memory, by processes, tmpfs or shared memory', async () => {
    const free = (): number => Number(/MemAvailable:\s+(\d+)/u.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]) / 1024;
    const before = free();
    let least = before;
    const look = setInterval(() => (least = Math.min(least, free())), 50);
    const script =
      'head -c 900m /dev/zero >/tmp/big 2>/dev/null; head -c 900m /dev/zero >/dev/shm/big 2>/dev/null; head -c 900m /dev/zero | tail >/dev/null; :';
    const limits = { memory: '64MiB', swap: 0, pids: 64 };
    const options = { varies: 'how many processes the kernel kills' };
    const { stderr } = await sh(script, { limits, tmpfs: ['/tmp'] }, self, options).finally(() => clearInterval(look));
    expect(stderr).toContain('out of memory: the kernel killed');
    // Others run here too; 900 MiB more would be the container's.
    expect(before - least).toBeLessThan(600);
    hostWorks();
  });
});

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test('a container that opens all descriptors of its processes leaves the host its own', async () => {
    const all = Number(readFileSync('/proc/sys/fs/file-nr', 'utf8').split('\t')[2]);
    const held = [3, 4, 5, 6, 7, 8, 9].map((fd) => `${fd}</etc/passwd`).join(' ');
    const script = `ulimit -n; ${holders(300, held)}; echo held; read end`;
    const { stdout } = await whileHeld(script, caller);
    expect(Number(stdout.split('\n')[0])).toBeLessThan(all);
  });

  test('a container can open a third of the terminals that the kernel has for all containers, and the host keeps its own', async () => {
    const held = [3, 4, 5, 6, 7, 8, 9].map((fd) => `${fd}<>/dev/ptmx`).join(' ');
    const script = `${holders(160, held)}; ls /dev/pts | grep -c '[0-9]'; echo held; read end`;
    const { stdout } = await whileHeld(script, caller, { varies: 'who gets the last ones' });
    // A shell that does not get all seven gives back those that it has.
    expect(Number(stdout.split('\n')[0])).toBeGreaterThan(1000);
    expect(Number(stdout.split('\n')[0])).toBeLessThanOrEqual(1024);
  });

  test('files in a container’s tmpfs use no inodes of the host’s /tmp', async () => {
    const before = execFileSync('df', ['--output=iavail', '/tmp'], { encoding: 'utf8' });
    const script = 'cd /dev/shm; i=0; while [ $i -lt 3000 ] && : 2>/dev/null >f$i; do i=$((i+1)); done; echo $i';
    await sh(script, { limits: { time: '20s' } }, caller);
    const after = execFileSync('df', ['--output=iavail', '/tmp'], { encoding: 'utf8' });
    expect(Math.abs(Number(before.split('\n')[1]) - Number(after.split('\n')[1]))).toBeLessThan(3000);
    hostWorks();
  });
});
