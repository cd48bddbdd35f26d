/** Netlink messages as data, as bytes, and as words. */
import { describe, expect, test } from 'vitest';
import { attributeAt, encodeMessages } from '../../../src/kernel/netlink/encode.ts';
import { CHILD, LINK as NAMED, type Message } from '../../../src/kernel/netlink/message.ts';
import { formatByAttributes, plainMessage } from '../../../src/show/netlink-attributes.ts';
import { formatMessage, formatMessages } from '../../../src/show/netlink-text.ts';

const LINK: Message = {
  type: 'RTM_NEWLINK',
  flags: 'NLM_F_REQUEST|NLM_F_ACK|NLM_F_CREATE',
  header: { ifi_index: 5 },
  attributes: { IFLA_IFNAME: 'abc', IFLA_NET_NS_PID: CHILD },
};
const RULE: Message = {
  type: 'NFT_MSG_NEWRULE',
  flags: 'NLM_F_REQUEST|NLM_F_CREATE|NLM_F_APPEND',
  header: { nfgen_family: 'NFPROTO_INET' },
  attributes: {
    NFTA_RULE_TABLE: 't',
    NFTA_RULE_CHAIN: 'c',
    NFTA_RULE_EXPRESSIONS: [
      { NFTA_EXPR_NAME: 'meta', NFTA_EXPR_DATA: { NFTA_META_DREG: 'NFT_REG_1', NFTA_META_KEY: 'NFT_META_L4PROTO' } },
      {
        NFTA_EXPR_NAME: 'cmp',
        NFTA_EXPR_DATA: {
          NFTA_CMP_SREG: 'NFT_REG_1',
          NFTA_CMP_OP: 'NFT_CMP_EQ',
          NFTA_CMP_DATA: { NFTA_DATA_VALUE: Uint8Array.of(6) },
        },
      },
    ],
  },
};

describe('netlink messages', () => {
  test('are encoded as the kernel reads them, with the place of the first process', () => {
    const { bytes, places } = encodeMessages([LINK, LINK]);
    const one = [
      [48, 0, 0, 0, 16, 0, 0x05, 0x04],
      [1, 0, 0, 0, 0, 0, 0, 0],
      [0, 0, 0, 0, 5, 0, 0, 0],
      [0, 0, 0, 0, 0, 0, 0, 0],
      [8, 0, 3, 0, 97, 98, 99, 0],
      [8, 0, 19, 0, 0, 0, 0, 0],
    ].flat();
    expect([...bytes.subarray(0, 48)]).toEqual(one);
    expect(bytes[48 + 8]).toBe(2);
    expect(places).toEqual([44, 92]);
  });

  test('have the place of an interface whose number is asked for when they are sent', () => {
    const address: Message = {
      type: 'RTM_NEWADDR',
      flags: 'NLM_F_REQUEST',
      header: { ifa_index: NAMED },
      attributes: {},
    };
    const { bytes, places } = encodeMessages([address]);
    expect(places).toEqual([20]);
    expect([...bytes.subarray(20, 24)]).toEqual([1, 0, 0, 0]);
    expect(formatByAttributes(address)).toBe('RTM_NEWADDR {ifa_index=$LINK}');
  });

  test('without words for them are text in the names of the kernel’s headers', () => {
    expect(formatMessage(LINK)).toBe('RTM_NEWLINK {ifi_index=5, IFLA_IFNAME=abc, IFLA_NET_NS_PID=$CHILD} NLM_F_CREATE');
    expect(formatByAttributes(RULE)).toBe(
      'NFT_MSG_NEWRULE {nfgen_family=NFPROTO_INET, NFTA_RULE_TABLE=t, NFTA_RULE_CHAIN=c, NFTA_RULE_EXPRESSIONS=[meta(DREG=REG_1, KEY=META_L4PROTO), cmp(SREG=REG_1, OP=CMP_EQ, DATA=0x06)]} NLM_F_CREATE|NLM_F_APPEND',
    );
    expect(formatMessages([LINK, RULE, RULE])).toBe('[RTM_NEWLINK, 2 NFT_MSG_NEWRULE]');
  });

  test('are data in JSON, with addresses as people write them', () => {
    const address = (value: number[]): Message => ({
      type: 'RTM_NEWADDR',
      flags: 'NLM_F_REQUEST',
      header: { ifa_family: 'AF_INET6' },
      attributes: { IFA_LOCAL: Uint8Array.from(value) },
    });
    const shown = (value: number[]): unknown => plainMessage(address(value)).attributes['IFA_LOCAL'];
    expect(shown([10, 0, 0, 1])).toBe('10.0.0.1');
    expect(shown([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])).toBe('fd00::1');
    expect(shown([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0])).toBe('0:1::1:0:0');
    expect(shown(Array.from({ length: 16 }, () => 0))).toBe('::');
    expect(shown([2, 0, 0, 0, 0, 0xab])).toBe('02:00:00:00:00:ab');
  });

  test('have a name for each place that the kernel can point at', () => {
    expect(attributeAt([LINK], 0, 32)).toBe('IFLA_IFNAME');
    expect(attributeAt([LINK], 0, 40)).toBe('IFLA_NET_NS_PID');
    expect(attributeAt([LINK], 0, 36)).toBeUndefined();
  });

  test.each([
    ['a message that is not declared', { ...LINK, type: 'RTM_NONE' }],
    ['an attribute that is not declared', { ...LINK, attributes: { IFLA_NONE: 1 } }],
    ['a name that means no number', { ...LINK, flags: 'NLM_F_NONE' }],
    ['a value of another kind', { ...LINK, attributes: { IFLA_IFNAME: 5 } }],
    ['a name that is no ASCII', { ...LINK, attributes: { IFLA_IFNAME: 'ä' } }],
    ['an attribute that is too long for 16 bits', { ...LINK, attributes: { IFLA_ADDRESS: new Uint8Array(65_532) } }],
  ])('%s is a mistake of the planner', (_title, message) => {
    expect(() => encodeMessages([message])).toThrow();
  });
});
