/**
 * The table that all containers of a host share. It has nothing for a single container. A packet therefore costs the same
 * with many containers, and a launcher that is killed leaves nothing in it. The table finds a published port by the mark of
 * the listening socket; the kernel closes the socket with the launcher.
 */
import type { Message } from '../../kernel/netlink/message.ts';
import type { Network } from '../../model/network.ts';
import { formatSubnet } from '../../text/addresses.ts';
import { FAMILIES, gatewayOf, GROUP, MAGIC_BITS, MAGIC_MASK, PACKET_MARK, poolOf, type FamilyOf } from './names.ts';
import {
  ACCEPT,
  addTo,
  CLAMP_SEGMENTS,
  compare,
  DROP,
  goTo,
  INTERFACE_NAME,
  IPV4,
  IPV6,
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
import { HIDDEN_PROTOCOL, showDatagram } from './hidden-datagrams.ts';
import { matchProtocol, matchSubnet } from './match.ts';

export const SHARED_TABLE = 'boxctl';
/** To be raised with each change of the table. A table of another version is replaced. */
const VERSION = 8;

/** After fragments are put together (-400), and before connections are tracked (-200). */
const BEFORE_TRACKING = -300;
/** Before the chains of other programs at these hooks (-100 and 100): the first translation of a connection is final. */
const BEFORE_DNAT = -105;
const BEFORE_SNAT = 95;
/** Before the forward chains of firewalls (0), so that those see only what this table lets through. */
const BEFORE_FILTER = -5;

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

/**
 * Sets of containers' addresses with counters. `begun`: packets that begin a connection, as the chain `forward` let them
 * through. `passed`: those of them that came to the end of the host's rules. In between is nothing but rules of other
 * programs: where the second number is smaller, a firewall of the host has dropped the rest. A chain of type nat would not
 * do for the second: it sees the first packet of a connection only, and a packet that is sent again is counted again.
 */
export const CONNECTIONS = { begun: 'begun', passed: 'passed' } as const;
export const connectionsSet = (of: keyof typeof CONNECTIONS, family: 4 | 6): string => `${CONNECTIONS[of]}${family}`;
/**
 * Sets of containers' addresses with counters: datagrams of theirs that this table has refused. The answers to them do not tell,
 * since the kernel limits their rate.
 */
const datagramsSet = (family: 4 | 6): string => `datagrams${family}`;
const MOST_ADDRESSES = 16_384;
/** A container's start removes what is counted of its addresses. This is for addresses that no container has again. */
const FORGET_AFTER_MS = 3_600_000;
const FORGET_DATAGRAMS_AFTER_MS = 30 * 24 * 3_600_000;

/** A transaction for an interface of the uplink: the host forwards only packets for containers from it. */
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

const addressesOf = ({ sourceOffset, destinationOffset, length }: FamilyOf): readonly [Expression, Expression] => [
  loadPayload('NFT_PAYLOAD_NETWORK_HEADER', sourceOffset, length),
  loadPayload('NFT_PAYLOAD_NETWORK_HEADER', destinationOffset, length),
];

/** Computes a container's address: the pool's first address, plus in its last word the index from the socket's mark. */
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
    // Adds the pool's bits to the index.
    maskBits(ofMachine(0xffff_ffff), first.subarray(family.length - 4), last),
  ];
}

/** The port from the socket's mark. `translate` reads the first two bytes of the register. */
const targetPort: readonly Expression[] = [
  loadSocketMark('NFT_REG32_04'),
  maskBits(ofMachine(0xffff), NONE, 'NFT_REG32_04'),
  toNetworkOrder(2, 'NFT_REG32_04'),
];

/** The name of a chain without rules. It contains the table's version and pool. */
const markerOf = ({ pool }: Network): string =>
  `version-${VERSION}-${[pool.ipv4, pool.ipv6].map(formatSubnet).join('-').replaceAll(/[/:]/gu, '_')}`;

/** Asks for that chain. ENOENT: there is no table, or one of another version or pool. */
export function sharedTableQuestion(network: Network): Message {
  return {
    type: 'NFT_MSG_GETCHAIN',
    flags: 'NLM_F_REQUEST|NLM_F_ACK',
    header: { nfgen_family: 'NFPROTO_INET' },
    attributes: { NFTA_CHAIN_TABLE: SHARED_TABLE, NFTA_CHAIN_NAME: markerOf(network) },
  };
}

/** Asks for the table, of whatever version: launchers of two versions would replace it by turns. */
export const anySharedTable: Message = {
  type: 'NFT_MSG_GETTABLE',
  flags: 'NLM_F_REQUEST',
  header: { nfgen_family: 'NFPROTO_INET' },
  attributes: { NFTA_TABLE_NAME: SHARED_TABLE },
};

