/** The mounts of the configuration: made or taken while the host can be seen, attached once it is gone. */
import { basename, dirname } from 'node:path';
import type { OciMount } from '../oci/config.ts';
import type { Fd } from '../kernel/calls.ts';
import { AT_FDCWD } from '../kernel/calls.ts';
import { MOUNT_ATTR, O, OPEN_TREE, RESOLVE } from '../kernel/constants.ts';
import { fillCgroupView, makeCgroupView, type CgroupView } from './cgroup-view.ts';
import { inside, onHost, type PlanContext } from './context.ts';
import { newFileSystem, parseMountOptions, setAttributes } from './filesystem.ts';
import { guardBind, makeGuarded } from './guards.ts';
import { hintsOfPath, SOURCE_HINTS } from './hints.ts';
import { shiftOwners } from './layers.ts';
import {
  attach,
  attachTo,
  EMPTY_PATH,
  makeFolder,
  makeFile,
  openInRoot,
  resolveOf,
  splitPath,
  type Place,
} from './steps.ts';
import { fillVolume, makeVolume, openVolume } from './volumes.ts';

/** A mount of the configuration, ready to be attached. */
export interface Prepared {
  readonly mount: OciMount;
  readonly index: number;
  readonly id: string;
  readonly fd: Fd;
  /** What is to be attached in it, by name. */
  readonly parts?: CgroupView['parts'];
}

function idOf(mount: OciMount): string {
  return `mount.${splitPath(mount.destination).join('.') || 'root'}`;
}

export function isBind(mount: OciMount): boolean {
  return mount.type === 'bind' || (mount.options ?? []).some((word) => word === 'bind' || word === 'rbind');
}

/**
 * The container's first process may see file systems like `proc` only while the host's own is in sight. `dev`: /dev, where
 * the launcher has made it.
 */
export function makeFileSystems(context: PlanContext, dev: Fd | undefined): readonly Prepared[] {
  return context.model.config.mounts.flatMap((mount, index) => {
    if (isBind(mount)) return [];
    const id = idOf(mount);
    if (dev !== undefined && mount.destination === '/dev') return [{ mount, index, id, fd: dev }];
    const place = inside('mounts', context.model.because(`mounts.${index}`));
    const { own, data } = parseMountOptions(mount.options ?? []);
    const options = { attributes: own.set, data };
    if (mount.type === 'cgroup') return [{ mount, index, id, ...makeCgroupView(context, place, id, options) }];
    return [{ mount, index, id, fd: newFileSystem(context.steps, place, id, mount.type ?? 'tmpfs', options) }];
  });
}

function isRecursive(mount: OciMount): boolean {
  return (mount.options ?? []).includes('rbind');
}

/** What has to be on the host before it can be taken: folders that are to be made, and volumes. */
export function makeSources(context: PlanContext): void {
  for (const [index, mount] of context.model.config.mounts.entries()) {
    const note = context.model.mountNotes.get(index);
    const place = onHost('sources', context.model.because(`mounts.${index}`));
    makeMissing(context, place, `${idOf(mount)}.source`, note?.create ?? []);
    makeGuarded(context, place, idOf(mount), mount.source ?? '', note?.guards ?? []);
    if (note?.volume !== undefined) makeVolume(context, index, idOf(mount), note.volume);
  }
}

/**
 * The path has no links any more, so one that is met now was put there since it was judged, by another container that
 * shares the folder, say: it is not followed.
 */
const UNLINKED = RESOLVE.RESOLVE_NO_SYMLINKS | RESOLVE.RESOLVE_NO_MAGICLINKS;

const MOUNTS_BELOW = 'only root can leave out the mounts below a source: use `recursive: enabled`';

function openSource(context: PlanContext, place: Place, id: string, mount: OciMount): Fd {
  const flags = O.O_PATH | O.O_CLOEXEC;
  const found = { dirfd: AT_FDCWD, pathname: mount.source ?? '', flags, mode: 0, resolve: UNLINKED };
  const source = context.steps.add(place, `${id}.path`, 'openat2', found, { hints: SOURCE_HINTS });
  const below = isRecursive(mount) ? OPEN_TREE.AT_RECURSIVE : 0;
  const hints = isRecursive(mount) ? {} : { hints: { EINVAL: MOUNTS_BELOW } };
  const clone = {
    dirfd: source,
    pathname: '',
    flags: OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC | EMPTY_PATH | below,
  };
  return context.steps.add(place, `${id}.source`, 'open_tree', clone, { undo: 'kernel', ...hints });
}

