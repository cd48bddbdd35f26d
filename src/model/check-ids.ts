/** Problems of the keys that choose ids: `uid_map`, `gid_map`, `keep_id`. */
import type { HostFacts, IdRange } from '../host/facts.ts';
import { contains } from '../host/id-range.ts';
import { howToGetIds } from '../host/subordinate.ts';
import type { IdMap, SpecDocument } from '../spec/spec.ts';
import { autoPool } from './auto-ids.ts';
import type { Ownership } from './image.ts';
import type { Problems } from './problems.ts';
import { spareIds } from './spare-ids.ts';

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
