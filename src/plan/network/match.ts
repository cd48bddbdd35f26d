/** Expressions that compare a packet's addresses, protocol and ports. */
import type { PortRange, Protocol } from '../../model/network.ts';
import { addressBytes, widthOf, type Subnet } from '../../text/addresses.ts';
import { compare, loadMeta, loadPayload, maskBits, ofNetwork16, type Expression } from './nft.ts';

const PROTOCOLS: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17 };
export const PORT_OFFSET = { source: 0, destination: 2 } as const;

export function matchAddress(address: Uint8Array, offset: number, op: 'EQ' | 'NEQ' = 'EQ'): readonly Expression[] {
  return [loadPayload('NFT_PAYLOAD_NETWORK_HEADER', offset, address.length), compare(op, address)];
}

export function maskOf(length: number, prefix: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (0xff << (8 - Math.min(8, Math.max(0, prefix - 8 * index)))) & 0xff);
}

/** Matches if the address at `offset` of the network header is in the subnet. */
export function matchSubnet({ family, address, prefix }: Subnet, offset: number): readonly Expression[] {
  const bytes = addressBytes(address);
  if (prefix === 0) return [];
  if (prefix === widthOf(family)) return matchAddress(bytes, offset);
  return [
    loadPayload('NFT_PAYLOAD_NETWORK_HEADER', offset, bytes.length),
    maskBits(maskOf(bytes.length, prefix)),
    compare('EQ', bytes),
  ];
}

export function matchProtocol(protocol: Protocol): readonly Expression[] {
  return [loadMeta('NFT_META_L4PROTO'), compare('EQ', Uint8Array.of(PROTOCOLS[protocol]))];
}

export function matchPorts({ first, last }: PortRange, offset: number): readonly Expression[] {
  const load = loadPayload('NFT_PAYLOAD_TRANSPORT_HEADER', offset, 2);
  if (first === last) return [load, compare('EQ', ofNetwork16(first))];
  return [load, compare('GTE', ofNetwork16(first)), compare('LTE', ofNetwork16(last))];
}

/** Where an IPv6 header says what follows, and where the header of a fragment says it (FRAGMENT). */
export const NEXT_HEADER_AT = 6;
export const FRAGMENT_HEADER_AT = 40;
export const FRAGMENT = 44;

/** Matches a fragment that is not the first: it has no ports. In IPv6, with a fragment header before all others. */
export function matchLaterFragment(family: 4 | 6): readonly Expression[] {
  const load = (offset: number, length: number): Expression =>
    loadPayload('NFT_PAYLOAD_NETWORK_HEADER', offset, length);
  const none = ofNetwork16(0);
  if (family === 4) return [load(6, 2), maskBits(ofNetwork16(0x1fff)), compare('NEQ', none)];
  const isFragment = [load(NEXT_HEADER_AT, 1), compare('EQ', Uint8Array.of(FRAGMENT))];
  return [...isFragment, load(FRAGMENT_HEADER_AT + 2, 2), maskBits(ofNetwork16(0xfff8)), compare('NEQ', none)];
}

/** Matches a packet of IPv4 without options: those can name the hosts that it is to be sent to from here (source routes). */
export const NO_OPTIONS: readonly Expression[] = [
  loadPayload('NFT_PAYLOAD_NETWORK_HEADER', 0, 1),
  compare('EQ', Uint8Array.of(0x45)),
];
