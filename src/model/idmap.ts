/** Id-mapped binds: the caller's files belong to the command's user inside (mount_setattr(2), MOUNT_ATTR_IDMAP). */
import { isAtLeast, type HostFacts } from '../host/facts.ts';
import type { Ownership } from './image.ts';
import { quoted } from '../text/quote.ts';
import type { IdMap } from '../spec/spec.ts';
import type { SpecPath } from '../spec/spec-path.ts';
import type { OciIdMapping, OciProcess } from '../oci/config.ts';
import type { Problems } from './problems.ts';

export interface MountMaps {
  readonly uidMappings: OciIdMapping[];
  readonly gidMappings: OciIdMapping[];
}

function outside(maps: readonly IdMap[] | undefined, id: number): number | undefined {
  if (maps === undefined) return id;
  const map = maps.find(({ container, size }) => id >= container && id < container + size);
  return map === undefined ? undefined : map.host + (id - map.container);
}

/** The maps of an id-mapped mount. Undefined if the ids are equal, or if it is impossible; that is added to `problems`. */
export function idmapFor(
  path: SpecPath,
  user: OciProcess['user'],
  host: HostFacts,
  maps: Ownership | undefined,
  problems: Problems,
): MountMaps | undefined {
  const uid = outside(maps?.uidMap, user.uid);
  const gid = outside(maps?.gidMap, user.gid);
  // A user that is not mapped is reported elsewhere (process.ts).
  if (uid === undefined || gid === undefined) return undefined;
  if (uid === host.euid && gid === host.egid) return undefined;
  if (!host.privileged) {
    problems.add(
      'E_IDMAP',
      path,
      `your files cannot belong to ${quoted(`${user.uid}:${user.gid}`)} inside: only root can map the ids of a mount`,
      'run as `user: 0`, which you are yourself, or write `keep_id: true`: your own id is then the same inside',
    );
    return undefined;
  }
  if (!isAtLeast(host.kernel, 5, 12)) {
    problems.add('E_IDMAP', path, 'this kernel has no id-mapped mounts', 'use Linux 5.12 or newer');
    return undefined;
  }
  const map = (from: number, to: number): OciIdMapping[] => [{ containerID: from, hostID: to, size: 1 }];
  return { uidMappings: map(host.euid, uid), gidMappings: map(host.egid, gid) };
}