/** Makes what is missing of a source, each folder under the handle of the one before it. */
function makeMissing(context: PlanContext, place: Place, id: string, missing: readonly string[]): void {
  const [first] = missing;
  if (first === undefined) return;
  const flags = O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC;
  const open = { dirfd: AT_FDCWD, pathname: dirname(first), flags, mode: 0, resolve: UNLINKED };
  let parent = context.steps.add(place, `${id}.parent`, 'openat2', open, { hints: SOURCE_HINTS });
  for (const path of missing) {
    const pathname = basename(path);
    context.steps.add(place, `${id}.mkdir`, 'mkdirat', { dirfd: parent, pathname, mode: 0o755 }, { allow: ['EEXIST'] });
    if (path === missing.at(-1)) return;
    const resolve = UNLINKED | RESOLVE.RESOLVE_BENEATH;
    const next = { dirfd: parent, pathname, flags, mode: 0, resolve };
    parent = context.steps.add(place, `${id}.parent`, 'openat2', next, { hints: SOURCE_HINTS });
  }
}

/** Host folders and files, taken before the host's root goes. */
export function openBinds(context: PlanContext): readonly Prepared[] {
  const side = context.host.privileged ? onHost : inside;
  return context.model.config.mounts.flatMap((mount, index) => {
    if (!isBind(mount)) return [];
    const id = idOf(mount);
    const place = side('sources', context.model.because(`mounts.${index}`));
    const volume = context.model.mountNotes.get(index)?.volume;
    const fd = volume === undefined ? openSource(context, place, id, mount) : openVolume(context, place, id, volume);
    return [{ mount, index, id, fd }];
  });
}

function mapText(maps: OciMount['uidMappings']): string {
  return (maps ?? []).map((map) => `${map.containerID} ${map.hostID} ${map.size}\n`).join('');
}

/**
 * Whose the files of binds are. By default the owners that they have outside, as far as the file system can do that:
 * where it cannot, they belong to nobody inside, which is less than was asked for and never more. A mapping that the file
 * asks for, and that of a volume, is made or is an error. `userns` is the container's, where it has one of its own.
 */
export function shiftBinds(context: PlanContext, binds: readonly Prepared[], userns: Fd | undefined): void {
  for (const { mount, index, id, fd } of binds) {
    const place = onHost('sources', context.model.because(`mounts.${index}`));
    const note = context.model.mountNotes.get(index);
    const options = { recursive: isRecursive(mount) };
    if (mount.uidMappings !== undefined || mount.gidMappings !== undefined) {
      const maps = { uid_map: mapText(mount.uidMappings), gid_map: mapText(mount.gidMappings) };
      const own = context.steps.add(place, `${id}.userns`, 'userns', maps, { undo: 'kernel' });
      shiftOwners(context, place, `${id}.owners`, fd, own, options);
    } else if (userns !== undefined && note?.translated !== false) {
      const allow = note?.volume === undefined ? { allow: ['EINVAL'] } : {};
      shiftOwners(context, place, `${id}.owners`, fd, userns, { ...options, ...allow });
    }
  }
}

/** Attributes of a bind are set before it can be reached; a volume's when it has been filled. */
export function restrictBinds(context: PlanContext, binds: readonly Prepared[]): void {
  for (const bind of binds) {
    const note = context.model.mountNotes.get(bind.index);
    if (note?.volume === undefined) restrict(context, bind);
    if (note?.guards?.some(({ path }) => path === '') === true) makeReadOnly(context, bind);
  }
}

function restrict(context: PlanContext, { mount, index, id, fd }: Prepared): void {
  const place = inside('mounts', context.model.because(`mounts.${index}`));
  setAttributes(context.steps, place, id, fd, parseMountOptions(mount.options ?? []));
}

/** A source that is itself what the container must not change. */
function makeReadOnly(context: PlanContext, { index, id, fd }: Prepared): void {
  const place = inside('mounts', context.model.because(`mounts.${index}`));
  const set = { set: MOUNT_ATTR.MOUNT_ATTR_RDONLY, clear: 0, propagation: 0 };
  const options = { own: { set: 0, clear: 0, propagation: 0 }, recursive: set, data: [] };
  setAttributes(context.steps, place, `${id}.guard`, fd, options);
}

