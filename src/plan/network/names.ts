/** Names, numbers and marks that distinguish a container's interfaces and packets from all others of the host. */
import type { Network } from '../../model/network.ts';
import { addressBytes } from '../../text/addresses.ts';
import { ofMachine } from './nft.ts';

/** The group (IFLA_GROUP) of the host's ends of all containers: the letters b, o, x. */
export const GROUP = 0x62_6f_78;

/** The host's end of the pair. The container's end is INNER_INTERFACE. */
export const hostInterface = (index: number): string => `boxctl${index}`;
export const INNER_INTERFACE = 'eth0';

/** The number of both ends, each in its own namespace. It is far above the numbers that the kernel chooses itself. */
export const interfaceNumber = (index: number): number => 1_000_000 + index;

/** The hardware address of the host's end. The container's differs in the fourth byte (src/model/compile-network.ts). */
export const hostMac = (index: number): Uint8Array => Uint8Array.of(2, 0x62, 0x6f, 0x79, index >> 8, index & 0xff);

export const macBytes = (text: string): Uint8Array =>
  Uint8Array.from(text.split(':').map((byte) => Number.parseInt(byte, 16)));

/**
 * The first 4 bits of boxctl's marks of sockets and packets. The mark of a published port's socket has the index of the
 * container in the next 12 bits and the port inside in the last 16. The shared table computes the packet's destination
 * from the mark.
 */
const MAGIC = 0xb;
export const MAGIC_MASK = ofMachine(0xf000_0000);
export const MAGIC_BITS = ofMachine(MAGIC * 2 ** 28);
export const socketMark = (index: number, port: number): number => MAGIC * 2 ** 28 + index * 2 ** 16 + port;

/**
 * Marks that a container's own table gives to packets that it accepts. The shared table and the router read them. No
 * container has the index 0, so that no socket has the same mark.
 */
export const PACKET_MARK = {
  /** To the host, as `egress` allows. */
  toHost: socketMark(0, 1),
  /** From a published port. The shared table drops it unless it belongs to a tracked connection. */
  reply: socketMark(0, 2),
  /** To an address of a network that both share. The shared table refuses it if no container has the address. */
  toNetwork: socketMark(0, 3),
  /** To an address of the host. The shared table refuses it if no container has published the port. */
  toPort: socketMark(0, 4),
  /** Set by the shared table: a packet to a container that the host forwards. The host's own packets do not have it. */
  passedOn: socketMark(0, 5),
  /** The router of an ordinary user's container refuses it. */
  refused: socketMark(0, 6),
} as const;

/** What differs between IPv4 and IPv6: names, numbers, and where addresses are in a packet. */
export interface FamilyOf {
  readonly family: 4 | 6;
  readonly af: 'AF_INET' | 'AF_INET6';
  readonly nfproto: 'NFPROTO_IPV4' | 'NFPROTO_IPV6';
  /** The value of NFT_META_NFPROTO, and below it the type of an Ethernet frame (NFT_META_PROTOCOL). */
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

/** The networks that the container shares with others: the index in the model, the subnet, and the container's address. */
export function sharedNetworks(network: Network, { family }: FamilyOf) {
  return network.networks.flatMap((one, index) => {
    const subnet = family === 4 ? one.subnet4 : one.subnet6;
    const address = family === 4 ? one.address4 : one.address6;
    return subnet === undefined || address === undefined ? [] : [{ index, subnet, address: addressBytes(address) }];
  });
}
