/**
 * The container's own table, on the host's end of its pair, decides which packets the container may send. A socket of the
 * launcher owns it: the kernel removes the table with the launcher, and no other process can change it (Linux 5.12).
 */
import type { Message } from '../../kernel/netlink/message.ts';
import type { EgressRule, Network, Protocol } from '../../model/network.ts';
import type { Because } from '../../model/because.ts';
import { isAtLeast } from '../../host/facts.ts';
import { formatSubnet, type Subnet } from '../../text/addresses.ts';
import { specialKind, subnetsOfKind } from '../../text/special-addresses.ts';
import type { PlanContext } from '../context.ts';
import { byDefault } from '../steps.ts';
import { hideDatagram, hideFragment } from './hidden-datagrams.ts';
import {
  matchAddress,
  matchLaterFragment,
  matchPorts,
  NO_OPTIONS,
  matchProtocol,
  matchSubnet,
  PORT_OFFSET,
} from './match.ts';
import {
  FAMILIES,
  gatewayOf,
  hostInterface,
  macBytes,
  ownAddress,
  PACKET_MARK,
  poolOf,
  sharedNetworks,
  type FamilyOf,
} from './names.ts';
import {
  ACCEPT,
  addTo,
  compare,
  count,
  DROP,
  goTo,
  IPV4,
  IPV6,
  isIn,
  loadAddressType,
  loadMeta,
  loadPayload,
  maskBits,
  ofMachine,
  ofNetwork16,
  PORT,
  PROHIBIT,
  PROTOCOL,
  RESET,
  setMark,
  setRegister,
  TableBuilder,
  transaction,
  type Expression,
  type Part,
} from './nft.ts';
import { rangesOf } from './ranges.ts';

export const ownedTableName = (index: number): string => `boxctl-${index}`;

/** What the launcher reads from the table at the end: the counter of refused packets, and the sets of destinations. */
export const REFUSED = { counter: 'refused', set4: 'refused4', set6: 'refused6', most: 1024 } as const;

/** The host's own addresses, by family. */
export const HOST_SETS = { 4: 'host4', 6: 'host6' } as const;

const REFUSED_AT_ONCE = 'what is refused is refused at once, and counted';

const SOURCE_MAC_AT = 6;
const RTN_UNICAST = 1;
const RTN_LOCAL = 2;
const TCP = Uint8Array.of(6);
const UDP = Uint8Array.of(17);
const TCP_FLAGS_AT = 13;
const SYN_AND_ACK = Uint8Array.of(0x12);
const SYN = Uint8Array.of(0x02);

/** Addresses that no host on the internet has. They are refused even if the host has a route for them. */
const SPECIAL: Readonly<Record<4 | 6, readonly string[]>> = {
  4: ['0.0.0.0/8', '127.0.0.0/8', '240.0.0.0/4'],
  6: ['::/127'],
};
const MULTICAST: Readonly<Record<4 | 6, string>> = { 4: '224.0.0.0/4', 6: 'ff00::/8' };
/** IPv4 addresses in the form of IPv6. By these the container could reach addresses that are refused for IPv4. */
const MAPPED = '::ffff:0:0/96';

const subnet = (text: string): Subnet => {
  const [address = '', prefix] = text.split('/');
  return { family: address.includes(':') ? 6 : 4, address, prefix: Number(prefix) };
};

const mark = (value: number): readonly Expression[] => [setRegister(ofMachine(value)), setMark()];

/** Matches TCP packets that do not begin a connection. If they belong to none, the shared table drops them. */
const continuesTcp: readonly Expression[] = [
  loadPayload('NFT_PAYLOAD_TRANSPORT_HEADER', TCP_FLAGS_AT, 1),
  maskBits(SYN_AND_ACK),
  compare('NEQ', SYN),
];

