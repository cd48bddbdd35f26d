/**
 * The root file system: a writable overlay of the container's own over the image's layers; pivot_root(2) into it, and the
 * host's root is gone. What is written lies in a folder of the store, removed in the end, or in memory.
 */
import { isAtLeast } from '../host/facts.ts';
import { AT_FDCWD, NO_FD, type Fd } from '../kernel/calls.ts';
import { AT, LOCK, MNT, MOUNT_ATTR, MS, O, RESOLVE } from '../kernel/constants.ts';
import { inside, onHost, type PlanContext } from './context.ts';
import { newFileSystem } from './filesystem.ts';
import { makeGiven, type PreparedGiven } from './given.ts';
import { KEPT, keptPath } from './kept.ts';
import { openTree } from './layers.ts';
import { makeCovers, type Cover } from './own-files.ts';
import { attach, attachTo, byDefault, call, literal, type Place, type Steps } from './steps.ts';
import { rootOutside } from './users.ts';

/**
 * The container's first process is born with the launcher's working directory, as its own mount namespace sees it: so it
 * gets at the stage although it may not be able to reach its path any more.
 */
export function enterStage(context: PlanContext): void {
  const place = onHost('namespaces', byDefault('stage on which the root is built'));
  context.steps.add(place, 'stage', 'chdir', { path: `${context.host.dirs.store}/mnt` });
}

/** In the folder of a container that stays. */
const KEPT_UPPER = 'disk';

const NO_ROOM =
  'what the container writes goes to the image store: set BOXCTL_STORE to a folder with room, or keep it in memory: `writable: tmpfs`';
const ON_STORE = { EROFS: NO_ROOM, ENOSPC: NO_ROOM, EDQUOT: NO_ROOM };
const NO_LAYER =
  'the image store must be on a file system that overlays accept as lower layer; set BOXCTL_STORE to a folder on ext4, xfs or btrfs: in a container, to a volume';
const ON_OVERLAY = { EINVAL: NO_LAYER, EREMOTE: NO_LAYER, EOPNOTSUPP: NO_LAYER };

/** The folder of the store that takes what the container writes, `$ID` and all; undefined: memory takes it. */
export function upperPath({ model, host, kept }: PlanContext): string | undefined {
  if (model.writable !== 'disk') return undefined;
  return kept ? `${keptPath(host)}/${KEPT_UPPER}` : `${literal(host.dirs.store)}/upper/${model.name}-$ID`;
}

/**
 * Makes that folder. What will be in it belongs to ids that an ordinary user has only inside, so there it is also removed
 * from inside: `userns` is the user namespace's descriptor as later steps name it.
 */
export function makeUpper(context: PlanContext, userns: Fd): void {
  const { steps, model, host, kept } = context;
  const path = upperPath(context);
  if (path === undefined) return;
  const place = { ...onHost('sources', model.because('root.writable')), hints: ON_STORE };
  if (kept) {
    const at = { dirfd: KEPT, pathname: KEPT_UPPER };
    // It is there already when the container is started again.
    steps.add(place, 'upper.mkdir', 'mkdirat', { ...at, mode: 0o700 }, { allow: ['EEXIST'] });
    steps.add(place, 'upper.chmod', 'fchmodat', { ...at, mode: 0o777 });
    return;
  }
  const uppers = `${host.dirs.store}/upper`;
  const parent = { dirfd: AT_FDCWD, pathname: uppers, mode: 0o700 };
  steps.add(place, 'upper.parent', 'mkdirat', parent, { allow: ['EEXIST'] });
  const flags = O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC;
  const dirfd = steps.add(place, 'uppers', 'openat2', {
    dirfd: AT_FDCWD,
    pathname: uppers,
    flags,
    mode: 0,
    resolve: RESOLVE.RESOLVE_NO_SYMLINKS | RESOLVE.RESOLVE_NO_MAGICLINKS,
  });
  const at = { dirfd, pathname: { template: `${model.name}-$ID` } };
  const undo = [
    call('rmtree', { ...at, userns }, { allow: ['ENOENT'] }),
    // All there is before the user namespace is known, and where it never came to be.
    call('unlinkat', { ...at, flags: AT.AT_REMOVEDIR }, { allow: ['ENOENT'] }),
    // What is locked is in use, and given up when it is gone (src/state/sweep.ts).
    call('close', { fd: 'upper.folder' }),
  ];
  steps.add(place, 'upper.mkdir', 'mkdirat', { ...at, mode: 0o700 }, { undo, late: true });
  const readable = O.O_RDONLY | O.O_DIRECTORY | O.O_NOFOLLOW | O.O_CLOEXEC;
  const fd = steps.add(place, 'upper.folder', 'openat2', { ...at, flags: readable, mode: 0, resolve: 0 });
  steps.add(place, 'upper.flock', 'flock', { fd, operation: LOCK.LOCK_EX | LOCK.LOCK_NB });
  // For the container's root, whoever that is outside; the folder above is the caller's alone.
  steps.add(place, 'upper.chmod', 'fchmodat', { ...at, mode: 0o777 });
  if (!makesOnHost(context)) return;
  const { uid: owner, gid: group } = rootOutside(context);
  for (const [pathname, mode] of UPPER_FOLDERS) {
    steps.add(place, pathname, 'mkdirat', { dirfd: fd, pathname, mode });
    steps.add(place, `${pathname}.owner`, 'fchownat', { dirfd: fd, pathname, owner, group, flags: 0 });
  }
}

