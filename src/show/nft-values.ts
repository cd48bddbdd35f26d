/** What of a packet a rule of nf_tables can look at, and how its bytes are written, in the words of nft(8). */
import { formatBytes } from './netlink-attributes.ts';

/** In the order of the machine, which is little-endian on both, or of the network. */
export type Order = 'machine' | 'network';

export interface Field {
  /** `ip daddr`, `meta mark` */
  readonly words: string;
  readonly size: number;
  readonly order: Order;
  /** Undefined: in hexadecimal. */
  readonly format?: (bytes: Uint8Array) => string | undefined;
  /** That it has this value, where that is not said by `words` and the value. */
  readonly equals?: (bytes: Uint8Array) => string;
  /** Bits that have names. */
  readonly flags?: Readonly<Record<string, number>>;
  /** The first bits can be given alone: `10.0.0.0/8`. */
  readonly hasPrefix?: boolean;
}

export function numberIn(bytes: Uint8Array, order: Order): number {
  const inOrder = order === 'network' ? [...bytes] : [...bytes].toReversed();
  return inOrder.reduce((value, byte) => value * 256 + byte, 0);
}

export function hex(bytes: Uint8Array, order: Order): string {
  const inOrder = order === 'network' ? [...bytes] : [...bytes].toReversed();
  return `0x${inOrder.map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

type Named = Readonly<Record<number, string>>;

const PROTOCOLS: Named = { 1: 'icmp', 6: 'tcp', 17: 'udp', 44: 'ipv6-frag', 58: 'ipv6-icmp' };
const ETHER_TYPES: Named = { 0x0800: 'ip', 0x0806: 'arp', 0x86dd: 'ip6' };
const NETWORK_PROTOCOLS: Named = { 2: 'ipv4', 10: 'ipv6' };
const PACKET_TYPES: Named = { 0: 'host', 1: 'broadcast', 2: 'multicast', 3: 'other' };
/** Of routes (RTN_…). */
const ADDRESS_TYPES: Named = {
  0: 'unspec',
  1: 'unicast',
  2: 'local',
  3: 'broadcast',
  4: 'anycast',
  5: 'multicast',
  6: 'blackhole',
  7: 'unreachable',
  8: 'prohibit',
};
const CONNECTION_STATES = { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 };
const CONNECTION_STATUS = {
  expected: 1,
  'seen-reply': 2,
  assured: 4,
  confirmed: 8,
  snat: 0x10,
  dnat: 0x20,
  dying: 0x200,
};
/** Codes of the message that says that a destination is unreachable. */
const ICMP_CODES: Named = {
  0: 'net-unreachable',
  1: 'host-unreachable',
  3: 'port-unreachable',
  13: 'admin-prohibited',
};
const ICMPV6_CODES: Named = { 0: 'no-route', 1: 'admin-prohibited', 3: 'addr-unreachable', 4: 'port-unreachable' };
const TCP_FLAGS = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ecn: 64, cwr: 128 };

/** As a number, or by its name where it has one. */
function numeric(words: string, size: number, order: Order, names: Named = {}): Field {
  const format = (bytes: Uint8Array): string => {
    const number = numberIn(bytes, order);
    return names[number] ?? String(number);
  };
  return { words, size, order, format };
}

/** The type and the code of a message, which are next to each other: nft(8) takes one comparison for two. */
function icmpKind(header: string, unreachable: Readonly<Record<number, Named>>): Field {
  const equals = ([type = 0, code = 0]: Uint8Array): string => {
    const codes = unreachable[type];
    const [kind, reason] = codes === undefined ? [type, code] : ['destination-unreachable', codes[code] ?? code];
    return `${header} type ${kind} ${header} code ${reason}`;
  };
  return { words: `${header} type . ${header} code`, size: 2, order: 'network', equals };
}

/** Text, NUL, and nothing else. Undefined where it is not, or holds what is not ASCII. */
function formatName(bytes: Uint8Array): string | undefined {
  const end = bytes.indexOf(0);
  const text = String.fromCodePoint(...bytes.subarray(0, Math.max(end, 0)));
  const isName =
    end > 0 && bytes.subarray(end).every((byte) => byte === 0) && /^[\x21\x23-\x5b\x5d-\x7e]+$/u.test(text);
  return isName ? `"${text}"` : undefined;
}

const address = (words: string, size: 4 | 16): Field => ({
  words,
  size,
  order: 'network',
  format: formatBytes,
  hasPrefix: true,
});
const mac = (words: string): Field => ({ words, size: 6, order: 'network', format: formatBytes });

/** The types of a set's keys (nft's numbers of them), as NFTA_SET_KEY_TYPE has them. */
export function keyType(number: number): Field | undefined {
  switch (number) {
    case 7:
      return address('ipv4_addr', 4);
    case 8:
      return address('ipv6_addr', 16);
    case 12:
      return numeric('inet_proto', 1, 'network', PROTOCOLS);
    case 13:
      return numeric('inet_service', 2, 'network');
    case 41:
      return { words: 'ifname', size: 16, order: 'network', format: formatName };
    default:
      return undefined;
  }
}

export function metaField(key: string): Field | undefined {
  switch (key) {
    case 'NFT_META_PROTOCOL':
      return numeric('meta protocol', 2, 'network', ETHER_TYPES);
    case 'NFT_META_MARK':
      return { words: 'meta mark', size: 4, order: 'machine' };
    case 'NFT_META_IIF':
      return numeric('iif', 4, 'machine');
    case 'NFT_META_IIFNAME':
      return { words: 'iifname', size: 16, order: 'network', format: formatName };
    case 'NFT_META_NFPROTO':
      return numeric('meta nfproto', 1, 'network', NETWORK_PROTOCOLS);
    case 'NFT_META_L4PROTO':
      return numeric('meta l4proto', 1, 'network', PROTOCOLS);
    case 'NFT_META_PKTTYPE':
      return numeric('meta pkttype', 1, 'network', PACKET_TYPES);
    case 'NFT_META_IIFGROUP':
      return numeric('iifgroup', 4, 'machine');
    case 'NFT_META_OIFGROUP':
      return numeric('oifgroup', 4, 'machine');
    default:
      return undefined;
  }
}

export const IPV4_PROTOCOL: Field = numeric('ip protocol', 1, 'network', PROTOCOLS);

export function connectionField(key: string): Field | undefined {
  if (key === 'NFT_CT_STATE') return { words: 'ct state', size: 4, order: 'machine', flags: CONNECTION_STATES };
  if (key === 'NFT_CT_STATUS') return { words: 'ct status', size: 4, order: 'machine', flags: CONNECTION_STATUS };
  return undefined;
}

export function addressTypeField(flags: readonly string[]): Field | undefined {
  const [flag, ...more] = flags;
  if (flag === undefined || more.length > 0) return undefined;
  return numeric(`fib ${flag === 'NFTA_FIB_F_SADDR' ? 'saddr' : 'daddr'} type`, 4, 'machine', ADDRESS_TYPES);
}

export const SOCKET_MARK: Field = { words: 'socket mark', size: 4, order: 'machine' };
export const ROUTE_MTU: Field = { words: 'rt mtu', size: 2, order: 'machine' };
export const IPV4_ADDRESS: Field = address('ip', 4);
export const IPV6_ADDRESS: Field = address('ip6', 16);
export const PORT_NUMBER: Field = numeric('port', 2, 'network');

/** What a rule has found out about its packets before it looks into them. */
export interface Known {
  readonly network?: string;
  readonly transport?: string;
}

/**
 * What is at these bytes of a packet. `ip` and `ip6` are said by the place and the length alone, as long as the rule has not
 * asked for another protocol; a port's protocol is said only where the rule has asked for it.
 */
export function payloadField(base: string, offset: number, length: number, known: Known): Field {
  const named = namedPayload(base, offset, length, known);
  if (named !== undefined) return named;
  const header = { NFT_PAYLOAD_LL_HEADER: 'll', NFT_PAYLOAD_NETWORK_HEADER: 'nh', NFT_PAYLOAD_TRANSPORT_HEADER: 'th' };
  const short = header[base as keyof typeof header];
  return { words: `@${short},${8 * offset},${8 * length}`, size: length, order: 'network' };
}

function namedPayload(base: string, offset: number, length: number, known: Known): Field | undefined {
  const at = `${offset}+${length}`;
  if (base === 'NFT_PAYLOAD_LL_HEADER') {
    return { '0+6': mac('ether daddr'), '6+6': mac('ether saddr') }[at];
  }
  if (base === 'NFT_PAYLOAD_TRANSPORT_HEADER') return transportPayload(at, known.transport);
  const ipv4 = {
    '12+4': address('ip saddr', 4),
    '16+4': address('ip daddr', 4),
    '6+2': { words: 'ip frag-off', size: 2, order: 'network' } as const,
    '9+1': IPV4_PROTOCOL,
  }[at];
  const ipv6 = {
    '6+1': numeric('ip6 nexthdr', 1, 'network', PROTOCOLS),
    '8+16': address('ip6 saddr', 16),
    '24+16': address('ip6 daddr', 16),
  }[at];
  if (ipv4 !== undefined && known.network !== 'ip6') return ipv4;
  return known.network === 'ip' ? undefined : ipv6;
}

function transportPayload(at: string, transport: string | undefined): Field | undefined {
  const ports = { '0+2': 'sport', '2+2': 'dport' } as const;
  const port = ports[at as keyof typeof ports];
  const hasPorts = transport === 'tcp' || transport === 'udp';
  if (port !== undefined && (hasPorts || transport === undefined)) {
    return numeric(`${transport ?? 'th'} ${port}`, 2, 'network');
  }
  if (at === '0+2' && transport === 'icmp') return icmpKind('icmp', { 3: ICMP_CODES });
  if (at === '0+2' && transport === 'ipv6-icmp') return icmpKind('icmpv6', { 1: ICMPV6_CODES });
  if (at === '13+1' && transport === 'tcp') {
    return { words: 'tcp flags', size: 1, order: 'network', flags: TCP_FLAGS };
  }
  return undefined;
}
