/**
 * The one table that all containers of a host share. Nothing in it is of a single container, so that a packet costs the same
 * whatever their number, and a killed launcher leaves nothing in it: a published port is found by the mark of the socket that
 * listens for it, and is gone with the socket.
 */
import type { Message } from '../../kernel/netlink/message.ts';
import type { Network } from '../../model/network.ts';
import { formatSubnet } from '../../text/addresses.ts';
import { FAMILIES, gatewayOf, GROUP, MAGIC_BITS, MAGIC_MASK, PACKET_MARK, poolOf, type FamilyOf } from './names.ts';
import {
  ACCEPT,
  CLAMP_SEGMENTS,
  compare,
  DROP,
  INTERFACE_NAME,
  isIn,
  loadAddressType,
  loadConnection,
  loadMeta,
  loadPayload,
  loadSocketMark,
  maskBits,
  MASQUERADE,
  NOBODY_LISTENS,
  ofMachine,
  PROHIBIT,
  RESET,
  setMark,
  setRegister,
  shiftRight,
  TableBuilder,
  toNetworkOrder,
  transaction,
  translate,
  type Expression,
  type Part,
} from './nft.ts';
import { matchProtocol, matchSubnet } from './match.ts';

export const SHARED_TABLE = 'boxctl';
/** Changes with everything here: a table of another version is replaced. */
const VERSION = 4;

/** Before and after those of others at these hooks (-100 and 100), who would else translate to their own targets first. */
const BEFORE_DNAT = -105;
const BEFORE_SNAT = 95;

const RTN_LOCAL = 2;
/** Bits of a connection's state and status (linux/netfilter/nf_conntrack_common.h). */
const ESTABLISHED_OR_RELATED = ofMachine(0b110);
const DESTINATION_TRANSLATED = ofMachine(0x20);
const NONE = ofMachine(0);
const TCP = Uint8Array.of(6);
const SYN = Uint8Array.of(2);
const TCP_FLAGS_AT = 13;

const throughGroup = (key: 'IIFGROUP' | 'OIFGROUP', op: 'EQ' | 'NEQ' = 'EQ'): readonly Expression[] => [
  loadMeta(`NFT_META_${key}`),
  compare(op, ofMachine(GROUP)),
];
const isMarked = (mark: number): readonly Expression[] => [loadMeta('NFT_META_MARK'), compare('EQ', ofMachine(mark))];
const isFamily = ({ nfprotoNumber }: FamilyOf): readonly Expression[] => [
  loadMeta('NFT_META_NFPROTO'),
  compare('EQ', Uint8Array.of(nfprotoNumber)),
];
const known: readonly Expression[] = [loadConnection('STATE'), maskBits(ESTABLISHED_OR_RELATED), compare('NEQ', NONE)];
const unknown: readonly Expression[] = [loadConnection('STATE'), maskBits(ESTABLISHED_OR_RELATED), compare('EQ', NONE)];
const translated: readonly Expression[] = [
  loadConnection('STATUS'),
  maskBits(DESTINATION_TRANSLATED),
  compare('NEQ', NONE),
];

const untranslated: readonly Expression[] = [
  loadConnection('STATUS'),
  maskBits(DESTINATION_TRANSLATED),
  compare('EQ', NONE),
];

const guardOf = (family: 4 | 6): string => `guarded${family}`;

/** An interface from which only what is for containers is passed on, as a transaction. */
export function guardMessages(family: 4 | 6, device: string, change: 'add' | 'remove'): readonly Message[] {
  const name = new Uint8Array(INTERFACE_NAME.length);
  name.set(new TextEncoder().encode(device).subarray(0, INTERFACE_NAME.length - 1));
  const message: Message = {
    type: change === 'add' ? 'NFT_MSG_NEWSETELEM' : 'NFT_MSG_DELSETELEM',
    flags: change === 'add' ? 'NLM_F_REQUEST|NLM_F_CREATE' : 'NLM_F_REQUEST',
    header: { nfgen_family: 'NFPROTO_INET' },
    attributes: {
      NFTA_SET_ELEM_LIST_TABLE: SHARED_TABLE,
      NFTA_SET_ELEM_LIST_SET: guardOf(family),
      NFTA_SET_ELEM_LIST_ELEMENTS: [{ NFTA_SET_ELEM_KEY: { NFTA_DATA_VALUE: name } }],
    },
  };
  return transaction([{ message }]).map((part) => part.message);
}

/** The first words of the pool's first address, then the last word: of the index in the mark, and of the pool. */
function targetAddress(network: Network, family: FamilyOf): readonly Expression[] {
  const first = gatewayOf(network, family);
  const words = family.length / 4;
  const last = `NFT_REG32_0${words - 1}`;
  return [
    ...(words > 1 ? [setRegister(first.subarray(0, family.length - 4), 'NFT_REG32_00')] : []),
    loadSocketMark(last),
    maskBits(ofMachine(0x0fff_0000), NONE, last),
    shiftRight(16, last),
    toNetworkOrder(4, last),
    // The pool's own bits, which the index has not.
    maskBits(ofMachine(0xffff_ffff), first.subarray(family.length - 4), last),
  ];
}

/** `translate` reads the first two bytes of the register. */
const targetPort: readonly Expression[] = [
  loadSocketMark('NFT_REG32_04'),
  maskBits(ofMachine(0xffff), NONE, 'NFT_REG32_04'),
  toNetworkOrder(2, 'NFT_REG32_04'),
];