/** Whether a TCP packet is a reset. */
const isReset = (op: 'EQ' | 'NEQ'): readonly Expression[] => [
  loadPayload('NFT_PAYLOAD_TRANSPORT_HEADER', TCP_FLAGS_AT, 1),
  maskBits(Uint8Array.of(0x04)),
  compare(op, Uint8Array.of(0)),
];
const isNoReset = isReset('EQ');

export interface OwnedTableOptions {
  /**
   * For a table in another network namespace, where the kernel does not know the host's addresses: refuses those that the launcher
   * writes into `HOST_SETS` (watch_addresses).
   */
  readonly hostSets?: boolean;
  /** More destinations that are refused. */
  readonly refuses?: readonly Subnet[];
  /**
   * A refused packet is accepted with a mark, and a later table rejects it. That table must be one that no other process can
   * remove: the packet would get through without it. Otherwise it is dropped (`rejectRules`).
   */
  readonly marks?: boolean;
}

/**
 * Removes the table when the container has ended. The kernel does so, too, when it closes the socket. By then other containers
 * may have ended: it would wait for a grace period for each table, and nobody could make one meanwhile.
 */
export function removeTable({ index }: Network): readonly Message[] {
  const attributes = { NFTA_TABLE_NAME: ownedTableName(index) };
  const header = { nfgen_family: 'NFPROTO_NETDEV' };
  const message: Message = { type: 'NFT_MSG_DELTABLE', flags: 'NLM_F_REQUEST', header, attributes };
  return transaction([{ message }]).map((part) => part.message);
}

/**
 * Rules for the chain `refuse`, by which a refused packet is answered with an error. Without them it is dropped by the
 * policy of the base chain, from which all jumps are without return. A kernel without nft_reject_netdev (Debian's for clouds)
 * does not take them: ENOENT.
 */
export function rejectRules({ index }: Network): readonly Part[] {
  const because = byDefault(REFUSED_AT_ONCE);
  const table = new TableBuilder('NFPROTO_NETDEV', ownedTableName(index), { exists: true });
  table.rule('refuse', [loadMeta('NFT_META_L4PROTO'), compare('EQ', TCP), RESET], because);
  table.rule('refuse', [PROHIBIT], because);
  return table.parts;
}

class OwnedTable {
  readonly #network: Network;
  readonly #context: PlanContext;
  readonly #table: TableBuilder;

  readonly #options: OwnedTableOptions;

  constructor(context: PlanContext, network: Network, options: OwnedTableOptions) {
    this.#context = context;
    this.#network = network;
    this.#options = options;
    this.#table = new TableBuilder('NFPROTO_NETDEV', ownedTableName(network.index), { owned: true });
  }

