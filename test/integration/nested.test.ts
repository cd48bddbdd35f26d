/**
 * boxctl in a container of boxctl's: what the outer one must allow, that the inner one is a container like any other, and
 * what is said where the outer one does not allow it.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { boxctl, INSTALLED, type Ended, type RunOptions } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, self, specFolder, state, type Caller } from '../support/container.ts';
import { busyboxRootfs } from '../support/rootfs.ts';
import { isRoot } from '../support/user.ts';

type Spec = Readonly<Record<string, unknown>>;

/** What a container in it needs: user namespaces, mounts, and a /proc and /sys that nothing covers. */
const UNFILTERED = { seccomp: 'unconfined' };
const UNCOVERED = { masked_paths: ['!/proc', '!/sys'], readonly_paths: ['!/proc'] };
const OPEN = { ...UNFILTERED, ...UNCOVERED };
const ALLOWED = [`bind=${INSTALLED}:ro`, 'seccomp=unconfined', 'unmask'].flatMap((word) => ['--allow', word]);
const UP = 'node /boxctl/dist/boxctl.cjs up /inner/container.yaml';
const DOCTOR = 'node /boxctl/dist/boxctl.cjs doctor --json';

const script = (text: string): readonly string[] => ['sh', '-c', text.replaceAll('$', '$$$$')];

/** A container with boxctl in it that runs a script; `inner` is the file of the container in it. */
function nest(text: string, inner: Spec, outer: Spec, caller: Caller, options: RunOptions = {}): Promise<Ended> {
  const folder = specFolder(
    {
      image: { host_tools: ['sh', process.execPath, 'cat', 'ls', 'grep', 'sleep'] },
      volumes: [`${INSTALLED}:/boxctl:ro`, './inner:/inner:ro'],
      command: script(text),
      ...outer,
    },
    caller,
  );
  const within = join(folder, 'inner');
  mkdirSync(within);
  chmodSync(within, 0o755);
  copyFileSync(busyboxRootfs(), join(within, 'rootfs.tar'));
  writeFileSync(join(within, 'container.yaml'), stringify({ name: 'inner', image: './rootfs.tar', ...inner }));
  return boxctl(['up', ...ALLOWED], callerOptions(caller, folder, options));
}

interface Check {
  readonly group: string;
  readonly name: string;
  readonly state: string;
  readonly detail: string;
  readonly fix?: string;
}
const checkOf = (stdout: string, name: string): Check | undefined =>
  (JSON.parse(stdout) as { readonly checks: readonly Check[] }).checks.find((check) => check.name === name);

/** Processes of this machine whose command line has a word. */
function running(word: string): number {
  const lines = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).split('\n');
  return lines.filter((line) => line === `sleep ${word}`).length;
}

