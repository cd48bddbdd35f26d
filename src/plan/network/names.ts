/** How a container's interface, its table and its packets are told from all others of the host. */
import type { Network } from '../../model/network.ts';
import { addressBytes } from '../../text/addresses.ts';
import { ofMachine } from './nft.ts';

/** The group (IFLA_GROUP) of all containers' interfaces on the host: the letters b, o, x. */
export const GROUP = 0x62_6f_78;

/** On the host, and in the container. */
export const hostInterface = (index: number): string => `boxctl${index}`;
export const INNER_INTERFACE = 'eth0';

/** Both ends have the same number, each in its own namespace: one that the kernel gives to no interface by itself. */
export const interfaceNumber = (index: number): number => 1_000_000 + index;

/** Of the host's end. The container's own has another fourth byte (src/model/compile-network.ts). */
export const hostMac = (index: number): Uint8Array => Uint8Array.of(2, 0x62, 0x6f, 0x79, index >> 8, index & 0xff);

export const macBytes = (text: string): Uint8Array =>
  Uint8Array.from(text.split(':').map((byte) => Number.parseInt(byte, 16)));

/**
 * Marks of sockets and of packets begin with these 4 bits. A socket of a published port has the index of its container in the
 * next 12 bits and the port inside in the last 16, by which the shared table finds where its packets go.
 */
const MAGIC = 0xb;
export const MAGIC_MASK = ofMachine(0xf000_0000);
export const MAGIC_BITS = ofMachine(MAGIC * 2 ** 28);
export const socketMark = (index: number, port: number): number => MAGIC * 2 ** 28 + index * 2 ** 16 + port;

/** Marks of packets that a container's own table lets through, for the shared table: no container has the index 0. */
export const PACKET_MARK = {
  /** To the host, as `egress` allows it. */
  toHost: socketMark(0, 1),
  /** From a published port, and no beginning of a connection: to be dropped unless it belongs to one. */
  reply: socketMark(0, 2),
  /** To a container on the same network: to be refused where there is none. */
  toNetwork: socketMark(0, 3),
  /** To an address of the host: for a published port of some container, or to be refused. */
  toPort: socketMark(0, 4),
  /** To a container, and passed on by the host: what the host itself sends has no such mark. */
  passedOn: socketMark(0, 5),
  /** To be refused by the router of an ordinary user's container. */
  refused: socketMark(0, 6),
} as const;

/** One family's addresses, and where they are in a packet. */
export interface FamilyOf {
  readonly family: 4 | 6;
  readonly af: 'AF_INET' | 'AF_INET6';
  readonly nfproto: 'NFPROTO_IPV4' | 'NFPROTO_IPV6';
  /** As meta's key `nfproto` and the type of an Ethernet frame have it. */
  readonly nfprotoNumber: number;
  readonly etherType: number;
  readonly sourceOffset: number;
  readonly destinationOffset: number;
  readonly length: number;
  readonly width: number;
}
export const FAMILIES: readonly FamilyOf[] = [
  {
    family: 4,
    af: 'AF_INET',
    nfproto: 'NFPROTO_IPV4',
    nfprotoNumber: 2,
    etherType: 0x0800,
    sourceOffset: 12,
    destinationOffset: 16,
    length: 4,
    width: 32,
  },
  {
    family: 6,
    af: 'AF_INET6',
    nfproto: 'NFPROTO_IPV6',
    nfprotoNumber: 10,
    etherType: 0x86dd,
    sourceOffset: 8,
    destinationOffset: 24,
    length: 16,
    width: 128,
  },
];

/** The container's address in the pool. */
export function ownAddress(network: Network, { family }: FamilyOf): Uint8Array | undefined {
  const text = family === 4 ? network.ipv4 : network.ipv6;
  return text === undefined ? undefined : addressBytes(text);
}

export const poolOf = ({ pool }: Pick<Network, 'pool'>, { family }: FamilyOf) => (family === 4 ? pool.ipv4 : pool.ipv6);

export const gatewayOf = ({ gateway }: Pick<Network, 'gateway'>, { family }: FamilyOf): Uint8Array =>
  addressBytes(family === 4 ? gateway.ipv4 : gateway.ipv6);

/** What the container has in each network that it shares with others. */
export function sharedNetworks(network: Network, { family }: FamilyOf) {
  return network.networks.flatMap((one, index) => {
    const subnet = family === 4 ? one.subnet4 : one.subnet6;
    const address = family === 4 ? one.address4 : one.address6;
    return subnet === undefined || address === undefined ? [] : [{ index, subnet, address: addressBytes(address) }];
  });
}
