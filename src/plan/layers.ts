/** The layers of an image as detached mounts: unpacked trees, and archives that are mounted as they are. */
import type { ImageFacts, Layer } from '../model/image.ts';
import { AT_FDCWD, type Fd, type Text } from '../kernel/calls.ts';
import { AT, FCNTL, LEASE, LOCK, MOUNT_ATTR, O, OPEN_TREE, RESOLVE } from '../kernel/constants.ts';
import { inside, once, onHost, type PlanContext } from './context.ts';
import { newFileSystem } from './filesystem.ts';
import { SOURCE_HINTS } from './hints.ts';
import { byDefault, call, EMPTY_PATH, type Place } from './steps.ts';

const CLONE_ONE = OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC;

/** A detached mount of a tree of the host. */
export function openTree(context: PlanContext, place: Place, id: string, path: Text): Fd {
  return context.steps.add(
    place,
    id,
    'open_tree',
    { dirfd: AT_FDCWD, pathname: path, flags: CLONE_ONE },
    { undo: 'kernel' },
  );
}

const NO_IDMAP =
  'the file system may not support this: id-mapped mounts need ext4, xfs, btrfs, tmpfs or the like, and Linux 5.19 for overlays';

/** Lets the owners of a mount's files be seen through the maps of the container's user namespace. */
export function shiftOwners(
  context: PlanContext,
  place: Place,
  id: string,
  mount: Fd,
  userns: Fd,
  options: { readonly recursive: boolean; readonly allow?: readonly string[] },
): void {
  const args = {
    dirfd: mount,
    pathname: '',
    flags: EMPTY_PATH | (options.recursive ? AT.AT_RECURSIVE : 0),
    attr_set: MOUNT_ATTR.MOUNT_ATTR_IDMAP,
    attr_clr: 0,
    propagation: 0,
    userns_fd: userns,
  };
  const allow = options.allow === undefined ? {} : { allow: options.allow };
  context.steps.add(place, id, 'mount_setattr', args, { ...allow, hints: { EINVAL: NO_IDMAP } });
}

const REMOVED = 'the image is just being removed: start the container again';
const CHANGED = 'the archive was changed just now: start the container again';

const BEING_WRITTEN =
  'somebody has the archive open for writing: wait until it is complete, or write it under another name and rename it';
const MOUNTS_BELOW =
  'something is mounted in the folder, which only root can leave out: name a folder without mounts, or run boxctl as root';

interface Opening {
  /** The file stays open until the container has ended. */
  readonly held: boolean;
  /** What to do where there is no such file. */
  readonly missing: string;
}

function openFile(context: PlanContext, place: Place, id: string, pathname: string, { held, missing }: Opening): Fd {
  // These paths had no symbolic link when they were checked. One that is there now is not followed.
  const resolve = RESOLVE.RESOLVE_NO_SYMLINKS | RESOLVE.RESOLVE_NO_MAGICLINKS;
  const args = { dirfd: AT_FDCWD, pathname, flags: O.O_RDONLY | O.O_CLOEXEC, mode: 0, resolve };
  // The launcher keeps a descriptor open that an undo uses: until the container has ended.
  const undo = held ? { undo: [call('close', { fd: id })] } : {};
  return context.steps.add(place, id, 'openat2', args, { ...undo, hints: { ...SOURCE_HINTS, ENOENT: missing } });
}

/** As long as the container runs, its image is not removed. */
export function holdImage(context: PlanContext, image: ImageFacts): void {
  if (image.record === '') return;
  const place = once(context, onHost('sources', byDefault('the image stays as long as it is used')));
  const fd = openFile(context, place, 'image', image.record, { held: true, missing: REMOVED });
  const lock = { fd, operation: LOCK.LOCK_SH | LOCK.LOCK_NB };
  context.steps.add(place, 'image.flock', 'flock', lock, { hints: { other: REMOVED } });
}

/**
 * Mounts the archive through the descriptor that was checked, and holds a lease on it (fcntl(2), F_SETLEASE). A process that
 * opens the archive for writing is blocked by the lease until the launcher has ended the container.
 */
