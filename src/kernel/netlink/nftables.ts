/** Messages of nf_tables (linux/netfilter/nf_tables.h): only what boxctl sends. */
import {
  be32,
  be64,
  bytes,
  choice,
  list,
  nest,
  once,
  text,
  u8,
  type Header,
  type MessageRow,
  type Names,
  type Table,
} from './declare.ts';

const SUBSYSTEM = 10;
/** The families of a table. */
const FAMILY: Names = { AF_UNSPEC: 0, NFPROTO_INET: 1, NFPROTO_IPV4: 2, NFPROTO_NETDEV: 5, NFPROTO_IPV6: 10 };

const NFGENMSG: Header = [
  ['nfgen_family', 'u8', FAMILY],
  ['version', 'u8'],
  ['res_id', 'be16', { NFNL_SUBSYS_NFTABLES: SUBSYSTEM }],
];

/** The registers of expressions: four of 16 bytes, which are also named as sixteen of 4 bytes. */
export const REGISTERS: Names = {
  NFT_REG_VERDICT: 0,
  NFT_REG_1: 1,
  NFT_REG_2: 2,
  NFT_REG_3: 3,
  NFT_REG_4: 4,
  NFT_REG32_00: 8,
  NFT_REG32_01: 9,
  NFT_REG32_02: 10,
  NFT_REG32_03: 11,
  NFT_REG32_04: 12,
  NFT_REG32_05: 13,
  NFT_REG32_06: 14,
  NFT_REG32_07: 15,
  NFT_REG32_08: 16,
  NFT_REG32_09: 17,
  NFT_REG32_10: 18,
  NFT_REG32_11: 19,
};
const COMPARISONS: Names = {
  NFT_CMP_EQ: 0,
  NFT_CMP_NEQ: 1,
  NFT_CMP_LT: 2,
  NFT_CMP_LTE: 3,
  NFT_CMP_GT: 4,
  NFT_CMP_GTE: 5,
};
const VERDICTS: Names = {
  NF_DROP: 0,
  NF_ACCEPT: 1,
  NFT_CONTINUE: 0xffff_ffff,
  NFT_BREAK: 0xffff_fffe,
  NFT_JUMP: 0xffff_fffd,
  NFT_GOTO: 0xffff_fffc,
  NFT_RETURN: 0xffff_fffb,
};
const META: Names = {
  NFT_META_PROTOCOL: 1,
  NFT_META_MARK: 3,
  NFT_META_IIF: 4,
  NFT_META_IIFNAME: 6,
  NFT_META_NFPROTO: 15,
  NFT_META_L4PROTO: 16,
  NFT_META_PKTTYPE: 19,
  NFT_META_IIFGROUP: 21,
  NFT_META_OIFGROUP: 22,
};

const DATA = once<Table>(() => ({
  NFTA_DATA_VALUE: bytes(1),
  NFTA_DATA_VERDICT: nest(2, () => ({ NFTA_VERDICT_CODE: be32(1, VERDICTS), NFTA_VERDICT_CHAIN: text(2) })),
}));

const EXPRESSION: () => Table = once<Table>(() => ({
  NFTA_EXPR_NAME: text(1),
  NFTA_EXPR_DATA: choice(2, 'NFTA_EXPR_NAME', EXPRESSIONS),
}));

