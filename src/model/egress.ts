/** What a container may reach of the world, as rules. */
import { isOwnAddress, type HostFacts } from '../host/facts.ts';
import type { EgressTarget } from '../spec/network/network.ts';
import { containsAddress, containsSubnet, subnetOf, type Subnet } from '../text/addresses.ts';
import { specialKind } from '../text/special-addresses.ts';
import type { NetworkClaim } from './claims.ts';
import type { EgressRule } from './network.ts';
import type { Problems } from './problems.ts';

/** A name that leads to the host, to link-local addresses or to other containers alone is a problem at its line. */
export function ruleOf(
  { to, ports, protocol, specPath }: EgressTarget,
  claim: NetworkClaim,
  host: HostFacts,
  problems: Problems,
): EgressRule {
  const rest = { ...(ports === undefined ? {} : { ports }), ...(protocol === undefined ? {} : { protocol }) };
  if (to.kind === 'any' || to.kind === 'host') return { addresses: to.kind, ...rest };
  if (to.kind === 'subnet') {
    checkSubnet(to.subnet, specPath, claim, host, problems);
    return { addresses: [to.subnet], ...rest };
  }
  const found = (claim.resolved.get(to.name) ?? []).flatMap((address) => subnetOf(address) ?? []);
  const addresses = found.filter((subnet) => isOfTheWorld(subnet, claim, host));
  if (found.length > 0 && addresses.length === 0) {
    const message = `every address of ${to.name} is the host's, link-local, or a container's, and none of them may be reached`;
    problems.add('E_EGRESS_ADDRESS', specPath, message, 'for the host itself, write `host-gateway` with the port');
  }
  return { addresses, ...rest, name: to.name };
}

/** A name that leads to the host or to other containers opens neither (DNS rebinding). */
function isOfTheWorld(subnet: Subnet, { pool }: NetworkClaim, host: HostFacts): boolean {
  if (specialKind(subnet) !== undefined || isOwnAddress(host, subnet.address)) return false;
  return ![pool.ipv4, pool.ipv6].some((all) => containsSubnet(all, subnet));
}

/** What would be refused in spite of the file. A range may have such addresses among others: they stay out of reach. */
function checkSubnet(
  subnet: Subnet,
  specPath: EgressTarget['specPath'],
  { pool }: NetworkClaim,
  host: HostFacts,
  problems: Problems,
): void {
  const single = subnet.prefix === (subnet.family === 4 ? 32 : 128);
  if (single && isOwnAddress(host, subnet.address)) {
    const message = `${subnet.address} is an address of this host, which the container reaches by that of its gateway alone`;
    problems.add('E_EGRESS_ADDRESS', specPath, message, 'write `host-gateway` in its place');
  } else if ([pool.ipv4, pool.ipv6].some((all) => containsSubnet(all, subnet))) {
    const message = `${subnet.address} is an address of containers, and \`egress\` opens none of them`;
    problems.add('E_EGRESS_ADDRESS', specPath, message, 'put both containers on one network: `networks: [NAME]`');
  }
}

/** Whether a rule lets packets through to this address and port. */
export function reachesPort(rules: readonly EgressRule[], address: string, port: number): boolean {
  return rules.some(({ addresses, ports }) => {
    if (ports !== undefined && (port < ports.first || port > ports.last)) return false;
    if (addresses === 'any') return true;
    return addresses !== 'host' && addresses.some((subnet) => containsAddress(subnet, address));
  });
}
