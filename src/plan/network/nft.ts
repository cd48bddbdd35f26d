/** Builds nf_tables messages: tables, sets, rules and the expressions in them (nft(8), linux/netfilter/nf_tables.h). */
import type { Attributes, Message } from '../../kernel/netlink/message.ts';
import type { Because } from '../../model/because.ts';

/** The family of a table. NETDEV: packets of one interface. INET: all packets of IPv4 and IPv6. */
export type TableFamily = 'NFPROTO_NETDEV' | 'NFPROTO_INET';

/** A message, and the key of the file that asks for it. Without `because`, the reason is that of the step. */
export interface Part {
  readonly message: Message;
  readonly because?: Because;
}

export type Expression = Attributes;

/** A number of 32 bits in host byte order, as registers hold it. Both supported machines are little-endian. */
export function ofMachine(value: number): Uint8Array {
  return Uint8Array.of(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
}

/** A number of 16 bits in network byte order: a port, or the type of an Ethernet frame. */
export function ofNetwork16(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value & 0xff);
}

const expression = (name: string, data: Attributes = {}): Expression => ({
  NFTA_EXPR_NAME: name,
  NFTA_EXPR_DATA: data,
});

const REG = 'NFT_REG_1';

export const loadMeta = (key: string, register = REG): Expression =>
  expression('meta', { NFTA_META_DREG: register, NFTA_META_KEY: key });
export const loadPayload = (
  base: 'NFT_PAYLOAD_LL_HEADER' | 'NFT_PAYLOAD_NETWORK_HEADER' | 'NFT_PAYLOAD_TRANSPORT_HEADER',
  offset: number,
  length: number,
  register = REG,
): Expression =>
  expression('payload', {
    NFTA_PAYLOAD_DREG: register,
    NFTA_PAYLOAD_BASE: base,
    NFTA_PAYLOAD_OFFSET: offset,
    NFTA_PAYLOAD_LEN: length,
  });
/** Writes a register to the network header. `checksum`: where that has a checksum of itself (IPv4). */
export const setNetworkHeader = (offset: number, length: number, checksum?: number, register = REG): Expression =>
  expression('payload', {
    NFTA_PAYLOAD_SREG: register,
    NFTA_PAYLOAD_BASE: 'NFT_PAYLOAD_NETWORK_HEADER',
    NFTA_PAYLOAD_OFFSET: offset,
    NFTA_PAYLOAD_LEN: length,
    ...(checksum === undefined
      ? {}
      : { NFTA_PAYLOAD_CSUM_TYPE: 'NFT_PAYLOAD_CSUM_INET', NFTA_PAYLOAD_CSUM_OFFSET: checksum }),
  });
export const compare = (op: 'EQ' | 'NEQ' | 'LTE' | 'GTE', value: Uint8Array, register = REG): Expression =>
  expression('cmp', {
    NFTA_CMP_SREG: register,
    NFTA_CMP_OP: `NFT_CMP_${op}`,
    NFTA_CMP_DATA: { NFTA_DATA_VALUE: value },
  });
/** Computes `(value & mask) ^ flip`. */
export const maskBits = (
  mask: Uint8Array,
  flip: Uint8Array = new Uint8Array(mask.length),
  register = REG,
): Expression =>
  expression('bitwise', {
    NFTA_BITWISE_SREG: register,
    NFTA_BITWISE_DREG: register,
    NFTA_BITWISE_LEN: mask.length,
    NFTA_BITWISE_MASK: { NFTA_DATA_VALUE: mask },
    NFTA_BITWISE_XOR: { NFTA_DATA_VALUE: flip },
  });
export const shiftRight = (bits: number, register = REG): Expression =>
  expression('bitwise', {
    NFTA_BITWISE_SREG: register,
    NFTA_BITWISE_DREG: register,
    NFTA_BITWISE_LEN: 4,
    NFTA_BITWISE_OP: 'NFT_BITWISE_RSHIFT',
    NFTA_BITWISE_DATA: { NFTA_DATA_VALUE: ofMachine(bits) },
  });
/** Converts from host to network byte order, in units of `size` bytes. */
export const toNetworkOrder = (size: 2 | 4, register = REG): Expression =>
  expression('byteorder', {
    NFTA_BYTEORDER_SREG: register,
    NFTA_BYTEORDER_DREG: register,
    NFTA_BYTEORDER_OP: 'NFT_BYTEORDER_HTON',
    NFTA_BYTEORDER_LEN: size,
    NFTA_BYTEORDER_SIZE: size,
  });
