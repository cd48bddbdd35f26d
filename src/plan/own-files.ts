/**
 * Files of the container's own in `/etc`, and its user's home. All of it is in the container's writable layer or in memory:
 * nothing of it reaches the image, the store or the host. It is done before anything of the host is mounted, so that no
 * link of the image leads there.
 */
import { join, relative } from 'node:path';
import type { OwnFile } from '../model/model.ts';
import type { ConfigPath } from '../oci/config-path.ts';
import type { Mount } from '../model/mount.ts';
import { AT_FDCWD, type Fd } from '../kernel/calls.ts';
import { AT, O, OPEN_TREE, RESOLVE, S_IFDIR, S_IFREG } from '../kernel/constants.ts';
import { inside, once, type PlanContext } from './context.ts';
import { attach, EMPTY_PATH, resolveOf, splitPath, type Place } from './steps.ts';

/**
 * What an image may have in the place: a folder, a link into /proc, a pipe, files of somebody whom the container has no id
 * for. It starts without the file then, as it did before it had one.
 */
const ODD = [
  'EACCES',
  'EEXIST',
  'EINVAL',
  'EISDIR',
  'ELOOP',
  'ENOENT',
  'ENOTDIR',
  'ENXIO',
  'EOVERFLOW',
  'EPERM',
  'EXDEV',
];
const CLONE = OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC;

export interface Cover {
  readonly path: string;
  readonly id: string;
  /** A detached mount of the file alone. */
  readonly fd: Fd;
}

/** The descriptor of the container's new /etc/hosts. */
const HOSTS: Fd = 'files.hosts.new';

const idOf = ({ path }: Pick<OwnFile, 'path'>): string => `files.${splitPath(path).slice(1).join('.')}`;
/** Who asked for it. */
const asked = ({ path, adds }: OwnFile): ConfigPath => {
  if (adds) return 'account';
  if (path === '/etc/hosts') return 'files.hosts';
  return path === '/etc/resolv.conf' ? 'files.resolv' : 'files';
};
const placeOf = (context: PlanContext, file: OwnFile): Place => inside('root', context.model.because(asked(file)));

/** Whether the launcher goes on writing the file: others on the same networks come and go. */
const isFollowed = ({ model }: PlanContext, { path, adds }: OwnFile): boolean =>
  path === '/etc/hosts' && !adds && (model.network?.networks.length ?? 0) > 0;

/** The descriptor of /etc/hosts that the launcher is to be given; undefined: there is none, or nobody to follow. */
export const followedHosts = (context: PlanContext): Fd | undefined =>
  context.model.ownFiles.some((file) => isFollowed(context, file)) ? HOSTS : undefined;

/** Makes the files that cover the image's, in the file system in memory that `scratch` is. */
export function makeCovers(context: PlanContext, scratch: Fd): readonly Cover[] {
  const { steps, model } = context;
  return model.ownFiles
    .filter(({ adds }) => !adds)
    .map((file) => {
      const place = placeOf(context, file);
      const id = idOf(file);
      const pathname = `files.${splitPath(file.path).at(-1) ?? ''}`;
      const access = isFollowed(context, file) ? O.O_RDWR : O.O_WRONLY;
      const flags = access | O.O_CREAT | O.O_EXCL | O.O_CLOEXEC;
      const open = { dirfd: scratch, pathname, flags, mode: 0o644, resolve: 0 };
      const made = steps.add(place, `${id}.new`, 'openat2', open, { undo: 'kernel' });
      steps.add(place, `${id}.content`, 'write', { dirfd: made, pathname: '', data: file.content });
      const clone = { dirfd: scratch, pathname, flags: CLONE };
      return { path: file.path, id, fd: steps.add(place, `${id}.source`, 'open_tree', clone, { undo: 'kernel' }) };
    });
}

/** Puts them over what the image has there. A link is replaced: where it leads, something else may be mounted later. */
export function attachCovers(context: PlanContext, covers: readonly Cover[]): void {
  const { steps, model } = context;
  const place = inside('root', model.because('files'));
  for (const { path, id, fd } of covers) {
    const args = {
      dirfd: AT_FDCWD,
      pathname: path,
      mode: S_IFREG | 0o644,
      flags: AT.AT_SYMLINK_NOFOLLOW,
      resolve: resolveOf(path),
    };
    const target = steps.add(place, `${id}.target`, 'make_in_root', args, { undo: 'kernel', allow: ODD });
    attach(steps, place, `${id}.attach`, fd, target, ODD);
  }
}

