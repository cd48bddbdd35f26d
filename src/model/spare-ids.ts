/** Which ids the caller may map beside his own. */
import type { HostFacts, IdRange } from '../host/facts.ts';
import { without } from '../host/id-range.ts';

export interface SpareIds {
  readonly uids: readonly IdRange[];
  readonly gids: readonly IdRange[];
}

/**
 * As root of an outer container: all ids that this one has. Otherwise: the subordinate ids of /etc/subuid and /etc/subgid,
 * where the programs that map them are installed. User ids without group ids, or the reverse, are of no use, so then there
 * are none of either.
 */
export function spareIds(host: HostFacts): SpareIds {
  const helpers = host.newuidmap !== undefined && host.newgidmap !== undefined;
  const uids = host.mapsIds ? without(host.ownUids, host.euid) : helpers ? host.subuids : [];
  const gids = host.mapsIds ? without(host.ownGids, host.egid) : helpers ? host.subgids : [];
  return uids.length > 0 && gids.length > 0 ? { uids, gids } : { uids: [], gids: [] };
}