/** Folders of the kernel's own file systems must be what they seem: a link in the image would misdirect them. */
const KERNEL_TYPES: ReadonlySet<string> = new Set(['proc', 'sysfs']);

function ownRoot(context: PlanContext, { mount, index, id }: Prepared): Fd {
  const place = inside('mounts', context.model.because(`mounts.${index}`));
  const [name = ''] = splitPath(mount.destination);
  const args = { dirfd: AT_FDCWD, pathname: name, mode: 0o755 };
  context.steps.add(place, `${id}.mkdir`, 'mkdirat', args, { allow: ['EEXIST'], undo: 'kernel' });
  return context.steps.add(place, `${id}.target`, 'openat2', {
    dirfd: AT_FDCWD,
    pathname: name,
    flags: O.O_PATH | O.O_DIRECTORY | O.O_NOFOLLOW | O.O_CLOEXEC,
    mode: 0,
    resolve: RESOLVE.RESOLVE_BENEATH | RESOLVE.RESOLVE_NO_SYMLINKS | RESOLVE.RESOLVE_NO_MAGICLINKS,
  });
}

const FILE_ON_FOLDER = 'the target is a folder in the image, and the source is a file';

/** At a path of the root, following links within it. */
function attachInRoot(context: PlanContext, entry: Prepared, place: Place): void {
  const { mount, index, id, fd } = entry;
  const note = context.model.mountNotes.get(index);
  if (note?.volume !== undefined) fillVolume(context, place, id, fd, mount.destination, note.volume);
  const made = { ...place, hints: hintsOfPath('the target', resolveOf(mount.destination)) };
  const make = note?.isFile === true ? makeFile : makeFolder;
  const target = make(context.steps, made, id, mount.destination);
  if (note?.volume !== undefined) restrict(context, entry);
  attach(
    context.steps,
    { ...place, hints: { ENOTDIR: FILE_ON_FOLDER, EINVAL: FILE_ON_FOLDER } },
    `${id}.attach`,
    fd,
    target,
  );
  guardBind(context, place, id, fd, note?.guards ?? []);
}

const COVERED =
  'a link of the image leads this target to where something else is mounted: write the target without the link';

/** A link of the image may have led a mount to where another one covers it. */
function checkSeen(context: PlanContext, { mount, index, id, fd }: Prepared): void {
  const place = inside('mounts', context.model.because(`mounts.${index}`));
  const hidden = { ...place, hints: { other: COVERED } };
  const seen = openInRoot(context.steps, hidden, `${id}.seen`, mount.destination, 'any');
  context.steps.add(hidden, `${id}.check`, 'statx', { dirfd: seen, other: fd });
}

/** Attaches everything in the order of the configuration, where what lies in another mount comes after it. */
export function attachMounts(
  context: PlanContext,
  prepared: readonly Prepared[],
  populateDev: (dev: Fd) => void,
): void {
  const ordered = prepared.toSorted((a, b) => a.index - b.index);
  let dev: Fd | undefined;
  for (const entry of ordered) {
    const { mount, index, id, fd } = entry;
    const place = inside('mounts', context.model.because(`mounts.${index}`));
    const parts = splitPath(mount.destination);
    const [first, second] = parts;
    if (dev !== undefined && first === 'dev' && second !== undefined && parts.length === 2 && !isBind(mount)) {
      const args = { dirfd: dev, pathname: second, mode: 0o755 };
      context.steps.add(place, `${id}.mkdir`, 'mkdirat', args, { undo: 'kernel' });
      attachTo(context.steps, place, `${id}.attach`, fd, dev, second);
    } else if (mount.destination === '/dev' && mount.type === 'tmpfs') {
      attach(context.steps, place, `${id}.attach`, fd, ownRoot(context, entry));
      dev = fd;
      populateDev(fd);
    } else if (KERNEL_TYPES.has(mount.type ?? '') && parts.length === 1) {
      attach(context.steps, place, `${id}.attach`, fd, ownRoot(context, entry));
    } else {
      attachInRoot(context, entry, place);
    }
    fillCgroupView(context, place, id, entry);
  }
  for (const entry of ordered) {
    if (context.model.mountNotes.has(entry.index)) checkSeen(context, entry);
  }
}
