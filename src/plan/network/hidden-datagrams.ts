/**
 * A datagram to an address of the host may be for a published port. Only the shared table finds that out, and anybody can remove
 * that table: a service of the host would then get the datagram. So the container's own table gives the datagram a protocol
 * number that no program listens for, and the shared table gives it that of UDP again, before it is tracked and translated.
 * Without the shared table the kernel answers "protocol unreachable". TCP needs none of this: a connection takes an answer, which
 * the container's own table drops.
 */
import type { FamilyOf } from './names.ts';
import { FRAGMENT, FRAGMENT_HEADER_AT, NEXT_HEADER_AT } from './match.ts';
import { compare, loadPayload, maskBits, ofNetwork16, setNetworkHeader, setRegister, type Expression } from './nft.ts';

const UDP = 17;
/** Kept for experiments (RFC 3692). */
const HIDDEN = 253;
export const HIDDEN_PROTOCOL = Uint8Array.of(HIDDEN);
/** The time to live, and the protocol behind it: a checksum is made of words of two bytes. */
const TTL_AND_PROTOCOL_AT = 8;
const PROTOCOL_AT = 9;
const CHECKSUM_AT = 10;

const network = (offset: number, length = 1): Expression => loadPayload('NFT_PAYLOAD_NETWORK_HEADER', offset, length);

function change({ family }: FamilyOf, from: number, to: number): readonly (readonly Expression[])[] {
  const is = (offset: number, value: number): readonly Expression[] => [
    network(offset),
    compare('EQ', Uint8Array.of(value)),
  ];
  if (family === 4) {
    const replaced = [network(TTL_AND_PROTOCOL_AT, 2), maskBits(ofNetwork16(0xff00), ofNetwork16(to))];
    return [[...is(PROTOCOL_AT, from), ...replaced, setNetworkHeader(TTL_AND_PROTOCOL_AT, 2, CHECKSUM_AT)]];
  }
  return [
    [...is(NEXT_HEADER_AT, from), setRegister(Uint8Array.of(to)), setNetworkHeader(NEXT_HEADER_AT, 1)],
    [
      ...is(NEXT_HEADER_AT, FRAGMENT),
      ...is(FRAGMENT_HEADER_AT, from),
      setRegister(Uint8Array.of(to)),
      setNetworkHeader(FRAGMENT_HEADER_AT, 1),
    ],
  ];
}

/**
 * For each form that a datagram has: what matches it, and hides it. The last form is also that of a fragment that is not the
 * first. Datagrams with other IPv6 headers are not matched.
 */
export const hideDatagram = (family: FamilyOf): readonly (readonly Expression[])[] => change(family, UDP, HIDDEN);
export const hideFragment = (family: FamilyOf): readonly (readonly Expression[])[] => hideDatagram(family).slice(-1);

/** The same the other way round. Fragments are put together by then: the whole datagram has the number of the first. */
export const showDatagram = (family: FamilyOf): readonly (readonly Expression[])[] => change(family, HIDDEN, UDP);
