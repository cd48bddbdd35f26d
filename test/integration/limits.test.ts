/** Limits hold, and the one that was hit is named. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { gatherHostFacts } from '../../src/host/gather.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callers, self, sh, state, up } from '../support/container.ts';
import { ownLaunchers, records } from '../support/host-state.ts';
import { isRoot } from '../support/user.ts';

const hasLimits = gatherHostFacts(process.env).cgroup.controllers.pids.usable;
describe.skipIf(!hasLimits || !hasBusybox)('limits (need root or a delegated cgroup, and busybox-static)', () => {
  test('the container sees its limits of memory and processes in /sys/fs/cgroup', async () => {
    const script =
      'cat /sys/fs/cgroup/memory*/memory.limit_in_bytes /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null';
    const { stdout } = await sh(script, { limits: { memory: '64MiB', pids: 20 } });
    expect(stdout.trim().split('\n')).toEqual(['67108864', '20']);
  });

  const v1 = existsSync('/sys/fs/cgroup/cpuset');
  test.skipIf(!v1)(
    'on version 1 a container with one limit sees every controller, each with a cgroup of its own',
    async () => {
      const { hierarchies } = gatherHostFacts(process.env).cgroup;
      const script = 'cd /sys/fs/cgroup; for d in *; do echo $d $(cat $d/tasks | wc -l); done';
      const { stdout, stderr } = await sh(script, { limits: { pids: 20 } });
      const seen = new Map(
        stdout
          .trim()
          .split('\n')
          .map((line) => [line.split(' ')[0], line.split(' ')[1]]),
      );
      const names = hierarchies.map((hierarchy) => hierarchy.names.join(',').replace('name=', ''));
      expect({ stderr, missing: names.filter((name) => !seen.has(name)) }).toEqual({ stderr: '', missing: [] });
      // The shell, and what runs in it; with others there it would not be its own.
      expect([...seen.values()].filter((count) => Number(count) < 1 || Number(count) > 4)).toEqual([]);
    },
  );

  test.skipIf(!existsSync('/usr/bin/java'))(
    'a Java virtual machine takes its heap from the limit of memory, and its CPUs from theirs (needs java)',
    async () => {
      const spec = { limits: { memory: '256MiB', cpus: 1 }, volumes: ['/usr:/usr:ro', '/etc:/etc:ro'] };
      const options = { args: ['up', '--allow', 'all'] };
      const links = 'ln -sfn usr/lib /lib; ln -sfn usr/lib64 /lib64';
      const show = 'java -XX:+PrintFlagsFinal -XshowSettings:system -version 2>&1';
      const { stdout } = await sh(`${links}; ${show}`, spec, self, options);
      const heap = Number(/ MaxHeapSize +:?= (\d+)/u.exec(stdout)?.[1]);
      expect({ stdout, inBounds: heap > 0 && heap <= 256 * 2 ** 20 }).toMatchObject({ inBounds: true });
      expect(stdout).toMatch(/Effective CPU Count: 1\n/u);
    },
  );

  const disk = wholeDisk();
  test('the container sees its weight, CPUs, memory nodes and disk rates in /sys/fs/cgroup', async () => {
    const limits = {
      cpu_shares: 512,
      cpuset: '0',
      ...(disk === undefined ? {} : { blkio_config: { device_write_bps: [{ path: disk, rate: '10MiB' }] } }),
    };
    const files = v1
      ? 'cpu/cpu.shares cpuset/cpuset.cpus cpuset/cpuset.mems blkio/blkio.throttle.write_bps_device'
      : 'cpu.weight cpuset.cpus.effective cpuset.mems.effective io.max';
    const { stdout, stderr } = await sh(`cd /sys/fs/cgroup; cat ${files}; nproc`, { limits });
    const rate =
      disk === undefined ? [] : [v1 ? `${disk} 10485760` : `${disk} rbps=max wbps=10485760 riops=max wiops=max`];
    expect({ stderr, lines: stdout.trim().split('\n') }).toEqual({
      stderr: '',
      lines: [v1 ? '512' : '20', '0', '0', ...rate, '1'],
    });
  });

  test('a limit of huge pages is accepted where their controller is usable, and an error elsewhere', async () => {
    const { stderr, status } = await sh('true', { limits: { hugetlb: { '2MiB': '4MiB' } } });
    const { usable } = gatherHostFacts(process.env).cgroup.controllers.hugetlb;
    expect(status).toBe(usable ? 0 : 125);
    expect(stderr).toMatch(usable ? /^$/u : /container\.yaml:\d+:\d+: error: .*hugetlb/u);
  });

  test('a limit that version 1 does not have is refused at its line, and left out where limits are optional', async () => {
    const limits = { memory: '64MiB', memory_high: '48MiB', memory_low: '8MiB' };
    const show = 'cd /sys/fs/cgroup; cat memory.high memory.low';
    const { stderr, stdout } = await sh(v1 ? 'true' : show, { limits });
    if (v1) expect(stderr).toMatch(/container\.yaml:\d+:\d+: error: .*version 1 of cgroups has no memory\.high/u);
    else expect({ stderr, stdout }).toEqual({ stderr: '', stdout: '50331648\n8388608\n' });
    const dropped = await sh('true', { limits: { ...limits, optional: true } });
    expect(dropped.status).toBe(0);
    expect(dropped.stderr.includes('limits.memory_high is left out')).toBe(v1);
  });

  test('a fork bomb is stopped by limits.pids, and the message names the line of the limit', async () => {
    const { stderr, stdout } = await sh(
      'i=0; while [ $i -lt 60 ]; do sleep 1 & i=$((i+1)); done 2>/dev/null; echo done',
      { limits: { pids: 16 } },
    );
    expect(stdout).not.toContain('done');
    expect(stderr).toMatch(/container\.yaml:\d+:\d+: the limit of 16 processes was reached: fork failed/u);
  });

  test('a process that allocates more than limits.memory is killed, and the message names the line of the limit', async () => {
    // Alone in the container: where there are others, the kernel may take one of them too.
    const { stderr, status } = await up({ command: ['tail', '/dev/zero'], limits: { memory: '32MiB', swap: 0 } });
    expect(status).toBe(137);
    expect(stderr).toMatch(
      /container\.yaml:\d+:\d+: out of memory: the kernel killed a process at the memory limit of 32 MiB/u,
    );
  });

  test('a busy loop is throttled by limits.cpus', async () => {
    const burn =
      'i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; cat /sys/fs/cgroup/cpu/cpu.stat /sys/fs/cgroup/cpu.stat 2>/dev/null | grep nr_throttled';
    const { stdout } = await sh(burn, { limits: { cpus: 0.1 } });
    expect(Number(stdout.trim().split(' ')[1])).toBeGreaterThan(0);
  });

  test('no cgroup and no record is left when a container was killed by its limit', async () => {
    const before = state(self);
    // One process alone: with a pipe before it, the kernel now and then charges the writer for ever and kills nobody.
    await sh('tail -c 190m /dev/zero >/dev/null', { limits: { memory: '32MiB', pids: 16, cpus: 1 } });
    expect(state(self)).toEqual(before);
    expect(records(self)).toEqual([]);
  });

  test('a limit that the kernel refuses stops the start, and everything is undone', async () => {
    const before = state(self);
    const { status, stderr } = await up({ command: ['true'], limits: { memory: '1k' } });
    expect(status).toBe(125);
    expect(stderr).not.toBe('');
    expect(state(self)).toEqual(before);
  });
});

