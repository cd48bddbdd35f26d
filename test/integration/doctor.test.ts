/** `boxctl doctor` on this host, on worse ones, and inside a container. */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { boxctl, INSTALLED, PROGRAM, run } from '../support/boxctl.ts';
import { callerOptions, callers, ownedFolder, self, specFolder } from '../support/container.ts';
import { hostState } from '../support/host-state.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot, testUser } from '../support/user.ts';

interface Report {
  readonly ok: boolean;
  readonly checks: readonly {
    readonly name: string;
    readonly state: string;
    readonly detail: string;
    readonly fix?: string;
  }[];
}
const checkOf = (report: Report, name: string) => report.checks.find((check) => check.name === name);

describe.each(callers.slice(0, 2))('as $title', (caller) => {
  test('doctor starts a container, says so, and leaves nothing behind', async () => {
    const cwd = tempFolder({ open: true });
    const store = join(ownedFolder(caller, 'beside-the-store', cwd), 'store');
    const own = { ...caller, store };
    const before = hostState({ ...own, name: 'doctor' });
    const { status, stdout, stderr } = await boxctl(['doctor'], callerOptions(own, cwd));
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^boxctl .* Linux .*\n\ncontainer\n {2}✔ start +tried: \d+ steps/u);
    expect(stdout).not.toContain('\u001b');
    // Another doctor may be at work.
    await expect.poll(() => hostState({ ...own, name: 'doctor' }), { timeout: 10_000 }).toEqual(before);
    expect(readdirSync(dirname(store))).toEqual([]);
  });

  test('doctor --json prints data for programs', async () => {
    const { stdout } = await boxctl(['doctor', '--json'], callerOptions(caller, tempFolder({ open: true })));
    const report = JSON.parse(stdout) as Report & { host: { euid: number } };
    expect(report.ok).toBe(true);
    expect(report.host.euid).toBe(caller.uid);
    expect(checkOf(report, 'user namespaces')?.state).toBe('yes');
    expect(checkOf(report, 'mounts by descriptor')?.state).toBe('yes');
  });
});

test.skipIf(!isRoot)('doctor prints colours only where they are asked for (needs root)', async () => {
  const { stdout } = await boxctl(['doctor'], callerOptions(self, tempFolder(), { env: { FORCE_COLOR: '1' } }));
  expect(stdout).toContain('\u001b[32m✔');
});

test.skipIf(testUser === undefined)(
  'doctor says what forbids user namespaces where none can be made (needs root and boxctl-test)',
  async () => {
    // The limit is a user namespace's own, so this changes nothing for anybody else.
    const script = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"';
    const command = ['unshare', '-Ur', 'sh', '-c', script, 'sh', process.execPath, PROGRAM, 'doctor', '--json'];
    const cwd = tempFolder({ open: true });
    const options =
      testUser === undefined
        ? {}
        : {
            user: testUser,
            cwd,
            env: {
              XDG_RUNTIME_DIR: '/nowhere',
              BOXCTL_STORE: join(ownedFolder({ ...self, user: testUser }, 'beside-the-store', cwd), 'store'),
            },
          };
    const { status, stdout } = await run(command, options);
    expect(status).toBe(1);
    const report = JSON.parse(stdout) as Report;
    expect(report.ok).toBe(false);
    expect(checkOf(report, 'user namespaces')).toMatchObject({
      state: 'no',
      detail: expect.stringContaining('max_user_namespaces is 0') as string,
      fix: expect.stringContaining('sysctl -w user.max_user_namespaces=') as string,
    });
  },
);

test.skipIf(!isRoot)(
  'inside a container, doctor names the system call filter around it (needs root)',
  { timeout: 120_000 },
  async () => {
    const node = execFileSync(process.execPath, ['-p', 'process.execPath'], { encoding: 'utf8' }).trim();
    const folder = specFolder({
      image: { host_tools: [node] },
      volumes: [`${INSTALLED}:/boxctl:ro`],
      environment: { HOME: '/root' },
      command: [node, '/boxctl/dist/boxctl.cjs', 'doctor', '--json'],
    });
    const args = ['up', '--quiet', '--allow', `bind=${INSTALLED}:ro`, '--allow', 'tool'];
    const { stdout, stderr, status } = await boxctl(args, callerOptions(self, folder));
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' });
    const report = JSON.parse(stdout) as Report;
    expect(checkOf(report, 'user namespaces')).toMatchObject({
      state: 'no',
      detail: expect.stringContaining('the container around boxctl') as string,
    });
    expect(checkOf(report, 'mounts by descriptor')?.state).toBe('no');
  },
);
