/** Where an ordinary user can have no cgroup, he is told so. Run by `npm run test:vm`, on version 1 and hybrid. */
import { describe, expect, test } from 'vitest';
import { self, sh, state } from '../support/container.ts';

describe('limits of an ordinary user in hierarchies of version 1', () => {
  test('are errors at their lines, with what to do', async () => {
    const { status, stderr } = await sh('true', { limits: { memory: '64MiB', pids: 9 } });
    expect(status).toBe(125);
    expect(stderr).toMatch(/container\.yaml:\d+:\d+: error: .*the memory controller is in a version 1 hierarchy/u);
    expect(stderr).toMatch(/container\.yaml:\d+:\d+: error: .*the pids controller is in a version 1 hierarchy/u);
    expect(stderr).toContain('systemd.unified_cgroup_hierarchy=1');
  });

  test('are left out with a warning where they are optional, and nothing is left afterwards', async () => {
    const before = state(self);
    const { status, stdout, stderr } = await sh('cat /proc/self/cgroup | wc -l', {
      limits: { pids: 9, optional: true },
    });
    expect(stderr).toMatch(/warning: limits\.pids is left out: /u);
    expect({ status, cgroups: Number(stdout) > 1 }).toEqual({ status: 0, cgroups: true });
    expect(state(self)).toEqual(before);
  });

  test('include `limits.time`, which needs no cgroup', async () => {
    const { status } = await sh('sleep 100', { limits: { time: '1s' }, stop_grace_period: '0s' });
    expect(status).toBe(124);
  });
});
