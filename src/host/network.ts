/** What a container's network is built on: the host's addresses and routes. Read for a file with a network alone. */
import { networkInterfaces } from 'node:os';
import { formatAddress, parseAddress, type Subnet } from '../text/addresses.ts';
import type { HostAddress, HostFacts, NetworkFacts } from './facts.ts';
import { parseStatus } from './ids.ts';
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

function hostAddresses(interfaces: ReturnType<typeof networkInterfaces>): readonly HostAddress[] {
  return Object.entries(interfaces).flatMap(([device, list = []]) =>
    list.flatMap(({ address }): readonly HostAddress[] => {
      const parsed = parseAddress(address);
      return parsed === undefined ? [] : [{ family: parsed.family, address: formatAddress(parsed), device }];
    }),
  );
}

/** `read` and `interfaces` are for tests. */
export function gatherNetworkFacts(read: HostReader = realHost, interfaces = networkInterfaces()): NetworkFacts {
  const all = [
    ...parseRoutes4(read.text('/proc/net/route') ?? ''),
    ...parseRoutes6(read.text('/proc/net/ipv6_route') ?? ''),
  ];
  const isDefault = ({ subnet }: Route): boolean => subnet.prefix === 0;
  return {
    uplinks: all
      .filter(isDefault)
      .toSorted((a, b) => a.metric - b.metric)
      .map(({ subnet: { family }, device }) => ({ family, device })),
    addresses: hostAddresses(interfaces),
    routes: all
      // Multicast and link-local routes belong to every interface.
      .filter((route) => !isDefault(route) && !/^f(?:f|e8)/u.test(route.subnet.address))
      .map(({ subnet, device }) => ({ subnet, device })),
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
  const { capabilities } = parseStatus(read.text('/proc/self/status'));
  const netAdmin = host.privileged && (capabilities & CAP_NET_ADMIN) !== 0n;
  const nobody = initialUserNamespace ? undefined : Number(read.text('/proc/sys/fs/overflowuid') ?? 65_534);
  const programs = netAdmin ? {} : { programs: gatherNetworkPrograms(read, { euid, path: env['PATH'] ?? '', nobody }) };
  return { ...host, networking: { ...gatherNetworkFacts(read), netAdmin, ...programs } };
}
