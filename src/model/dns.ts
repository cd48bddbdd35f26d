/** What the container's /etc/resolv.conf says (resolv.conf(5)). */
import { isOwnAddress, type HostFacts } from '../host/facts.ts';
import type { Spec } from '../spec/spec.ts';
import { formatAddress, parseAddress, subnetOf } from '../text/addresses.ts';
import { specialKind } from '../text/special-addresses.ts';
import { reachesPort } from './egress.ts';
import type { Dns, EgressRule, Network } from './network.ts';

/** What the C library reads of them. */
const MOST_SERVERS = 3;
const PORT = 53;

interface ResolvConf {
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** Of several lines of a kind, the C library takes the last, but for servers. */
export function parseResolvConf(text: string): ResolvConf {
  let [search, options]: readonly string[][] = [[], []];
  const servers: string[] = [];
  for (const line of text.split('\n')) {
    const [key, ...words] = line
      .replace(/[#;].*/u, '')
      .trim()
      .split(/\s+/u);
    if (key === 'nameserver' && words[0] !== undefined) servers.push(words[0]);
    else if (key === 'search' || key === 'domain') search = words;
    else if (key === 'options') options = [...(options ?? []), ...words];
  }
  return { servers, search: search ?? [], options: options ?? [] };
}

/** On the container's loopback interface, where the launcher listens for it. */
const relayAt = (index: number): string => `127.0.0.${11 + index}`;

/** Whether a container cannot send to it, although the host can. */
function isOutOfReach(address: string, host: HostFacts): boolean {
  const subnet = subnetOf(address);
  const kind = subnet === undefined ? undefined : specialKind(subnet);
  if (kind === 'loopback' || kind === 'link-local' || kind === 'unspecified') return true;
  return isOwnAddress(host, address);
}

/** Name servers of the host that the container may ask, under the rules of `egress`. */
function hostServers(host: HostFacts, egress: readonly EgressRule[] | undefined): Pick<Dns, 'servers' | 'relays'> {
  const relays: Dns['relays'][number][] = [];
  const servers: string[] = [];
  for (const text of parseResolvConf(host.network.resolv).servers) {
    const address = parseAddress(text);
    if (address === undefined || servers.length === MOST_SERVERS) continue;
    const to = formatAddress(address);
    if (egress !== undefined && !reachesPort(egress, to, PORT)) continue;
    if (!isOutOfReach(to, host)) servers.push(to);
    else {
      const at = relayAt(relays.length);
      relays.push({ at, to });
      servers.push(at);
    }
  }
  return { servers, relays };
}

const NO_NETWORK = '# This container has no network beyond its own, and so no name server.\n';
const NO_SERVER = '# This container may ask no name server.\n';
const NO_SERVER_THERE =
  '# The name servers of the host are on its loopback, which this container does not reach: `dns` gives others.\n';

function textOf({ servers, search, options }: Omit<Dns, 'relays'>, comment: string): string {
  const lines = [
    ...(search.length === 0 ? [] : [`search ${search.join(' ')}`]),
    ...servers.map((server) => `nameserver ${server}`),
    ...(options.length === 0 ? [] : [`options ${options.join(' ')}`]),
  ];
  return `${servers.length === 0 ? comment : ''}${lines.map((line) => `${line}\n`).join('')}`;
}

/** Without those that the launcher would relay: nobody does in a namespace that is joined by its path. */
function withoutRelays({ servers, relays, ...rest }: Dns): ResolvConf {
  return { ...rest, servers: servers.filter((server) => !relays.some(({ at }) => at === server)) };
}

/** The whole file. In the network of another container, name servers are those that a container with `bridge` has. */
export function resolvConf(spec: Spec, host: HostFacts, network: Network | undefined): string {
  const { kind } = spec.namespaces.net;
  if (network !== undefined) return textOf(network.dns, NO_SERVER);
  if (kind === 'container') return textOf(compileDns(spec, host, undefined), NO_SERVER);
  if (kind === 'path') return textOf(withoutRelays(compileDns(spec, host, undefined)), NO_SERVER_THERE);
  if (kind !== 'host') return spec.dns === undefined ? NO_NETWORK : textOf({ ...NOTHING, ...spec.dns }, NO_NETWORK);
  if (spec.dns === undefined) return host.network.resolv;
  return textOf({ ...parseResolvConf(host.network.resolv), ...spec.dns }, NO_SERVER);
}

const NOTHING: ResolvConf = { servers: [], search: [], options: [] };

export function compileDns({ dns = {} }: Spec, host: HostFacts, egress: readonly EgressRule[] | undefined): Dns {
  const given = parseResolvConf(host.network.resolv);
  const { servers, relays } =
    dns.servers === undefined ? hostServers(host, egress) : { servers: dns.servers, relays: [] };
  return { servers, search: dns.search ?? given.search, options: dns.options ?? given.options, relays };
}