  build(): readonly Part[] {
    const table = this.#table;
    const { index, mac } = this.#network;
    table.counter(REFUSED.counter);
    table.growingSet(REFUSED.set4, [IPV4, PORT, PROTOCOL], REFUSED.most);
    table.growingSet(REFUSED.set6, [IPV6, PORT, PROTOCOL], REFUSED.most);
    if (this.#options.hostSets === true) {
      table.rangeSet(HOST_SETS[4], IPV4, []);
      table.rangeSet(HOST_SETS[6], IPV6, []);
    }
    table.chain('refuse');
    this.#refuse();
    for (const family of FAMILIES) if (ownAddress(this.#network, family) !== undefined) this.#family(family);
    table.chain('sent', {
      type: 'filter',
      hook: 'NF_NETDEV_INGRESS',
      priority: 0,
      device: hostInterface(index),
      policy: 'NF_DROP',
    });
    if (this.#filtersReceived) this.#received();
    const because = this.#context.model.because('network.mac');
    const source = loadPayload('NFT_PAYLOAD_LL_HEADER', SOURCE_MAC_AT, 6);
    table.rule('sent', [source, compare('NEQ', macBytes(mac)), DROP], because);
    for (const family of FAMILIES) {
      if (ownAddress(this.#network, family) === undefined) continue;
      const isFamily = [loadMeta('NFT_META_PROTOCOL'), compare('EQ', ofNetwork16(family.etherType))];
      table.rule('sent', [...isFamily, goTo(chainOf(family))]);
    }
    return table.parts;
  }

  /** The hook that `#received` needs, NF_NETDEV_EGRESS, came with Linux 5.16. */
  get #filtersReceived(): boolean {
    return this.#network.driver === 'veth' && isAtLeast(this.#context.host.kernel, 5, 16);
  }

  /**
   * Whether the container reaches published ports of other containers by the host's addresses. Not with a list of `egress`:
   * it would have to name them.
   */
  get #reachesPorts(): boolean {
    return this.#filtersReceived && this.#network.toWorld && this.#network.egress === undefined;
  }

  /**
   * Drops packets that the host's own programs send to the container, and counts those that the shared table refused. The
   * shared table refuses connections to programs of the host. If someone removes that table, the programs' answers are
   * dropped here. So is what a container of an ordinary user sends: to the host, that comes from a program.
   */
  #received(): void {
    const table = this.#table;
    const because = byDefault('no program of the host sends to a container');
    const { index, reaches } = this.#network;
    table.chain('received', {
      type: 'filter',
      hook: 'NF_NETDEV_EGRESS',
      priority: 0,
      device: hostInterface(index),
      policy: 'NF_ACCEPT',
    });
    const isPassedOn = [loadMeta('NFT_META_MARK'), compare('EQ', ofMachine(PACKET_MARK.passedOn))];
    table.rule('received', [...isPassedOn, ACCEPT], because);
    for (const family of FAMILIES) {
      if (ownAddress(this.#network, family) === undefined) continue;
      const isFamily = [loadMeta('NFT_META_PROTOCOL'), compare('EQ', ofNetwork16(family.etherType))];
      const isGateway = matchAddress(gatewayOf(this.#network, family), family.sourceOffset);
      if (reaches.host) table.rule('received', [...isFamily, ...isGateway, ACCEPT], because);
      const isOfHost = [...isFamily, loadAddressType('SADDR'), compare('EQ', ofMachine(RTN_LOCAL))];
      table.rule('received', [...isOfHost, ...matchProtocol('udp'), DROP], because);
      table.rule('received', [...isOfHost, ...matchProtocol('tcp'), ...isNoReset, DROP], because);
      // The shared table answers for an address of the container's own networks that no container has. No rule forbids it.
      for (const { subnet: shared } of sharedNetworks(this.#network, family)) {
        table.rule('received', [...isFamily, ...matchSubnet(shared, family.sourceOffset), ACCEPT], because);
      }
      for (const { matches, load, set, counted } of refusalsOf(family)) {
        if (counted) table.rule('received', [...isFamily, ...matches, count(REFUSED.counter)], because);
        table.rule('received', [...isFamily, ...matches, ...load, addTo(set, 'NFT_REG32_00')], because);
      }
    }
  }

  /** The chain `refuse`: counts the packet. `rejectRules` are added to it. */
  #refuse(): void {
    const because = byDefault(REFUSED_AT_ONCE);
    this.#table.rule('refuse', [count(REFUSED.counter)], because);
    for (const family of FAMILIES) {
      const [set, words] = family.family === 4 ? ([REFUSED.set4, 1] as const) : ([REFUSED.set6, 4] as const);
      const [port, protocol] = [`NFT_REG32_0${words}`, `NFT_REG32_0${words + 1}`];
      // Packets of other protocols have no ports: they are counted, but not listed by destination.
      for (const kind of [TCP, UDP]) {
        this.#table.rule(
          'refuse',
          [
            loadMeta('NFT_META_PROTOCOL'),
            compare('EQ', ofNetwork16(family.etherType)),
            loadMeta('NFT_META_L4PROTO', protocol),
            compare('EQ', kind, protocol),
            loadPayload('NFT_PAYLOAD_NETWORK_HEADER', family.destinationOffset, family.length, 'NFT_REG32_00'),
            loadPayload('NFT_PAYLOAD_TRANSPORT_HEADER', PORT_OFFSET.destination, 2, port),
            addTo(set, 'NFT_REG32_00'),
          ],
          because,
        );
      }
    }
    if (this.#options.marks === true) this.#table.rule('refuse', [...mark(PACKET_MARK.refused), ACCEPT], because);
  }

  #family(family: FamilyOf): void {
    const table = this.#table;
    const { model } = this.#context;
    const chain = chainOf(family);
    const { toWorld, egress } = this.#network;
    const own = ownAddress(this.#network, family) ?? new Uint8Array();
    const isolation = byDefault('a container reaches neither the host nor containers of other networks');
    table.chain(chain);

    const networks = sharedNetworks(this.#network, family);
    for (const { index, subnet: shared, address } of networks) {
      const from = matchAddress(address, family.sourceOffset);
      const accepted = [
        ...from,
        ...matchSubnet(shared, family.destinationOffset),
        ...mark(PACKET_MARK.toNetwork),
        ACCEPT,
      ];
      table.rule(chain, accepted, model.because(`network.networks.${index}`));
    }
    const foreign = byDefault('a container sends from its own addresses');
    table.rule(chain, [...matchAddress(own, family.sourceOffset, 'NEQ'), DROP], foreign);
    // The container's kernel sends multicast by itself. It is dropped without being counted.
    const quiet = [...matchSubnet(subnet(MULTICAST[family.family]), family.destinationOffset), DROP];
    table.rule(chain, quiet, byDefault('multicast stays in the container'));
    // The ports of an ordinary user's container are relayed in the router: their replies do not come here.
    if (this.#network.driver === 'veth') this.#replies(family);

    const gateway = matchAddress(gatewayOf(this.#network, family), family.destinationOffset);
    for (const [index, rule] of (egress ?? []).entries()) {
      if (rule.addresses !== 'host') continue;
      const because = model.because(`network.egress.${index}`);
      for (const kinds of kindsOf(rule)) {
        table.rule(chain, [...gateway, ...kinds, ...mark(PACKET_MARK.toHost), ACCEPT], because);
      }
    }
    const refused = [
      ...SPECIAL[family.family],
      ...(family.family === 6 ? [MAPPED] : []),
      formatSubnet(poolOf(this.#network, family)),
      ...networks.map((one) => formatSubnet(one.subnet)),
      ...(this.#options.refuses ?? []).filter((one) => one.family === family.family).map(formatSubnet),
    ];
    for (const text of refused) {
      table.rule(chain, [...matchSubnet(subnet(text), family.destinationOffset), goTo('refuse')], isolation);
    }
    if (this.#options.hostSets === true) {
      const to = loadPayload('NFT_PAYLOAD_NETWORK_HEADER', family.destinationOffset, family.length);
      table.rule(chain, [to, isIn(HOST_SETS[family.family]), goTo('refuse')], isolation);
    }
    if (this.#reachesPorts) {
      const noOptions = family.family === 4 ? NO_OPTIONS : [];
      const isOfHost = [loadAddressType('DADDR'), compare('EQ', ofMachine(RTN_LOCAL)), ...noOptions];
      const ports = byDefault('published ports of other containers answer by the host’s addresses');
      for (const kind of [matchProtocol('tcp'), ...hideDatagram(family)]) {
        table.rule(chain, [...isOfHost, ...kind, ...mark(PACKET_MARK.toPort), ACCEPT], ports);
      }
    }
    // Not RTN_UNICAST: the host's own addresses, broadcasts, and addresses without a route.
    table.rule(chain, [loadAddressType('DADDR'), compare('NEQ', ofMachine(RTN_UNICAST)), goTo('refuse')], isolation);

    // Rules that name link-local addresses come first. Then all others of these are refused, so that `*` and wide subnets,
    // which come last, do not include them.
    const rules = toWorld ? [...(egress ?? []).entries()] : [];
    const [named, others] = [
      rules.filter(([, rule]) => isLinkLocal(rule)),
      rules.filter(([, rule]) => !isLinkLocal(rule)),
    ];
    for (const [index, rule] of named) this.#egress(family, rule, index);
    for (const one of subnetsOfKind('link-local', family.family)) {
      table.rule(chain, [...matchSubnet(one, family.destinationOffset), goTo('refuse')], isolation);
    }

    if (!toWorld) {
      table.rule(chain, [goTo('refuse')], model.because('network.networks.0'));
    } else if (egress === undefined) {
      table.rule(chain, [ACCEPT], model.because('network.egress'));
    } else {
      for (const [index, rule] of others) this.#egress(family, rule, index);
      table.rule(chain, [goTo('refuse')], model.because('network.egress'));
    }
  }

  /** Accepts replies from published ports, whatever `egress` allows. The shared table drops those that nobody asked for. */
  #replies(family: FamilyOf): void {
    const seen = new Set<string>();
    for (const [index, { protocol, port }] of this.#network.ports.entries()) {
      const key = `${port}/${protocol}`;
      if (seen.has(key)) continue;
      seen.add(key);
      const because = this.#context.model.because(`network.ports.${index}`);
      const from = [...matchProtocol(protocol), ...matchPorts({ first: port, last: port }, PORT_OFFSET.source)];
      if (protocol === 'tcp') this.#reply(family, 'tcp', [...from, ...continuesTcp], [[]], because);
      else this.#reply(family, 'udp', from, hideDatagram(family), because);
    }
    const index = this.#network.ports.findIndex(({ protocol }) => protocol === 'udp');
    if (index === -1) return;
    // Only the first fragment of a datagram has ports. The others are accepted: without the first they are useless.
    const fragment = [...matchProtocol('udp'), ...matchLaterFragment(family.family)];
    this.#reply(family, 'udp', fragment, hideFragment(family), this.#context.model.because(`network.ports.${index}`));
  }

  /** `forms`: those in which a reply goes to the gateway's address, which may be one of the host's. */
  #reply(
    family: FamilyOf,
    protocol: Protocol,
    matches: readonly Expression[],
    forms: readonly (readonly Expression[])[],
    because: Because,
  ): void {
    const chain = chainOf(family);
    const accepted = [...mark(PACKET_MARK.reply), ACCEPT];
    // The shared table gives connections from other containers the gateway's address as their source.
    const isGateway = matchAddress(gatewayOf(this.#network, family), family.destinationOffset);
    for (const form of forms) this.#table.rule(chain, [...matches, ...isGateway, ...form, ...accepted], because);
    // A UDP packet does not show whether it is a reply. Where the container may send everything, it needs no such rule.
    if (protocol === 'udp' && this.#network.egress === undefined && this.#network.toWorld) return;
    const isOfWorld = [loadAddressType('DADDR'), compare('EQ', ofMachine(RTN_UNICAST))];
    this.#table.rule(chain, [...matches, ...isOfWorld, ...accepted], because);
  }

  #egress(family: FamilyOf, rule: EgressRule, index: number): void {
    if (rule.addresses === 'host') return;
    const chain = chainOf(family);
    const because = this.#context.model.because(`network.egress.${index}`);
    const to = this.#destination(family, rule.addresses, `egress${index}`, because);
    if (to === undefined) return;
    for (const kinds of kindsOf(rule)) this.#table.rule(chain, [...to, ...kinds, ACCEPT], because);
    // Only the first fragment of a datagram has ports. The others are accepted: without the first they are useless.
    if (rule.ports !== undefined) {
      this.#table.rule(chain, [...to, ...matchLaterFragment(family.family), ACCEPT], because);
    }
  }

  /** Matches the destination. Undefined: no subnet is of this family. Several subnets become a set, which is one lookup. */
  #destination(
    family: FamilyOf,
    addresses: readonly Subnet[] | 'any',
    set: string,
    because: Because,
  ): readonly Expression[] | undefined {
    if (addresses === 'any') return [];
    const own = addresses.filter((one) => one.family === family.family);
    const [only, ...more] = own;
    if (only === undefined) return undefined;
    if (more.length === 0) return matchSubnet(only, family.destinationOffset);
    const name = `${set}-${family.family}`;
    this.#table.rangeSet(name, family.family === 4 ? IPV4 : IPV6, rangesOf(own), because);
    return [loadPayload('NFT_PAYLOAD_NETWORK_HEADER', family.destinationOffset, family.length), isIn(name)];
  }
}

interface Answer {
  /** False: there is not one for each packet, and the shared table counts these itself. */
  readonly counted: boolean;
  readonly matches: readonly Expression[];
  /** Loads the destination address, the port and the protocol of the refused packet. */
  readonly load: readonly Expression[];
  readonly set: string;
}

/**
 * The answers of the shared table to packets that it refuses. A connection is answered with a reset, which comes from the
 * destination of the connection. A datagram is answered with an ICMP message, which has the first bytes of the datagram
 * after a header of 8 bytes.
 */
function refusalsOf(family: FamilyOf): readonly Answer[] {
  const isFour = family.family === 4;
  const [icmp, type, code, header] = isFour ? [1, 3, 3, 20] : [58, 1, 4, 40];
  const inner = header + 8;
  const load = (offset: number, length: number, register: string): Expression =>
    loadPayload('NFT_PAYLOAD_NETWORK_HEADER', offset, length, register);
  const [port, protocol] = isFour ? ['NFT_REG32_01', 'NFT_REG32_02'] : ['NFT_REG32_04', 'NFT_REG32_05'];
  const set = isFour ? REFUSED.set4 : REFUSED.set6;
  const connection: Answer = {
    counted: true,
    matches: [...matchProtocol('tcp'), ...isReset('NEQ')],
    load: [
      load(family.sourceOffset, family.length, 'NFT_REG32_00'),
      loadPayload('NFT_PAYLOAD_TRANSPORT_HEADER', PORT_OFFSET.source, 2, port),
      loadMeta('NFT_META_L4PROTO', protocol),
    ],
    set,
  };
  const datagram: Answer = {
    counted: false,
    matches: [
      loadMeta('NFT_META_L4PROTO'),
      compare('EQ', Uint8Array.of(icmp)),
      loadPayload('NFT_PAYLOAD_TRANSPORT_HEADER', 0, 2),
      compare('EQ', Uint8Array.of(type, code)),
    ],
    load: [
      load(inner + family.destinationOffset, family.length, 'NFT_REG32_00'),
      load(inner + header + PORT_OFFSET.destination, 2, port),
      load(inner + (isFour ? 9 : 6), 1, protocol),
    ],
    set,
  };
  return [connection, datagram];
}

const isLinkLocal = ({ addresses }: EgressRule): boolean =>
  typeof addresses !== 'string' && addresses.some((one) => specialKind(one) === 'link-local');

const chainOf = ({ family }: FamilyOf): string => `ipv${family}`;

/** Matches the protocols and ports of an entry. Each list is a rule of its own. */
function kindsOf({ ports, protocol }: EgressRule): readonly (readonly Expression[])[] {
  const portRange = ports === undefined ? [] : matchPorts(ports, PORT_OFFSET.destination);
  if (protocol !== undefined) return [[...matchProtocol(protocol), ...portRange]];
  if (ports === undefined) return [[]];
  return (['tcp', 'udp'] as const).map((one) => [...matchProtocol(one), ...portRange]);
}

export function ownedTable(context: PlanContext, network: Network, options: OwnedTableOptions = {}): readonly Part[] {
  return new OwnedTable(context, network, options).build();
}