/** The element of one of these sets that counts for an address. */
function countOf(
  type: 'NFT_MSG_GETSETELEM' | 'NFT_MSG_NEWSETELEM' | 'NFT_MSG_DELSETELEM',
  flags: string,
  set: string,
  address: Uint8Array,
): Message {
  const attributes = {
    NFTA_SET_ELEM_LIST_TABLE: SHARED_TABLE,
    NFTA_SET_ELEM_LIST_SET: set,
    NFTA_SET_ELEM_LIST_ELEMENTS: [{ NFTA_SET_ELEM_KEY: { NFTA_DATA_VALUE: address } }],
  };
  return { type, flags, header: { nfgen_family: 'NFPROTO_INET' }, attributes };
}

/** `isAcked`: also for an answer that says that it is there. */
const countQuestion = (set: string, address: Uint8Array, isAcked: boolean): Message =>
  countOf('NFT_MSG_GETSETELEM', isAcked ? 'NLM_F_REQUEST|NLM_F_ACK' : 'NLM_F_REQUEST', set, address);

/** Asks for the number of datagrams of an address that were refused. */
export const datagramsQuestion = (family: 4 | 6, address: Uint8Array): Message =>
  countQuestion(datagramsSet(family), address, false);

/** Asks for the number of packets with which connections begin. */
export const connectionsQuestion = (of: keyof typeof CONNECTIONS, family: 4 | 6, address: Uint8Array): Message =>
  countQuestion(connectionsSet(of, family), address, false);

/** How to forget what was counted of the last container with an address. */
export interface Forgetting {
  readonly name: string;
  /** Whether there is anything: ENOENT where there is not. */
  readonly question: Message;
  /** A transaction that removes it. */
  readonly messages: readonly Message[];
}

/** For each kind of packets that is counted by address: refused datagrams, and connections that began or passed. */
export function forgettings(family: 4 | 6, address: Uint8Array): readonly Forgetting[] {
  const remove = (set: string): Part => ({
    message: countOf('NFT_MSG_DELSETELEM', 'NLM_F_REQUEST', set, address),
  });
  const [begun, passed] = [connectionsSet('begun', family), connectionsSet('passed', family)];
  // One that is not there cannot be removed.
  const make = { message: countOf('NFT_MSG_NEWSETELEM', 'NLM_F_REQUEST|NLM_F_CREATE', passed, address) };
  const forgetting = (name: string, set: string, parts: readonly Part[]): Forgetting => ({
    name,
    question: countQuestion(set, address, true),
    messages: transaction(parts).map(({ message }) => message),
  });
  return [
    forgetting('datagrams', datagramsSet(family), [remove(datagramsSet(family))]),
    // What has passed has begun.
    forgetting('connections', begun, [remove(begun), make, remove(passed)]),
  ];
}

/**
 * Refuses a TCP connection with a reset, and everything else with `answer`. An ICMP message can arrive while connect(2)
 * still holds the socket's lock. The kernel then takes it for a temporary error, and tries again a second later.
 */
function refuse(table: TableBuilder, chain: string, matches: readonly Expression[], answer: Expression): void {
  table.rule(chain, [...matches, ...matchProtocol('tcp'), RESET]);
  table.rule(chain, [...matches, answer]);
}

/** Refuses what a container sends to where nobody listens. The sender's own table counts the resets (`received` in owned-table.ts). */
function refuseCounted(table: TableBuilder, chain: string, matches: readonly Expression[]): void {
  for (const family of FAMILIES) {
    const [source] = addressesOf(family);
    const isDatagram = [loadMeta('NFT_META_L4PROTO'), compare('NEQ', TCP)];
    table.rule(chain, [...isFamily(family), ...matches, ...isDatagram, source, addTo(datagramsSet(family.family))]);
  }
  refuse(table, chain, matches, NOBODY_LISTENS);
}

