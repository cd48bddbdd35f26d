/** The mounts of the configuration: made or taken while the host can be seen, attached once it is gone. */
import type { OciMount } from '../oci/config.ts';
import type { Fd } from './calls.ts';
import { AT_FDCWD, NO_FD } from './calls.ts';
import { AT, MOUNT_ATTR, O, OPEN_TREE, RESOLVE } from './constants.ts';
import { fillCgroupView, makeCgroupView, type CgroupView } from './cgroup-view.ts';
import { inside, onHost, type PlanContext } from './context.ts';
import { newFileSystem, parseMountOptions } from './filesystem.ts';
import { shiftOwners } from './root.ts';
import { attach, attachTo, EMPTY_PATH, makeDirectories, makeFile, splitPath } from './steps.ts';

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

/** The container's first process may see file systems like `proc` only while the host's own is in sight. */
export function makeFileSystems(context: PlanContext): readonly Prepared[] {
  return context.model.config.mounts.flatMap((mount, index) => {
    if (isBind(mount)) return [];
    const id = idOf(mount);
    const place = inside('mounts', context.model.because(`mounts.${index}`));
    const options = parseMountOptions(mount.options ?? []);
    if (mount.type === 'cgroup') return [{ mount, index, id, ...makeCgroupView(context, place, id, options) }];
    return [{ mount, index, id, fd: newFileSystem(context.steps, place, id, mount.type ?? 'tmpfs', options) }];
  });
}

/**
 * Host folders and files, taken before the host's root goes. The path has no links any more, so one that is met now was
 * put there since it was judged, by another container that shares the folder, say: it is not followed.
 */
export function openBinds(context: PlanContext): readonly Prepared[] {
  const side = context.host.privileged ? onHost : inside;
  return context.model.config.mounts.flatMap((mount, index) => {
    if (!isBind(mount)) return [];
    const id = idOf(mount);
    const place = side('sources', context.model.because(`mounts.${index}`));
    const recursive = (mount.options ?? []).includes('rbind');
    const flags = O.O_PATH | O.O_CLOEXEC;
    const resolve = RESOLVE.RESOLVE_NO_SYMLINKS | RESOLVE.RESOLVE_NO_MAGICLINKS;
    const found = { dirfd: AT_FDCWD, pathname: mount.source ?? '', flags, mode: 0, resolve };
    const source = context.steps.add(place, `${id}.path`, 'openat2', found);
    const clone = {
      dirfd: source,
      pathname: '',
      flags:
        OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC | EMPTY_PATH | (recursive ? OPEN_TREE.AT_RECURSIVE : 0),
    };
    const fd = context.steps.add(place, `${id}.source`, 'open_tree', clone, { undo: 'kernel' });
    return [{ mount, index, id, fd }];
  });
}

/** A bind shows its files under the owners that they have outside, as far as its file system can do that. */
export function shiftBinds(context: PlanContext, binds: readonly Prepared[], userns: Fd): void {
  for (const { mount, index, id, fd } of binds) {
    const place = onHost('sources', context.model.because(`mounts.${index}`));
    const recursive = (mount.options ?? []).includes('rbind');
    // Without it the files belong to nobody inside, which is less than was asked for and never more.
    shiftOwners(context, place, `${id}.owners`, fd, userns, { recursive, allow: ['EINVAL'] });
  }
}

/** Flags of a bind are set before it can be reached; one that the kernel refuses is an error. */
export function restrictBinds(context: PlanContext, binds: readonly Prepared[]): void {
  for (const { mount, index, id, fd } of binds) {
    const { attributes } = parseMountOptions(mount.options ?? []);
    if (attributes === 0) continue;
    const place = inside('mounts', context.model.because(`mounts.${index}`));
    const recursive = (mount.options ?? []).includes('rbind');
    context.steps.add(place, `${id}.attributes`, 'mount_setattr', {
      dirfd: fd,
      pathname: '',
      flags: EMPTY_PATH | (recursive ? AT.AT_RECURSIVE : 0),
      attr_set: attributes,
      // The ways of keeping access times exclude each other: one is taken out before another is set.
      attr_clr: attributes & ATIME ? ATIME_MASK : 0,
      propagation: 0,
      userns_fd: NO_FD,
    });
  }
}
const ATIME = MOUNT_ATTR.MOUNT_ATTR_NOATIME | MOUNT_ATTR.MOUNT_ATTR_STRICTATIME;
const ATIME_MASK = 0x70;

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
      const target = context.model.fileMounts.includes(index)
        ? makeFile(context.steps, place, id, mount.destination)
        : makeDirectories(context.steps, place, id, mount.destination);
      attach(context.steps, place, `${id}.attach`, fd, target);
    }
    fillCgroupView(context, place, id, entry);
  }
}
