/** The user namespace's maps, and becoming its root. */
import type { HostFacts, IdRange } from '../host/facts.ts';
import { overlaps } from '../host/id-range.ts';
import type { OciIdMapping } from '../oci/config.ts';
import { FIRST_SPARE_ID } from '../model/demands.ts';
import { AT_FDCWD, type Fd } from '../kernel/calls.ts';
import { O, PR, SECBIT_NO_SETUID_FIXUP } from '../kernel/constants.ts';
import { inside, onHost, type PlanContext } from './context.ts';
import type { Plan } from './plan.ts';
import { byDefault, call, type Place } from './steps.ts';

/** True where the map is one that the kernel takes from an ordinary user: his own id, once (user_namespaces(7)). */
function isOwnIdAlone(maps: readonly OciIdMapping[], id: number): boolean {
  const [map] = maps;
  return maps.length === 1 && map !== undefined && map.size === 1 && map.hostID === id;
}

function mapText(maps: readonly OciIdMapping[]): string {
  return maps.map((map) => `${map.containerID} ${map.hostID} ${map.size}\n`).join('');
}

function helperArguments(helper: string, maps: readonly OciIdMapping[]): readonly (string | { template: string })[] {
  const name = helper.slice(helper.lastIndexOf('/') + 1);
  const numbers = maps.flatMap((map) => [map.containerID, map.hostID, map.size].map(String));
  return [name, { template: '$CHILD' }, ...numbers];
}

function mapsAnything({ host }: PlanContext): boolean {
  return host.privileged || host.mapsIds;
}

function writesGidMapItself(context: PlanContext): boolean {
  const { host, model } = context;
  return mapsAnything(context) || isOwnIdAlone(model.config.linux.gidMappings ?? [], host.egid);
}

/** False where the kernel has forbidden setgroups(2) for good, so that dropping a group cannot gain access. */
export function maySetGroups(context: PlanContext): boolean {
  if (!context.host.setsGroups || context.model.deniesGroups === true) return false;
  if (context.namespace('user').kind !== 'private') return true;
  return mapsAnything(context) || !writesGidMapItself(context);
}

/** Above the ids that any container is given by itself (src/model/ids.ts). */
const NEVER_GIVEN = 0x7fff_0000;

/** True where the ids are the container's alone: of no person, and of no other user's subordinate ranges. */
function areSpare(maps: readonly OciIdMapping[], host: HostFacts): boolean {
  const own = [...host.subuids, ...host.subgids];
  const isOwn = (range: IdRange): boolean =>
    own.some(({ start, size }) => start === range.start && size === range.size);
  const others = host.takenIds.filter((range) => !isOwn(range));
  return maps.every(({ hostID, size }) => {
    const range = { start: hostID, size };
    return hostID >= FIRST_SPARE_ID && !others.some((other) => overlaps(range, other));
  });
}

/**
 * Whose the user namespace is. The kernel charges what a container takes of inotify instances, message queues, pending
 * signals and namespaces to whoever made its user namespace, against that user's limits; the host's root is not to be left
 * without. The owner has every capability in the namespace, so it is the container's root only where nobody else has its
 * ids, and an id that nobody has otherwise. Undefined: the caller, who can be nobody else.
 */
function namespaceOwner(context: PlanContext): number | undefined {
  const { host, model } = context;
  if (!mapsAnything(context) || !host.setsSecurebits || context.namespace('user').kind !== 'private') return undefined;
  const { uidMappings = [], gidMappings = [] } = model.config.linux;
  const { uid } = rootOutside(context);
  const spare = areSpare(uidMappings, host) && areSpare(gidMappings, host);
  if (spare) return uid === host.euid ? undefined : uid;
  const given = host.ownUids.some(({ start, size }) => NEVER_GIVEN >= start && NEVER_GIVEN < start + size);
  return given && host.privileged ? NEVER_GIVEN : undefined;
}

/**
 * For the making of the user namespace the launcher's effective id is the owner's; its capabilities stay. The real and
 * the saved id stay too, so that nobody with the owner's id can send it a signal.
 */
export function becomeOwner(context: PlanContext): void {
  const owner = namespaceOwner(context);
  if (owner === undefined) return;
  const { steps, host } = context;
  const place = onHost('namespaces', byDefault('what the container uses up is not root’s'));
  const keep = { option: PR.PR_SET_SECUREBITS, arg2: SECBIT_NO_SETUID_FIXUP, arg3: 0, arg4: 0, arg5: 0 };
  steps.add(place, 'owner.capabilities', 'prctl', keep);
  const back = call('setresuid', { ruid: -1, euid: host.euid, suid: -1 });
  steps.add(place, 'owner', 'setresuid', { ruid: -1, euid: owner, suid: -1 }, { undo: [back] });
  // The change of ids has taken this away, and without it the first process would belong to root in /proc.
  const dumpable = { option: PR.PR_SET_DUMPABLE, arg2: 1, arg3: 0, arg4: 0, arg5: 0 };
  steps.add(place, 'owner.dumpable', 'prctl', dumpable);
}

