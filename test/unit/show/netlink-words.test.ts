/** The words of netlink messages: what they say, that they say all of it, and what happens where there are none. */
import { describe, expect, test } from 'vitest';
import { CHILD, LINK, type Attributes, type Message, type Value } from '../../../src/kernel/netlink/message.ts';
import { encodeMessages } from '../../../src/kernel/netlink/encode.ts';
import {
  accept,
  compare,
  expression,
  loadMeta,
  loadPayload,
  maskBits,
  newRule,
  toNetworkOrder,
} from '../../support/nft-expressions.ts';
import { formatMessage, messageInWords, messagesOf, setTypes } from '../../../src/show/netlink-text.ts';
import type { Plan } from '../../../src/plan/plan.ts';
import { printPlan } from '../../../src/show/plan-text.ts';
import { createProgress } from '../../../src/show/progress.ts';
import type { Screen } from '../../../src/show/progress-interface.ts';
import { NETWORK_PLANS, OPEN_NETWORK, ROOT_NETWORK_HOST } from '../../support/network-plans.ts';
import { planOf } from '../../support/plan.ts';

const REQUEST = 'NLM_F_REQUEST|NLM_F_ACK';
const NEW = `${REQUEST}|NLM_F_CREATE|NLM_F_EXCL`;
const ipv4 = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

describe('the words of a message of rtnetlink', () => {
  test.each<[words: string, message: Message]>([
    [
      "RTM_NEWLINK veth boxctl1 (index 1000001, group 6451064, mtu 1400) with its other end eth0 (index 1000001, address 02:62:6f:78:00:01) in $CHILD's network namespace",
      {
        type: 'RTM_NEWLINK',
        flags: NEW,
        header: { ifi_index: 1_000_001 },
        attributes: {
          IFLA_IFNAME: 'boxctl1',
          IFLA_MTU: 1400,
          IFLA_GROUP: 6_451_064,
          IFLA_LINKINFO: {
            IFLA_INFO_KIND: 'veth',
            IFLA_INFO_DATA: {
              VETH_INFO_PEER: {
                ifi_index: 1_000_001,
                IFLA_IFNAME: 'eth0',
                IFLA_ADDRESS: Uint8Array.of(2, 0x62, 0x6f, 0x78, 0, 1),
                IFLA_NET_NS_PID: CHILD,
              },
            },
          },
        },
      },
    ],
    [
      'RTM_SETLINK dev $LINK down ipv4 forwarding=1',
      {
        type: 'RTM_SETLINK',
        flags: REQUEST,
        header: { ifi_index: LINK, ifi_change: 'IFF_UP' },
        attributes: { IFLA_AF_SPEC: { AF_INET: { IFLA_INET_CONF: { IPV4_DEVCONF_FORWARDING: 1 } } } },
      },
    ],
    [
      'RTM_NEWADDR 10.215.0.2/32 dev 2 nodad',
      {
        type: 'RTM_NEWADDR',
        flags: NEW,
        header: { ifa_family: 'AF_INET', ifa_prefixlen: 32, ifa_index: 2 },
        attributes: { IFA_LOCAL: ipv4(10, 215, 0, 2), IFA_ADDRESS: ipv4(10, 215, 0, 2), IFA_FLAGS: 'IFA_F_NODAD' },
      },
    ],
    [
      'RTM_NEWROUTE default via 10.215.0.0 dev 2 onlink src 10.215.0.2 proto static NLM_F_REPLACE without NLM_F_EXCL',
      {
        type: 'RTM_NEWROUTE',
        flags: `${REQUEST}|NLM_F_CREATE|NLM_F_REPLACE`,
        header: {
          rtm_family: 'AF_INET',
          rtm_table: 'RT_TABLE_MAIN',
          rtm_protocol: 'RTPROT_STATIC',
          rtm_type: 'RTN_UNICAST',
          rtm_flags: 'RTNH_F_ONLINK',
        },
        attributes: { RTA_OIF: 2, RTA_GATEWAY: ipv4(10, 215, 0, 0), RTA_PREFSRC: ipv4(10, 215, 0, 2) },
      },
    ],
    [
      'RTM_NEWROUTE unreachable 10.215.0.0/20 proto static scope link',
      {
        type: 'RTM_NEWROUTE',
        flags: NEW,
        header: {
          rtm_family: 'AF_INET',
          rtm_dst_len: 20,
          rtm_table: 'RT_TABLE_MAIN',
          rtm_protocol: 'RTPROT_STATIC',
          rtm_scope: 'RT_SCOPE_LINK',
          rtm_type: 'RTN_UNREACHABLE',
        },
        attributes: { RTA_DST: ipv4(10, 215, 0, 0) },
      },
    ],
  ])('are `%s` for that message', (words, message) => {
    expect(encodeMessages([message]).bytes.length).toBeGreaterThan(0);
    expect(formatMessage(message)).toBe(words);
  });
});

