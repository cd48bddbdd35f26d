/** What a container's network is built on: the host's addresses and routes. Read for a file with a network alone. */
import { interfaceAddresses, type InterfaceAddress } from '../native.ts';
import { formatAddress, parseAddress, parseSubnet, type Subnet } from '../text/addresses.ts';
import { noteGap, type TablePart } from '../inputs/record.ts';
import type { ForwardingFact, HostAddress, HostFacts, NetworkFacts } from './facts.ts';
import { parseStatus, STATUS_LINES } from './ids.ts';
import { gatherNetworkPrograms } from './network-programs.ts';
import { realHost, type HostReader } from './read.ts';

interface Route {
  readonly subnet: Subnet;
  readonly device: string;
  readonly metric: number;
}

/** RTF_UP and RTF_REJECT of the kernel's route.h. */
const UP = 0x0001;
const REJECT = 0x0200;

/** The bytes of a word of /proc/net/route are in the order of the machine, which is little-endian. */
function ipv4Of(hex: string): string {
  return (hex.match(/../gu) ?? [])
    .toReversed()
    .map((byte) => Number.parseInt(byte, 16))
    .join('.');
}

/**
 * Containers' interfaces on the host have this and a number for names (src/plan/network/names.ts). There can be thousands of them, and a
 * start would take longer with each.
 */
const OWN = 'boxctl';

/** Columns that count: device, destination, flags, metric and mask. */
const ROUTES4: TablePart = { columns: [0, 1, 3, 6, 7], without: OWN };
/** Destination, its length, metric, flags and device. The others have counters. */
const ROUTES6: TablePart = { columns: [0, 1, 5, 8, 9], without: OWN };

/** /proc/net/route: the main table. */
function parseRoutes4(text: string): readonly Route[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line): readonly Route[] => {
      const [device = '', destination = '', , flags = '', , , metric = '', mask = ''] = line.trim().split(/\s+/u);
      if (!/^[0-9A-F]{8}$/iu.test(destination) || !/^[0-9A-F]{8}$/iu.test(mask)) return [];
      const flagBits = Number.parseInt(flags, 16);
      if ((flagBits & UP) === 0 || (flagBits & REJECT) !== 0) return [];
      const bits = [...Number.parseInt(mask, 16).toString(2)].filter((bit) => bit === '1').length;
      return [{ subnet: { family: 4, address: ipv4Of(destination), prefix: bits }, device, metric: Number(metric) }];
    });
}

/** /proc/net/ipv6_route: all tables, the host's own addresses on `lo` among them. */
function parseRoutes6(text: string): readonly Route[] {
  return text.split('\n').flatMap((line): readonly Route[] => {
    const [destination = '', length = '', , , , metric = '', , , flags = '', device = ''] = line.trim().split(/\s+/u);
    if (!/^[0-9a-f]{32}$/iu.test(destination) || device === 'lo') return [];
    const flagBits = Number.parseInt(flags, 16);
    if ((flagBits & UP) === 0 || (flagBits & REJECT) !== 0) return [];
    const address = parseAddress((destination.match(/.{4}/gu) ?? []).join(':'));
    if (address === undefined) return [];
    const subnet: Subnet = { family: 6, address: formatAddress(address), prefix: Number.parseInt(length, 16) };
    return [{ subnet, device, metric: Number.parseInt(metric, 16) }];
  });
}

/** RTF_LOCAL and RTF_ANYCAST of ipv6_route.h. */
const OF_THIS_HOST = 0x8010_0000;

/**
 * What the kernel takes as the host's own: also local routes to whole subnets.
 */
function gatherLocal(read: HostReader): readonly Subnet[] {
  // An address, and indented below it the routes to it: `/32 host LOCAL`. Tables that are one in the kernel are listed twice.
  const trie = (read.text('/proc/net/fib_trie', ['^|-- ', ' host LOCAL']) ?? '').matchAll(
    /\|-- (\S+)((?:\n +\/\d+ .*)+)/gu,
  );
  const local4 = [...trie].flatMap(([, address = '', routes = '']) =>
    [...routes.matchAll(/\/(\d+) host LOCAL/gu)].map(([, prefix]) => `${address}/${prefix}`),
  );
  const local6 = (read.table('/proc/net/ipv6_route', ROUTES6) ?? '').split('\n').flatMap((line) => {
    const [destination = '', length = '', , , , , , , flags = ''] = line.trim().split(/\s+/u);
    const isLocal = (Number.parseInt(flags, 16) & OF_THIS_HOST) !== 0;
    return isLocal ? [`${(destination.match(/.{4}/gu) ?? []).join(':')}/${Number.parseInt(length, 16)}`] : [];
  });
  return [...new Set([...local4, ...local6])].flatMap((text) => parseSubnet(text)?.subnet ?? []);
}

function hostAddresses(found: readonly InterfaceAddress[], idle: boolean): readonly HostAddress[] {
  return found.flatMap(({ device, address, isIdle }): readonly HostAddress[] => {
    if (isIdle !== idle) return [];
    const parsed = parseAddress(address);
    return parsed === undefined ? [] : [{ family: parsed.family, address: formatAddress(parsed), device }];
  });
}

