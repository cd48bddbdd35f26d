/**
 * `/dev`: the standard nodes, and those that the file names. The container cannot make others that work: in a user namespace
 * mknod(2) is refused, and otherwise all mounts are `nodev`, and each node is a mount of its own. Where the host allows it,
 * the cgroup refuses other devices as well (device-cgroup.ts).
 */
import type { DeviceNode } from '../model/device.ts';
import type { Mount } from '../model/mount.ts';
import { AT_FDCWD, NO_FD, type Fd } from '../kernel/calls.ts';
import { MOUNT_ATTR, O, OPEN_TREE, RESOLVE, S_IFBLK, S_IFCHR, S_IFREG } from '../kernel/constants.ts';
import { inside, onHost, type PlanContext } from './context.ts';
import { newFileSystem, parseMountOptions } from './filesystem.ts';
import { attachTo, byDefault, EMPTY_PATH, splitPath, type Place } from './steps.ts';
import { rootOutside } from './users.ts';

const LINKS = [
  ['fd', '/proc/self/fd'],
  ['stdin', '/proc/self/fd/0'],
  ['stdout', '/proc/self/fd/1'],
  ['stderr', '/proc/self/fd/2'],
  ['ptmx', 'pts/ptmx'],
] as const;
const CLONE = OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC;

/**
 * Whether the launcher makes the nodes: it is privileged and, unlike the container, not held back by rules for devices.
 * Otherwise the host's nodes are bind-mounted one by one: mknod(2) of a device is refused in a user namespace.
 */
function makesNodes(context: PlanContext): boolean {
  return context.host.privileged && context.namespace('user').kind !== 'path';
}

interface Node {
  readonly device: DeviceNode;
  /** Below /dev. */
  readonly path: readonly string[];
  readonly id: string;
}

function nodesOf(context: PlanContext): readonly Node[] {
  return context.model.devices.map((device) => {
    const path = splitPath(device.path).slice(1);
    return { device, path, id: `dev.${path.join('.')}` };
  });
}

const typeOf = ({ type }: DeviceNode): number => (type === 'b' ? S_IFBLK : S_IFCHR);

/** The folder of a node, made if it is to be and is not /dev itself. There are no links in it yet. */
function folderOf({ steps }: PlanContext, place: Place, { path, id }: Node, dev: Fd, make = true): Fd {
  let folder = dev;
  for (const name of path.slice(0, -1)) {
    const missing = { dirfd: folder, pathname: name, mode: 0o755 };
    if (make) steps.add(place, `${id}.mkdir`, 'mkdirat', missing, { allow: ['EEXIST'] });
    const flags = O.O_PATH | O.O_DIRECTORY | O.O_NOFOLLOW | O.O_CLOEXEC;
    const open = { dirfd: folder, pathname: name, flags, mode: 0, resolve: RESOLVE.RESOLVE_BENEATH };
    folder = steps.add(place, `${id}.folder`, 'openat2', open);
  }
  return folder;
}

/** The tmpfs in which the container's devices are. */
export function isDev(mount: Mount): boolean {
  return mount.kind === 'new' && mount.type === 'tmpfs' && mount.target === '/dev';
}

/** The descriptor of a /dev that the launcher makes; undefined where it cannot do that. */
export function devOfHost(context: PlanContext): Fd | undefined {
  return makesNodes(context) ? 'mount.dev.fsmount' : undefined;
}

