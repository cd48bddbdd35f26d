/** The user namespace's maps, and becoming its root. */
import type { OciIdMapping } from '../oci/config.ts';
import { AT_FDCWD, type Fd } from '../kernel/calls.ts';
import { O } from '../kernel/constants.ts';
import { inside, onHost, type PlanContext } from './context.ts';
import { byDefault } from './steps.ts';

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
  if (!context.host.setsGroups) return false;
  if (context.namespace('user').kind !== 'private') return true;
  return mapsAnything(context) || !writesGidMapItself(context);
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
