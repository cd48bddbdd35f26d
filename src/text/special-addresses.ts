/** Addresses that are not those of the world (RFC 6890), by what they are to a container. */
import { containsSubnet, parseSubnet, type Subnet } from './addresses.ts';

export type SpecialKind = 'loopback' | 'link-local' | 'multicast' | 'unspecified' | 'mapped';

const SPECIAL: readonly (readonly [kind: SpecialKind, subnet: string])[] = [
  ['unspecified', '0.0.0.0/8'],
  ['unspecified', '::/128'],
  ['loopback', '127.0.0.0/8'],
  ['loopback', '::1/128'],
  ['link-local', '169.254.0.0/16'],
  ['link-local', 'fe80::/10'],
  ['multicast', '224.0.0.0/4'],
  ['multicast', '255.255.255.255/32'],
  ['multicast', 'ff00::/8'],
  // IPv4 in the clothes of IPv6: what checks IPv6 would not see where it leads.
  ['mapped', '::ffff:0:0/96'],
];

let table: readonly (readonly [kind: SpecialKind, subnet: Subnet])[] | undefined;

/** What all of the subnet is; undefined: some of it is an ordinary address. */
export function specialKind(subnet: Subnet): SpecialKind | undefined {
  table ??= SPECIAL.flatMap(([kind, text]) => {
    const parsed = parseSubnet(text);
    return parsed === undefined ? [] : [[kind, parsed.subnet] as const];
  });
  return table.find(([, special]) => containsSubnet(special, subnet))?.[0];
}