describe('the words of a rule', () => {
  const words = (...expressions: Attributes[]): string =>
    formatMessage(newRule(expressions)).replace('NFT_MSG_NEWRULE inet t c: ', '');

  test('name a transport protocol once, and only where the rule asks for it', () => {
    const port = [loadPayload('TRANSPORT', 2, 2), compare('EQ', [0, 80])];
    const tcp = [loadMeta('L4PROTO'), compare('EQ', [6])];
    const udpOrNot = [loadMeta('L4PROTO'), compare('NEQ', [17])];
    expect(words(...tcp, ...port, accept)).toBe('tcp dport 80 accept');
    expect(words(...port, accept)).toBe('th dport 80 accept');
    expect(words(...udpOrNot, ...port, accept)).toBe('meta l4proto != udp th dport 80 accept');
    // The counter counts only what is TCP, which the words must not leave out.
    const counted = [...tcp, expression('counter', {}), ...port, accept];
    expect(words(...counted)).toBe('meta l4proto tcp counter th dport 80 accept');
  });

  test('say an address where the bytes are one, and raw bytes where the protocol has something else there', () => {
    const daddr = [loadPayload('NETWORK', 16, 4), compare('EQ', [10, 0, 0, 1])];
    expect(words(...daddr)).toBe('ip daddr 10.0.0.1');
    expect(words(loadMeta('NFPROTO'), compare('EQ', [2]), ...daddr)).toBe('meta nfproto ipv4 ip daddr 10.0.0.1');
    expect(words(loadMeta('NFPROTO'), compare('EQ', [10]), ...daddr)).toBe('meta nfproto ipv6 @nh,128,32 0x0a000001');
  });

  test('write a mask as a prefix only where it is one', () => {
    const masked = (mask: number[], value: number[]): string =>
      words(loadPayload('NETWORK', 16, 4), maskBits(mask), compare('EQ', value));
    expect(masked([255, 0, 0, 0], [10, 0, 0, 0])).toBe('ip daddr 10.0.0.0/8');
    expect(masked([255, 0, 255, 0], [10, 0, 1, 0])).toBe('ip daddr & 0xff00ff00 == 0x0a000100');
    // No packet fits: the bit is not in the mask.
    expect(masked([255, 0, 0, 0], [10, 1, 0, 0])).toBe('ip daddr & 0xff000000 == 0x0a010000');
  });

  test('tell bits that are set from bits that are not, and from all bits', () => {
    const state = expression('ct', { NFTA_CT_DREG: 'NFT_REG_1', NFTA_CT_KEY: 'NFT_CT_STATE' });
    const known = maskBits([6, 0, 0, 0]);
    expect(words(state, known, compare('NEQ', [0, 0, 0, 0]))).toBe('ct state established,related');
    expect(words(state, known, compare('EQ', [0, 0, 0, 0]))).toBe('ct state ! established,related');
    expect(words(state, known, compare('EQ', [2, 0, 0, 0]))).toBe('ct state & (established | related) == established');
    expect(words(state, compare('NEQ', [6, 0, 0, 0]))).toBe('ct state != established | related');
    expect(words(state, maskBits([128, 0, 0, 0]), compare('NEQ', [0, 0, 0, 0]))).toBe('ct state 0x00000080');
  });

  test('join the ends of a range of one value, and nothing else', () => {
    const dport = loadPayload('TRANSPORT', 2, 2);
    expect(words(dport, compare('GTE', [0, 80]), compare('LTE', [0, 90]))).toBe('th dport 80-90');
    expect(words(dport, compare('GTE', [0, 80]), dport, compare('LTE', [0, 90]))).toBe('th dport >= 80 th dport <= 90');
  });

  test.each<[title: string, expressions: Attributes[]]>([
    ['a register that nothing was loaded into', [compare('EQ', [6])]],
    ['a value that is loaded and not used', [loadMeta('MARK'), accept]],
    ['a value that is replaced before it is used', [loadMeta('MARK'), loadMeta('L4PROTO'), compare('EQ', [6])]],
    ['a comparison of a part of a value', [loadMeta('MARK'), compare('EQ', [6])]],
    ['an order of numbers that the kernel compares byte by byte', [loadMeta('MARK'), compare('GTE', [6, 0, 0, 0])]],
    [
      'a number of the machine as an address',
      [
        loadMeta('MARK'),
        expression('nat', {
          NFTA_NAT_TYPE: 'NFT_NAT_DNAT',
          NFTA_NAT_FAMILY: 'NFPROTO_IPV4',
          NFTA_NAT_REG_ADDR_MIN: 'NFT_REG_1',
        }),
      ],
    ],
    ['a number that is cut off', [loadMeta('MARK'), toNetworkOrder(2), compare('EQ', [0, 6])]],
  ])('are not there for %s: the attributes are printed', (_title, expressions) => {
    const message = newRule(expressions);
    expect(messageInWords(message)).toBeUndefined();
    expect(formatMessage(message)).toMatch(/^NFT_MSG_NEWRULE \{nfgen_family=NFPROTO_INET, .*NFTA_RULE_EXPRESSIONS=\[/u);
  });
});

describe('elements of sets', () => {
  const set = (type: number, size: number, flags?: string): Message => ({
    type: 'NFT_MSG_NEWSET',
    flags: 'NLM_F_REQUEST|NLM_F_CREATE',
    header: { nfgen_family: 'NFPROTO_INET' },
    attributes: {
      NFTA_SET_TABLE: 't',
      NFTA_SET_NAME: 's',
      ...(flags === undefined ? {} : { NFTA_SET_FLAGS: flags }),
      NFTA_SET_KEY_TYPE: type,
      NFTA_SET_KEY_LEN: size,
    },
  });
  const elements = (...keys: (readonly [key: Uint8Array, isEnd?: boolean])[]): Message => ({
    type: 'NFT_MSG_NEWSETELEM',
    flags: 'NLM_F_REQUEST|NLM_F_CREATE',
    header: { nfgen_family: 'NFPROTO_INET' },
    attributes: {
      NFTA_SET_ELEM_LIST_TABLE: 't',
      NFTA_SET_ELEM_LIST_SET: 's',
      NFTA_SET_ELEM_LIST_ELEMENTS: keys.map(([key, isEnd = false]) => ({
        NFTA_SET_ELEM_KEY: { NFTA_DATA_VALUE: key },
        ...(isEnd ? { NFTA_SET_ELEM_FLAGS: 'NFT_SET_ELEM_INTERVAL_END' } : {}),
      })),
    },
  });
  const words = (declared: Message | undefined, ...keys: (readonly [Uint8Array, boolean?])[]): string =>
    formatMessage(elements(...keys), setTypes(declared === undefined ? [] : [declared])).replace(/^[^{]*/u, '');
  const text = (name: string): Uint8Array => Uint8Array.from({ length: 16 }, (_, at) => name.codePointAt(at) ?? 0);

  test('are written as the type of their set says, and as bytes where it is not known', () => {
    expect(words(set(41, 16), [text('up0')])).toBe('{ "up0" }');
    expect(words(set(8, 16), [text('&')])).toBe('{ 2600:: }');
    expect(words(undefined, [text('up0')])).toBe('{ 0x75703000000000000000000000000000 }');
    expect(words(set(41, 16), [text('a"\u001b[2J')])).toBe('{ 0x61221b5b324a00000000000000000000 }');
  });

  test('of a set of ranges are ranges', () => {
    const ranges = set(7, 4, 'NFT_SET_INTERVAL');
    const keys = [
      [ipv4(10, 0, 0, 0)],
      [ipv4(11, 0, 0, 0), true],
      [ipv4(192, 0, 2, 7)],
      [ipv4(192, 0, 2, 8), true],
      [ipv4(192, 0, 2, 10)],
      [ipv4(192, 0, 2, 13), true],
      [ipv4(240, 0, 0, 0)],
    ] as const;
    expect(words(ranges, ...keys)).toBe('{ 10.0.0.0/8, 192.0.2.7, 192.0.2.10-192.0.2.12, 240.0.0.0 and all after it }');
  });
});

describe.each(NETWORK_PLANS)('each message of the plan of %s', (_name, make) => {
  const plan = make();
  const sets = setTypes(plan.steps.flatMap(({ call }) => messagesOf(call)));
  const messages = [
    ...plan.steps.flatMap(({ call }) => messagesOf(call)),
    ...(plan.tallies ?? []).map(({ question }) => question),
  ];

  test('has other words when any of its values is another one, or none', () => {
    expect(messages.length).toBeGreaterThan(60);
    const same: string[] = [];
    for (const message of messages) {
      const before = messageInWords(message, sets);
      for (const [path, changed] of variants(message)) {
        if (messageInWords(changed, sets) === before) same.push(`${path}: ${before ?? 'no words'}`);
      }
    }
    expect(same).toEqual([]);
  });
});

describe('a plan for a person', () => {
  const printed = (plan: Plan): string => printPlan(plan, { color: false, width: 120, file: '/spec/container.yaml' });

  test('has rules below the name of their chain, and who asked where it changes', () => {
    const [, make] = NETWORK_PLANS[1] ?? [];
    const page = make === undefined ? '' : printed(make());
    expect(page).toMatch(
      /^ {4}NFT_MSG_NEWRULE netdev boxctl-1 refuse:\n {6}counter name "refused" +default: what is refused is refused at once, and counted\n {6}meta protocol ip update @refused4 \{ ip daddr \. tcp dport \. meta l4proto counter \}\n/mu,
    );
    expect(page).toMatch(/^ {2}netlink\(netlink\.route, RTM_SETLINK dev 1000001 up\) /mu);
    expect(page).not.toMatch(/NFTA_|IFLA_|RTA_|IFA_/u);
  });

  test('has no value of the caller’s environment in a rule, and words all the same', () => {
    const plan = planOf(`${OPEN_NETWORK}egress: ["198.51.100.7:443"]\n`, ROOT_NETWORK_HOST);
    const borrowed = [{ path: 'egress.0', value: '198.51.100.7', shown: '${TARGET}' }];
    const page = printed({ ...plan, borrowed });
    expect(page).toMatch(/^ {6}ip daddr \$\{TARGET\} tcp dport 443 accept/mu);
    expect(page).not.toMatch(/daddr 198|c6336407/u);
  });
});

test('a run that is told call by call has each message of a transaction', () => {
  const [, make] = NETWORK_PLANS[0] ?? [];
  const plan = make?.();
  const index = plan?.steps.findIndex(({ id }) => id === 'table.own') ?? -1;
  let output = '';
  const screen: Screen = {
    color: false,
    isTerminal: false,
    write: (more) => (output += more),
    redraw: () => undefined,
    columns: () => 80,
  };
  if (plan === undefined) throw new Error('there is no plan');
  const progress = createProgress({ mode: 'verbose', plan, screen });
  progress.event({ kind: 'step', index, outcome: 'done', startNs: 0, endNs: 1000 });
  expect(output).toMatch(/^host +\S+ ms {2}netlink(?:_once)?\(netlink\.netfilter, \[NFNL_MSG_BATCH_BEGIN, /u);
  expect(output).toMatch(/^ +NFT_MSG_NEWRULE netdev boxctl-1 sent: meta protocol ip goto ipv4$/mu);
});

/** The message with one value changed, for each of its values. */
function variants(message: Message): readonly (readonly [path: string, message: Message])[] {
  return [
    ...changes(message.header).map(
      ([path, header]) => [path, { ...message, header: header as Message['header'] }] as const,
    ),
    ...changes(message.attributes).map(([path, one]) => [path, { ...message, attributes: one as Attributes }] as const),
  ];
}

function changes(value: Value): readonly (readonly [path: string, value: Value])[] {
  if (typeof value === 'number') return [['', value + 1]];
  if (value instanceof Uint8Array) {
    const flipped = Uint8Array.from(value);
    flipped[value.length - 1] = (flipped[value.length - 1] ?? 0) ^ 1;
    return [['', flipped]];
  }
  if (typeof value === 'string') return /^(?:[A-Z]|\$)/u.test(value) ? [['', 0x7f]] : [['', `${value}x`]];
  if (Array.isArray(value)) {
    const list = value as readonly Attributes[];
    return list.flatMap((one, at) => [
      [`[${at}] left out`, list.filter((_, index) => index !== at)] as const,
      ...changes(one).map(([path, other]) => [`[${at}]${path}`, list.with(at, other as Attributes)] as const),
    ]);
  }
  return Object.entries(value as Attributes).flatMap(([name, one]) =>
    changes(one).map(([path, other]) => [`.${name}${path}`, { ...(value as Attributes), [name]: other }] as const),
  );
}