export function sharedTable(network: Network): readonly Part[] {
  const table = new TableBuilder('NFPROTO_INET', SHARED_TABLE, { replaces: markerOf(network) });
  table.chain(markerOf(network));

  table.chain('shown', { type: 'filter', hook: 'NF_INET_PRE_ROUTING', priority: BEFORE_TRACKING });
  // All packets of the host come here.
  table.rule('shown', [...throughGroup('IIFGROUP', 'NEQ'), ACCEPT]);
  table.rule('shown', [loadMeta('NFT_META_L4PROTO'), compare('NEQ', HIDDEN_PROTOCOL), ACCEPT]);
  for (const family of FAMILIES) {
    for (const mark of [PACKET_MARK.toPort, PACKET_MARK.reply]) {
      for (const shown of showDatagram(family)) table.rule('shown', [...isFamily(family), ...isMarked(mark), ...shown]);
    }
  }

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

  for (const { family } of FAMILIES) {
    for (const of of ['begun', 'passed'] as const) {
      const field = family === 4 ? IPV4 : IPV6;
      table.growingSet(connectionsSet(of, family), [field], MOST_ADDRESSES, FORGET_AFTER_MS);
    }
  }
  table.growingSet(datagramsSet(4), [IPV4], MOST_ADDRESSES, FORGET_DATAGRAMS_AFTER_MS);
  table.growingSet(datagramsSet(6), [IPV6], MOST_ADDRESSES, FORGET_DATAGRAMS_AFTER_MS);
  table.chain('passed', { type: 'filter', hook: 'NF_INET_POST_ROUTING', priority: BEFORE_SNAT - 1 });
  table.rule('passed', [...known, ACCEPT]);
  for (const family of FAMILIES) {
    const [source, destination] = addressesOf(family);
    const passed = addTo(connectionsSet('passed', family.family));
    table.rule('passed', [
      ...isFamily(family),
      ...matchSubnet(poolOf(network, family), family.sourceOffset),
      source,
      passed,
    ]);
    const toContainer = [...isFamily(family), ...throughGroup('OIFGROUP')];
    table.rule('passed', [...toContainer, destination, passed]);
    // From a container's address on a network that both share. Other packets to containers are translated.
    table.rule('passed', [...toContainer, ...isMarked(PACKET_MARK.passedOn), ...untranslated, source, passed]);
  }

  table.chain('postrouting', { type: 'nat', hook: 'NF_INET_POST_ROUTING', priority: BEFORE_SNAT });
  for (const family of FAMILIES) {
    const fromPool = [...isFamily(family), ...matchSubnet(poolOf(network, family), family.sourceOffset)];
    // From a container to another's published port: the answer must go through the host, so that it is translated back.
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
  const fromContainer = throughGroup('IIFGROUP');
  const toContainer = throughGroup('OIFGROUP');
  const pass = [setRegister(ofMachine(PACKET_MARK.passedOn)), setMark(), ACCEPT];
  table.chain('begin');
  for (const family of FAMILIES) {
    const [source, destination] = addressesOf(family);
    const count = (load: Expression): readonly Expression[] => [load, addTo(connectionsSet('begun', family.family))];
    table.rule('begin', [...isFamily(family), ...fromContainer, ...count(source)]);
    table.rule('begin', [...isFamily(family), ...toContainer, ...count(destination)]);
  }
  table.rule('begin', [...toContainer, ...pass]);

  table.chain('forward', { type: 'filter', hook: 'NF_INET_FORWARD', priority: BEFORE_FILTER });
  // On a host that did not forward packets before, only those of containers are forwarded.
  for (const family of FAMILIES) {
    const fromUplink = [...isFamily(family), loadMeta('NFT_META_IIFNAME'), isIn(guardOf(family.family))];
    table.rule('forward', [...fromUplink, ...throughGroup('OIFGROUP', 'NEQ'), ...unknown, ...untranslated, DROP]);
  }
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
  table.rule('forward', [...toContainer, ...known, ...pass]);
  table.rule('forward', [...toContainer, ...translated, goTo('begin')]);
  // The sender's own table has checked that both are on one network.
  table.rule('forward', [...toContainer, ...fromContainer, ...isMarked(PACKET_MARK.toNetwork), goTo('begin')]);
  // To an address of a network that the sender is not on.
  refuseCounted(table, 'forward', [...toContainer, ...fromContainer]);
  table.rule('forward', [...toContainer, DROP]);
  // To a shared network's address that no container has: without this rule it would leave the host by the default route.
  refuse(table, 'forward', [...fromContainer, ...isMarked(PACKET_MARK.toNetwork)], PROHIBIT);
  table.rule('forward', [...fromContainer, ...unknown, goTo('begin')]);

  // Each container's own table refuses the host's addresses. This chain refuses those that its rules did not recognise.
  table.chain('input', { type: 'filter', hook: 'NF_INET_LOCAL_IN', priority: 0 });
  table.rule('input', [...fromContainer, ...known, ACCEPT]);
  table.rule('input', [...fromContainer, ...isMarked(PACKET_MARK.toHost), ACCEPT]);
  // No container has published the port.
  refuseCounted(table, 'input', [...fromContainer, ...isMarked(PACKET_MARK.toPort)]);
  table.rule('input', [...fromContainer, DROP]);
  return table.parts;
}
