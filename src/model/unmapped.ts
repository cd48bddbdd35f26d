/** Ids that the file names and that do not exist inside (user_namespaces(7)). */
import { quoted } from '../text/quote.ts';
import type { HostFacts } from '../host/facts.ts';
import { howToGetIds } from '../host/subordinate.ts';
import type { Ownership } from './image.ts';
import type { Spec } from '../spec/spec.ts';

/** What a person can do about an id that does not exist inside: in the file, or on the host where its maps are the default. */
export function unmapped(
  what: 'user' | 'group',
  id: number,
  maps: Ownership | undefined,
  { uidMap, gidMap }: Spec,
  host: HostFacts,
): readonly [message: string, hint: string] {
  const key = what === 'user' ? 'uid_map' : 'gid_map';
  const given = (what === 'user' ? maps?.uidMap : maps?.gidMap) ?? [];
  const message = `the ${what} id ${quoted(id)} does not exist inside`;
  if (uidMap !== undefined || gidMap !== undefined) {
    return [`${message}: ${key} does not map it`, `map more ids with uid_map and gid_map, or take another ${what}`];
  }
  const count = given.reduce((sum, { size }) => sum + size, 0);
  if (count > 1) {
    const ids = given.map(({ container, size }) => `${container}–${container + size - 1}`).join(', ');
    const more = host.privileged
      ? 'map more ids with uid_map and gid_map'
      : host.mapsIds
        ? 'give the container around boxctl more ids'
        : 'have more ranges added to /etc/subuid and /etc/subgid';
    return [`${message}: there are ${ids}`, `take another ${what}, or ${more}`];
  }
  const how = host.mapsIds ? 'give the container around boxctl more ids' : howToGetIds(host);
  return [
    `${message}: without subordinate ids, root is the only ${what} there`,
    `${how}; or run it as root: \`user: 0\``,
  ];
}
