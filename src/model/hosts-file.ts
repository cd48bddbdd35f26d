/**
 * The container's /etc/hosts (hosts(5)): its own names, those that the file gives, and those of `egress`. The launcher adds the
 * containers on its networks (src/plan/network/names-of-others.ts).
 */
import type { HostFacts } from '../host/facts.ts';
import type { Spec } from '../spec/spec.ts';
import type { HostLine, Network } from './network.ts';

/** As Docker writes it. */
const LOCAL_NAMES = [
  ['127.0.0.1', 'localhost'],
  ['::1', 'localhost ip6-localhost ip6-loopback'],
  ['fe00::', 'ip6-localnet'],
  ['ff00::', 'ip6-mcastprefix'],
  ['ff02::1', 'ip6-allnodes'],
  ['ff02::2', 'ip6-allrouters'],
] as const;

/** A hosts file with a hundred thousand names, as blockers of advertisements write it, is not copied at each start. */
const MAX_HOSTS = 65_536;

/** Whether a line gives the name. */
function hasName(hosts: string, name: string): boolean {
  return hosts.split('\n').some((line) => {
    const [, ...names] = line.replace(/#.*/u, '').trim().split(/\s+/u);
    return names.includes(name);
  });
}

const ended = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`);

/** The addresses by which the container knows itself: on a network with others, those that the others see. */
function ownAddresses(network: Network | undefined): readonly string[] {
  if (network === undefined) return ['127.0.0.1'];
  const [first] = network.networks;
  const all = first === undefined ? [network.ipv4, network.ipv6] : [first.address4, first.address6];
  return all.filter((address) => address !== undefined);
}

/** What `host-gateway` is; of the host's network, the host's own loopback. */
function gatewayOf(network: Network | undefined): readonly string[] {
  if (network === undefined) return ['127.0.0.1'];
  const { ipv4, ipv6 } = network.gateway;
  return network.ipv6 === undefined ? [ipv4] : [ipv4, ipv6];
}

function extraLines({ extraHosts = [] }: Spec, network: Network | undefined): readonly HostLine[] {
  return extraHosts.flatMap(({ name, address }) =>
    (address === 'host-gateway' ? gatewayOf(network) : [address]).map((one) => ({ address: one, names: [name] })),
  );
}

/**
 * `names`: those by which the container knows itself. In the host's network, the host's names hold, too. Of two lines with a
 * name, the first one counts.
 */
export function hostsFile(spec: Spec, host: HostFacts, names: readonly string[], network: Network | undefined): string {
  const isHosts = spec.namespaces.net.kind === 'host';
  const given = isHosts && host.network.hosts.length <= MAX_HOSTS ? ended(host.network.hosts.replaceAll('\0', '')) : '';
  const lines: string[] = [];
  const add = ({ address, names: all }: HostLine): void => void lines.push(`${address}\t${all.join(' ')}\n`);
  if (!hasName(given, 'localhost')) for (const [address, ...all] of LOCAL_NAMES) add({ address, names: all });
  const extra = extraLines(spec, network);
  extra.forEach(add);
  if (names[0] !== undefined && !hasName(given, names[0])) {
    for (const address of ownAddresses(network)) add({ address, names });
  }
  const own = given + lines.join('');
  for (const { address, names: all } of network?.hosts ?? []) {
    const free = all.filter((name) => !hasName(own, name));
    if (free.length > 0) add({ address, names: free });
  }
  return given + lines.join('');
}
