/** Which ids of the host the container's are (user_namespaces(7)). */
import { BoxctlError } from '../errors.ts';
import { howToGetIds } from '../host/subordinate.ts';
import { isAtLeast, type HostFacts, type IdRange } from '../host/facts.ts';
import type { Claims } from './claims.ts';
import type { Ownership } from './image.ts';
import type { IdMap, SpecDocument } from '../spec/spec.ts';
import type { Problems } from './problems.ts';

/** Beyond the ids of people and of the usual subordinate ranges. */
const FIRST_BLOCK = 524_288;
const BLOCK = 65_536;
const LAST_ID = 4_294_967_294;

function overlaps(a: IdRange, b: IdRange): boolean {
  return a.start < b.start + b.size && b.start < a.start + a.size;
}

function contains(outer: IdRange, inner: IdRange): boolean {
  return inner.start >= outer.start && inner.start + inner.size <= outer.start + outer.size;
}

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

function without(ranges: readonly IdRange[], id: number): readonly IdRange[] {
  return ranges
    .flatMap(({ start, size }) => {
      if (id < start || id >= start + size) return [{ start, size }];
      const below = { start, size: id - start };
      return [below, { start: id + 1, size: start + size - id - 1 }];
    })
    .filter(({ size }) => size > 0);
}

/**
 * What the caller may map beside his own ids: as root of an outer container, all that this one has; else his subordinate
 * ids. Both kinds or neither: a user without his group would be no more than half there.
 */
function spareIds(host: HostFacts): { readonly uids: readonly IdRange[]; readonly gids: readonly IdRange[] } {
  const helpers = host.newuidmap !== undefined && host.newgidmap !== undefined;
  const uids = host.mapsIds ? without(host.ownUids, host.euid) : helpers ? host.subuids : [];
  const gids = host.mapsIds ? without(host.ownGids, host.egid) : helpers ? host.subgids : [];
  return uids.length > 0 && gids.length > 0 ? { uids, gids } : { uids: [], gids: [] };
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

const NO_MORE = 'boxctl itself runs in a user namespace that has no more ids: give the outer container more';

function describe(ranges: readonly IdRange[]): string {
  return ranges.map(({ start, size }) => (size === 1 ? `${start}` : `${start}–${start + size - 1}`)).join(', ');
}

function checkMap(
  problems: Problems,
  host: HostFacts,
  key: 'uid_map' | 'gid_map',
  maps: readonly IdMap[],
  allowed: readonly IdRange[],
): void {
  for (const [index, map] of maps.entries()) {
    const wanted = { start: map.host, size: map.size };
    if (allowed.some((range) => contains(range, wanted))) continue;
    const file = key === 'uid_map' ? '/etc/subuid' : '/etc/subgid';
    problems.add(
      'E_ID_MAP_NOT_ALLOWED',
      `${key}.${index}`,
      `the host ids ${describe([wanted])} are not yours to map; yours are ${describe(allowed)}`,
      host.mapsIds ? NO_MORE : `map your own id alone, have a range added to ${file}, or run boxctl as root`,
    );
  }
}

/** Root of the host would stay root, and with no id for root inside, nobody would own the image's files. */
function checkKeepId(problems: Problems, host: HostFacts): void {
  if (host.privileged) {
    const message = 'root’s own id inside would be root of the host';
    problems.add('E_KEEP_ID', 'keep_id', message, 'take `keep_id` out, or run boxctl as an ordinary user');
  } else if (spareIds(host).uids.length === 0) {
    const message = 'keeping your own id takes subordinate ids, for root and the others inside';
    problems.add(
      'E_KEEP_ID',
      'keep_id',
      message,
      `${howToGetIds(host)}; or take \`keep_id\` out: you are root inside then`,
    );
  }
}

/** An ordinary user can map his own id, and what was given to him. */
export function checkMaps(problems: Problems, document: SpecDocument, host: HostFacts, maps: Ownership): void {
  const { spec } = document;
  if (spec.keepId) checkKeepId(problems, host);
  if (spec.autoIds !== undefined) checkAuto(problems, document, host);
  if (spec.uidMap === undefined && spec.gidMap === undefined) return;
  const all = host.privileged || host.mapsIds;
  const spare = spareIds(host);
  const uids = all ? host.ownUids : [{ start: host.euid, size: 1 }, ...spare.uids];
  const gids = all ? host.ownGids : [{ start: host.egid, size: 1 }, ...spare.gids];
  checkMap(problems, host, spec.uidMap === undefined ? 'gid_map' : 'uid_map', maps.uidMap, uids);
  checkMap(problems, host, spec.gidMap === undefined ? 'uid_map' : 'gid_map', maps.gidMap, gids);
}

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

/** The ids that were claimed. Without a claim, as in a plan that is only printed, those at the start of the pool. */
function autoMaps(size: number, host: HostFacts, claims: Claims): Ownership {
  const { uid, gid } = autoPool(host) ?? { uid: FIRST_AUTO, gid: FIRST_AUTO };
  const offset = claims.ids?.offset ?? 0;
  return {
    uidMap: [{ container: 0, host: uid + offset, size }],
    gidMap: [{ container: 0, host: gid + offset, size }],
  };
}

function checkAuto(problems: Problems, document: SpecDocument, host: HostFacts): void {
  const pool = autoPool(host);
  const { autoIds = 0 } = document.spec;
  const key = document.where('uid_map') === undefined ? 'gid_map' : 'uid_map';
  if (pool !== undefined && autoIds <= pool.size) return;
  const message =
    pool === undefined ? 'there are no ids to choose from' : `there are only ${pool.size} ids to choose from`;
  const hint = host.mapsIds
    ? NO_MORE
    : pool === undefined
      ? howToGetIds(host)
      : `have more ranges added to /etc/subuid and /etc/subgid, or ask for fewer: \`uid_map: auto:${pool.size}\``;
  problems.add('E_NO_AUTO_IDS', key, message, hint);
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