/** Of an overlay: what is written, and what is being written (overlayfs). */
const UPPER_FOLDERS = [
  ['upper', 0o755],
  ['work', 0o700],
] as const;

/** Whether the launcher makes them, while the container's first process is busy; that process does it otherwise. */
function makesOnHost(context: PlanContext): boolean {
  return context.host.privileged && !context.kept && context.namespace('user').kind !== 'path';
}

/** A detached mount of that folder, on the side that may make it. */
export function openUpper(context: PlanContext): Fd | undefined {
  const path = upperPath(context);
  if (path === undefined) return undefined;
  const because = context.model.because('root.writable');
  const place = context.host.privileged ? onHost('sources', because) : inside('sources', because);
  return openTree(context, place, 'upper.tree', { template: path });
}

function makeFolder(
  steps: Steps,
  place: Place,
  id: string,
  dirfd: Fd,
  pathname: string,
  mode: number,
  allow: readonly string[] = [],
): void {
  steps.add(
    place,
    id,
    'mkdirat',
    { dirfd, pathname, mode },
    { undo: 'kernel', ...(allow.length > 0 ? { allow } : {}) },
  );
}

/** A tmpfs on the stage, with a place for the root; it becomes the working directory. */
function openScratch({ steps }: PlanContext, place: Place): Fd {
  const scratch = newFileSystem(steps, place, 'scratch', 'tmpfs', {
    attributes: MOUNT_ATTR.MOUNT_ATTR_NOSUID | MOUNT_ATTR.MOUNT_ATTR_NODEV,
    data: [['mode', '0700']],
  });
  // With an empty path, since a lookup of `.` asks for a right that the container's root does not have on the stage.
  attach(steps, place, 'scratch.attach', scratch, AT_FDCWD);
  steps.add(place, 'scratch.enter', 'fchdir', { fd: scratch });
  makeFolder(steps, place, 'scratch.root', scratch, 'root', 0o755);
  return scratch;
}

/** Gives the layers' names: relative to the stage, where no character can be taken for a separator of an option. */
function attachLayers(context: PlanContext, layers: readonly Fd[], scratch: Fd): readonly string[] {
  const place = inside('root', context.model.because('root.path'));
  return layers.map((layer, index) => {
    const name = String(index + 1);
    makeFolder(context.steps, place, `scratch.${name}`, scratch, name, 0o755);
    attachTo(context.steps, place, `layer.${name}.attach`, layer, scratch, name);
    return name;
  });
}

export interface BuiltRoot {
  readonly root: Fd;
  /** Files in memory, to be put over those of the image. */
  readonly covers: readonly Cover[];
  /** Secrets and configs. */
  readonly given: readonly PreparedGiven[];
}

/** Builds the overlay on the stage. Afterwards the working directory is the stage's own file system. */
export function buildRoot(context: PlanContext, layers: readonly Fd[], disk: Fd | undefined): BuiltRoot {
  const { steps, model } = context;
  const place = inside('root', model.because('root.writable'));
  const scratch = openScratch(context, place);
  let upper = '';
  if (disk !== undefined) {
    makeFolder(steps, place, 'scratch.disk', scratch, 'disk', 0o700);
    attachTo(steps, place, 'disk.attach', disk, scratch, 'disk');
    upper = 'disk/';
  }
  const written = disk === undefined ? place : { ...place, hints: ON_STORE };
  // Those of a container that has run before are there.
  const allow = disk !== undefined && context.kept ? ['EEXIST'] : [];
  if (disk === undefined || !makesOnHost(context)) {
    for (const [name, mode] of UPPER_FOLDERS) makeFolder(steps, written, name, disk ?? scratch, name, mode, allow);
  }
  const covers = makeCovers(context, scratch);
  const given = makeGiven(context, scratch);
  const names = attachLayers(context, layers, scratch);
  const because = inside('root', model.because('root.path'));
  const root = mountOverlay(context, because, names.toReversed(), scratch, false, [
    ['upperdir', `${upper}upper`],
    ['workdir', `${upper}work`],
    // What is written is thrown away in the end: without this the kernel would first write all of it to the disk.
    ...(disk === undefined || context.kept ? [] : ([['volatile', undefined]] as const)),
  ]);
  return { root, covers, given };
}

