/**
 * The root file system: a writable overlay of the container's own over the image's tree, whose upper layer is a tmpfs
 * that the kernel removes with the container; pivot_root(2) into it, and the host's root is gone.
 */
import type { ImageFacts } from '../image/image.ts';
import { AT_FDCWD, NO_FD, type Fd } from './calls.ts';
import { AT, MNT, MOUNT_ATTR, OPEN_TREE } from './constants.ts';
import { inside, onHost, type PlanContext } from './context.ts';
import { newFileSystem } from './filesystem.ts';
import { attach, attachTo, byDefault, EMPTY_PATH, type Place } from './steps.ts';

const CLONE_ONE = OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC;

/** A detached mount of a tree of the host. */
export function openTree(context: PlanContext, place: Place, id: string, path: string, recursive: boolean): Fd {
  const flags = CLONE_ONE | (recursive ? OPEN_TREE.AT_RECURSIVE : 0);
  return context.steps.add(place, id, 'open_tree', { dirfd: AT_FDCWD, pathname: path, flags }, { undo: 'kernel' });
}

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
  context.steps.add(place, id, 'mount_setattr', args, options.allow === undefined ? {} : { allow: options.allow });
}

/**
 * The container's first process is born with the launcher's working directory, as its own mount namespace sees it: so it
 * gets at the stage although it may not be able to reach its path any more.
 */
export function enterStage(context: PlanContext): void {
  const place = onHost('sources', byDefault('stage on which the root is built'));
  context.steps.add(place, 'stage', 'chdir', { path: `${context.host.dirs.store}/mnt` });
}

/** Builds the overlay on the stage. Afterwards the working directory is the stage's own file system. */
export function buildRoot(context: PlanContext, lower: Fd): Fd {
  const { steps, model } = context;
  const place = inside('root', byDefault('writable layer of the container’s own'));
  const scratch = newFileSystem(steps, place, 'scratch', 'tmpfs', {
    attributes: MOUNT_ATTR.MOUNT_ATTR_NOSUID | MOUNT_ATTR.MOUNT_ATTR_NODEV,
    data: [['mode', '0700']],
  });
  // With an empty path, since a lookup of `.` asks for a right that the container's root does not have on the stage.
  attach(steps, place, 'scratch.attach', scratch, AT_FDCWD);
  steps.add(place, 'scratch.enter', 'fchdir', { fd: scratch });
  for (const [name, mode] of [
    ['lower', 0o755],
    ['upper', 0o755],
    ['work', 0o700],
    ['root', 0o755],
  ] as const) {
    const args = { dirfd: scratch, pathname: name, mode };
    steps.add(place, `scratch.${name}`, 'mkdirat', args, { undo: 'kernel' });
  }
  const because = inside('root', model.because('root.path'));
  attachTo(steps, because, 'lower.attach', lower, scratch, 'lower');
  const own = context.namespace('user').kind === 'host';
  const root = newFileSystem(steps, because, 'overlay', 'overlay', {
    attributes: MOUNT_ATTR.MOUNT_ATTR_NODEV,
    data: [
      // Relative to the stage, where no character can be taken for a separator of the option.
      ['lowerdir', 'lower'],
      ['upperdir', 'upper'],
      ['workdir', 'work'],
      // An image must not steer the overlay by attributes of its files.
      ...(own
        ? ([
            ['redirect_dir', 'off'],
            ['metacopy', 'off'],
          ] as const)
        : ([['userxattr', undefined]] as const)),
    ],
  });
  attachTo(steps, because, 'overlay.attach', root, scratch, 'root');
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

/** The image's tree as a detached mount, on the side that may make it. */
export function openLower(context: PlanContext, image: ImageFacts): Fd {
  const because = context.model.because('root.path');
  const place = context.host.privileged ? onHost('sources', because) : inside('sources', because);
  return openTree(context, place, 'lower', image.rootfs, false);
}
