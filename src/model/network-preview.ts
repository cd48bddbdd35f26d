/** The claim for a plan that is not started: the addresses that the first container of a host would have. */
import type { SpecNetwork } from '../spec/network/network.ts';
import { addressAt } from '../text/addresses.ts';
import type { ClaimedNetwork, NetworkClaim } from './claims.ts';
import { DEFAULT_POOL, FIRST_SUBNETS, MADE_UP_ADDRESSES } from './network-defaults.ts';

export function previewClaim({ networks, egress = [] }: SpecNetwork): NetworkClaim {
  const names = egress.flatMap(({ to }) => (to.kind === 'name' ? [to.name] : []));
  return {
    index: 1,
    pool: DEFAULT_POOL,
    networks: networks.map((network): ClaimedNetwork => {
      const given = (family: 4 | 6) => network.subnets.find(({ subnet }) => subnet.family === family)?.subnet;
      const [subnet4, subnet6] = [given(4) ?? FIRST_SUBNETS.ipv4, given(6) ?? FIRST_SUBNETS.ipv6];
      const [address4, address6] = [
        network.ipv4Address ?? addressAt(subnet4, 2),
        network.ipv6Address ?? addressAt(subnet6, 2),
      ];
      return {
        ...(network.ipv4 && address4 !== undefined ? { subnet4, address4 } : {}),
        ...(network.ipv6 && address6 !== undefined ? { subnet6, address6 } : {}),
      };
    }),
    resolved: new Map(names.map((name) => [name, MADE_UP_ADDRESSES])),
  };
}