/**
 * What the launcher does to the container's process by a capability that it has itself only as the namespace's owner: root
 * of a container around boxctl may lack it.
 */
export function asOwner(context: PlanContext, place: Place, id: string, work: () => void): void {
  const owner = namespaceOwner(context);
  if (owner === undefined) return work();
  const { steps, host } = context;
  const back = { ruid: -1, euid: host.euid, suid: -1 };
  steps.add(
    place,
    `${id}.owner`,
    'setresuid',
    { ruid: -1, euid: owner, suid: -1 },
    { undo: [call('setresuid', back)] },
  );
  work();
  steps.add(place, `${id}.owner.back`, 'setresuid', back);
}

/** Once the maps are written, and the namespace is opened, which its owner may do. */
export function leaveOwner(context: PlanContext): void {
  if (namespaceOwner(context) === undefined) return;
  const place = onHost('namespaces', byDefault('what the container uses up is not root’s'));
  const { euid } = context.host;
  context.steps.add(place, 'owner.back', 'setresuid', { ruid: -1, euid, suid: -1 });
}

/** Writes the maps from outside, which only the launcher can do. */
export function planMaps(context: PlanContext): void {
  if (context.namespace('user').kind !== 'private') return;
  const { steps, host, model } = context;
  const { uidMappings = [], gidMappings = [] } = model.config.linux;
  const proc = (file: string) => ({ template: `/proc/$CHILD/${file}` });

  const uids = onHost('users', model.because('linux.uidMappings'));
  if (mapsAnything(context) || isOwnIdAlone(uidMappings, host.euid)) {
    steps.add(uids, 'uid_map', 'write', { dirfd: AT_FDCWD, pathname: proc('uid_map'), data: mapText(uidMappings) });
  } else {
    const helper = host.newuidmap ?? 'newuidmap';
    steps.add(uids, 'uid_map', 'posix_spawn', { path: helper, argv: helperArguments(helper, uidMappings) });
  }

  const gids = onHost('users', model.because('linux.gidMappings'));
  if (writesGidMapItself(context)) {
    if (!maySetGroups(context)) {
      const place = onHost('users', byDefault('setgroups denied for a map of one’s own making'));
      steps.add(place, 'setgroups', 'write', { dirfd: AT_FDCWD, pathname: proc('setgroups'), data: 'deny' });
    }
    steps.add(gids, 'gid_map', 'write', { dirfd: AT_FDCWD, pathname: proc('gid_map'), data: mapText(gidMappings) });
  } else {
    const helper = host.newgidmap ?? 'newgidmap';
    steps.add(gids, 'gid_map', 'posix_spawn', { path: helper, argv: helperArguments(helper, gidMappings) });
  }
}

/** The name of the new user namespace's descriptor. */
export const USERNS: Fd = 'userns';

/** A descriptor of the new user namespace, by which mounts are id-mapped, and from which files are removed. */
export function openUserNamespace(context: PlanContext): Fd {
  const place = onHost('users', context.becauseNamespace('user'));
  const pathname = { template: '/proc/$CHILD/ns/user' };
  const args = { dirfd: AT_FDCWD, pathname, flags: O.O_RDONLY | O.O_CLOEXEC, mode: 0, resolve: 0 };
  return context.steps.add(place, USERNS, 'openat2', args);
}

function setupId(maps: readonly OciIdMapping[]): number {
  const holdsRoot = maps.some((map) => map.containerID === 0);
  return holdsRoot ? 0 : Math.min(...maps.map((map) => map.containerID));
}

/** What the container's root is on the host: the owner of what the launcher makes for it. */
export function rootOutside({ model }: PlanContext): { readonly uid: number; readonly gid: number } {
  const of = (maps: readonly OciIdMapping[]): number =>
    maps.find(({ containerID }) => containerID === setupId(maps))?.hostID ?? 0;
  const { uidMappings = [], gidMappings = [] } = model.config.linux;
  return { uid: of(uidMappings), gid: of(gidMappings) };
}

/** The rest is done as the namespace's own root, so that what is made belongs to it. */
export function becomeRoot(context: PlanContext): void {
  const { steps, model } = context;
  const user = context.namespace('user').kind;
  if (user === 'host') return;
  const place = inside('users', context.becauseNamespace('user'));
  const { uidMappings = [], gidMappings = [] } = model.config.linux;
  const uid = user === 'private' ? setupId(uidMappings) : 0;
  const gid = user === 'private' ? setupId(gidMappings) : 0;
  steps.add(place, 'root.setresgid', 'setresgid', { rgid: gid, egid: gid, sgid: gid });
  steps.add(place, 'root.setresuid', 'setresuid', { ruid: uid, euid: uid, suid: uid });
}

/** The user ids of the host that processes of the container can have, where it has a user namespace of its own. */
export function usersOf(context: PlanContext): Pick<Plan, 'userIds'> {
  const { uidMappings } = context.model.config.linux;
  if (context.namespace('user').kind !== 'private' || uidMappings === undefined) return {};
  return { userIds: uidMappings.map(({ hostID, size }) => ({ first: hostID, size })) };
}
