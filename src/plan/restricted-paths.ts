/** Paths of /proc and /sys that a container must not read, or not write (OCI `maskedPaths`, `readonlyPaths`). */
import { AT_FDCWD, NO_FD, type Fd } from '../kernel/calls.ts';
import { AT, MOUNT_ATTR, O, OPEN_TREE, S_IFCHR } from '../kernel/constants.ts';
import { inside, type PlanContext } from './context.ts';
import { newFileSystem } from './filesystem.ts';
import { attach, EMPTY_PATH, resolveOf, splitPath, type Place } from './steps.ts';

const CLONE_HERE = OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC | EMPTY_PATH;
const RESTRICTED =
  MOUNT_ATTR.MOUNT_ATTR_NOSUID |
  MOUNT_ATTR.MOUNT_ATTR_NODEV |
  MOUNT_ATTR.MOUNT_ATTR_NOEXEC |
  MOUNT_ATTR.MOUNT_ATTR_RDONLY;
/** The default paths that are folders. A path of the file is a folder if it ends with a slash. */
const FOLDERS: ReadonlySet<string> = new Set([
  '/proc/acpi',
  '/proc/asound',
  '/proc/scsi',
  '/sys/dev/block',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
  '/sys/fs/selinux',
]);

/** If the image has a file where a folder is expected, or the reverse, the open or the mount fails: the path never stays visible. */
function isFolder(path: string): boolean {
  return FOLDERS.has(path) || path.endsWith('/');
}

const WRONG_KIND = 'a folder is masked with a slash at the end of its path, a file without';

function placeOf({ model }: PlanContext, path: 'linux.maskedPaths' | 'linux.readonlyPaths'): Place {
  return { ...inside('hide', model.because(path)), hints: { ENOTDIR: WRONG_KIND, EINVAL: WRONG_KIND } };
}

function open(context: PlanContext, id: string, path: string, flags: number, allow: readonly string[]): Fd {
  const place = placeOf(context, 'linux.maskedPaths');
  const resolve = resolveOf(path);
  const args = { dirfd: AT_FDCWD, pathname: path, flags: O.O_PATH | O.O_CLOEXEC | flags, mode: 0, resolve };
  return context.steps.add(place, id, 'openat2', args, { allow });
}

function idOf(kind: string, path: string): string {
  return `${kind}.${splitPath(path).join('.')}`;
}

/**
 * A file is covered by the null device that /dev was given and that was verified, a folder by an empty tmpfs. A path that is
 * not there is left out before its cover is made: to drop a mount that is attached nowhere, the kernel waits for all
 * processors.
 */
export function maskPaths(context: PlanContext): void {
  const { steps, model } = context;
  const paths = model.config.linux.maskedPaths ?? [];
  const place = placeOf(context, 'linux.maskedPaths');
  const files = paths.filter((path) => !isFolder(path));
  if (files.length > 0) {
    open(context, 'mask.null', '/dev/null', 0, []);
    steps.add(place, 'mask.null.check', 'fstat', { fd: 'mask.null', mode: S_IFCHR, major: 1, minor: 3 });
  }
  for (const path of files) {
    const id = idOf('mask', path);
    const target = open(context, id, path, 0, ['ENOENT']);
    const clone = { dirfd: 'mask.null', pathname: '', flags: CLONE_HERE };
    const cover = steps.add(place, `${id}.cover`, 'open_tree', clone, { dependent: true });
    attach(steps, place, `${id}.attach`, cover, target);
  }
  for (const path of paths.filter(isFolder)) {
    const id = idOf('mask', path);
    const target = open(context, id, path, O.O_DIRECTORY, ['ENOENT']);
    const cover = newFileSystem(steps, place, `${id}.cover`, 'tmpfs', {
      attributes: RESTRICTED,
      data: [],
      dependent: true,
    });
    attach(steps, place, `${id}.attach`, cover, target);
  }
}

/**
 * Mounts a read-only copy of the path, with all mounts below it, over the path. Masking comes after this: a null device
 * that covers a file must not become read-only and `nodev` with the rest.
 */
export function protectPaths(context: PlanContext): void {
  const { steps, model } = context;
  const place = placeOf(context, 'linux.readonlyPaths');
  for (const path of model.config.linux.readonlyPaths ?? []) {
    const id = idOf('readonly', path);
    const resolve = resolveOf(path);
    const args = { dirfd: AT_FDCWD, pathname: path, flags: O.O_PATH | O.O_CLOEXEC, mode: 0, resolve };
    const target = steps.add(place, id, 'openat2', args, { allow: ['ENOENT'] });
    const flags = CLONE_HERE | OPEN_TREE.AT_RECURSIVE;
    const copy = steps.add(
      place,
      `${id}.copy`,
      'open_tree',
      { dirfd: target, pathname: '', flags },
      { undo: 'kernel' },
    );
    steps.add(place, `${id}.attributes`, 'mount_setattr', {
      dirfd: copy,
      pathname: '',
      flags: EMPTY_PATH | AT.AT_RECURSIVE,
      attr_set: MOUNT_ATTR.MOUNT_ATTR_RDONLY,
      attr_clr: 0,
      propagation: 0,
      userns_fd: NO_FD,
    });
    attach(steps, place, `${id}.attach`, copy, target);
  }
}
