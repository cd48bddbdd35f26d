/** Volumes of boxctl's own: made on first use, locked as long as they are in use, filled with what the image has there. */
import type { StoredVolume } from '../model/mount.ts';
import { volumesFolder } from '../model/volume-id.ts';
import { AT_FDCWD, NO_FD, type Fd } from '../kernel/calls.ts';
import { AS_SOURCE, LOCK, O, OPEN_TREE, RESOLVE } from '../kernel/constants.ts';
import { once, type PlanContext } from './context.ts';
import { SOURCE_HINTS } from './hints.ts';
import { call, EMPTY_PATH, openInRoot, type Place } from './steps.ts';

const CLONE = OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC;

/** The launcher does this for every caller: the store is the caller's. Nothing of it is undone: a volume stays. */
export function makeVolume(context: PlanContext, place: Place, id: string, stored: StoredVolume): void {
  const { steps, host } = context;
  const volumes = volumesFolder(host);
  const mkdir = (name: string, path: string, mode: number): void => {
    const args = { dirfd: AT_FDCWD, pathname: path, mode };
    steps.add(place, `${id}.volume.${name}`, 'mkdirat', args, { allow: ['EEXIST'] });
  };
  mkdir('volumes', volumes, 0o700);
  mkdir('locks', `${volumes}/.locks`, 0o700);
  const open = {
    dirfd: AT_FDCWD,
    pathname: `${volumes}/.locks/${stored.id}`,
    flags: O.O_RDWR | O.O_CREAT | O.O_NOFOLLOW | O.O_CLOEXEC,
    mode: 0o600,
    resolve: 0,
  };
  const held = once(context, place);
  const lock = steps.add(held, `${id}.volume.lock`, 'openat2', open);
  // Whoever removes a volume holds the lock for the moment of a rename.
  const unlock = [call('flock', { fd: lock, operation: LOCK.LOCK_UN })];
  steps.add(held, `${id}.volume.flock`, 'flock', { fd: lock, operation: LOCK.LOCK_SH }, { undo: unlock });
  mkdir('folder', `${volumes}/${stored.id}`, 0o700);
  const link = { target: stored.folder, newdirfd: AT_FDCWD, linkpath: `${volumes}/${stored.id}/folder` };
  steps.add(place, `${id}.volume.belongs`, 'symlinkat', link, { allow: ['EEXIST'] });
  mkdir('data', `${volumes}/${stored.id}/data`, 0);
}

/** A detached mount of the volume, or of a folder in it: there, containers may have made links. */
export function openVolume(context: PlanContext, place: Place, id: string, stored: StoredVolume): Fd {
  const { steps, host } = context;
  const data = `${volumesFolder(host)}/${stored.id}/data`;
  const flags = O.O_PATH | O.O_CLOEXEC;
  const noLinks = RESOLVE.RESOLVE_NO_SYMLINKS | RESOLVE.RESOLVE_NO_MAGICLINKS;
  const open = { dirfd: AT_FDCWD, pathname: data, flags: flags | O.O_DIRECTORY, mode: 0, resolve: noLinks };
  const dirfd = steps.add(place, `${id}.volume`, 'openat2', open, { hints: SOURCE_HINTS });
  if (stored.subpath === undefined) {
    const whole = { dirfd, pathname: '', flags: CLONE | EMPTY_PATH };
    return steps.add(place, `${id}.source`, 'open_tree', whole, { undo: 'kernel' });
  }
  const resolve = noLinks | RESOLVE.RESOLVE_BENEATH | RESOLVE.RESOLVE_NO_XDEV;
  const part = steps.add(
    place,
    `${id}.subpath`,
    'openat2',
    { dirfd, pathname: stored.subpath, flags, mode: 0, resolve },
    {
      hints: { other: 'the folder must be in the volume, with no link on the way' },
    },
  );
  const clone = { dirfd: part, pathname: '', flags: CLONE | EMPTY_PATH };
  return steps.add(place, `${id}.source`, 'open_tree', clone, { undo: 'kernel' });
}

/**
 * What a new volume starts with: the folder that the image has at the target, with its owner and mode; where it has none,
 * nothing, and the command's user owns it. One that was filled before is left as it is, by the first as by the second.
 */
export function fillVolume(
  context: PlanContext,
  place: Place,
  id: string,
  volume: Fd,
  target: string,
  { copy, subpath, owner, given }: StoredVolume,
): void {
  if (subpath !== undefined) return;
  const { steps } = context;
  if (copy) {
    const from = openInRoot(steps, place, `${id}.image`, target, 'directory', ['ENOENT', 'ENOTDIR', 'ELOOP']);
    const { uid = AS_SOURCE, gid = AS_SOURCE, mode = AS_SOURCE } = given;
    steps.add(place, `${id}.copy`, 'copytree', { from, to: volume, owner: uid, group: gid, mode });
  }
  const { uid = owner.uid, gid = owner.gid, mode = 0o755 } = given;
  steps.add(place, `${id}.new`, 'copytree', { from: NO_FD, to: volume, owner: uid, group: gid, mode });
}
