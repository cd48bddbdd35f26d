/** The examples run as they are. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { boxctl, INSTALLED, PROJECT, run } from '../support/boxctl.ts';
import { callerOptions, callers, hasLimits, ownedFolder, self } from '../support/container.ts';
import { debianRootfs } from '../support/rootfs.ts';
import { copyFileSync } from 'node:fs';
import { tempFolder } from '../support/temp.ts';

const hasDebian = existsSync('/usr/bin/mmdebstrap');

describe.each(callers.slice(0, 2))('as $title', (caller) => {
  test('hello prints its host name, process id, processes, user, limits and files', async () => {
    const folder = join(INSTALLED, 'examples/hello');
    const { stdout, status } = await boxctl(['up', 'container.yaml'], callerOptions(caller, folder));
    expect(status).toBe(0);
    expect(stdout).toMatch(/^Hello from a container\n {2}host name {3}hello\n {2}process id {2}1\n/u);
    expect(stdout).toContain('              1 sh\n');
    expect(stdout).toMatch(new RegExp(`^ +0( to \\d+)? (is|are) ${caller.rootOutside}`, 'mu'));
    if (caller === self && hasLimits)
      expect(stdout).toMatch(/memory\.(limit_in_bytes|max) 67108864\n.*pids\.max 50\n/u);
  });

  test('service becomes healthy, is started again, and ends in peace', async () => {
    const options = callerOptions(caller, join(INSTALLED, 'examples/service'));
    const call = (...words: readonly string[]): ReturnType<typeof boxctl> => boxctl(words, options);
    onTestFinished(async () => void (await call('rm', '--force', 'counter')));
    expect(await call('up', '--wait', '--wait-timeout', '30')).toMatchObject({ status: 0, stdout: 'counter\n' });
    expect((await call('ps')).stdout).toMatch(/ counter .* running \(healthy\)/u);
    expect(await call('restart', 'counter')).toMatchObject({ status: 0, stderr: '' });
    expect(await call('stop', 'counter')).toMatchObject({ status: 0 });
    expect((await call('logs', 'counter')).stdout).toMatch(
      /^ready\n1\n.*the end, draining\nready\n.*the end, draining\n$/su,
    );
    expect(await call('down')).toMatchObject({ status: 0 });
    expect((await call('ps', '--all')).stdout).not.toContain(' counter ');
  });

  test('ci-job passes its checks', async () => {
    const folder = join(INSTALLED, 'examples/ci-job');
    const env = { LIMITS_OPTIONAL: String(caller !== self || !hasLimits) };
    const { stdout, status, stderr } = await boxctl(['up', '--quiet'], callerOptions(caller, folder, { env }));
    expect({ status, stderr, failed: /FAILED/u.test(stdout) }).toEqual({ status: 0, stderr: '', failed: false });
    expect(stdout.match(/^ok /gmu)).toHaveLength(6);
  });

  test('ci-runner runs its jobs, and tells which have failed and why', async () => {
    const folder = join(INSTALLED, 'examples/ci-runner');
    const env = { LIMITS_OPTIONAL: String(caller !== self || !hasLimits) };
    const options = callerOptions(caller, folder, { env });
    const { stdout, stderr, status } = await run([process.execPath, 'run.mjs'], options);
    const lines = stdout.split('\n').map((line) => line.trimEnd());
    expect(lines.filter((line) => line.startsWith('ok')).map((line) => line.split(/\s+/u)[1])).toEqual([
      'greeting',
      'sorted',
      'words',
      'read-only',
      'alone',
      'several',
      'scratch',
    ]);
    expect(stdout).toContain('FAILED  broken        exit status 3\n          something is wrong\n');
    expect(stdout).toMatch(/^FAILED {2}too-long {6}the time limit of 2s was reached/mu);
    expect(stdout).toMatch(/^9 jobs, 2 failed, in \d+\.\d s$/mu);
    expect(status).toBe(1);
    if (caller === self && hasLimits) expect(stderr).toBe('');
  });

  test('locked is locked, started, and refused once its env_file has changed', async () => {
    const folder = ownedFolder(caller, 'locked', tempFolder({ open: true }));
    for (const name of ['container.yaml', 'settings.env']) {
      copyFileSync(join(PROJECT, 'examples/locked', name), join(folder, name));
    }
    const call = (...args: readonly string[]) => boxctl(args, callerOptions(caller, folder));
    expect(await call('lock')).toMatchObject({ status: 0 });
    expect(await call('up', '--quiet', '--locked')).toMatchObject({
      status: 0,
      stdout: 'Hello from what was locked\n',
    });
    writeFileSync(join(folder, 'settings.env'), 'GREETING=Something else\n');
    expect(await call('up', '--quiet')).toMatchObject({ status: 125, stdout: '' });
    expect(await call('lock', '--check')).toMatchObject({ status: 1 });
    expect(await call('lock', '--update')).toMatchObject({ status: 0 });
    expect(await call('up', '--quiet', '--locked')).toMatchObject({ status: 0, stdout: 'Something else\n' });
  });

  test.skipIf(!hasDebian)('debian runs bash of its own userland (needs mmdebstrap)', { timeout: 300_000 }, async () => {
    const folder = tempFolder({ open: true });
    copyFileSync(join(PROJECT, 'examples/debian/container.yaml'), join(folder, 'container.yaml'));
    const rootfs = debianRootfs();
    await run(['ln', '-s', rootfs, join(folder, 'rootfs.tar')]);
    const { stdout, stderr, status } = await boxctl(['up'], callerOptions(caller, folder));
    expect(status).toBe(0);
    // Where he may not make the nodes of the archive's /dev, he is told when it is imported.
    const left = String.raw`(boxctl: warning: \S+\.tar: \d+ devices and attributes are left out\n)?`;
    expect(stderr).toMatch(new RegExp(`^${caller === self ? '' : left}$`, 'u'));
    expect(stdout).toMatch(/^Debian GNU\/Linux \d+ \(\w+\), \d+ packages, bash 5/u);
  });
});

test.skipIf(!hasDebian)('the script of the debian example has no syntax error', async () => {
  const { status, stderr } = await run(['sh', '-n', join(PROJECT, 'examples/debian/make-rootfs.sh')]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});
