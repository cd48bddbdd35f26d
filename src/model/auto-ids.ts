/** Ids for `uid_map: auto`: a part of a pool, which no other container has (src/state/id-ranges.ts gives them out). */
import type { HostFacts, IdRange } from '../host/facts.ts';
import type { Claims } from './claims.ts';
import type { Ownership } from './image.ts';
import { spareIds } from './spare-ids.ts';

/** Above the ids that systemd gives to its containers, and below those that some programs take for negative. */
const FIRST_AUTO: number = 0x7000_0000;
const AUTO_IDS: number = 0x0fff_0000;

/** Where the ranges of `uid_map: auto` lie; `taken` are places in it that are others'. */
export interface IdPool {
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly taken: readonly IdRange[];
}

/** Undefined where there are no ids to give: an ordinary user has those of the first range that he may map. */
export function autoPool(host: HostFacts): IdPool | undefined {
  if (host.privileged) {
    const taken = host.takenIds.map(({ start, size }) => ({ start: start - FIRST_AUTO, size }));
    return { uid: FIRST_AUTO, gid: FIRST_AUTO, size: AUTO_IDS, taken };
  }
  const spare = spareIds(host);
  const [uids] = spare.uids;
  const [gids] = spare.gids;
  if (uids === undefined || gids === undefined) return undefined;
  return { uid: uids.start, gid: gids.start, size: Math.min(uids.size, gids.size), taken: [] };
}

/** The ids that were claimed. A plan that is only printed has no claim, and shows the ids at the start of the pool. */
export function autoMaps(size: number, host: HostFacts, claims: Claims): Ownership {
  const { uid, gid } = autoPool(host) ?? { uid: FIRST_AUTO, gid: FIRST_AUTO };
  const offset = claims.ids?.offset ?? 0;
  return {
    uidMap: [{ container: 0, host: uid + offset, size }],
    gidMap: [{ container: 0, host: gid + offset, size }],
  };
}
