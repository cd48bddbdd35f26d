/** The mounts of the model. They are made or opened while the host's root can be seen, and attached after pivot_root. */
import { basename, dirname } from 'node:path';
import type { BindMount, Mount, VolumeMount } from '../model/mount.ts';
import type { OciIdMapping } from '../oci/config.ts';
import type { Fd } from '../kernel/calls.ts';
import { AT_FDCWD } from '../kernel/calls.ts';
import { MOUNT_ATTR, O, OPEN_TREE, RESOLVE } from '../kernel/constants.ts';
import { fillCgroupView, makeCgroupView, type CgroupView } from './cgroup-view.ts';
import { inside, onHost, type PlanContext } from './context.ts';
import { devOfHost, isDev } from './dev.ts';
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

/** A mount of the model, ready to be attached. */
export interface Prepared<M extends Mount = Mount> {
  readonly mount: M;
  readonly id: string;
  readonly fd: Fd;
  /** What is to be attached in it, by name. */
  readonly parts?: CgroupView['parts'];
}

/** Of the host: a file or folder of the caller's, or a volume of the store. */
export type Taken = BindMount | VolumeMount;

function idOf({ target }: Mount): string {
  return `mount.${splitPath(target).join('.') || 'root'}`;
}

/** The kernel makes a new `proc` or `sysfs` only while a complete one is mounted, so this comes before pivot_root. */
export function makeFileSystems(context: PlanContext): readonly Prepared[] {
  const dev = devOfHost(context);
  return context.model.mounts
    .filter((mount) => mount.kind === 'new')
    .map((mount) => {
      const id = idOf(mount);
      if (dev !== undefined && isDev(mount)) return { mount, id, fd: dev };
      const place = inside('mounts', mount.because);
      const { own, data } = parseMountOptions(mount.options);
      const options = { attributes: own.set, data };
      if (mount.type === 'cgroup') return { mount, id, ...makeCgroupView(context, place, id, options) };
      return { mount, id, fd: newFileSystem(context.steps, place, id, mount.type, options) };
    });
}

/** Makes what the binds need on the host: missing folders, protected parts, and volumes. */
export function makeSources(context: PlanContext): void {
  for (const mount of context.model.mounts) {
    const place = onHost('sources', mount.because);
    if (mount.kind === 'volume') makeVolume(context, place, idOf(mount), mount.volume);
    if (mount.kind !== 'bind') continue;
    makeMissing(context, place, `${idOf(mount)}.source`, mount.create);
    makeGuarded(context, place, idOf(mount), mount.source, mount.guards);
  }
}

/**
 * The path had no symbolic link when the file was loaded. One that is there now was put there since, by another container that
 * shares the folder, for example. It is not followed.
 */
const UNLINKED = RESOLVE.RESOLVE_NO_SYMLINKS | RESOLVE.RESOLVE_NO_MAGICLINKS;

const MOUNTS_BELOW = 'only root can leave out the mounts below a source: use `recursive: enabled`';

