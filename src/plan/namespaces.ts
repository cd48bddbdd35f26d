/** Which namespaces are made, which are joined, and by whom (namespaces(7), clone(2), setns(2)). */
import type { OciNamespace } from '../oci/config.ts';
import { AT_FDCWD, NO_FD, type Fd } from '../kernel/calls.ts';
import { AF, CLONE, IFF_UP, IOCTL, MS, AT, O, PR, SOCK } from '../kernel/constants.ts';
import type { Cgroup } from './cgroup.ts';
import { inside, once, onHost, type PlanContext } from './context.ts';
import type { Hints } from './hints.ts';
import { byDefault, call, type Place } from './steps.ts';

export const NAMESPACE_FLAGS: Readonly<Record<OciNamespace['type'], number>> = {
  user: CLONE.CLONE_NEWUSER,
  mount: CLONE.CLONE_NEWNS,
  pid: CLONE.CLONE_NEWPID,
  network: CLONE.CLONE_NEWNET,
  ipc: CLONE.CLONE_NEWIPC,
  uts: CLONE.CLONE_NEWUTS,
  cgroup: CLONE.CLONE_NEWCGROUP,
  time: CLONE.CLONE_NEWTIME,
};
/** The order of joining: the user namespace gives the right to join the others, and the mount namespace hides the rest. */
const JOIN_ORDER = ['user', 'ipc', 'uts', 'network', 'cgroup', 'time', 'pid', 'mount'] as const;
const SIGCHLD = 17;
const SIGKILL = 9;

interface Joined {
  readonly type: OciNamespace['type'];
  readonly fd: Fd;
}

function joined(context: PlanContext): readonly OciNamespace['type'][] {
  return JOIN_ORDER.filter((type) => context.namespace(type).kind === 'path');
}

const NO_NAMESPACE = 'a namespace is there as long as a process is in it, or is mounted (`ip netns add` does so)';
const JOIN_HINTS: Hints = {
  ENOENT: NO_NAMESPACE,
  ENOTDIR: NO_NAMESPACE,
  EACCES: 'it belongs to a process of somebody else, or is in a folder that is closed to you',
};

/** Opens what is to be joined, before anything hides it, and joins what the container is born in. */
export function openJoined(context: PlanContext): readonly Joined[] {
  const all = joined(context).flatMap((type) => {
    const state = context.namespace(type);
    if (state.kind !== 'path') return [];
    // Its path may lead to another one when the container is started again.
    const place = { ...once(context, onHost('namespaces', context.becauseNamespace(type))), hints: JOIN_HINTS };
    const args = { dirfd: AT_FDCWD, pathname: state.path, flags: O.O_RDONLY | O.O_CLOEXEC, mode: 0, resolve: 0 };
    return [{ type, fd: context.steps.add(place, `join.${type}`, 'openat2', args) }];
  });
  for (const entry of all) {
    if (!joinsInside(context, entry.type)) setns(context, entry, 'host');
  }
  return all;
}

export const joinsAny = (context: PlanContext): boolean => joined(context).length > 0;

/**
 * A container with a user namespace of its own has no right to join others: there the launcher joins before the clone,
 * and the container is born in them. The mount namespace is always joined inside, since the launcher needs its own.
 */
function joinsInside(context: PlanContext, type: OciNamespace['type']): boolean {
  return context.namespace('user').kind === 'path' || type === 'mount';
}

function setns(context: PlanContext, { type, fd }: Joined, side: 'host' | 'container'): void {
  const place = (side === 'host' ? onHost : inside)('namespaces', context.becauseNamespace(type));
  context.steps.add(place, `join.${type}.setns`, 'setns', { fd, nstype: NAMESPACE_FLAGS[type] }, { undo: 'kernel' });
}

/**
 * To make a network namespace takes longer than to make all others, so the first process does it while the launcher prepares
 * what it needs. Not where the launcher makes interfaces in it, or where it is made with all others after the joining of a user
 * namespace.
 */
function makesNetworkInside(context: PlanContext): boolean {
  const own = context.namespace('network').kind === 'private' && context.namespace('user').kind !== 'path';
  return own && context.model.network === undefined;
}

