/** systemd as the command: it starts, manages its units, and ends when it is told to. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { gatherHostFacts } from '../../src/host/gather.ts';
import { boxctl } from '../support/boxctl.ts';
import { callerOptions, self, specFolder } from '../support/container.ts';
import { systemdRootfs } from '../support/rootfs.ts';
import { isRoot } from '../support/user.ts';

const hasDebian = existsSync('/usr/bin/mmdebstrap');

/** A unit that says what systemd has come to, and asks for the end. */
const UNIT = `[Unit]
After=multi-user.target
[Service]
Type=oneshot
StandardOutput=file:/out/told
ExecStart=/bin/sh -c 'systemctl --failed --no-legend | wc -l; cat /proc/1/comm; cat /proc/self/cgroup | grep -c told; tr "\\\\0" "\\\\n" </proc/1/environ | grep ^container='
ExecStartPost=/bin/sh -c 'kill -37 1'
[Install]
WantedBy=default.target
`;

/** Cgroups of this container alone, in each hierarchy: others come and go meanwhile. */
function cgroupsLeft(name: string): readonly string[] {
  const { hierarchies, unified } = gatherHostFacts(process.env).cgroup;
  const folders = [...hierarchies, ...unified].map(({ dir }) => dir);
  return folders.flatMap((dir) => readdirSync(dir).filter((entry) => entry.startsWith(`boxctl-${name}-`)));
}

describe.skipIf(!isRoot || !hasDebian)('init: systemd (needs root and mmdebstrap)', () => {
  test('systemd starts its units in cgroups of its own, and nothing of it is left', { timeout: 300_000 }, async () => {
    const name = `test-systemd-${process.pid}`;
    const script = [
      `printf '%s' "$$UNIT" >/etc/systemd/system/told.service`,
      'mkdir -p /etc/systemd/system/multi-user.target.wants',
      'ln -s ../told.service /etc/systemd/system/multi-user.target.wants/told.service',
      'exec /lib/systemd/systemd',
    ].join('; ');
    const folder = specFolder({
      name,
      image: systemdRootfs(),
      init: 'systemd',
      limits: { memory: '512MiB', time: '90s' },
      environment: { UNIT: UNIT.replaceAll('$', '$$$$') },
      volumes: ['./out:/out'],
      entrypoint: ['sh', '-c', script],
    });
    mkdirSync(join(folder, 'out'), { mode: 0o777 });
    const { status, stderr } = await boxctl(['up', '--allow', 'all'], callerOptions(self, folder));
    const told = execFileSync('cat', [join(folder, 'out/told')], { encoding: 'utf8' });
    expect({ status, stderr, told }).toEqual({
      status: 0,
      stderr: '',
      told: expect.stringMatching(/^0\nsystemd\n\d+\ncontainer=boxctl\n$/u) as string,
    });
    expect(cgroupsLeft(name)).toEqual([]);
  });

  test('what stops boxctl stops systemd, in time', { timeout: 300_000 }, async () => {
    const name = `test-systemd-stop-${process.pid}`;
    const folder = specFolder({
      name,
      image: systemdRootfs(),
      init: 'systemd',
      command: undefined,
      limits: { time: '20s' },
    });
    const { status, stderr } = await boxctl(['up'], callerOptions(self, folder));
    expect(status).toBe(124);
    expect(stderr).not.toContain('SIGKILL');
    expect(cgroupsLeft(name)).toEqual([]);
  });
});
