/** Which range containers' addresses are taken from: the one that is in use, or the first that nothing of the host overlaps. */
import { BoxctlError } from '../errors.ts';
import type { NetworkFacts } from '../host/facts.ts';
import { NETWORK_CONFIG, type NetworkConfig } from '../host/network-config.ts';
import { DEFAULT_POOL, FIRST_SUBNETS, type Pool } from '../model/network-defaults.ts';
import { formatSubnet, overlapsSubnet, subnetOf, type Subnet } from '../text/addresses.ts';

/** All containers of a host have addresses of one pool, and their networks of one range. */
export interface Ranges {
  readonly pool: Pool;
  /** From where subnets of networks are taken. */
  readonly subnets: Pool;
}

const ipv4 = (address: string, prefix: number): Subnet => ({ family: 4, address, prefix });
const ipv6 = (address: string, prefix: number): Subnet => ({ family: 6, address, prefix });

/** The usual one, and what is tried where the host has something there. */
const IPV4: readonly (readonly [pool: Subnet, subnets: Subnet])[] = [
  [DEFAULT_POOL.ipv4, ipv4('10.215.0.0', 16)],
  [ipv4('10.231.0.0', 20), ipv4('10.231.0.0', 16)],
  [ipv4('172.29.0.0', 20), ipv4('172.29.0.0', 16)],
];
const IPV6: readonly (readonly [pool: Subnet, subnets: Subnet])[] = [
  [DEFAULT_POOL.ipv6, ipv6(FIRST_SUBNETS.ipv6.address, 64)],
  [ipv6('fd62:6f78:6374:7c::', 116), ipv6('fd62:6f78:6374:7d::', 64)],
  [ipv6('fd62:6f78:6374:8c::', 116), ipv6('fd62:6f78:6374:8d::', 64)],
];

/** What of the host is in the range, in words; undefined: nothing. */
export function overlapOf(range: Subnet, { addresses, routes }: NetworkFacts): string | undefined {
  const route = routes.find(({ subnet }) => subnet.prefix > 0 && overlapsSubnet(subnet, range));
  if (route !== undefined) return `the route to ${formatSubnet(route.subnet)} by ${route.device}`;
  const address = addresses.find((one) => {
    const own = subnetOf(one.address);
    return own !== undefined && overlapsSubnet(own, range);
  });
  return address === undefined ? undefined : `the address ${address.address} of ${address.device}`;
}

function chooseOne(
  key: 'ipv4' | 'ipv6',
  candidates: readonly (readonly [pool: Subnet, subnets: Subnet])[],
  config: NetworkConfig,
  facts: NetworkFacts,
): readonly [pool: Subnet, subnets: Subnet] {
  const wanted = config.pool?.[key];
  const all = wanted === undefined ? candidates : [[wanted, candidates[0]?.[1] ?? wanted] as const];
  const found = all.find(([pool]) => overlapOf(pool, facts) === undefined);
  const [first] = all;
  if (found !== undefined) return [found[0], config.subnets?.[key] ?? found[1]];
  const range = first === undefined ? '' : formatSubnet(first[0]);
  const why = first === undefined ? '' : overlapOf(first[0], facts);
  throw new BoxctlError('E_POOL_OVERLAP', `containers cannot be given addresses of ${range}: ${why} is in it`, {
    hint: `name a range that nothing of this host or its networks has, in ${NETWORK_CONFIG}: \`pool: {${key}: ${
      key === 'ipv4' ? '10.99.0.0/20' : 'fd12:3456:789a::/116'
    }}\``,
  });
}

/** @throws BoxctlError E_POOL_OVERLAP */
export function chooseRanges(config: NetworkConfig, facts: NetworkFacts): Ranges {
  const [pool4, subnets4] = chooseOne('ipv4', IPV4, config, facts);
  const [pool6, subnets6] = chooseOne('ipv6', IPV6, config, facts);
  return { pool: { ipv4: pool4, ipv6: pool6 }, subnets: { ipv4: subnets4, ipv6: subnets6 } };
}