/** After the maps are written: the kernel gives the files of a network namespace to the root that the user namespace has then. */
export function unshareNetwork(context: PlanContext): void {
  if (!makesNetworkInside(context)) return;
  const place = inside('namespaces', context.becauseNamespace('network'));
  context.steps.add(place, 'unshare.network', 'unshare', { flags: CLONE.CLONE_NEWNET }, { undo: 'kernel' });
}

/**
 * The flags of the namespaces that are made with the first process. The cgroup namespace takes the cgroup that its maker is in,
 * so the container makes that one after it has joined.
 */
function madeFlags(context: PlanContext): number {
  const later = (type: OciNamespace['type']): boolean =>
    type === 'cgroup' || (type === 'network' && makesNetworkInside(context));
  return JOIN_ORDER.filter((type) => !later(type) && context.namespace(type).kind === 'private').reduce(
    (sum, type) => sum + NAMESPACE_FLAGS[type],
    0,
  );
}

/**
 * Makes the container's first process; the kernel makes the namespaces with it. Where a user namespace is joined, the
 * others must belong to it, and are made after the joining.
 */
export function planClone(context: PlanContext, cgroup: Cgroup): void {
  const { steps } = context;
  const made = context.namespace('user').kind === 'path' ? 0 : madeFlags(context);
  const into = cgroup.birthplace === undefined ? 0 : CLONE.CLONE_INTO_CGROUP;
  const place = onHost('namespaces', context.model.because('linux.namespaces'));
  const args = {
    flags: made + CLONE.CLONE_PIDFD + into,
    exit_signal: SIGCHLD,
    cgroup: cgroup.birthplace ?? NO_FD,
  };
  steps.add(place, 'clone3', 'clone3', args, { returns: 'child', undo: 'kernel' });
}

/**
 * Of a process namespace that is joined after the clone, or made then, only children are members: the command's process is
 * one, and `$CHILD` its parent.
 */
export function forksInside(context: PlanContext): boolean {
  return context.namespace('user').kind === 'path' && context.namespace('pid').kind !== 'host';
}

/**
 * The kernel takes a container's mounts down with the last user of its mount namespace, and a process that ends waits for that:
 * about half of the time from the command's end to the answer. So the launcher is a user of it too, until it has told of the end.
 * Not where anything of the caller's own would stay in use for as long: his folders, an archive on another file system than the
 * store, whose upper folders stay as long, or a loop device. Where the launcher may not open the namespace, nobody needs to know.
 */
export function holdMounts(context: PlanContext): void {
  const { host, image, model } = context;
  if (context.namespace('user').kind === 'path' || context.namespace('mount').kind !== 'private') return;
  if (host.erofs.usable && host.erofs.loop) return;
  if (model.mounts.some(({ kind }) => kind === 'bind' || kind === 'volume')) return;
  if (image?.layers.some((layer) => (layer.kind === 'tree' ? layer.named : layer.apart) === true)) return;
  hold(context, onHost('namespaces', byDefault(TOLD_FIRST)), 'mounts', 'mnt');
}

const TOLD_FIRST = 'the end is told before the kernel takes the namespace down';

function hold({ steps }: PlanContext, place: Place, id: string, file: string): void {
  const pathname = { template: `/proc/$CHILD/ns/${file}` };
  const args = { dirfd: AT_FDCWD, pathname, flags: O.O_RDONLY | O.O_CLOEXEC, mode: 0, resolve: 0 };
  const undo = [call('close', { fd: id })];
  steps.add(place, id, 'openat2', args, { undo, late: true, allow: ['EACCES', 'EPERM', 'ENOENT'] });
}

/**
 * For the same reason the launcher is a user of its network namespace, whose end takes the kernel longer still: it would begin
 * with it on the processor on which the first process ends. Made while that builds the root, since it makes the namespace itself.
 */
export function holdNetwork(context: PlanContext): void {
  if (!makesNetworkInside(context) || context.kept) return;
  const place: Place = { ...onHost('identity', byDefault(TOLD_FIRST)), meanwhile: true };
  hold(context, place, 'network', 'net');
}