function holdArchive(context: PlanContext, place: Place, id: string, path: string, identity: string): Fd {
  const fd = openFile(context, place, `${id}.data`, path, { held: true, missing: CHANGED });
  const lease = { fd, cmd: FCNTL.F_SETLEASE, arg: LEASE.F_RDLCK };
  context.steps.add(place, `${id}.lease`, 'fcntl', lease, { hints: { EAGAIN: BEING_WRITTEN } });
  context.steps.add(place, `${id}.identity`, 'fstat_identity', { fd, identity }, { hints: { other: CHANGED } });
  return fd;
}

/**
 * A folder that the file names as its image. Its path had no symbolic link when it was checked. One that is there now is not
 * followed.
 */
function openFolder(context: PlanContext, place: Place, id: string, pathname: string): Fd {
  const flags = O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC;
  const resolve = RESOLVE.RESOLVE_NO_SYMLINKS | RESOLVE.RESOLVE_NO_MAGICLINKS;
  const open = { dirfd: AT_FDCWD, pathname, flags, mode: 0, resolve };
  const folder = context.steps.add(place, `${id}.path`, 'openat2', open, { hints: SOURCE_HINTS });
  const args = { dirfd: folder, pathname: '', flags: CLONE_ONE | EMPTY_PATH };
  return context.steps.add(place, id, 'open_tree', args, { undo: 'kernel', hints: { EINVAL: MOUNTS_BELOW } });
}

/** `mounted`: the descriptor of the launcher that is a mount of it already, of which the container gets a copy. */
function openLayer(context: PlanContext, place: Place, id: string, layer: Layer, mounted: number | undefined): Fd {
  if (layer.kind === 'tree') {
    const open = layer.named === true ? openFolder : openTree;
    return open(context, place, id, layer.path);
  }
  const { index, data, identity } = layer;
  const file = identity === undefined ? undefined : holdArchive(context, place, id, data, identity);
  if (mounted !== undefined) return openTree(context, place, `${id}.fsmount`, `/proc/self/fd/${mounted}`);
  return newFileSystem(context.steps, place, id, 'erofs', {
    attributes: MOUNT_ATTR.MOUNT_ATTR_RDONLY | MOUNT_ATTR.MOUNT_ATTR_NODEV,
    data: [
      // Without this the kernel opens index and archive for writing.
      ['ro', undefined],
      ['source', mountable(context, place, `${id}.index`, index, undefined)],
      ['device', mountable(context, place, `${id}.data`, data, file)],
    ],
  });
}

/** What EROFS mounts for a file: its path, or its descriptor's path in /proc. Before Linux 6.12, a loop device over it. */
function mountable(context: PlanContext, place: Place, id: string, path: string, opened: Fd | undefined): Text {
  const { erofs } = context.host;
  if (!erofs.usable || !erofs.loop) return opened === undefined ? path : behind(opened);
  const file = opened ?? openFile(context, place, id, path, { held: false, missing: CHANGED });
  const loop = `${id}.loop`;
  // The undo keeps the device open: until it is mounted, no other user holds it.
  return behind(
    context.steps.add(place, loop, 'loop_configure', { fd: file }, { undo: [call('close', { fd: loop })] }),
  );
}

const behind = (fd: Fd): Text => ({ template: `/proc/self/fd/$FD(${fd})` });

/** An image's files are seen with the owners that they have in the archive. */
export function shiftLayers(context: PlanContext, layers: readonly Fd[], userns: Fd): void {
  const place = onHost('sources', context.model.because('root.path'));
  for (const layer of layers) {
    shiftOwners(context, place, `${layer.replace(/\.fsmount$/u, '')}.owners`, layer, userns, { recursive: false });
  }
}

/** Opened by the launcher if it is privileged, and by the first process otherwise: each may mount the host's files. */
export function openLayers(context: PlanContext, image: ImageFacts): readonly Fd[] {
  const because = context.model.because('root.path');
  const place = context.host.privileged ? onHost('sources', because) : inside('sources', because);
  const single = image.layers.length === 1;
  const { mounted } = context;
  return image.layers.map((layer, index) =>
    openLayer(
      context,
      place,
      single ? 'layer' : `layer.${index + 1}`,
      layer,
      mounted === undefined ? undefined : mounted + index,
    ),
  );
}
