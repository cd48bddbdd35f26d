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