const EXPRESSIONS: () => Readonly<Record<string, Table>> = once<Readonly<Record<string, Table>>>(() => ({
  meta: {
    NFTA_META_DREG: be32(1, REGISTERS),
    NFTA_META_KEY: be32(2, META),
    NFTA_META_SREG: be32(3, REGISTERS),
  },
  cmp: {
    NFTA_CMP_SREG: be32(1, REGISTERS),
    NFTA_CMP_OP: be32(2, COMPARISONS),
    NFTA_CMP_DATA: nest(3, DATA),
  },
  payload: {
    NFTA_PAYLOAD_DREG: be32(1, REGISTERS),
    NFTA_PAYLOAD_BASE: be32(2, {
      NFT_PAYLOAD_LL_HEADER: 0,
      NFT_PAYLOAD_NETWORK_HEADER: 1,
      NFT_PAYLOAD_TRANSPORT_HEADER: 2,
    }),
    NFTA_PAYLOAD_OFFSET: be32(3),
    NFTA_PAYLOAD_LEN: be32(4),
    NFTA_PAYLOAD_SREG: be32(5, REGISTERS),
    NFTA_PAYLOAD_CSUM_TYPE: be32(6, { NFT_PAYLOAD_CSUM_NONE: 0, NFT_PAYLOAD_CSUM_INET: 1 }),
    NFTA_PAYLOAD_CSUM_OFFSET: be32(7),
  },
  immediate: { NFTA_IMMEDIATE_DREG: be32(1, REGISTERS), NFTA_IMMEDIATE_DATA: nest(2, DATA) },
  bitwise: {
    NFTA_BITWISE_SREG: be32(1, REGISTERS),
    NFTA_BITWISE_DREG: be32(2, REGISTERS),
    NFTA_BITWISE_LEN: be32(3),
    NFTA_BITWISE_MASK: nest(4, DATA),
    NFTA_BITWISE_XOR: nest(5, DATA),
    NFTA_BITWISE_OP: be32(6, { NFT_BITWISE_MASK_XOR: 0, NFT_BITWISE_LSHIFT: 1, NFT_BITWISE_RSHIFT: 2 }),
    NFTA_BITWISE_DATA: nest(7, DATA),
  },
  byteorder: {
    NFTA_BYTEORDER_SREG: be32(1, REGISTERS),
    NFTA_BYTEORDER_DREG: be32(2, REGISTERS),
    NFTA_BYTEORDER_OP: be32(3, { NFT_BYTEORDER_NTOH: 0, NFT_BYTEORDER_HTON: 1 }),
    NFTA_BYTEORDER_LEN: be32(4),
    NFTA_BYTEORDER_SIZE: be32(5),
  },
  fib: {
    NFTA_FIB_DREG: be32(1, REGISTERS),
    NFTA_FIB_RESULT: be32(2, { NFT_FIB_RESULT_OIF: 1, NFT_FIB_RESULT_OIFNAME: 2, NFT_FIB_RESULT_ADDRTYPE: 3 }),
    NFTA_FIB_FLAGS: be32(3, { NFTA_FIB_F_SADDR: 1, NFTA_FIB_F_DADDR: 2 }),
  },
  ct: {
    NFTA_CT_DREG: be32(1, REGISTERS),
    NFTA_CT_KEY: be32(2, { NFT_CT_STATE: 0, NFT_CT_STATUS: 2 }),
  },
  socket: {
    NFTA_SOCKET_KEY: be32(1, { NFT_SOCKET_TRANSPARENT: 0, NFT_SOCKET_MARK: 1, NFT_SOCKET_WILDCARD: 2 }),
    NFTA_SOCKET_DREG: be32(2, REGISTERS),
  },
  lookup: { NFTA_LOOKUP_SET: text(1), NFTA_LOOKUP_SREG: be32(2, REGISTERS) },
  dynset: {
    NFTA_DYNSET_SET_NAME: text(1),
    NFTA_DYNSET_OP: be32(3, { NFT_DYNSET_OP_ADD: 0, NFT_DYNSET_OP_UPDATE: 1 }),
    NFTA_DYNSET_SREG_KEY: be32(4, REGISTERS),
    /** An expression that each new element gets, such as a counter. */
    NFTA_DYNSET_EXPR: nest(7, EXPRESSION),
  },
  counter: {},
  objref: {
    NFTA_OBJREF_IMM_TYPE: be32(1, { NFT_OBJECT_COUNTER: 1 }),
    NFTA_OBJREF_IMM_NAME: text(2),
  },
  reject: {
    NFTA_REJECT_TYPE: be32(1, { NFT_REJECT_ICMP_UNREACH: 0, NFT_REJECT_TCP_RST: 1, NFT_REJECT_ICMPX_UNREACH: 2 }),
    NFTA_REJECT_ICMP_CODE: u8(2, {
      NFT_REJECT_ICMPX_NO_ROUTE: 0,
      NFT_REJECT_ICMPX_PORT_UNREACH: 1,
      NFT_REJECT_ICMPX_ADMIN_PROHIBITED: 3,
    }),
  },
  nat: {
    NFTA_NAT_TYPE: be32(1, { NFT_NAT_SNAT: 0, NFT_NAT_DNAT: 1 }),
    NFTA_NAT_FAMILY: be32(2, FAMILY),
    NFTA_NAT_REG_ADDR_MIN: be32(3, REGISTERS),
    NFTA_NAT_REG_PROTO_MIN: be32(5, REGISTERS),
  },
  masq: {},
  rt: { NFTA_RT_DREG: be32(1, REGISTERS), NFTA_RT_KEY: be32(2, { NFT_RT_TCPMSS: 3 }) },
  exthdr: {
    NFTA_EXTHDR_TYPE: u8(2, { TCPOPT_MAXSEG: 2 }),
    NFTA_EXTHDR_OFFSET: be32(3),
    NFTA_EXTHDR_LEN: be32(4),
    NFTA_EXTHDR_OP: be32(6, { NFT_EXTHDR_OP_TCPOPT: 1 }),
    NFTA_EXTHDR_SREG: be32(7, REGISTERS),
  },
}));

