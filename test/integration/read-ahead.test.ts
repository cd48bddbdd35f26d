/** The program of a container is read into memory before it is executed: what an image has in its place does no harm. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { boxctl } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, self, specFolder } from '../support/container.ts';
import { changedRootfs } from '../support/rootfs.ts';
import { isRoot } from '../support/user.ts';

const PATH = '/a:/bin';
const ODD: readonly (readonly [title: string, make: (path: string) => void])[] = [
  ['a folder', (path) => mkdirSync(path)],
  ['a pipe that nobody writes to', (path) => void execFileSync('mkfifo', [path])],
  ['a device', (path) => void execFileSync('mknod', [path, 'c', '1', '3'])],
  ['a link to nothing', (path) => symlinkSync('/none', path)],
  ['a link to itself', (path) => symlinkSync('true', path)],
  ['a link out of the root', (path) => symlinkSync('../../../../../../etc/shadow', path)],
  ['a link into /proc', (path) => symlinkSync('/proc/1/root/bin/true', path)],
];

describe.skipIf(!isRoot || !hasBusybox)('a mounted image (needs root and busybox-static)', () => {
  test.each(ODD)('that has %s where the program is looked for first starts all the same', async (_title, make) => {
    const archive = changedRootfs((tree) => {
      mkdirSync(join(tree, 'a'));
      make(join(tree, 'a/true'));
    });
    const folder = specFolder({ image: './odd.tar', command: ['sh', '-c', 'echo ran'], environment: { PATH } });
    copyFileSync(archive, join(folder, 'odd.tar'));
    const started = await boxctl(
      ['run', '--quiet', 'container.yaml', '/bin/sh', '-c', 'echo ran'],
      callerOptions(self, folder),
    );
    expect(started).toMatchObject({ status: 0, stdout: 'ran\n' });
    // execvp(3) goes on to the next folder where this one has nothing that can be executed.
    const found = await boxctl(['run', '--quiet', 'container.yaml', 'true'], callerOptions(self, folder));
    expect(found.stderr).not.toContain('program');
    expect([0, 126]).toContain(found.status);
  });
});