export const setRegister = (value: Uint8Array, register = REG): Expression =>
  expression('immediate', {
    NFTA_IMMEDIATE_DREG: register,
    NFTA_IMMEDIATE_DATA: { NFTA_DATA_VALUE: value },
  });
export const setMark = (register = REG): Expression =>
  expression('meta', { NFTA_META_KEY: 'NFT_META_MARK', NFTA_META_SREG: register });
/** Loads the type of an address by the host's routes: RTN_LOCAL (its own), RTN_UNICAST (another host's) and others. */
export const loadAddressType = (of: 'SADDR' | 'DADDR', register = REG): Expression =>
  expression('fib', {
    NFTA_FIB_DREG: register,
    NFTA_FIB_RESULT: 'NFT_FIB_RESULT_ADDRTYPE',
    NFTA_FIB_FLAGS: `NFTA_FIB_F_${of}`,
  });
export const loadConnection = (key: 'STATE' | 'STATUS', register = REG): Expression =>
  expression('ct', { NFTA_CT_DREG: register, NFTA_CT_KEY: `NFT_CT_${key}` });
export const loadSocketMark = (register = REG): Expression =>
  expression('socket', { NFTA_SOCKET_KEY: 'NFT_SOCKET_MARK', NFTA_SOCKET_DREG: register });
export const isIn = (set: string, register = REG): Expression =>
  expression('lookup', { NFTA_LOOKUP_SET: set, NFTA_LOOKUP_SREG: register });
/** Adds an element to a set, with a counter of its own. If it is there already, its counter is increased. */
export const addTo = (set: string, register = REG): Expression =>
  expression('dynset', {
    NFTA_DYNSET_SET_NAME: set,
    NFTA_DYNSET_OP: 'NFT_DYNSET_OP_UPDATE',
    NFTA_DYNSET_SREG_KEY: register,
    NFTA_DYNSET_EXPR: expression('counter'),
  });
export const count = (counter: string): Expression =>
  expression('objref', { NFTA_OBJREF_IMM_TYPE: 'NFT_OBJECT_COUNTER', NFTA_OBJREF_IMM_NAME: counter });

const verdict = (code: string, chain?: string): Expression =>
  expression('immediate', {
    NFTA_IMMEDIATE_DREG: 'NFT_REG_VERDICT',
    NFTA_IMMEDIATE_DATA: {
      NFTA_DATA_VERDICT: {
        NFTA_VERDICT_CODE: code,
        ...(chain === undefined ? {} : { NFTA_VERDICT_CHAIN: chain }),
      },
    },
  });
export const ACCEPT = verdict('NF_ACCEPT');
export const DROP = verdict('NF_DROP');
export const RETURN = verdict('NFT_RETURN');
export const goTo = (chain: string): Expression => verdict('NFT_GOTO', chain);

export const RESET = expression('reject', { NFTA_REJECT_TYPE: 'NFT_REJECT_TCP_RST', NFTA_REJECT_ICMP_CODE: 0 });
export const PROHIBIT = expression('reject', {
  NFTA_REJECT_TYPE: 'NFT_REJECT_ICMPX_UNREACH',
  NFTA_REJECT_ICMP_CODE: 'NFT_REJECT_ICMPX_ADMIN_PROHIBITED',
});
/** Refuses with "port unreachable", as the kernel answers where nothing listens. For IPv4 and IPv6. */
export const NOBODY_LISTENS = expression('reject', {
  NFTA_REJECT_TYPE: 'NFT_REJECT_ICMPX_UNREACH',
  NFTA_REJECT_ICMP_CODE: 'NFT_REJECT_ICMPX_PORT_UNREACH',
});
export const MASQUERADE = expression('masq');
/** Translates the address to that in a register and, if a second one is given, the port. */
export const translate = (
  type: 'SNAT' | 'DNAT',
  family: 'NFPROTO_IPV4' | 'NFPROTO_IPV6',
  address: string,
  port?: string,
): Expression =>
  expression('nat', {
    NFTA_NAT_TYPE: `NFT_NAT_${type}`,
    NFTA_NAT_FAMILY: family,
    NFTA_NAT_REG_ADDR_MIN: address,
    ...(port === undefined ? {} : { NFTA_NAT_REG_PROTO_MIN: port }),
  });
/** Lowers the maximum segment size of a TCP connection (option 2) to that of its route. */
export const CLAMP_SEGMENTS: readonly Expression[] = [
  expression('rt', { NFTA_RT_DREG: REG, NFTA_RT_KEY: 'NFT_RT_TCPMSS' }),
  toNetworkOrder(2),
  expression('exthdr', {
    NFTA_EXTHDR_SREG: REG,
    NFTA_EXTHDR_TYPE: 'TCPOPT_MAXSEG',
    NFTA_EXTHDR_OFFSET: 2,
    NFTA_EXTHDR_LEN: 2,
    NFTA_EXTHDR_OP: 'NFT_EXTHDR_OP_TCPOPT',
  }),
];

