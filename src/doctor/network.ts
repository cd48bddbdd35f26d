/** Whether containers can have a network here, and what turns each part of it on. */
import { admission, gatherFirewalls, type Firewall } from '../host/firewall.ts';
import type { HostFacts, NetworkFacts } from '../host/facts.ts';
import { withNetwork } from '../host/network.ts';
import { realHost, type HostReader } from '../host/read.ts';
import { parseResolvConf } from '../model/dns.ts';
import { DEFAULT_POOL } from '../model/network-defaults.ts';
import { subnetOf } from '../text/addresses.ts';
import { specialKind } from '../text/special-addresses.ts';
import type { Check, State } from './check.ts';
import { tryContainer, type Trial } from './trial.ts';

export interface NetworkFindings {
  readonly facts: NetworkFacts | undefined;
  /** A container with `network_mode: bridge`; undefined where no container could be made. */
  readonly trial: Trial | undefined;
  /** The same with rates. */
  readonly rates: Trial | undefined;
  readonly firewalls: readonly Firewall[];
  /** Settings of forwarding that cannot be written. */
  readonly locked: readonly string[];
}

/** Makes up to two containers with a network, which leave nothing behind. */
export async function gatherNetworkFindings(
  host: HostFacts,
  env: Readonly<Record<string, string | undefined>>,
  isStartable: boolean,
  read: HostReader = realHost,
): Promise<NetworkFindings> {
  const facts = withNetwork(host, env, read).networking;
  const trial = isStartable ? await tryContainer(host, 'network_mode: bridge\n', env) : undefined;
  const isRoot = facts?.netAdmin === true;
  const rated = 'network_mode: bridge\nlimits: {network: {egress: 100mbit, ingress: 100mbit}}\n';
  return {
    facts,
    trial,
    rates: trial?.ok === true ? await tryContainer(host, rated, env) : undefined,
    firewalls: isRoot ? gatherFirewalls(read) : [],
    locked: (facts?.forwarding ?? [])
      .filter(({ on, setting }) => !on && !read.writable(setting))
      .map(({ setting }) => setting),
  };
}

function make(name: string, state: State, detail: string, rest: Pick<Check, 'gives' | 'fix'> = {}): Check {
  return { group: 'network', name, state, detail, ...(state === 'no' ? rest : {}) };
}

function ofTrial(name: string, trial: Trial | undefined, gives: string, by: string): Check {
  if (trial === undefined) return make(name, 'none', 'not tried, since no container could be made');
  if (trial.ok) return make(name, 'yes', `tried, ${by}: all ${trial.steps} steps done and undone`);
  const fix = trial.hint === undefined ? {} : { fix: trial.hint };
  return make(name, 'no', trial.message.replaceAll('\n', '; '), { gives, ...fix });
}

function ofUplinks({ uplinks }: NetworkFacts): Check {
  const ways = ([4, 6] as const).flatMap((family) => {
    const device = uplinks.find((uplink) => uplink.family === family)?.device;
    return device === undefined ? [] : [`IPv${family} by ${device}`];
  });
  const fix = { gives: 'containers that reach the world', fix: 'give this host a default route' };
  return make('way to the world', ways.length === 0 ? 'no' : 'yes', ways.join(', ') || 'no default route', fix);
}

function ofForwarding({ forwarding }: NetworkFacts, locked: readonly string[]): Check {
  const off = forwarding.filter(({ on }) => !on);
  if (off.length === 0) return make('forwarding', 'yes', 'on');
  const [first] = locked;
  if (first !== undefined) {
    const fix = 'mount /proc/sys writable around boxctl, or switch it on there';
    return make('forwarding', 'no', `off, and ${first} cannot be written`, { gives: '`network_mode: bridge`', fix });
  }
  const devices = [...new Set(off.map(({ device }) => device))].join(', ');
  return make('forwarding', 'yes', `off: switched on for ${devices} as long as a container with a network runs`);
}

function ofFirewalls(firewalls: readonly Firewall[]): readonly Check[] {
  const found = firewalls.flatMap((firewall) => {
    const fix = admission(firewall, [DEFAULT_POOL.ipv4, DEFAULT_POOL.ipv6]);
    return fix === undefined ? [] : [{ name: firewall.name, fix }];
  });
  if (found.length === 0) return [make('firewall', 'yes', 'none that drops what containers send was found')];
  return found.map(({ name, fix }) =>
    make('firewall', 'no', `${name} can drop what containers send`, { gives: 'containers that reach the world', fix }),
  );
}

function ofNameServers({ network }: HostFacts): Check {
  const { servers } = parseResolvConf(network.resolv);
  if (servers.length === 0) {
    const fix = { gives: 'names in containers', fix: 'give containers `dns: [ADDRESS]`' };
    return make('name servers', 'no', '/etc/resolv.conf has none', fix);
  }
  const shown = servers.map((server) => {
    const subnet = subnetOf(server);
    const isLocal = subnet !== undefined && specialKind(subnet) === 'loopback';
    return isLocal ? `${server} (passed on to containers)` : server;
  });
  return make('name servers', 'yes', shown.join(', '));
}

/** Programs that carry an ordinary user's packets. */
function ofPrograms({ programs, netAdmin }: NetworkFacts): readonly Check[] {
  const gives = '`network_mode: bridge`';
  if (netAdmin === true || programs === undefined) {
    return [make('slirp4netns or pasta', 'none', 'not needed: as root, the kernel carries the packets')];
  }
  const { slirp4netns, pasta, noTun, install } = programs;
  const found = [slirp4netns, pasta].filter((path) => path !== undefined);
  const missing = { gives, fix: `as root: ${install}` };
  return [
    make(
      'slirp4netns or pasta',
      found.length === 0 ? 'no' : 'yes',
      found.join(', ') || 'neither is installed',
      missing,
    ),
    noTun === undefined
      ? make('/dev/net/tun', 'yes', 'can be opened')
      : make('/dev/net/tun', 'no', noTun.reason, { gives, fix: noTun.hint }),
  ];
}

/** Pure: what is said of what was found. */
export function examineNetwork(host: HostFacts, findings: NetworkFindings): readonly Check[] {
  const { facts, trial, rates, firewalls, locked } = findings;
  if (facts === undefined) return [];
  const isRoot = facts.netAdmin === true;
  const by = isRoot ? 'by a pair of interfaces' : 'by a program of yours';
  return [
    ofTrial('network of its own', trial, '`network_mode: bridge`', by),
    ofUplinks(facts),
    ...(isRoot ? [ofForwarding(facts, locked), ...ofFirewalls(firewalls)] : []),
    ofNameServers(host),
    ofTrial('rates', rates, '`limits.network`', 'by queueing disciplines'),
    make('networks of containers', isRoot ? 'yes' : 'none', isRoot ? '`networks`' : '`networks` are for root alone'),
    ...ofPrograms(facts),
  ];
}
