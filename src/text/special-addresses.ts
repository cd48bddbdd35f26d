/** Addresses that are not those of the world (RFC 6890), by what they are to a container. */
import { containsSubnet, overlapsSubnet, parseSubnet, type Subnet } from './addresses.ts';

export type SpecialKind = 'loopback' | 'link-local' | 'multicast' | 'unspecified' | 'mapped';

const SPECIAL: readonly (readonly [kind: SpecialKind, subnet: string])[] = [
  ['unspecified', '0.0.0.0/8'],
  ['unspecified', '::/128'],
  ['loopback', '127.0.0.0/8'],
  ['loopback', '::1/128'],
  ['link-local', '169.254.0.0/16'],
  ['link-local', 'fe80::/10'],
  // As link-local as the others to a machine of a cloud: AWS, Google and Alibaba keep credentials there.
  ['link-local', 'fd00:ec2::254/128'],
  ['link-local', 'fd20:ce::254/128'],
  ['link-local', '100.100.100.200/32'],
  ['multicast', '224.0.0.0/4'],
  ['multicast', '255.255.255.255/32'],
  ['multicast', 'ff00::/8'],
  // IPv6 addresses that contain an IPv4 address: a check for IPv6 would miss where the packets go.
  ['mapped', '::ffff:0:0/96'],
];

let table: readonly (readonly [kind: SpecialKind, subnet: Subnet])[] | undefined;

function specialTable(): NonNullable<typeof table> {
  table ??= SPECIAL.flatMap(([kind, text]) => {
    const parsed = parseSubnet(text);
    return parsed === undefined ? [] : [[kind, parsed.subnet] as const];
  });
  return table;
}

/** What all of the subnet is; undefined: some of it is an ordinary address. */
export function specialKind(subnet: Subnet): SpecialKind | undefined {
  return specialTable().find(([, special]) => containsSubnet(special, subnet))?.[0];
}

/** Ranges that nobody on the internet has: RFC 1918, RFC 6598, RFC 4193. */
const PRIVATE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7'];

/** Whether all of the subnet is in a range for private networks. */
export function isPrivate(subnet: Subnet): boolean {
  return PRIVATE.some((text) => {
    const parsed = parseSubnet(text);
    return parsed !== undefined && containsSubnet(parsed.subnet, subnet);
  });
}

/** Whether some of the subnet is special. */
export function overlapsSpecial(subnet: Subnet): boolean {
  return specialTable().some(([, special]) => overlapsSubnet(special, subnet));
}

/** All subnets of that kind. */
export function subnetsOfKind(kind: SpecialKind, family: 4 | 6): readonly Subnet[] {
  return specialTable().flatMap(([one, subnet]) => (one === kind && subnet.family === family ? [subnet] : []));
}
