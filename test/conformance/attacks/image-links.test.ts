/**
 * Images in which what a runtime writes to, mounts on, or reads is a link out of them (CVE-2019-19921, CVE-2023-27561,
 * CVE-2025-31133, CVE-2025-52565, CVE-2026-41579 and kin).
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hasBusybox } from '../../support/busybox.ts';
import { callers, sh } from '../../support/container.ts';
import { changedRootfs } from '../../support/rootfs.ts';
import { makeCanary } from './canary.ts';

function replaced(paths: readonly string[], target: string): string {
  return changedRootfs((tree) => {
    for (const path of paths) {
      rmSync(join(tree, path), { recursive: true, force: true });
      mkdirSync(dirname(join(tree, path)), { recursive: true });
      symlinkSync(target, join(tree, path));
    }
  });
}

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  describe.each([
    ['dev'],
    ['proc'],
    ['sys'],
    ['dev/null'],
    ['dev/pts'],
    ['dev/console'],
    ['dev/shm'],
    ['dev/mqueue'],
    ['dev/ptmx'],
    ['etc'],
    ['tmp'],
    ['work'],
    ['run'],
  ])('an image whose /%s is a link', (path) => {
    test.each(['to the host’s canary', 'out of the root, step by step'])('%s changes nothing outside', async (how) => {
      const canary = makeCanary();
      const before = canary.state();
      const target = how.startsWith('to') ? canary.folder : `${'../'.repeat(12)}${canary.folder.slice(1)}`;
      const spec = {
        image: replaced([path], target),
        tmpfs: ['/run'],
        working_dir: '/work',
        volumes: ['./:/tmp/here'],
        tty: true,
      };
      const script =
        'echo inside; cat /etc/secret /passwd /dev/secret 2>&1; echo x >/dev/null; echo x >/dev/passwd; ls /work';
      const { stdout } = await sh(script, spec, caller);
      expect(stdout).not.toContain('of the host');
      expect(stdout).not.toContain('canary:x');
      expect(canary.state()).toBe(before);
    });
  });

  test('an image whose /proc, /sys or /dev is a link or a file is refused', async () => {
    for (const path of ['proc', 'sys', 'dev']) {
      const { status, stderr } = await sh('true', { image: replaced([path], '/tmp') }, caller);
      expect({ path, status }).toEqual({ path, status: 125 });
      expect(stderr).toMatch(/ELOOP|ENOTDIR/u);
      const file = changedRootfs((tree) => {
        rmSync(join(tree, path), { recursive: true, force: true });
        execFileSync('touch', [join(tree, path)]);
      });
      expect((await sh('true', { image: file }, caller)).status).toBe(125);
    }
  });

  test.each(['link', 'fifo', 'folder', 'device'])('an /etc/passwd that is a %s is not read', async (kind) => {
    const canary = makeCanary();
    const image = changedRootfs((tree) => {
      for (const name of ['passwd', 'group', 'hosts', 'resolv.conf']) {
        const path = join(tree, 'etc', name);
        rmSync(path, { force: true });
        if (kind === 'link') symlinkSync(join(canary.folder, 'passwd'), path);
        if (kind === 'fifo') execFileSync('mkfifo', [path]);
        if (kind === 'folder') mkdirSync(path);
        if (kind === 'device') symlinkSync('/dev/zero', path);
      }
    });
    const { status, stderr } = await sh('true', { image, user: 'canary' }, caller);
    expect(status).toBe(125);
    expect(stderr).toContain('the image\'s /etc/passwd has no user "canary"');
    expect((await sh('echo well', { image }, caller)).stdout).toBe('well\n');
  });

  test('a working directory by /proc/self/fd is refused (CVE-2024-21626)', async () => {
    for (const fd of [3, 4, 5, 6, 7, 8, 9, 12, 19]) {
      for (const path of [
        `/proc/self/fd/${fd}`,
        `/proc/self/fd/${fd}/../../../..`,
        `/proc/1/root/..`,
        '/proc/self/cwd/..',
      ]) {
        const { status, stdout } = await sh('pwd; cat etc/shadow', { working_dir: path }, caller);
        expect({ fd, path, refused: status !== 0 || !stdout.includes('root:') }).toEqual({ fd, path, refused: true });
      }
    }
    const image = replaced(['work'], '/proc/self/fd/7');
    expect((await sh('true', { image, working_dir: '/work' }, caller)).status).toBe(125);
  });
});