/** What of the joining happens inside. A process that joins must not be open to those who are there (CVE-2016-9962). */
export function joinInside(context: PlanContext, all: readonly Joined[]): void {
  const { steps } = context;
  const mine = all.filter(({ type }) => joinsInside(context, type));
  if (mine.length === 0) return;
  const hidden = inside('namespaces', byDefault('not dumpable while joining'));
  steps.add(hidden, 'join.dumpable', 'prctl', { option: PR.PR_SET_DUMPABLE, arg2: 0, arg3: 0, arg4: 0, arg5: 0 });
  for (const entry of mine) {
    if (entry.type !== 'mount') setns(context, entry, 'container');
  }
  if (context.namespace('user').kind !== 'path') return;
  const place = inside('namespaces', context.model.because('linux.namespaces'));
  const flags = madeFlags(context);
  if (flags !== 0) steps.add(place, 'unshare', 'unshare', { flags }, { undo: 'kernel' });
  if (!forksInside(context)) return;
  dieWithParent(context, 'join.pdeathsig');
  steps.add(inside('namespaces', context.becauseNamespace('pid')), 'join.fork', 'fork', {}, { undo: 'kernel' });
}

/** After this the files of the other root are the only ones. */
export function joinMounts(context: PlanContext, all: readonly Joined[]): void {
  for (const entry of all) {
    if (entry.type === 'mount') setns(context, entry, 'container');
  }
}

export function unshareCgroup(context: PlanContext): void {
  if (context.namespace('cgroup').kind !== 'private') return;
  const place = inside('namespaces', context.becauseNamespace('cgroup'));
  context.steps.add(place, 'unshare.cgroup', 'unshare', { flags: CLONE.CLONE_NEWCGROUP }, { undo: 'kernel' });
}

/** No mount of the container is seen outside, and none of the host's arrives later, unless a bind wants that. */
export function isolateMounts(context: PlanContext): void {
  if (context.namespace('mount').kind !== 'private') return;
  const words = new Set(context.model.mounts.flatMap(({ options }) => options));
  // An ordinary user's binds are taken from these mounts, and made private by themselves.
  const follows = !context.host.privileged && (words.has('slave') || words.has('rslave'));
  const place = inside('namespaces', context.becauseNamespace('mount'));
  context.steps.add(place, 'mounts.private', 'mount_setattr', {
    dirfd: AT_FDCWD,
    pathname: '/',
    flags: AT.AT_RECURSIVE,
    attr_set: 0,
    attr_clr: 0,
    propagation: follows ? MS.MS_SLAVE : MS.MS_PRIVATE,
    userns_fd: NO_FD,
  });
}

/** Names of the container's own, and its loopback interface. */
export function planIdentity(context: PlanContext): void {
  const { steps, model } = context;
  const { hostname, domainname } = model.config;
  if (context.namespace('uts').kind === 'private') {
    if (hostname !== undefined) {
      const place = inside('identity', model.because('hostname'));
      steps.add(place, 'hostname', 'sethostname', { name: hostname }, { undo: 'kernel' });
    }
    if (domainname !== undefined) {
      const place = inside('identity', model.because('domainname'));
      steps.add(place, 'domainname', 'setdomainname', { name: domainname }, { undo: 'kernel' });
    }
  }
  if (context.namespace('network').kind === 'private') {
    const place = inside('identity', byDefault('loopback interface up'));
    const args = { domain: AF.AF_INET, type: SOCK.SOCK_DGRAM | SOCK.SOCK_CLOEXEC, protocol: 0 };
    const fd = steps.add(place, 'loopback', 'socket', args);
    const request = { fd, request: IOCTL.SIOCSIFFLAGS, name: 'lo', value: IFF_UP };
    steps.add(place, 'loopback.up', 'ioctl', request, { undo: 'kernel' });
  }
}

/** The container's first process dies with the launcher; a change of credentials clears this, so it comes last. */
export function dieWithParent(context: PlanContext, id: string): void {
  const place = inside('security', byDefault('the container dies with its owner'));
  const args = { option: PR.PR_SET_PDEATHSIG, arg2: SIGKILL, arg3: 0, arg4: 0, arg5: 0 };
  context.steps.add(place, id, 'prctl', args);
}
