/** Compiles the network of a specification and what was claimed for this run to the network of the model. */
import type { HostFacts } from '../host/facts.ts';
import type { NetworkAttachment, SpecNetwork } from '../spec/network/network.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { addressAt, subnetOf, type Subnet } from '../text/addresses.ts';
import { specialKind } from '../text/special-addresses.ts';
import type { ClaimedNetwork, Claims, NetworkClaim } from './claims.ts';
import { compileDns } from './dns.ts';
import { reachesPort, ruleOf } from './egress.ts';
import type { Warning } from './model.ts';
import type { EgressRule, HostLine, JoinedNetwork, Network } from './network.ts';
import { driverFor } from './network-driver.ts';
import { networkKey } from './network-demands.ts';
import { networkFolder, networkId } from './network-id.ts';
import { previewClaim } from './network-preview.ts';
import type { Problems } from './problems.ts';
import type { Reasons } from './reasons.ts';

/** The default hardware address: locally administered, with the index of the claim in the last two bytes. */
function macOf(index: number): string {
  const hex = (byte: number): string => byte.toString(16).padStart(2, '0');
  return `02:62:6f:78:${hex(index >> 8)}:${hex(index & 0xff)}`;
}

/** Undefined where the file asks for no network. */
export function compileNetwork(
  document: SpecDocument,
  host: HostFacts,
  claims: Claims,
  rates: Network['rates'],
  reasons: Reasons,
  problems: Problems,
): Network | undefined {
  const { network } = document.spec;
  if (network === undefined) return undefined;
  setReasons(network, networkKey(document), reasons);
  const given = claims.network ?? previewClaim(network);
  const withoutIpv6 = host.networking?.withoutIpv6 === true;
  if (withoutIpv6) refuseIpv6(network, problems);
  const claim = withoutIpv6 ? ipv4Alone(given) : given;
  const { index, pool } = claim;
  const gateway = { ipv4: addressAt(pool.ipv4, 0) ?? '', ipv6: addressAt(pool.ipv6, 0) ?? '' };
  const networks = network.networks.map((attachment, place) =>
    joined(document, attachment, claim.networks[place] ?? {}),
  );
  const egress = network.egress?.map((target) => ruleOf(target, claim, host, problems));
  const toWorld = networks.length === 0 || networks.some(({ internal }) => !internal);
  return {
    driver: driverFor(document, host, problems),
    index,
    mac: network.macAddress ?? macOf(index),
    ipv4: addressAt(pool.ipv4, index),
    ipv6: withoutIpv6 ? undefined : addressAt(pool.ipv6, index),
    pool,
    gateway,
    networks,
    toWorld,
    ports: network.ports,
    egress,
    reaches: {
      host: egress?.some(({ addresses }) => addresses === 'host') ?? false,
      linkLocal: egress?.some(({ addresses }) => typeof addresses !== 'string' && addresses.some(isLinkLocal)) ?? false,
    },
    // A container on internal networks only gets no name server of the host: DNS queries could carry data out.
    dns: compileDns(document.spec, host, toWorld ? egress : []),
    hosts: pinned(egress ?? []),
    rates,
  };
}

const isIpv6 = (address: string): boolean => address.includes(':');

/** What a file asks for by IPv6 alone is an error on a host without it; all else of IPv6 is left out. */
function refuseIpv6({ networks }: SpecNetwork, problems: Problems): void {
  const hint = '`sysctl net.ipv6.conf.default.disable_ipv6` is 1 here, or the kernel was started with ipv6.disable=1';
  for (const { specPath, name, ipv4, ipv6Address } of networks) {
    if (ipv4 && ipv6Address === undefined) continue;
    const what = ipv6Address ?? `the network ${name} has no IPv4, and`;
    problems.add('E_NO_ADDRESS_FAMILY', specPath, `this host gives containers no IPv6: ${what} cannot be had`, hint);
  }
}

const onlyIpv4 = (addresses: readonly string[]): readonly string[] => addresses.filter((one) => !isIpv6(one));

/** The claim without addresses of IPv6. The pool stays, since the shared table is the same for all containers. */
function ipv4Alone({ networks, resolved, ...claim }: NetworkClaim): NetworkClaim {
  return {
    ...claim,
    networks: networks.map((network): ClaimedNetwork => {
      const { subnet6: _, address6: __, ...rest } = network;
      return rest;
    }),
    resolved: new Map([...resolved].map(([name, addresses]) => [name, onlyIpv4(addresses)])),
  };
}

/** Settings of `dns` with which no name would be found. They are no errors. */
export function networkWarnings(
  { spec }: SpecDocument,
  network: Network | undefined,
  reasons: Reasons,
): readonly Warning[] {
  if (network === undefined) return [];
  const { egress } = network;
  const servers = spec.dns?.servers ?? [];
  const because = reasons.find('network.dns');
  const isLoopback = (server: string): boolean => {
    const subnet = subnetOf(server);
    return subnet !== undefined && specialKind(subnet) === 'loopback';
  };
  if (servers.some(isLoopback)) {
    const own = 'a name server of `dns` is on loopback, which is the container’s own and not this host’s';
    return [{ message: `${own}: leave \`dns\` out for the name servers of this host`, because }];
  }
  if (egress === undefined || servers.every((server) => reachesPort(egress, server, 53))) return [];
  const message = '`egress` lets no question through to a name server of `dns`: names are not found by it';
  return [{ message, because }];
}

/** Lines of /etc/hosts: each name of `egress` has the addresses for which the rules were made. */
function pinned(egress: readonly EgressRule[]): readonly HostLine[] {
  const lines = egress.flatMap(({ name, addresses }) =>
    name === undefined || typeof addresses === 'string'
      ? []
      : addresses.map(({ address }) => ({ address, names: [name] })),
  );
  // A name that `egress` has with several ports gets one line for each address.
  return [...new Map(lines.map((line) => [`${line.address} ${line.names.join(' ')}`, line])).values()];
}

const isLinkLocal = (subnet: Subnet): boolean => specialKind(subnet) === 'link-local';

function setReasons(
  { ports, networks, egress = [] }: SpecNetwork,
  key: ReturnType<typeof networkKey>,
  reasons: Reasons,
): void {
  reasons.set('network', key, 'a network of its own');
  reasons.set('network.mac', 'mac_address', 'an address made of the index of the claim');
  reasons.set('network.egress', 'egress', 'anywhere but the host and other containers');
  reasons.set('network.dns', 'dns', 'name servers of the host');
  reasons.set('network.rates.egress', 'limits.network.egress', 'no rate');
  reasons.set('network.rates.ingress', 'limits.network.ingress', 'no rate');
  for (const [index, { specPath }] of ports.entries()) reasons.set(`network.ports.${index}`, specPath, 'ports');
  for (const [index, { specPath }] of networks.entries())
    reasons.set(`network.networks.${index}`, specPath, 'networks');
  for (const [index, { specPath }] of egress.entries()) reasons.set(`network.egress.${index}`, specPath, 'egress');
}

function joined(document: SpecDocument, attachment: NetworkAttachment, claimed: ClaimedNetwork): JoinedNetwork {
  const { name, internal, aliases } = attachment;
  const { name: own, hostname } = document.spec;
  const names = [...new Set([own, ...(hostname === undefined ? [] : [hostname]), ...aliases])];
  const id = networkId(document, attachment);
  return { id, folder: networkFolder(id), name, ...claimed, internal, names };
}
