/** Real root file systems as archives, made once and kept between runs. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { makeBusyboxTree } from './busybox.ts';
import { tempFolder } from './temp.ts';

const FOLDER = `/var/tmp/boxctl-test-${userInfo().uid}`;

/** Makes the archive under another name first: tests in parallel see a whole one or none. */
function once(name: string, make: (path: string) => void): string {
  const path = join(FOLDER, name);
  if (existsSync(path)) return path;
  mkdirSync(FOLDER, { recursive: true, mode: 0o755 });
  const work = mkdtempSync(join(FOLDER, 'new-'));
  try {
    const made = join(work, name);
    make(made);
    chmodSync(made, 0o644);
    renameSync(made, path);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return path;
}

function archive(tree: string, path: string): void {
  chmodSync(tree, 0o755);
  execFileSync('tar', ['--numeric-owner', '--owner=0', '--group=0', '-C', tree, '-cf', path, '.']);
}

function makeTree(tree: string): void {
  makeBusyboxTree(tree);
  for (const folder of ['dev', 'etc', 'proc', 'sys', 'tmp', 'root', 'home/app']) {
    mkdirSync(join(tree, folder), { recursive: true });
  }
  writeFileSync(join(tree, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n');
  writeFileSync(join(tree, 'etc/group'), 'root:x:0:\napp:x:1000:\n');
}

/** Debian's static busybox with its applets, and the /etc of root and one user `app` (1000:1000). About 2 MB. */
export function busyboxRootfs(): string {
  return once('busybox.tar', (path) => {
    const tree = mkdtempSync(join(tmpdir(), 'boxctl-test-'));
    try {
      makeTree(tree);
      archive(tree, path);
    } finally {
      rmSync(tree, { recursive: true, force: true });
    }
  });
}

/** The same with something changed in its tree: an archive that is gone after the test. */
export function changedRootfs(change: (tree: string) => void): string {
  const folder = tempFolder({ open: true });
  const tree = join(folder, 'tree');
  mkdirSync(tree);
  makeTree(tree);
  change(tree);
  const path = join(folder, 'image.tar');
  archive(tree, path);
  rmSync(tree, { recursive: true, force: true });
  chmodSync(path, 0o644);
  return path;
}

/** A Debian userland of about 170 MB. Needs mmdebstrap and a Debian mirror, and takes half a minute the first time. */
export function debianRootfs(): string {
  return bootstrap('debian.tar', 'vim-tiny,less,procps,ncurses-base');
}

/** The same with systemd in place of these tools. */
export function systemdRootfs(): string {
  return bootstrap('systemd.tar', 'systemd,systemd-sysv');
}

function bootstrap(name: string, packages: string): string {
  return once(name, (path) => {
    execFileSync('mmdebstrap', ['--variant=minbase', `--include=${packages}`, 'bookworm', path], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  });
}

/** Busybox, and as much noise as makes bzip2 work for a second or two (needs Debian's bzip2): an import that can be met halfway. */
export function slowArchive(): string {
  return once('slow-72.tar.bz2', (path) => {
    const tree = mkdtempSync(join(tmpdir(), 'boxctl-test-'));
    try {
      makeTree(tree);
      for (const name of ['a', 'b', 'c']) writeFileSync(join(tree, `noise-${name}`), randomBytes(24 << 20));
      archive(tree, `${path}.tar`);
      execFileSync('bzip2', ['-1', `${path}.tar`]);
      renameSync(`${path}.tar.bz2`, path);
    } finally {
      rmSync(tree, { recursive: true, force: true });
    }
  });
}
