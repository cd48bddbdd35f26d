/**
 * Where a container's cgroup is made on version 2: in one's own cgroup, beside it, in a scope of systemd's, and in what an
 * outer container has. Run by `npm run test:vm`, as root and as a user in a session of his own.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { boxctl, PROGRAM, run, type Ended } from '../support/boxctl.ts';
import { callerOptions, self, sh, specFolder, state } from '../support/container.ts';
import { isRoot } from '../support/user.ts';

const LIMITS = { memory: '64MiB', pids: 50 };
const SHOW = 'cat /proc/self/cgroup /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max';
const SEEN = '0::/\n67108864\n50\n';
const command = (script: string): readonly string[] => ['sh', '-c', script.replaceAll('$', '$$$$')];

/** What systemd's scope or a container of another maker does before boxctl starts in it. */
function within(before: readonly string[], folder: string, args: readonly string[] = ['up']): Promise<Ended> {
  const { XDG_RUNTIME_DIR = '', DBUS_SESSION_BUS_ADDRESS = '' } = process.env;
  const options = callerOptions(self, folder);
  const env = { ...options.env, XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS };
  return run([...before, process.execPath, PROGRAM, ...args], { ...options, env });
}

const scope = ['systemd-run', ...(isRoot ? [] : ['--user']), '--scope', '--quiet', '-p', 'Delegate=yes'];

interface Planned {
  readonly steps: readonly { readonly id: string; readonly call: { readonly name: string } }[];
}
const idsOf = (ended: Ended): readonly string[] => (JSON.parse(ended.stdout) as Planned).steps.map(({ id }) => id);

test('where boxctl is alone in a delegated scope, the cgroup is beneath it, the scope’s limits apply, and boxctl leaves the scope meanwhile', async () => {
  const before = state(self);
  // More than the container's own limit, and less than it may have of processes: the outer one wins.
  const outer = [...scope, '-p', 'TasksMax=40'];
  const bomb = `${SHOW}; i=0; while [ $i -lt 60 ]; do sleep 1 & i=$((i+1)); done; echo survived`;
  const folder = specFolder({ command: command(bomb), limits: LIMITS });
  const { stdout, stderr } = await within(outer, folder);
  expect(stdout).toBe(SEEN);
  expect(stderr).toContain("can't fork");
  expect(idsOf(await within(outer, folder, ['plan', '--json']))).toContain('cgroup.aside.owner');
  await expect.poll(() => state(self), { timeout: 10_000 }).toEqual(before);
});

test('where boxctl is not alone in its cgroup, the cgroup is beneath the nearest with controllers, or for a user in a scope of systemd', async () => {
  const before = state(self);
  const env = process.env['DBUS_SESSION_BUS_ADDRESS'];
  const folder = specFolder({ command: command(SHOW), limits: LIMITS });
  const options = callerOptions(self, folder, env === undefined ? {} : { env: { DBUS_SESSION_BUS_ADDRESS: env } });
  const { stdout, stderr, status } = await boxctl(['up'], options);
  expect({ stdout, stderr, status }).toEqual({ stdout: SEEN, stderr: '', status: 0 });
  const ids = idsOf(await boxctl(['plan', '--json'], options));
  expect(ids.includes('cgroup.scope')).toBe(!isRoot);
  await expect.poll(() => state(self), { timeout: 10_000 }).toEqual(before);
});

test('the cgroup of a boxctl that was killed is removed, by systemd or by the next command', async () => {
  const before = state(self);
  const ended = await sh('echo ready; sleep 100', { limits: LIMITS }, self, {
    onStart: (child) => child.stdout?.once('data', () => child.kill('SIGKILL')),
  });
  expect(ended.signal).toBe('SIGKILL');
  await expect
    .poll(
      async () => {
        await sh('true', { limits: { pids: 5 } });
        return state(self);
      },
      { timeout: 20_000 },
    )
    .toEqual(before);
});

test.runIf(!isRoot)(
  'a limit of a user who has no delegated cgroup and no bus is an error that says what to do',
  async () => {
    const folder = specFolder({ command: ['true'], limits: LIMITS });
    const env = { DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nowhere' };
    const { status, stderr } = await boxctl(['up'], callerOptions(self, folder, { env }));
    expect(status).toBe(125);
    expect(stderr).toMatch(/container\.yaml:\d+:\d+: error: .*no cgroup with the memory controller is delegated/u);
    expect(stderr).toContain('log in to a session that systemd manages');
  },
);

/** A container of another maker: its own view of a subtree that is its own, and a shell in it (nsdelegate). */
function inContainer(script: string, folder: string): Promise<Ended> {
  const start = `echo $$ >/sys/fs/cgroup/boxtest-outer/cgroup.procs; exec unshare -C -m sh -c 'umount -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && ${script}'`;
  return run(['sh', '-c', start], callerOptions(self, folder));
}
const UP = `${process.execPath} ${PROGRAM} up`;

test.runIf(isRoot)(
  'in an outer container with a cgroup of its own, limits apply where boxctl is alone in it, or where the others were moved',
  async () => {
    const outer = '/sys/fs/cgroup/boxtest-outer';
    mkdirSync(outer);
    try {
      const folder = specFolder({ command: command(SHOW), limits: LIMITS });
      const alone = await inContainer(`exec ${UP}`, folder);
      expect({ stdout: alone.stdout, stderr: alone.stderr }).toEqual({ stdout: SEEN, stderr: '' });
      // It came back, and handed the cgroup over as it was.
      expect(readFileSync(`${outer}/cgroup.subtree_control`, 'utf8').trim()).toBe('');
      expect(existsSync(`${outer}/boxctl-aside`)).toBe(false);

      const shared = await inContainer(`${UP}; echo status $?`, folder);
      expect(shared.stdout).toBe('status 125\n');
      expect(shared.stderr).toContain('the cgroup /sys/fs/cgroup is yours, and holds other processes');
      const fix = /help: move them into a child: (.*?done)/u.exec(shared.stderr)?.[1];
      expect(fix).toBeDefined();
      const moved = await inContainer(`${fix ?? 'false'}; ${UP}`, folder);
      // Among those that it moves is the one that lists them, which has ended by then.
      expect(moved.stdout).toBe(SEEN);
    } finally {
      for (const left of [`${outer}/init`, outer]) if (existsSync(left)) rmdirSync(left);
    }
  },
);
