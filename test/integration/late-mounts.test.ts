/** What of the caller's own is not in use any more when boxctl has ended, although other mounts go later. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { run } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, self, specFolder } from '../support/container.ts';
import { FRONT } from '../support/front.ts';
import { busyboxRootfs } from '../support/rootfs.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot } from '../support/user.ts';

/**
 * In a mount namespace of its own: mounts a disk, and takes it away as soon as a start from a kept plan has ended that used it.
 * The loop device goes with the last mount of the disk, wherever that is.
 * The launcher stops for a while after each word to its owner, and so before what it does late. The disk was made with times in whole
 * seconds: no plan is kept before its files are three seconds old.
 */
const SCRIPT = `
image=$1 disk=$2; shift 2
mount -o loop "$image" "$disk" || exit 90
for start in $(seq 20); do
  "$@" || exit 91
  PATH=/nowhere /usr/bin/strace -D -f -o /dev/null -e trace=sendto -e inject=sendto:delay_exit=300000 "$@" && break
  sleep 0.3
done 2>/dev/null
test "$start" -lt 20 || exit 92
umount "$disk" || exit 93
test -z "$(losetup -j "$image")" || exit 94
`;

describe.skipIf(!hasBusybox || !isRoot)(
  'a disk can be taken away once boxctl has ended (needs busybox-static, strace, root)',
  () => {
    const KINDS: readonly (readonly [what: string, keys: (disk: string) => object])[] = [
      ['an archive on it was the image', (disk) => ({ image: join(disk, 'rootfs.tar') })],
      ['a folder on it was a volume', (disk) => ({ volumes: [`${join(disk, 'rootfs')}:/w`] })],
    ];
    test.each(KINDS)('where %s', async (_, keys) => {
      const around = tempFolder({ open: true });
      const [disk, tree, image] = [join(around, 'disk'), join(around, 'tree'), join(around, 'image')];
      for (const path of [disk, tree, join(tree, 'rootfs')]) mkdirSync(path);
      copyFileSync(busyboxRootfs(), join(tree, 'rootfs.tar'));
      execFileSync('tar', ['-C', join(tree, 'rootfs'), '-xf', busyboxRootfs()]);
      execFileSync('mkfs.ext4', ['-q', '-d', tree, image, '64M']);
      const folder = specFolder({ command: ['true'], ...keys(disk) });
      const up = [FRONT, 'up', '--quiet', '--allow', 'all'];
      const words = ['unshare', '--mount', 'sh', '-c', SCRIPT, 'sh', image, disk, ...up];
      expect(await run(words, callerOptions(self, folder))).toMatchObject({ status: 0, stderr: '' });
    });
  },
);