function openSource(context: PlanContext, place: Place, id: string, { source: pathname, recursive }: BindMount): Fd {
  const flags = O.O_PATH | O.O_CLOEXEC;
  const found = { dirfd: AT_FDCWD, pathname, flags, mode: 0, resolve: UNLINKED };
  const source = context.steps.add(place, `${id}.path`, 'openat2', found, { hints: SOURCE_HINTS });
  const below = recursive ? OPEN_TREE.AT_RECURSIVE : 0;
  const hints = recursive ? {} : { hints: { EINVAL: MOUNTS_BELOW } };
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

/** Opens the sources of binds and volumes, before pivot_root. */
export function openBinds(context: PlanContext): readonly Prepared<Taken>[] {
  const side = context.host.privileged ? onHost : inside;
  return context.model.mounts
    .filter((mount) => mount.kind === 'bind' || mount.kind === 'volume')
    .map((mount) => {
      const id = idOf(mount);
      const place = side('sources', mount.because);
      const fd =
        mount.kind === 'volume' ? openVolume(context, place, id, mount.volume) : openSource(context, place, id, mount);
      return { mount, id, fd };
    });
}

function mapText(maps: readonly OciIdMapping[]): string {
  return maps.map((map) => `${map.containerID} ${map.hostID} ${map.size}\n`).join('');
}

/**
 * Id-maps the mounts of binds, so that files have the same owners inside as outside. If the file system does not support
 * that, the files belong to nobody inside: the container gets less access, never more. A map that the file asks for, and the
 * map of a volume, must succeed. `userns`: the container's own user namespace, if it has one.
 */
export function shiftBinds(context: PlanContext, binds: readonly Prepared<Taken>[], userns: Fd | undefined): void {
  for (const { mount, id, fd } of binds) {
    const place = onHost('sources', mount.because);
    const isBind = mount.kind === 'bind';
    const options = { recursive: isBind && mount.recursive, ...(isBind ? { allow: ['EINVAL'] } : {}) };
    if (isBind && mount.maps !== undefined) {
      const { uidMappings, gidMappings } = mount.maps;
      const maps = { uid_map: mapText(uidMappings), gid_map: mapText(gidMappings) };
      const own = context.steps.add(place, `${id}.userns`, 'userns', maps, { undo: 'kernel' });
      shiftOwners(context, place, `${id}.owners`, fd, own, { recursive: mount.recursive });
    } else if (userns !== undefined && (!isBind || mount.translated)) {
      shiftOwners(context, place, `${id}.owners`, fd, userns, options);
    }
  }
}

/** Attributes of a bind are set before it can be reached; a volume's when it has been filled. */
export function restrictBinds(context: PlanContext, binds: readonly Prepared<Taken>[]): void {
  for (const { mount, id, fd } of binds) {
    if (mount.kind !== 'bind') continue;
    restrict(context, { mount, id, fd });
    if (mount.guards.some(({ path }) => path === '')) makeReadOnly(context, { mount, id, fd });
  }
}

function restrict(context: PlanContext, { mount, id, fd }: Prepared): void {
  const place = inside('mounts', mount.because);
  setAttributes(context.steps, place, id, fd, parseMountOptions(mount.options));
}

/** A source that is itself what the container must not change. */
function makeReadOnly(context: PlanContext, { mount, id, fd }: Prepared): void {
  const place = inside('mounts', mount.because);
  const set = { set: MOUNT_ATTR.MOUNT_ATTR_RDONLY, clear: 0, propagation: 0 };
  const options = { own: { set: 0, clear: 0, propagation: 0 }, recursive: set, data: [] };
  setAttributes(context.steps, place, `${id}.guard`, fd, options);
}

/** Folders of the kernel's own file systems must be what they seem: a link in the image would misdirect them. */
const KERNEL_TYPES: ReadonlySet<string> = new Set(['proc', 'sysfs']);

function ownRoot(context: PlanContext, { mount, id }: Prepared): Fd {
  const place = inside('mounts', mount.because);
  const [name = ''] = splitPath(mount.target);
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
  const { mount, id, fd } = entry;
  const { target } = mount;
  if (mount.kind === 'volume') fillVolume(context, place, id, fd, target, mount.volume);
  const made = { ...place, hints: hintsOfPath('the target', resolveOf(target)) };
  const isFile = mount.kind === 'given' || (mount.kind === 'bind' && mount.isFile);
  const make = isFile ? makeFile : makeFolder;
  const found = make(context.steps, made, id, target);
  if (mount.kind === 'volume') restrict(context, entry);
  const attached = { ...place, hints: { ENOTDIR: FILE_ON_FOLDER, EINVAL: FILE_ON_FOLDER } };
  attach(context.steps, attached, `${id}.attach`, fd, found);
  if (mount.kind === 'bind') guardBind(context, place, id, fd, mount.guards);
}

const COVERED =
  'a link of the image leads this target to where something else is mounted: write the target without the link';

/** A link of the image may have led a mount to where another one covers it. */
function checkSeen(context: PlanContext, { mount, id, fd }: Prepared): void {
  const place = { ...inside('mounts', mount.because), hints: { other: COVERED } };
  const seen = openInRoot(context.steps, place, `${id}.seen`, mount.target, 'any');
  context.steps.add(place, `${id}.check`, 'statx', { dirfd: seen, other: fd });
}

/** Attaches everything in the order of the model, where what lies in another mount comes after it. */
export function attachMounts(
  context: PlanContext,
  prepared: readonly Prepared[],
  populateDev: (dev: Fd) => void,
): void {
  const byMount = new Map(prepared.map((entry) => [entry.mount, entry]));
  const ordered = context.model.mounts.flatMap((mount) => byMount.get(mount) ?? []);
  let dev: Fd | undefined;
  for (const entry of ordered) {
    const { mount, id, fd } = entry;
    const place = inside('mounts', mount.because);
    const parts = splitPath(mount.target);
    const [first, second] = parts;
    if (dev !== undefined && first === 'dev' && second !== undefined && parts.length === 2 && mount.kind === 'new') {
      const args = { dirfd: dev, pathname: second, mode: 0o755 };
      context.steps.add(place, `${id}.mkdir`, 'mkdirat', args, { undo: 'kernel' });
      attachTo(context.steps, place, `${id}.attach`, fd, dev, second);
    } else if (isDev(mount)) {
      attach(context.steps, place, `${id}.attach`, fd, ownRoot(context, entry));
      dev = fd;
      populateDev(fd);
    } else if (mount.kind === 'new' && KERNEL_TYPES.has(mount.type) && parts.length === 1) {
      attach(context.steps, place, `${id}.attach`, fd, ownRoot(context, entry));
    } else {
      attachInRoot(context, entry, place);
    }
    fillCgroupView(context, place, id, entry);
  }
  for (const entry of ordered.filter(({ mount }) => mount.asked)) checkSeen(context, entry);
}