const hasOneId = (caller: Caller): boolean => caller.keys['uid_map'] !== undefined;

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test('the inner one has a name, processes, files, interfaces and ids of its own, and leaves nothing behind', async () => {
    const before = state(caller);
    const seen = [
      'hostname',
      'echo $$',
      'set -- /proc/[0-9]*; echo $#',
      'cat /sys/class/net/*/address',
      'id -u',
      'wc -l </proc/self/uid_map',
      'grep -c . /proc/self/cgroup >/dev/null && ls -d /boxctl /inner /new 2>&1 | grep -c "No such file"',
      'echo x >/new',
      'exit 7',
    ];
    // With the store on a file system of its own, there is a folder to be removed, and a record of it.
    const outer = { ...OPEN, hostname: 'outside', tmpfs: ['/var/lib/boxctl'] };
    // The folder for containers of the foreground is made if the inner one still runs once it is told that it does.
    const left =
      'ls -A /run/boxctl/foreground 2>/dev/null; ls -A --ignore=foreground /run/boxctl /var/lib/boxctl/upper; ls -d /new; set -- /proc/[0-9]*; echo $#; cat /proc/sys/kernel/hostname';
    const { stdout, status } = await nest(
      `${UP}; echo status $?; ${left} 2>&1`,
      { command: script(seen.join('; ')) },
      outer,
      caller,
    );
    const inner = ['inner', '1', '1', '00:00:00:00:00:00', '0', hasOneId(caller) ? '1' : '2', '3', 'status 7'];
    // What is left is the outer one's shell.
    expect(stdout.trim().split('\n')).toEqual([...inner, '/run/boxctl:', '', '/var/lib/boxctl/upper:', '1', 'outside']);
    expect(status).toBe(0);
    expect(state(caller)).toEqual(before);
  });

  test('its user is one of the ids that the outer one has, and what it writes may stay in memory', async () => {
    const user = hasOneId(caller) ? '0' : '1000';
    const seen = 'id -u; id -g; touch /t/x; ls -n /t | grep -c " $(id -u) .* x$"; grep -c " / overlay " /proc/mounts';
    const inner = { user, tmpfs: ['/t'], command: script(seen) };
    const { stdout, stderr } = await nest(UP, inner, OPEN, caller);
    expect({ stdout, stderr }).toEqual({ stdout: `${user}\n${user}\n1\n1\n`, stderr: '' });
  });

  test('a signal to the outer one reaches the command of the inner one, and its status comes back', async () => {
    const inner = { command: script('trap "echo got it; exit 3" TERM; echo ready; while :; do sleep 0.05; done') };
    const ended = await nest(`exec ${UP}`, inner, OPEN, caller, {
      onStart: (child) => child.stdout?.once('data', () => child.kill('SIGTERM')),
    });
    expect({ ...ended, stdoutBytes: undefined }).toMatchObject({ status: 3, stdout: 'ready\ngot it\n', stderr: '' });
  });

  test('both end when the outer one is killed', async () => {
    const before = state(caller);
    const mark = `999.${process.pid}${caller.uid}${hasOneId(caller) ? 1 : 2}`;
    let during = 0;
    const { signal } = await nest(
      `exec ${UP}`,
      { command: script(`sleep ${mark} & while ! grep -q ^sleep /proc/$!/cmdline; do :; done; echo ready; wait`) },
      OPEN,
      caller,
      {
        onStart: (child) =>
          child.stdout?.once('data', () => {
            during = running(mark);
            child.kill('SIGKILL');
          }),
      },
    );
    expect({ signal, during }).toEqual({ signal: 'SIGKILL', during: 1 });
    await expect.poll(() => running(mark), { timeout: 10_000 }).toBe(0);
    // What the killed launcher has left, the next command removes.
    await nest('true', {}, {}, caller);
    await expect.poll(() => state(caller), { timeout: 10_000 }).toEqual(before);
  });

  test.each([
    ['as it is by default', {}, 'the container around boxctl has a system call filter', 'seccomp: unconfined'],
    [
      'without a filter alone',
      UNFILTERED,
      'the container around boxctl covers /proc/',
      'masked_paths: ["!/proc", "!/sys"]',
    ],
  ])('in an outer one %s, `up` and `doctor` say what it must allow', async (_title, outer, reason, fix) => {
    const { stdout, stderr } = await nest(`${UP}; echo status $?; ${DOCTOR}`, { command: ['true'] }, outer, caller);
    const [status, ...report] = stdout.split('\n');
    expect(status).toBe('status 125');
    expect(stderr).toContain('the container around boxctl');
    expect(stderr).toContain(fix);
    const start = checkOf(report.join('\n'), 'start');
    expect(start).toMatchObject({ state: 'no' });
    expect(start?.detail).toContain(reason);
    expect(start?.fix).toContain(fix);
  });

  test('limits are the outer one’s, and `doctor` says so, and nothing else of what it misses', async () => {
    const limited = { command: script('echo ran'), limits: { pids: 20 } };
    const { stdout, stderr } = await nest(`${UP}; ${DOCTOR}`, limited, OPEN, caller);
    expect(stderr).toMatch(
      /container\.yaml:\d+:\d+: error: the limit cannot be applied here: the container around boxctl/u,
    );
    expect(stderr).toContain('help: give that container `limits`');
    const missed = (JSON.parse(stdout) as { readonly checks: readonly Check[] }).checks.filter(
      // A network is not the container's to make, and has its own tests.
      ({ group, state: is }) => is === 'no' && group !== 'network',
    );
    const names = missed.map(({ name }) => name);
    expect(names).toEqual([...(hasOneId(caller) ? ['ids'] : []), 'memory, pids, cpu, cpuset, io, hugetlb']);
  });
});

describe.skipIf(!hasBusybox).each(callers.filter((caller) => !hasOneId(caller)))(
  'as $title, whose containers have many ids (needs busybox-static)',
  (caller) => {
    test('a user of the outer one who is not its root has a container, too', async () => {
      const outer = { ...OPEN, user: '1000:1000', tmpfs: ['/tmp'], environment: { HOME: '/tmp' } };
      const inner = { command: script('hostname; id -u; cat /proc/self/uid_map') };
      const { stdout, stderr } = await nest(UP, inner, outer, caller);
      expect({ words: stdout.trim().split(/\s+/u), stderr }).toEqual({
        words: ['inner', '0', '0', '1000', '1'],
        stderr: '',
      });
    });
  },
);

test.skipIf(!isRoot || !hasBusybox)(
  'limits of the outer one hold for the inner one (needs root and busybox-static)',
  async () => {
    const bomb = 'i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done; echo survived';
    const { stdout, stderr } = await nest(UP, { command: script(bomb) }, { ...OPEN, limits: { pids: 60 } }, self);
    expect(stdout).toBe('');
    expect(stderr).toContain("can't fork");
  },
);

test.skipIf(!hasBusybox)('a third one in the second is made in the same way (needs busybox-static)', async () => {
  const third = JSON.stringify({ name: 'third', image: '/inner/rootfs.tar', command: script('hostname; echo $$') });
  const text = `echo '${third}' >/third.yaml; exec node /boxctl/dist/boxctl.cjs up /third.yaml`;
  const inner = {
    ...OPEN,
    image: { host_tools: ['sh', 'node'] },
    volumes: ['/boxctl:/boxctl:ro', './:/inner:ro'],
    tmpfs: ['/var/lib/boxctl'],
    command: script(text),
  };
  const up = `${UP} ${['bind=/boxctl:ro', 'seccomp=unconfined', 'unmask'].map((word) => `--allow ${word}`).join(' ')}`;
  const { stdout, stderr } = await nest(up, inner, { ...OPEN, tmpfs: ['/var/lib/boxctl'] }, self);
  expect({ stdout, stderr }).toEqual({ stdout: 'third\n1\n', stderr: '' });
});