/** A chain without rules, whose name says what the table was made for. */
const markerOf = ({ pool }: Network): string =>
  `version-${VERSION}-${[pool.ipv4, pool.ipv6].map(formatSubnet).join('-').replaceAll(/[/:]/gu, '_')}`;

/** Whether the table is there, of this version and for this pool. */
export function sharedTableQuestion(network: Network): Message {
  return {
    type: 'NFT_MSG_GETCHAIN',
    flags: 'NLM_F_REQUEST|NLM_F_ACK',
    header: { nfgen_family: 'NFPROTO_INET' },
    attributes: { NFTA_CHAIN_TABLE: SHARED_TABLE, NFTA_CHAIN_NAME: markerOf(network) },
  };
}

/**
 * A connection by a reset: the kernel takes an ICMP message that comes while connect() still holds the socket for a passing
 * trouble, and tries again a second later.
 */
function refuse(table: TableBuilder, chain: string, matches: readonly Expression[], answer: Expression): void {
  table.rule(chain, [...matches, ...matchProtocol('tcp'), RESET]);
  table.rule(chain, [...matches, answer]);
}

export function sharedTable(network: Network): readonly Part[] {
  const table = new TableBuilder('NFPROTO_INET', SHARED_TABLE, { owned: false, replaces: true });
  table.chain(markerOf(network));

  table.chain('prerouting', { type: 'nat', hook: 'NF_INET_PRE_ROUTING', priority: BEFORE_DNAT });
  for (const family of FAMILIES) {
    table.rule('prerouting', [
      ...isFamily(family),
      loadAddressType('DADDR'),
      compare('EQ', ofMachine(RTN_LOCAL)),
      loadSocketMark(),
      maskBits(MAGIC_MASK),
      compare('EQ', MAGIC_BITS),
      ...targetAddress(network, family),
      ...targetPort,
      translate('DNAT', family.nfproto, 'NFT_REG32_00', 'NFT_REG32_04'),
    ]);
  }

  table.chain('postrouting', { type: 'nat', hook: 'NF_INET_POST_ROUTING', priority: BEFORE_SNAT });
  for (const family of FAMILIES) {
    const fromPool = [...isFamily(family), ...matchSubnet(poolOf(network, family), family.sourceOffset)];
    // Both are containers: the answer must come back this way, and not by the shorter one between them.
    table.rule('postrouting', [
      ...fromPool,
      ...throughGroup('OIFGROUP'),
      ...translated,
      setRegister(gatewayOf(network, family)),
      translate('SNAT', family.nfproto, 'NFT_REG_1'),
    ]);
    table.rule('postrouting', [...fromPool, ...throughGroup('OIFGROUP', 'NEQ'), MASQUERADE]);
  }

  for (const { family } of FAMILIES) table.openSet(guardOf(family), [INTERFACE_NAME]);
  table.chain('forward', { type: 'filter', hook: 'NF_INET_FORWARD', priority: 0 });
  // Where the host passed on nothing before containers needed it, it goes on to pass on nothing else.
  for (const family of FAMILIES) {
    const fromUplink = [...isFamily(family), loadMeta('NFT_META_IIFNAME'), isIn(guardOf(family.family))];
    table.rule('forward', [...fromUplink, ...throughGroup('OIFGROUP', 'NEQ'), ...unknown, ...untranslated, DROP]);
  }
  const fromContainer = throughGroup('IIFGROUP');
  const toContainer = throughGroup('OIFGROUP');
  table.rule('forward', [...fromContainer, ...isMarked(PACKET_MARK.reply), ...unknown, DROP]);
  table.rule('forward', [
    ...fromContainer,
    loadMeta('NFT_META_L4PROTO'),
    compare('EQ', TCP),
    loadPayload('NFT_PAYLOAD_TRANSPORT_HEADER', TCP_FLAGS_AT, 1),
    maskBits(SYN),
    compare('NEQ', Uint8Array.of(0)),
    ...CLAMP_SEGMENTS,
  ]);
  const pass = [setRegister(ofMachine(PACKET_MARK.passedOn)), setMark(), ACCEPT];
  table.rule('forward', [...toContainer, ...known, ...pass]);
  table.rule('forward', [...toContainer, ...translated, ...pass]);
  // The sender's own table has seen that both are on one network.
  table.rule('forward', [...toContainer, ...fromContainer, ...isMarked(PACKET_MARK.toNetwork), ...pass]);
  // A subnet that the sender's table does not know of.
  refuse(table, 'forward', [...toContainer, ...fromContainer], NOBODY_LISTENS);
  table.rule('forward', [...toContainer, DROP]);
  // Nobody has the address: it must not leave the host in search of one who does.
  refuse(table, 'forward', [...fromContainer, ...isMarked(PACKET_MARK.toNetwork)], PROHIBIT);

  // The table of each container refuses the host's addresses, too: this one is for what that one takes for another's.
  table.chain('input', { type: 'filter', hook: 'NF_INET_LOCAL_IN', priority: 0 });
  table.rule('input', [...fromContainer, ...known, ACCEPT]);
  table.rule('input', [...fromContainer, ...isMarked(PACKET_MARK.toHost), ACCEPT]);
  // No container publishes that port. The container's own table counts the answer, which looks as if nobody listened.
  refuse(table, 'input', [...fromContainer, ...isMarked(PACKET_MARK.toPort)], NOBODY_LISTENS);
  table.rule('input', [...fromContainer, DROP]);
  return table.parts;
}
