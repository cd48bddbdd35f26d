/** A root file system of Debian's static busybox, as a folder. */
import { copyFileSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';

export const BUSYBOX = '/bin/busybox';
export const hasBusybox = existsSync(BUSYBOX);

/** Makes bin/busybox with all its applets, and nothing else. */
export function makeBusyboxTree(folder: string): void {
  mkdirSync(join(folder, 'bin'), { recursive: true });
  copyFileSync(BUSYBOX, join(folder, 'bin/busybox'));
  for (const applet of execFileSync(BUSYBOX, ['--list'], { encoding: 'utf8' }).trim().split('\n')) {
    if (applet !== 'busybox') symlinkSync('busybox', join(folder, 'bin', applet));
  }
}
