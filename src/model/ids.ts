/** Which ids of the host the container's are (user_namespaces(7)). */
import { BoxctlError } from '../errors.ts';
import { overlaps } from '../host/id-range.ts';
import { isAtLeast, type HostFacts, type IdRange } from '../host/facts.ts';
import { autoMaps } from './auto-ids.ts';
import type { Claims } from './claims.ts';
import type { Ownership } from './image.ts';
import type { IdMap, SpecDocument } from '../spec/spec.ts';
import { spareIds } from './spare-ids.ts';

/** Beyond the ids of people and of the usual subordinate ranges. */
const FIRST_BLOCK = 524_288;
const BLOCK = 65_536;
const LAST_ID = 4_294_967_294;

/** A block of host ids that nobody else has been given. */
function freeBlock(host: HostFacts): IdMap {
  for (let start = FIRST_BLOCK; start + BLOCK <= LAST_ID; start += BLOCK) {
    const block = { start, size: BLOCK };
    if (!host.takenIds.some((range) => overlaps(range, block))) return { container: 0, host: start, size: BLOCK };
  }
  throw new BoxctlError(
    'E_NO_AUTO_IDS',
    'all ids of this host have been given to others, in /etc/subuid and /etc/subgid',
    {
      hint: 'say which ones the container has: `uid_map: ["0:100000:65536"]`',
    },
  );
}

/** Ranges one after the other, from id 0 inside, as far as `most` ids. */
function inARow(ranges: readonly IdRange[], most: number): readonly IdMap[] {
  const maps: IdMap[] = [];
  let next = 0;
  for (const range of ranges) {
    const size = Math.min(range.size, most - next);
    if (size > 0) maps.push({ container: next, host: range.start, size });
    next += Math.max(size, 0);
  }
  return maps;
}

function privilegedDefault(host: HostFacts, subordinate: readonly IdRange[]): readonly IdMap[] {
  return subordinate.length > 0 ? inARow(subordinate, BLOCK) : [freeBlock(host)];
}

/** The caller is root inside; what else he may map is the rest. */
function ordinaryDefault(id: number, more: readonly IdRange[]): readonly IdMap[] {
  const maps: IdMap[] = [{ container: 0, host: id, size: 1 }];
  let next = 1;
  for (const range of more) {
    maps.push({ container: next, host: range.start, size: range.size });
    next += range.size;
  }
  return maps;
}

/** The caller's id is itself inside; the subordinate ones, in their order, are what is below it and above. */
function keepingDefault(id: number, subordinate: readonly IdRange[]): readonly IdMap[] {
  const maps: IdMap[] = [];
  let next = 0;
  for (const range of subordinate) {
    for (let start = range.start, left = range.size; left > 0;) {
      if (next === id) next += 1;
      const size = next < id ? Math.min(left, id - next) : left;
      maps.push({ container: next, host: start, size });
      next += size;
      start += size;
      left -= size;
    }
  }
  return [...maps, { container: id, host: id, size: 1 }].toSorted((a, b) => a.container - b.container);
}

/** All ids that an ordinary user can map, for work on files that containers have left; undefined: root needs no map. */
export function callerMaps(host: HostFacts): Ownership | undefined {
  if (host.privileged) return undefined;
  const { uids, gids } = spareIds(host);
  return { uidMap: ordinaryDefault(host.euid, uids), gidMap: ordinaryDefault(host.egid, gids) };
}

/** The maps of a private user namespace: the file's, or the default. */
export function mapsFor(document: SpecDocument, host: HostFacts, claims: Claims): Ownership {
  const { uidMap, gidMap } = document.spec;
  // One map given stands for both, as people expect of `0:100000:65536`.
  const uids = uidMap ?? gidMap;
  const gids = gidMap ?? uidMap;
  if (uids !== undefined && gids !== undefined) return { uidMap: uids, gidMap: gids };
  if (document.spec.autoIds !== undefined) return autoMaps(document.spec.autoIds, host, claims);
  if (document.spec.keepId && !host.privileged) {
    const { uids: more, gids: groups } = spareIds(host);
    return { uidMap: keepingDefault(host.euid, more), gidMap: keepingDefault(host.egid, groups) };
  }
  return (
    callerMaps(host) ?? {
      uidMap: privilegedDefault(host, host.subuids),
      gidMap: privilegedDefault(host, host.subgids),
    }
  );
}

/** Owners can be shifted by the mount, so that one unpacked tree serves every map (Linux 5.19 for overlays). */
function canShiftByMount(host: HostFacts): boolean {
  return host.privileged && isAtLeast(host.kernel, 5, 19);
}

/**
 * Under which maps the image is to be unpacked; undefined: as the archive has it. Known before the image is, because it
 * says which of its trees is wanted.
 */
export function ownershipFor(document: SpecDocument, host: HostFacts, claims: Claims = {}): Ownership | undefined {
  const user = document.spec.namespaces.user.kind;
  if (host.privileged && user !== 'private') return undefined;
  return canShiftByMount(host) ? undefined : mapsFor(document, host, claims);
}

/** The same for who brings the image in: where a mount shifts the owners, with the owners that there can be. */
export function imageOwnership(document: SpecDocument, host: HostFacts, claims: Claims = {}): Ownership | undefined {
  if (document.spec.namespaces.user.kind !== 'private' || !canShiftByMount(host)) {
    return ownershipFor(document, host, claims);
  }
  return { ...mapsFor(document, host, claims), byMount: true };
}