const TABLE = once<Table>(() => ({
  NFTA_TABLE_NAME: text(1),
  NFTA_TABLE_FLAGS: be32(2, { NFT_TABLE_F_OWNER: 2 }),
}));
const CHAIN = once<Table>(() => ({
  NFTA_CHAIN_TABLE: text(1),
  NFTA_CHAIN_NAME: text(3),
  NFTA_CHAIN_HOOK: nest(4, () => ({
    NFTA_HOOK_HOOKNUM: be32(1, HOOKS),
    NFTA_HOOK_PRIORITY: be32(2),
    NFTA_HOOK_DEV: text(3),
  })),
  NFTA_CHAIN_POLICY: be32(5, { NF_DROP: 0, NF_ACCEPT: 1 }),
  NFTA_CHAIN_TYPE: text(7),
}));
/** The hooks of all packets, and those of one device. */
const HOOKS: Names = {
  NF_INET_PRE_ROUTING: 0,
  NF_NETDEV_INGRESS: 0,
  NF_NETDEV_EGRESS: 1,
  NF_INET_LOCAL_IN: 1,
  NF_INET_FORWARD: 2,
  NF_INET_LOCAL_OUT: 3,
  NF_INET_POST_ROUTING: 4,
};
const RULE = once<Table>(() => ({
  NFTA_RULE_TABLE: text(1),
  NFTA_RULE_CHAIN: text(2),
  NFTA_RULE_EXPRESSIONS: list(4, 1, EXPRESSION),
}));
const SET = once<Table>(() => ({
  NFTA_SET_TABLE: text(1),
  NFTA_SET_NAME: text(2),
  NFTA_SET_FLAGS: be32(3, {
    NFT_SET_CONSTANT: 2,
    NFT_SET_INTERVAL: 4,
    NFT_SET_TIMEOUT: 0x10,
    NFT_SET_EVAL: 0x20,
    NFT_SET_CONCAT: 0x80,
  }),
  NFTA_SET_KEY_TYPE: be32(4),
  NFTA_SET_KEY_LEN: be32(5),
  NFTA_SET_DESC: nest(9, () => ({
    NFTA_SET_DESC_SIZE: be32(1),
    NFTA_SET_DESC_CONCAT: list(2, 1, () => ({ NFTA_SET_FIELD_LEN: be32(1) })),
  })),
  NFTA_SET_ID: be32(10),
  /** In milliseconds, and below, too. */
  NFTA_SET_TIMEOUT: be64(11),
  NFTA_SET_GC_INTERVAL: be32(12),
}));
const ELEMENTS = once<Table>(() => ({
  NFTA_SET_ELEM_LIST_TABLE: text(1),
  NFTA_SET_ELEM_LIST_SET: text(2),
  NFTA_SET_ELEM_LIST_ELEMENTS: list(3, 1, () => ({
    NFTA_SET_ELEM_KEY: nest(1, DATA),
    NFTA_SET_ELEM_FLAGS: be32(3, { NFT_SET_ELEM_INTERVAL_END: 1 }),
    NFTA_SET_ELEM_KEY_END: nest(10, DATA),
  })),
}));
const OBJECT = once<Table>(() => ({
  NFTA_OBJ_TABLE: text(1),
  NFTA_OBJ_NAME: text(2),
  NFTA_OBJ_TYPE: be32(3, { NFT_OBJECT_COUNTER: 1 }),
  NFTA_OBJ_DATA: nest(4, () => ({ NFTA_COUNTER_BYTES: be64(1), NFTA_COUNTER_PACKETS: be64(2) })),
}));
const NOTHING = once<Table>(() => ({}));

const row = (number: number, attributes: () => Table): MessageRow => ({
  type: SUBSYSTEM * 256 + number,
  header: NFGENMSG,
  attributes,
});

export const NFTABLES_MESSAGES: Readonly<Record<string, MessageRow>> = {
  NFNL_MSG_BATCH_BEGIN: { type: 16, header: NFGENMSG, attributes: NOTHING },
  NFNL_MSG_BATCH_END: { type: 17, header: NFGENMSG, attributes: NOTHING },
  NFT_MSG_NEWTABLE: row(0, TABLE),
  NFT_MSG_GETTABLE: row(1, TABLE),
  NFT_MSG_DELTABLE: row(2, TABLE),
  NFT_MSG_NEWCHAIN: row(3, CHAIN),
  NFT_MSG_GETCHAIN: row(4, CHAIN),
  NFT_MSG_NEWRULE: row(6, RULE),
  NFT_MSG_DELSETELEM: row(14, ELEMENTS),
  NFT_MSG_NEWSET: row(9, SET),
  NFT_MSG_NEWSETELEM: row(12, ELEMENTS),
  NFT_MSG_GETSETELEM: row(13, ELEMENTS),
  NFT_MSG_NEWOBJ: row(18, OBJECT),
  NFT_MSG_GETOBJ: row(19, OBJECT),
};