/** Makes and fills it. */
export function makeDevOnHost(context: PlanContext): void {
  const { steps, model } = context;
  const mount = model.mounts.find(isDev);
  if (!makesNodes(context) || mount === undefined) return;
  const place = onHost('sources', mount.because);
  const owner = rootOutside(context);
  const { own, data } = parseMountOptions(mount.options);
  const ids = [
    ['uid', String(owner.uid)],
    ['gid', String(owner.gid)],
  ] as const;
  const dev = newFileSystem(steps, place, 'mount.dev', 'tmpfs', { attributes: own.set, data: [...data, ...ids] });
  for (const node of nodesOf(context)) {
    const at = onHost('sources', node.device.because);
    const folder = folderOf(context, at, node, dev);
    const { major, minor, mode, restricted } = node.device;
    const pathname = node.path.at(-1) ?? '';
    const made = { dirfd: folder, pathname, mode: typeOf(node.device) | mode, major, minor };
    steps.add(at, node.id, 'mknodat', made, { undo: 'kernel' });
    // A restricted node keeps the host's owner: the container's root could change the mode of its own files.
    if (restricted) continue;
    const args = { dirfd: folder, pathname, owner: owner.uid, group: owner.gid, flags: 0 };
    steps.add(at, `${node.id}.owner`, 'fchownat', args);
  }
}

export interface HostNode {
  readonly node: Node;
  /** A detached mount of the host's. */
  readonly mount: Fd;
}

/** Opens the host's nodes while the host's root can be seen, and checks type and number of each. */
export function openNodes(context: PlanContext): readonly HostNode[] {
  if (makesNodes(context)) return [];
  const { steps } = context;
  return nodesOf(context).map((node) => {
    const { device, id } = node;
    const place = inside('dev', node.device.because);
    const resolve = RESOLVE.RESOLVE_NO_SYMLINKS | RESOLVE.RESOLVE_NO_MAGICLINKS;
    const open = {
      dirfd: AT_FDCWD,
      pathname: device.source,
      flags: O.O_PATH | O.O_NOFOLLOW | O.O_CLOEXEC,
      mode: 0,
      resolve,
    };
    const found = steps.add(place, `${id}.node`, 'openat2', open);
    const { major, minor } = device;
    steps.add(place, `${id}.check`, 'fstat', { fd: found, mode: typeOf(device), major, minor });
    const clone = { dirfd: found, pathname: '', flags: CLONE | EMPTY_PATH };
    return { node, mount: steps.add(place, `${id}.source`, 'open_tree', clone, { undo: 'kernel' }) };
  });
}

/** Fills /dev, which has been attached, with what the launcher has not made. */
export function populateDev(context: PlanContext, dev: Fd, taken: readonly HostNode[]): void {
  const { steps } = context;
  if (makesNodes(context) && context.namespace('user').kind === 'host') isolateNodes(context, dev);
  for (const { node, mount } of taken) {
    const place = inside('dev', node.device.because);
    const name = node.path.at(-1) ?? '';
    const folder = folderOf(context, place, node, dev);
    const args = { dirfd: folder, pathname: name, mode: S_IFREG | 0o666, major: 0, minor: 0 };
    steps.add(place, node.id, 'mknodat', args, { undo: 'kernel' });
    attachTo(steps, place, `${node.id}.attach`, mount, folder, name);
  }
  const links = inside('dev', byDefault('links of /dev'));
  for (const [name, target] of LINKS) {
    steps.add(links, `dev.${name}`, 'symlinkat', { target, newdirfd: dev, linkpath: name }, { undo: 'kernel' });
  }
}

/** Mounts each node over itself, and then makes /dev `nodev`: only these nodes still work. */
function isolateNodes(context: PlanContext, dev: Fd): void {
  const { steps } = context;
  const mounts = nodesOf(context).map((node) => {
    const place = inside('dev', node.device.because);
    const folder = folderOf(context, place, node, dev, false);
    const name = node.path.at(-1) ?? '';
    const clone = { dirfd: folder, pathname: name, flags: CLONE };
    return { place, folder, name, node, mount: steps.add(place, `${node.id}.source`, 'open_tree', clone) };
  });
  steps.add(inside('dev', byDefault('no other node works')), 'dev.nodev', 'mount_setattr', {
    dirfd: dev,
    pathname: '',
    flags: EMPTY_PATH,
    attr_set: MOUNT_ATTR.MOUNT_ATTR_NODEV,
    attr_clr: 0,
    propagation: 0,
    userns_fd: NO_FD,
  });
  for (const { place, folder, name, node, mount } of mounts) {
    attachTo(steps, place, `${node.id}.attach`, mount, folder, name);
  }
}
