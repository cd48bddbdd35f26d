/** Whether containers can have a network here, and what turns each part of it on. */
import { BoxctlError } from '../errors.ts';
import { admission, gatherFirewalls, type Firewall } from '../host/firewall.ts';
import type { HostFacts, NetworkFacts } from '../host/facts.ts';
import { withNetwork } from '../host/network.ts';
import { realHost, type HostReader } from '../host/read.ts';
import { parseResolvConf } from '../model/dns.ts';
import { readNetworkConfig } from '../host/network-config.ts';
import { DEFAULT_POOL, type Pool } from '../model/network-defaults.ts';
import { chooseRanges } from '../state/address-pool.ts';
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
  /** Of containers' addresses. */
  readonly pool: Pool;
  /** Settings of forwarding that cannot be written. */
  readonly locked: readonly string[];
  /** Settings of the host's network that hold for the program that carries an ordinary user's packets. */
  readonly settings: { readonly firstPort: number; readonly mayPing: boolean };
}

/** ip(7), icmp(7): `ip_unprivileged_port_start` and `ping_group_range`. */
function gatherSettings({ egid, groups }: HostFacts, read: HostReader): NetworkFindings['settings'] {
  const setting = (name: string): readonly number[] =>
    (read.text(`/proc/sys/net/ipv4/${name}`) ?? '').trim().split(/\s+/u).map(Number);
  const [firstPort = 1024] = setting('ip_unprivileged_port_start');
  const [first = 1, last = 0] = setting('ping_group_range');
  return { firstPort, mayPing: [egid, ...groups].some((group) => group >= first && group <= last) };
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
    pool: poolOf(facts),
    locked: (facts?.forwarding ?? [])
      .filter(({ on, setting }) => !on && !read.writable(setting))
      .map(({ setting }) => setting),
    settings: gatherSettings(host, read),
  };
}

/** Where there is none, the trial has failed, and says why. */
function poolOf(facts: NetworkFacts | undefined): Pool {
  try {
    return facts === undefined ? DEFAULT_POOL : chooseRanges(readNetworkConfig(), facts).pool;
  } catch (error) {
    if (error instanceof BoxctlError) return DEFAULT_POOL;
    throw error;
  }
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

/** The container's own table answers what it refuses, if the kernel has that part of nf_tables (src/plan/network/network.ts). */
function ofRefusals(trial: Trial | undefined): readonly Check[] {
  if (trial?.ok !== true) return [];
  if (!trial.leftOut.includes('table.reject')) return [make('refusals', 'yes', 'at once')];
  const detail = 'packets that a container may not send are dropped: this kernel has no nft_reject_netdev';
  const fix = 'a kernel with CONFIG_NFT_REJECT_NETDEV, which Debian’s have, but for those for clouds';
  return [make('refusals', 'no', detail, { gives: 'connections that are refused at once', fix })];
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

function ofFirewalls({ firewalls, pool }: NetworkFindings): readonly Check[] {
  const found = firewalls.flatMap((firewall) => {
    const fix = admission(firewall, [pool.ipv4, pool.ipv6]);
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

function ofSettings({ firstPort, mayPing }: NetworkFindings['settings']): readonly Check[] {
  const ports =
    firstPort === 0 ? 'all' : `from ${firstPort} on: those below are root’s (net.ipv4.ip_unprivileged_port_start)`;
  const ping = mayPing ? 'echo requests of containers are carried' : 'echo requests of containers get no answer';
  const fix = 'as root: sysctl net.ipv4.ping_group_range="0 2147483647"';
  return [
    make('published ports', 'yes', ports),
    make('ping', mayPing ? 'yes' : 'no', ping, { gives: '`ping` in containers', fix }),
  ];
}

/** Pure: what is said of what was found. */
export function examineNetwork(host: HostFacts, findings: NetworkFindings): readonly Check[] {
  const { facts, trial, rates, locked } = findings;
  if (facts === undefined) return [];
  const isRoot = facts.netAdmin === true;
  const by = isRoot ? 'by a pair of interfaces' : 'by a program of yours';
  return [
    ofTrial('network of its own', trial, '`network_mode: bridge`', by),
    ofUplinks(facts),
    ...(isRoot ? [...ofRefusals(trial), ofForwarding(facts, locked), ...ofFirewalls(findings)] : []),
    ofNameServers(host),
    ofTrial('rates', rates, '`limits.network`', 'by queueing disciplines'),
    make('networks of containers', isRoot ? 'yes' : 'none', isRoot ? '`networks`' : '`networks` are for root alone'),
    ...ofPrograms(facts),
    ...(isRoot ? [] : ofSettings(findings.settings)),
  ];
}