/** Adds entries to the image's users and groups, in the container's own layer. */
export function addEntries(context: PlanContext): void {
  const { steps, model } = context;
  for (const file of model.ownFiles.filter(({ adds }) => adds)) {
    const place = placeOf(context, file);
    const id = idOf(file);
    const { path: pathname } = file;
    const resolve = resolveOf(pathname);
    const make = { dirfd: AT_FDCWD, pathname, mode: S_IFREG | 0o644, flags: 0, resolve };
    const target = steps.add(place, `${id}.target`, 'make_in_root', make, { undo: 'kernel', allow: ODD });
    // A layer that stays has them from the first run.
    const stays = model.writable === 'disk';
    if (!stays || !context.again) addEntry(context, stays ? once(context, place) : place, file);
    if (model.config.root.readonly) keepWritable(context, place, id, target);
  }
}

function addEntry(context: PlanContext, first: Place, file: OwnFile): void {
  const { steps } = context;
  const id = idOf(file);
  // What is no file is not waited for.
  const flags = O.O_WRONLY | O.O_APPEND | O.O_NONBLOCK | O.O_NOCTTY | O.O_CLOEXEC;
  const open = { dirfd: AT_FDCWD, pathname: file.path, flags, mode: 0, resolve: resolveOf(file.path) };
  const opened = steps.add(placeOf(context, file), `${id}.open`, 'openat2', open, { undo: 'kernel', allow: ODD });
  steps.add(first, `${id}.entry`, 'write', { dirfd: opened, pathname: '', data: file.content }, { allow: ODD });
}

/** A mount of the file over itself: the root becomes read-only, and this does not. */
function keepWritable({ steps }: PlanContext, place: Place, id: string, file: Fd): void {
  const clone = { dirfd: file, pathname: '', flags: CLONE | EMPTY_PATH };
  const mount = steps.add(place, `${id}.source`, 'open_tree', clone, { undo: 'kernel', allow: ODD });
  attach(steps, place, `${id}.attach`, mount, file, ODD);
}

/** The home of a user whom the image does not know; `inMount`: in a file system that the specification mounts there. */
export function makeHome(context: PlanContext, inMount: boolean): void {
  const { steps, model } = context;
  const { home } = model;
  if (home === undefined || home.inMount !== inMount) return;
  const place = inside('root', model.because('account'));
  // Links in a volume are those of containers before this one.
  const resolve = resolveOf(home.path) | (inMount ? RESOLVE.RESOLVE_NO_SYMLINKS : 0);
  const make = { dirfd: AT_FDCWD, pathname: home.path, mode: S_IFDIR | 0o755, flags: 0, resolve };
  const folder = steps.add(place, 'home', 'make_in_root', make, { undo: 'kernel', allow: ODD });
  const owner = { dirfd: folder, pathname: '', owner: home.uid, group: home.gid, flags: EMPTY_PATH };
  steps.add(place, 'home.owner', 'fchownat', owner, { allow: ODD });
  if (inMount) return;
  for (const pathname of foldersBelow(home.path, model.mounts)) {
    const id = `home.${splitPath(relative(home.path, pathname)).join('.')}`;
    const below = steps.add(place, id, 'make_in_root', { ...make, pathname }, { undo: 'kernel', allow: ODD });
    steps.add(place, `${id}.owner`, 'fchownat', { ...owner, dirfd: below }, { allow: ODD });
  }
}

/** The folders in the home on the way to what is mounted there, which would be root's: `.cache` for `.cache/x`. */
function foldersBelow(home: string, mounts: readonly Mount[]): readonly string[] {
  const targets = new Set(mounts.map(({ target }) => target));
  const found = new Set<string>();
  for (const target of targets) {
    const parts = target.startsWith(`${home}/`) ? splitPath(relative(home, target)) : [];
    for (let count = 1; count < parts.length; count++) {
      const folder = join(home, ...parts.slice(0, count));
      if (targets.has(folder)) break;
      found.add(folder);
    }
  }
  return [...found];
}