/** A part of a set's keys. The kernel needs its length; nft(8) needs its type to print it. */
export interface Field {
  readonly type: number;
  readonly length: number;
}
export const IPV4: Field = { type: 7, length: 4 };
export const IPV6: Field = { type: 8, length: 16 };
export const PROTOCOL: Field = { type: 12, length: 1 };
export const INTERFACE_NAME: Field = { type: 41, length: 16 };
export const PORT: Field = { type: 13, length: 2 };

/** The hook of a base chain. */
export interface Hook {
  readonly type: 'filter' | 'nat';
  readonly hook: string;
  readonly priority: number;
  readonly device?: string;
  readonly policy?: 'NF_DROP' | 'NF_ACCEPT';
}

/** Collects the messages that create one table with its chains, sets and rules. */
export class TableBuilder {
  readonly #family: TableFamily;
  readonly #name: string;
  readonly #parts: Part[] = [];

  /**
   * `owned`: the kernel removes the table when the socket that created it is closed, and lets no other socket change it
   * (Linux 5.12). `replaces`: a table of the same name is removed first, unless it has this chain: EEXIST, since two launchers
   * can make the table at once, and one of them may have added to it. `exists`: an earlier transaction has created it.
   */
  constructor(
    family: TableFamily,
    name: string,
    {
      owned = false,
      replaces,
      exists = false,
    }: { readonly owned?: boolean; readonly replaces?: string; readonly exists?: boolean },
  ) {
    this.#family = family;
    this.#name = name;
    if (exists) return;
    if (replaces !== undefined) {
      // The removal fails if there is no such table, so one is created before it.
      this.#add('NFT_MSG_NEWTABLE', 'NLM_F_REQUEST|NLM_F_CREATE', { NFTA_TABLE_NAME: name });
      const chain = { NFTA_CHAIN_TABLE: name, NFTA_CHAIN_NAME: replaces };
      this.#add('NFT_MSG_NEWCHAIN', 'NLM_F_REQUEST|NLM_F_CREATE|NLM_F_EXCL', chain);
      this.#add('NFT_MSG_DELTABLE', 'NLM_F_REQUEST', { NFTA_TABLE_NAME: name });
    }
    this.#add('NFT_MSG_NEWTABLE', 'NLM_F_REQUEST|NLM_F_CREATE|NLM_F_EXCL', {
      NFTA_TABLE_NAME: name,
      ...(owned ? { NFTA_TABLE_FLAGS: 'NFT_TABLE_F_OWNER' } : {}),
    });
  }

  get parts(): readonly Part[] {
    return this.#parts;
  }

  chain(name: string, hook?: Hook): void {
    this.#add('NFT_MSG_NEWCHAIN', 'NLM_F_REQUEST|NLM_F_CREATE', {
      NFTA_CHAIN_TABLE: this.#name,
      NFTA_CHAIN_NAME: name,
      ...(hook === undefined
        ? {}
        : {
            NFTA_CHAIN_HOOK: {
              NFTA_HOOK_HOOKNUM: hook.hook,
              NFTA_HOOK_PRIORITY: hook.priority,
              ...(hook.device === undefined ? {} : { NFTA_HOOK_DEV: hook.device }),
            },
            NFTA_CHAIN_TYPE: hook.type,
            NFTA_CHAIN_POLICY: hook.policy ?? 'NF_ACCEPT',
          }),
    });
  }

  rule(chain: string, expressions: readonly Expression[], because?: Because): void {
    const attributes = {
      NFTA_RULE_TABLE: this.#name,
      NFTA_RULE_CHAIN: chain,
      NFTA_RULE_EXPRESSIONS: expressions,
    };
    this.#add('NFT_MSG_NEWRULE', 'NLM_F_REQUEST|NLM_F_CREATE|NLM_F_APPEND', attributes, because);
  }

  counter(name: string): void {
    this.#add('NFT_MSG_NEWOBJ', 'NLM_F_REQUEST|NLM_F_CREATE', {
      NFTA_OBJ_TABLE: this.#name,
      NFTA_OBJ_NAME: name,
      NFTA_OBJ_TYPE: 'NFT_OBJECT_COUNTER',
      NFTA_OBJ_DATA: { NFTA_COUNTER_BYTES: 0, NFTA_COUNTER_PACKETS: 0 },
    });
  }

  /**
   * A set to which rules add elements. It holds at most `size`. The keys are made of `fields`. `timeout`: an element is
   * removed so many milliseconds after a rule has last added it.
   */
  growingSet(name: string, fields: readonly Field[], size: number, timeout?: number): void {
    const flags = timeout === undefined ? 'NFT_SET_EVAL' : 'NFT_SET_TIMEOUT|NFT_SET_EVAL';
    this.#add('NFT_MSG_NEWSET', 'NLM_F_REQUEST|NLM_F_CREATE', {
      ...this.#setAttributes(name, flags, fields),
      ...(timeout === undefined ? {} : { NFTA_SET_TIMEOUT: timeout, NFTA_SET_GC_INTERVAL: GC_INTERVAL_MS }),
      NFTA_SET_DESC: { NFTA_SET_DESC_SIZE: size },
    });
  }

  /** A set whose elements are added and removed by later messages. */
  openSet(name: string, fields: readonly Field[]): void {
    this.#add('NFT_MSG_NEWSET', 'NLM_F_REQUEST|NLM_F_CREATE', this.#setAttributes(name, undefined, fields));
  }

  /** A set of address ranges. No two may touch or overlap. */
  rangeSet(
    name: string,
    field: Field,
    ranges: readonly { readonly first: Uint8Array; readonly afterLast: Uint8Array | undefined }[],
    because?: Because,
  ): void {
    const attributes = this.#setAttributes(name, 'NFT_SET_INTERVAL', [field]);
    this.#add('NFT_MSG_NEWSET', 'NLM_F_REQUEST|NLM_F_CREATE', attributes, because);
    const elements = ranges.flatMap(({ first, afterLast }) => [
      { NFTA_SET_ELEM_KEY: { NFTA_DATA_VALUE: first } },
      ...(afterLast === undefined
        ? []
        : [
            {
              NFTA_SET_ELEM_KEY: { NFTA_DATA_VALUE: afterLast },
              NFTA_SET_ELEM_FLAGS: 'NFT_SET_ELEM_INTERVAL_END',
            },
          ]),
    ]);
    // An attribute holds at most 64 KiB, so the elements are sent in several messages.
    for (let at = 0; at < elements.length; at += MAX_ELEMENTS) {
      this.#add(
        'NFT_MSG_NEWSETELEM',
        'NLM_F_REQUEST|NLM_F_CREATE',
        {
          NFTA_SET_ELEM_LIST_TABLE: this.#name,
          NFTA_SET_ELEM_LIST_SET: name,
          NFTA_SET_ELEM_LIST_ELEMENTS: elements.slice(at, at + MAX_ELEMENTS),
        },
        because,
      );
    }
  }

  #setAttributes(name: string, flags: string | undefined, fields: readonly Field[]): Attributes {
    return {
      NFTA_SET_TABLE: this.#name,
      NFTA_SET_NAME: name,
      ...(flags === undefined ? {} : { NFTA_SET_FLAGS: flags }),
      NFTA_SET_KEY_TYPE: fields.reduce((types, { type }) => types * 64 + type, 0),
      // Each field takes a multiple of 4 bytes, as in the registers.
      NFTA_SET_KEY_LEN: fields.reduce((sum, { length }) => sum + 4 * Math.ceil(length / 4), 0),
      NFTA_SET_ID: ++this.#sets,
    };
  }
  #sets = 0;

  #add(type: string, flags: string, attributes: Attributes, because?: Because): void {
    const message = { type, flags, header: { nfgen_family: this.#family }, attributes };
    this.#parts.push(because === undefined ? { message } : { message, because });
  }
}

const MAX_ELEMENTS = 1000;
/** How often the kernel looks for elements to remove. Its default is each second. */
const GC_INTERVAL_MS = 60_000;

const edge = (type: string): Message => ({
  type,
  flags: 'NLM_F_REQUEST',
  header: { nfgen_family: 'AF_UNSPEC', res_id: 'NFNL_SUBSYS_NFTABLES' },
  attributes: {},
});

/** Joins messages to a transaction: the kernel carries out all of them or none, and then answers the last one. */
export function transaction(parts: readonly Part[]): readonly Part[] {
  const asked = parts.map((part, index) =>
    index + 1 < parts.length
      ? part
      : { ...part, message: { ...part.message, flags: `${part.message.flags}|NLM_F_ACK` } },
  );
  return [{ message: edge('NFNL_MSG_BATCH_BEGIN') }, ...asked, { message: edge('NFNL_MSG_BATCH_END') }];
}