/** The layers without anything to write to. */
export function mergeLayers(context: PlanContext, layers: readonly Fd[]): Fd {
  const { steps } = context;
  const place = inside('root', context.model.because('root.path'));
  const [only] = layers;
  if (layers.length === 1 && only !== undefined) {
    // Taken from the host, it is still in the host's peer group, and pivot_root(2) takes no shared mount.
    const args = {
      dirfd: only,
      pathname: '',
      flags: AT.AT_EMPTY_PATH,
      attr_set: 0,
      attr_clr: 0,
      propagation: MS.MS_PRIVATE,
    };
    steps.add(place, 'layer.private', 'mount_setattr', { ...args, userns_fd: NO_FD });
    attach(steps, place, 'layer.attach', only, AT_FDCWD);
    return only;
  }
  const scratch = openScratch(context, place);
  const names = attachLayers(context, layers, scratch);
  return mountOverlay(context, place, names.toReversed(), scratch, true, []);
}

/** What fsconfig(2) takes of an option, bytes. */
const MAX_OPTION = 255;

/** The layers, the highest first, as `root` of the scratch file system, which is the working directory. */
function mountOverlay(
  { steps, host }: PlanContext,
  place: Place,
  lower: readonly string[],
  scratch: Fd,
  readOnly: boolean,
  more: readonly (readonly [key: string, value: string | undefined])[],
): Fd {
  // Marks are `user.*` attributes: an ordinary user may set them, and others in an image mean nothing. This also
  // switches off redirections and metadata copies, by which an image could steer the overlay.
  const rest = [...more, ['userxattr', undefined] as const];
  const all = lower.join(':');
  // Linux 6.8 takes one layer at a time; before that, all of them are one option.
  const singly = lower.length > 1 && isAtLeast(host.kernel, 6, 8);
  if (!singly && all.length > MAX_OPTION) {
    const words = rest.map(([key, value]) => (value === undefined ? key : `${key}=${value}`));
    steps.add(
      place,
      'overlay',
      'mount',
      {
        source: 'overlay',
        target: 'root',
        filesystemtype: 'overlay',
        mountflags: MS.MS_NODEV | (readOnly ? MS.MS_RDONLY : 0),
        data: [`lowerdir=${all}`, ...words].join(','),
      },
      { undo: 'kernel', hints: ON_OVERLAY },
    );
    const flags = O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC;
    const args = { dirfd: scratch, pathname: 'root', flags, mode: 0, resolve: 0 };
    return steps.add(place, 'overlay.root', 'openat2', args);
  }
  const root = newFileSystem(steps, { ...place, hints: ON_OVERLAY }, 'overlay', 'overlay', {
    attributes: MOUNT_ATTR.MOUNT_ATTR_NODEV | (readOnly ? MOUNT_ATTR.MOUNT_ATTR_RDONLY : 0),
    data: [...(singly ? lower.map((name) => ['lowerdir+', name] as const) : [['lowerdir', all] as const]), ...rest],
  });
  attachTo(steps, place, 'overlay.attach', root, scratch, 'root');
  return root;
}

/** After this the container's root is the root and the working directory, and the host's is gone. */
export function pivot(context: PlanContext, root: Fd): void {
  const { steps } = context;
  const place = inside('root', byDefault('pivot_root'));
  steps.add(place, 'root.enter', 'fchdir', { fd: root });
  steps.add(place, 'pivot_root', 'pivot_root', { new_root: '.', put_old: '.' }, { undo: 'kernel' });
  steps.add(place, 'old_root.detach', 'umount2', { target: '.', flags: MNT.MNT_DETACH });
  steps.add(place, 'root.chdir', 'chdir', { path: '/' });
}

/** Not before everything that is mounted in it has its place. */
export function makeRootReadOnly(context: PlanContext): void {
  if (!context.model.config.root.readonly) return;
  const place = inside('root', context.model.because('root.readonly'));
  context.steps.add(place, 'root.readonly', 'mount_setattr', {
    dirfd: AT_FDCWD,
    pathname: '/',
    flags: 0,
    attr_set: MOUNT_ATTR.MOUNT_ATTR_RDONLY,
    attr_clr: 0,
    propagation: 0,
    userns_fd: NO_FD,
  });
}
