/** Expressions of nf_tables for tests, all of them by the first register. */
import type { Attributes, Message } from '../../src/kernel/netlink/message.ts';

const REGISTER = 'NFT_REG_1';

export const expression = (name: string, data: Attributes): Attributes => ({
  NFTA_EXPR_NAME: name,
  NFTA_EXPR_DATA: data,
});
export const loadMeta = (key: string): Attributes =>
  expression('meta', { NFTA_META_DREG: REGISTER, NFTA_META_KEY: `NFT_META_${key}` });
export const loadPayload = (base: 'LL' | 'NETWORK' | 'TRANSPORT', offset: number, length: number): Attributes =>
  expression('payload', {
    NFTA_PAYLOAD_DREG: REGISTER,
    NFTA_PAYLOAD_BASE: `NFT_PAYLOAD_${base}_HEADER`,
    NFTA_PAYLOAD_OFFSET: offset,
    NFTA_PAYLOAD_LEN: length,
  });
export const compare = (op: string, value: readonly number[]): Attributes =>
  expression('cmp', {
    NFTA_CMP_SREG: REGISTER,
    NFTA_CMP_OP: `NFT_CMP_${op}`,
    NFTA_CMP_DATA: { NFTA_DATA_VALUE: Uint8Array.from(value) },
  });
export const maskBits = (mask: readonly number[]): Attributes =>
  expression('bitwise', {
    NFTA_BITWISE_SREG: REGISTER,
    NFTA_BITWISE_DREG: REGISTER,
    NFTA_BITWISE_LEN: mask.length,
    NFTA_BITWISE_MASK: { NFTA_DATA_VALUE: Uint8Array.from(mask) },
    NFTA_BITWISE_XOR: { NFTA_DATA_VALUE: new Uint8Array(mask.length) },
  });
export const toNetworkOrder = (size: number): Attributes =>
  expression('byteorder', {
    NFTA_BYTEORDER_SREG: REGISTER,
    NFTA_BYTEORDER_DREG: REGISTER,
    NFTA_BYTEORDER_OP: 'NFT_BYTEORDER_HTON',
    NFTA_BYTEORDER_LEN: size,
    NFTA_BYTEORDER_SIZE: size,
  });
export const accept: Attributes = expression('immediate', {
  NFTA_IMMEDIATE_DREG: 'NFT_REG_VERDICT',
  NFTA_IMMEDIATE_DATA: { NFTA_DATA_VERDICT: { NFTA_VERDICT_CODE: 'NF_ACCEPT' } },
});

/** A rule of the chain `c` of the table `t`. */
export const newRule = (expressions: readonly Attributes[]): Message => ({
  type: 'NFT_MSG_NEWRULE',
  flags: 'NLM_F_REQUEST|NLM_F_CREATE|NLM_F_APPEND',
  header: { nfgen_family: 'NFPROTO_INET' },
  attributes: { NFTA_RULE_TABLE: 't', NFTA_RULE_CHAIN: 'c', NFTA_RULE_EXPRESSIONS: expressions },
});
