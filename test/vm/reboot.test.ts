/** What root, and a user, find when the machine was started again (reboot.mjs). Run by `npm run test:vm`. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { until } from '../support/background.ts';
import { isRoot } from '../support/user.ts';

const PATIENCE = 60_000;

function boxctl(...words: readonly string[]): {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
} {
  return spawnSync(process.execPath, ['/opt/boxctl/dist/boxctl.cjs', ...words], { encoding: 'utf8' });
}

function listed(
  name: string,
): { readonly status: string; readonly mode: string; readonly message?: string } | undefined {
  const all = JSON.parse(boxctl('ps', '--all', '--json').stdout) as readonly {
    name: string;
    status: string;
    mode: string;
  }[];
  return all.find((one) => one.name === name);
}

test.skipIf(!existsSync('/var/lib/was-started-again'))(
  'after a reboot ps tells why a container is gone, start runs it again with what it has written, and units are back',
  async () => {
    expect(listed('kept')).toMatchObject({ status: 'lost', message: 'the machine was started again while it ran' });
    expect(boxctl('wait', 'kept').stderr).toContain('the machine was started again while it ran');
    await until(() => (listed('unit')?.status === 'running' ? true : undefined), PATIENCE);
    expect(listed('unit')).toMatchObject({ mode: 'foreground' });
    const systemctl = ['systemctl', ...(isRoot ? [] : ['--user']), 'show', 'boxctl-unit', '--property', 'ActiveState'];
    expect(spawnSync(systemctl[0] ?? '', systemctl.slice(1), { encoding: 'utf8' }).stdout).toBe('ActiveState=active\n');
    expect(boxctl('start', 'kept')).toMatchObject({ status: 0, stdout: 'kept\n', stderr: '' });
    expect(listed('kept')).toMatchObject({ status: 'running' });
    await until(() => (boxctl('logs', 'kept').stdout === '1\n2\n' ? true : undefined), PATIENCE);
    expect(boxctl('rm', '--force', 'kept')).toMatchObject({ status: 0 });
  },
  4 * PATIENCE,
);
