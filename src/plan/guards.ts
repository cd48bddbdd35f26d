/**
 * Parts of a bind that the container must not change. Each is mounted over itself: read-only, or writable but impossible to
 * rename or replace. The parts are opened under the bind's own descriptor, and no link is followed: another process that
 * writes to the folder could have put one there.
 */
import { join } from 'node:path';
import type { Guard } from '../spec/spec.ts';
import { AT_FDCWD, NO_FD, type Fd } from '../kernel/calls.ts';
import { AT, LOCK, MOUNT_ATTR, O, OPEN_TREE, RESOLVE, S_IFDIR, S_IFREG } from '../kernel/constants.ts';
import type { PlanContext } from './context.ts';
import { SOURCE_HINTS } from './hints.ts';
import { recordMade } from './record.ts';
import { attach, call, EMPTY_PATH, splitPath, type Place } from './steps.ts';

const UNLINKED = RESOLVE.RESOLVE_NO_SYMLINKS | RESOLVE.RESOLVE_NO_MAGICLINKS;
const BENEATH = UNLINKED | RESOLVE.RESOLVE_BENEATH;
const FOLDER = O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC;
const CLONE = OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC | EMPTY_PATH | OPEN_TREE.AT_RECURSIVE;

/** If boxctl cannot make a missing part, the container cannot either: it never has more rights there. */
const NOT_OURS = ['EACCES', 'EPERM', 'EROFS'];

const idOf = (id: string, path: string): string => `${id}.guard.${splitPath(path).join('.')}`;

/** Makes the missing parts on the host. */
export function makeGuarded(
  context: PlanContext,
  place: Place,
  id: string,
  source: string,
  guards: readonly Guard[],
): void {
  const { steps, host } = context;
  const missing = guards.filter(({ make }) => make !== undefined);
  if (missing.length === 0) return;
  const open = { dirfd: AT_FDCWD, pathname: source, flags: FOLDER, mode: 0, resolve: UNLINKED };
  const folder = steps.add(place, `${id}.guard.folder`, 'openat2', open, { hints: SOURCE_HINTS });
  for (const { path, make } of missing) {
    if (make === undefined) continue;
    const { what, text, temporary, uid, gid } = make;
    const one = idOf(id, path);
    if (temporary === true) recordMade(context, place, one, join(source, path));
    const mode = what === 'folder' ? S_IFDIR | 0o755 : S_IFREG | 0o644;
    const args = { dirfd: folder, pathname: path, mode, flags: 0, resolve: UNLINKED | RESOLVE.RESOLVE_IN_ROOT };
    const made = steps.add(place, `${one}.make`, 'make_in_root', args, { allow: NOT_OURS, hints: SOURCE_HINTS });
    const owner = { dirfd: made, pathname: '', owner: uid, group: gid, flags: AT.AT_EMPTY_PATH };
    if (host.privileged) steps.add(place, `${one}.owner`, 'fchownat', owner);
    if (temporary === true) holdMade(context, place, one, folder, path, make);
    if (text !== undefined) writeMade(context, place, one, folder, path, text);
  }
}

function openAbove({ steps }: PlanContext, place: Place, id: string, folder: Fd, path: string): Fd {
  const pathname = splitPath(path).slice(0, -1).join('/') || '.';
  return steps.add(place, id, 'openat2', { dirfd: folder, pathname, flags: FOLDER, mode: 0, resolve: BENEATH });
}

const nameOf = (path: string): string => splitPath(path).at(-1) ?? '';

/** Each launcher that uses the part holds a shared lock on it. The last one removes it. */
function holdMade(
  context: PlanContext,
  place: Place,
  id: string,
  folder: Fd,
  path: string,
  { what, unless = '' }: NonNullable<Guard['make']>,
): void {
  const { steps } = context;
  const parent = openAbove(context, place, `${id}.above`, folder, path);
  const pathname = nameOf(path);
  const flags = O.O_RDONLY | O.O_NOFOLLOW | O.O_NONBLOCK | O.O_CLOEXEC | (what === 'folder' ? O.O_DIRECTORY : 0);
  const open = { dirfd: parent, pathname, flags, mode: 0, resolve: BENEATH };
  const fd = steps.add(place, `${id}.held`, 'openat2', open, { allow: [...NOT_OURS, 'ENOENT'] });
  const remove = { fd, dirfd: parent, pathname, flags: what === 'folder' ? AT.AT_REMOVEDIR : 0, unless };
  const undo = [call('remove_unused', remove, { allow: [...NOT_OURS, 'ENOENT', 'ENOTEMPTY'] })];
  steps.add(place, `${id}.flock`, 'flock', { fd, operation: LOCK.LOCK_SH | LOCK.LOCK_NB }, { undo });
  // Another launcher may have removed it in between.
  const again = { dirfd: parent, pathname, flags: O.O_PATH | O.O_NOFOLLOW | O.O_CLOEXEC, mode: 0, resolve: BENEATH };
  const seen = { ...place, hints: { other: 'another container has just ended here: start it again' } };
  const still = steps.add(seen, `${id}.still`, 'openat2', again, { allow: NOT_OURS });
  steps.add(seen, `${id}.same`, 'statx', { dirfd: still, other: fd }, { allow: ['ENOSYS'] });
}

function writeMade(context: PlanContext, place: Place, id: string, folder: Fd, path: string, text: string): void {
  const { steps } = context;
  const parent = openAbove(context, place, `${id}.parent`, folder, path);
  const flags = O.O_WRONLY | O.O_NOFOLLOW | O.O_CLOEXEC;
  const open = { dirfd: parent, pathname: nameOf(path), flags, mode: 0, resolve: BENEATH };
  const file = steps.add(place, `${id}.open`, 'openat2', open, { allow: [...NOT_OURS, 'ENOENT'] });
  steps.add(place, `${id}.text`, 'write', { dirfd: file, pathname: '', data: text });
}

/** Mounts the parts over themselves, in the bind that has been attached. */
export function guardBind(context: PlanContext, place: Place, id: string, bind: Fd, guards: readonly Guard[]): void {
  const { steps } = context;
  for (const { path, writable, make } of guards) {
    if (path === '') continue;
    const one = idOf(id, path);
    const open = {
      dirfd: bind,
      pathname: path,
      flags: O.O_PATH | O.O_NOFOLLOW | O.O_CLOEXEC,
      mode: 0,
      resolve: BENEATH,
    };
    const target = steps.add(place, one, 'openat2', open, make === undefined ? {} : { allow: ['ENOENT'] });
    const clone = { dirfd: target, pathname: '', flags: CLONE };
    const copy = steps.add(place, `${one}.copy`, 'open_tree', clone, { undo: 'kernel' });
    if (!writable) {
      const set = { attr_set: MOUNT_ATTR.MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: NO_FD };
      const flags = EMPTY_PATH | AT.AT_RECURSIVE;
      steps.add(place, `${one}.attributes`, 'mount_setattr', { dirfd: copy, pathname: '', flags, ...set });
    }
    attach(steps, place, `${one}.attach`, copy, target);
  }
}