/** The lock of a setting that boxctl has changed, in the folder for such locks: its first line is the value before. */
const forwardingLock = (state: string, setting: string): string =>
  `${state}/forwarding/${setting.replace('/proc/sys/net/', '').replaceAll('/', '.')}`;

/** An interface, and the settings by which the host passes on what comes from it. */
function forwardingOf(
  read: HostReader,
  { family, device }: Pick<Uplink, 'family' | 'device'>,
  forces: boolean,
  state: string,
): readonly ForwardingFact[] {
  const own = `/proc/sys/net/ipv${family}/conf/${device}`;
  const settingOf = (setting: string) => read.setting(setting, forwardingLock(state, setting));
  const fact = (setting: string, value: string): readonly ForwardingFact[] => {
    const found = settingOf(setting);
    if (found === undefined) return [];
    const { now, before, isLocked } = found;
    const lock = forwardingLock(state, setting);
    // A record has what the setting was before, which says that it is needed, but for this.
    if (isLocked && before === value) noteGap(`${setting} is being changed`);
    return [{ family, device, setting, value, restore: before, lock, on: now === value, ours: isLocked }];
  };
  if (family === 4) return fact(`${own}/forwarding`, '1');
  const all = '/proc/sys/net/ipv6/conf/all/forwarding';
  if (settingOf(all)?.before === '1') return [];
  if (forces) return fact(`${own}/force_forwarding`, '1');
  // A router does not listen to other routers, unless it is told to: the host would lose its own way out.
  const listens = settingOf(`${own}/accept_ra`)?.before === '1';
  return [...(listens ? fact(`${own}/accept_ra`, '2') : []), ...fact(all, '1')];
}

type Uplink = NetworkFacts['uplinks'][number];

function unique(list: readonly Uplink[]): readonly Uplink[] {
  return list.filter(
    (one, index) => list.findIndex(({ family, device }) => family === one.family && device === one.device) === index,
  );
}

/** `netAdmin`: boxctl may change the host's own network. `read` and `found` are for tests. */
export function gatherNetworkFacts(
  { state: folder }: HostFacts['dirs'],
  netAdmin: boolean,
  read: HostReader = realHost,
  found = interfaceAddresses(OWN),
): NetworkFacts {
  const netns = read.networkNamespace() ?? '0';
  const state = `${folder}/network/${netns}`;
  const all = [
    ...parseRoutes4(read.table('/proc/net/route', ROUTES4) ?? ''),
    ...parseRoutes6(read.table('/proc/net/ipv6_route', ROUTES6) ?? ''),
  ];
  const isDefault = ({ subnet }: Route): boolean => subnet.prefix === 0;
  const uplinks = all
    .filter(isDefault)
    .toSorted((a, b) => a.metric - b.metric)
    .map(({ subnet: { family }, device }) => ({ family, device }));
  const routes = all
    // Multicast and link-local routes belong to every interface.
    .filter((route) => !isDefault(route) && !/^f(?:f|e8)/u.test(route.subnet.address))
    .map(({ subnet, device }) => ({ subnet, device }));
  const forcesForwarding = read.exists('/proc/sys/net/ipv6/conf/all/force_forwarding');
  // The file is there unless the kernel was started without IPv6.
  const withoutIpv6 = read.text('/proc/sys/net/ipv6/conf/default/disable_ipv6')?.trim() !== '0';
  const addresses = hostAddresses(found, false);
  // The routes of a VPN are often in a table of its own: what has an address can lead outside as well.
  const outward = unique([
    ...uplinks,
    ...routes.map(({ subnet: { family }, device }) => ({ family, device })),
    ...addresses.filter(({ address }) => !/^fe[89ab]/u.test(address)).map(({ family, device }) => ({ family, device })),
  ]);
  return {
    uplinks,
    addresses,
    idleAddresses: hostAddresses(found, true),
    routes,
    forwarding: (netAdmin ? outward : [])
      .filter(({ family, device }) => device !== 'lo' && !(family === 6 && withoutIpv6))
      .flatMap((uplink) => forwardingOf(read, uplink, forcesForwarding, state)),
    forcesForwarding,
    ...(withoutIpv6 ? { withoutIpv6 } : {}),
    state,
    netAdmin,
  };
}

const CAP_NET_ADMIN = 1n << 12n;

/** The facts with those of the network. `env` says where programs are looked for. */
export function withNetwork(
  host: HostFacts,
  env: Readonly<Record<string, string | undefined>>,
  read: HostReader = realHost,
): HostFacts {
  const { euid, initialUserNamespace } = host;
  const { capabilities } = parseStatus(read.text('/proc/self/status', STATUS_LINES));
  const netAdmin = host.privileged && (capabilities & CAP_NET_ADMIN) !== 0n;
  const nobody = initialUserNamespace ? undefined : Number(read.text('/proc/sys/fs/overflowuid') ?? 65_534);
  const facts = gatherNetworkFacts(host.dirs, netAdmin, read);
  if (netAdmin) return { ...host, networking: facts };
  const programs = gatherNetworkPrograms(read, { euid, path: env['PATH'] ?? '', nobody });
  return { ...host, networking: { ...facts, programs, local: gatherLocal(read) } };
}
