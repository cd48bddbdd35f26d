/**
 * AppArmor's profiles, enforced: the kernel of the virtual machine has them, and `npm run test:vm` has loaded one
 * (apparmor.profile). As root and as an ordinary user.
 */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { boxctl } from '../support/boxctl.ts';
import { callerOptions, self, sh, specFolder } from '../support/container.ts';

const PROFILE = 'boxctl-test';
const LABEL = 'cat /proc/self/attr/current';
const TRIES =
  'cat /etc/passwd >/dev/null && echo read; mkdir /refused/more && echo made; cat /etc/group >/dev/null && mkdir /more && echo well';

const lines = (text: string): readonly string[] => text.trim().split(/\r?\n/u);

test('the kernel enforces AppArmor', () => {
  expect(readFileSync('/sys/module/apparmor/parameters/enabled', 'utf8')).toBe('Y\n');
});

describe('a container', () => {
  test.each([{}, { init: true, tty: true }])(
    'runs under the profile that its file names, with all that it starts, with %j',
    async (more) => {
      const spec = { tmpfs: ['/refused'], apparmor: PROFILE, ...more };
      const { stdout, stderr } = await sh(`${LABEL}; sh -c '${LABEL}'; ${TRIES}`, spec);
      const said = lines(stdout + stderr);
      expect(said.slice(0, 2)).toEqual([`${PROFILE} (enforce)`, `${PROFILE} (enforce)`]);
      expect(said.filter((line) => /^(?:read|made|well)$/u.test(line))).toEqual(['well']);
      expect(said.filter((line) => line.endsWith('Permission denied'))).toHaveLength(2);
    },
  );

  test('without a profile is unconfined, and may do what the profile denies', async () => {
    const { stdout } = await sh(`${LABEL}; ${TRIES}`, { tmpfs: ['/refused'] });
    expect(lines(stdout)).toEqual(['unconfined', 'read', 'made', 'well']);
  });

  test('with a profile that is not loaded is not started: the error is at the line of `apparmor`', async () => {
    const folder = specFolder({ apparmor: 'boxctl-unknown', command: ['echo', 'ran'] });
    const { status, stdout, stderr } = await boxctl(['up'], callerOptions(self, folder));
    const at = lines(readFileSync(`${folder}/container.yaml`, 'utf8')).findIndex((line) => line.startsWith('apparmor'));
    expect({ status, stdout }).toEqual({ status: 125, stdout: '' });
    expect(stderr).toContain(`container.yaml:${at + 1}:11: error: the step apparmorProfile failed`);
    expect(stderr).toContain('ENOENT');
    expect(stderr).toContain('the profile must be loaded: see aa-status');
  });

  test('is not started where a volume covers the file that the label is written to (CVE-2019-16884)', async () => {
    const spec = {
      volumes: ['./shared:/dev/s', './fake:/dev/s/x'],
      apparmor: PROFILE,
      command: ['cat', '/etc/passwd'],
    };
    const folder = specFolder(spec);
    for (const name of ['shared', 'fake']) mkdirSync(join(folder, name));
    symlinkSync('/proc/thread-self/attr', join(folder, 'shared/x'));
    writeFileSync(join(folder, 'fake/exec'), '');
    const { status, stdout } = await boxctl(['up'], callerOptions(self, folder));
    const taken = readFileSync(join(folder, 'fake/exec'), 'utf8');
    expect({ status, stdout, taken }).toEqual({ status: 125, stdout: '', taken: '' });
  });

  test('is unconfined only where that is allowed', async () => {
    const spec = { apparmor: 'unconfined' };
    expect((await sh(LABEL, spec)).stderr).toContain('--allow apparmor=unconfined');
    const allowed = await sh(LABEL, spec, self, { args: ['up', '--allow', 'apparmor=unconfined'] });
    expect(allowed).toMatchObject({ status: 0, stdout: 'unconfined\n' });
  });
});

test('doctor reports AppArmor as enforced', async () => {
  const { stdout } = await boxctl(['doctor', '--json'], callerOptions(self, specFolder({})));
  const { checks } = JSON.parse(stdout) as { readonly checks: readonly { readonly name: string }[] };
  expect(checks.find(({ name }) => name === 'AppArmor')).toMatchObject({ state: 'yes' });
});