/** The numbers of a disk that can be throttled: not every kind of block device can. */
function wholeDisk(): string | undefined {
  const names = existsSync('/sys/block') ? readdirSync('/sys/block') : [];
  const name = names.find((entry) => /^(nvme|sd|vd)/u.test(entry));
  return name === undefined ? undefined : readFileSync(`/sys/block/${name}/dev`, 'utf8').trim();
}

const [, ordinary] = callers;
describe.skipIf(ordinary === undefined || !hasBusybox)(
  'limits as an ordinary user (need root, boxctl-test and busybox-static)',
  () => {
    const hasCgroup = readFileSync('/proc/self/cgroup', 'utf8').includes('user@');
    test.skipIf(hasCgroup)(
      'a limit that cannot be applied is an error at its line, which says what to do',
      async () => {
        const { status, stderr } = await sh('true', { limits: { memory: '64MiB' } }, ordinary);
        expect(status).toBe(125);
        expect(stderr).toMatch(/container\.yaml:\d+:\d+: error: .*memory/u);
        expect(stderr).toContain('help:');
      },
    );

    test('a limit that cannot be applied is left out with a warning where limits are optional', async () => {
      const { status, stderr } = await sh('true', { limits: { memory: '64MiB', optional: true } }, ordinary);
      expect(status).toBe(0);
      expect(stderr).toMatch(/warning: limits\.memory is left out: /u);
    });
  },
);

test.skipIf(!isRoot)('a record of a container that is gone is removed by the next start (needs root)', async () => {
  const killed = await sh('echo ready; sleep 100', { limits: { pids: 10 } }, self, {
    onStart: (child) =>
      child.stdout?.once('data', () => {
        // Both at once: nobody is left to clean up.
        for (const pid of ownLaunchers()) process.kill(pid, 'SIGKILL');
        child.kill('SIGKILL');
      }),
  });
  expect(killed.stdout).toBe('ready\n');
  // The record is locked until the kernel has ended the launcher.
  const sweep = async (): Promise<readonly string[]> => {
    await sh('true', { limits: { pids: 10 } });
    return records(self);
  };
  await expect.poll(sweep, { timeout: 20_000, interval: 100 }).toEqual([]);
});
