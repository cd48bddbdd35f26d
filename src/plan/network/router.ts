/**
 * The router: a network namespace between an ordinary user's container and the program that carries its packets
 * (program.ts). The container's first process starts in it, creates the rules, enters the container's own network
 * namespace, and creates the pair of interfaces between the two. It has the rights for that in its user namespace. The
 * command has no descriptor of the router's namespace. The kernel removes that namespace when the program has ended.
 */
import { AT_FDCWD, type Fd } from '../../kernel/calls.ts';
import { CLONE, MSG, NETLINK } from '../../kernel/constants.ts';
import { LINK } from '../../kernel/netlink/message.ts';
import type { Network } from '../../model/network.ts';
import { addressBytes } from '../../text/addresses.ts';
import { inside, onHost, type PlanContext } from '../context.ts';
import type { Tally } from '../plan.ts';
import { byDefault, call } from '../steps.ts';
import { matchAddress } from './match.ts';
import { linkUp, localRoute, newAddress, newNeighbour, newRoute, NO_LINK_LOCAL, setLink } from './messages.ts';
import {
  FAMILIES,
  gatewayOf,
  GROUP,
  interfaceNumber,
  macBytes,
  ownAddress,
  PACKET_MARK,
  type FamilyOf,
} from './names.ts';
import {
  ACCEPT,
  compare,
  DROP,
  loadConnection,
  loadMeta,
  maskBits,
  MASQUERADE,
  ofMachine,
  PROHIBIT,
  RESET,
  setRegister,
  TableBuilder,
  translate,
  type Expression,
  type Part,
} from './nft.ts';
import { HOST_SETS, ownedTable, ownedTableName } from './owned-table.ts';
import { hasUplink, MTU, PROGRAM_SUBNET, transitOf, UPLINK } from './program.ts';
import { newPair } from './pair.ts';
import { planPorts } from './ports.ts';
import { planPortRelays } from './relay.ts';
import { NO_VETH, openNetlink, sender, sendRate, sendTable, TABLE_HINTS } from './send.ts';
import { talliesOf } from './tallies.ts';

/** Bits of a connection's state (linux/netfilter/nf_conntrack_common.h). */
const ESTABLISHED_OR_RELATED = ofMachine(0b110);
const NONE = ofMachine(0);
const TCP = Uint8Array.of(6);
/** NF_IP_PRI_RAW: before connections are tracked. */
const FIRST = -300;

const isFamily = ({ nfprotoNumber }: FamilyOf): readonly Expression[] => [
  loadMeta('NFT_META_NFPROTO'),
  compare('EQ', Uint8Array.of(nfprotoNumber)),
];
const fromContainer = (link: number): readonly Expression[] => [
  loadMeta('NFT_META_IIF'),
  compare('EQ', ofMachine(link)),
];

/** The host's address on its uplink. If `egress` allows the host, packets to the gateway's address are sent there. */
function hostAddress({ host }: PlanContext, { family }: FamilyOf): Uint8Array | undefined {
  const { uplinks = [], addresses = [] } = host.networking ?? {};
  const device = uplinks.find((uplink) => uplink.family === family)?.device;
  const own = addresses.find(
    (one) => one.family === family && one.device === device && !/^fe[89ab]/u.test(one.address),
  );
  return own === undefined ? undefined : addressBytes(own.address);
}

/** The table of the router: it forwards packets of the container (owned-table.ts has filtered them) and answers to them. */
function routerTable(context: PlanContext, network: Network): readonly Part[] {
  const table = new TableBuilder('NFPROTO_INET', 'boxctl', { owned: true });
  const link = interfaceNumber(network.index);
  // Before routing, since the router has no route to some of the refused addresses.
  table.chain('refused', { type: 'filter', hook: 'NF_INET_PRE_ROUTING', priority: FIRST });
  const refused = [loadMeta('NFT_META_MARK'), compare('EQ', ofMachine(PACKET_MARK.refused))];
  table.rule('refused', [...refused, loadMeta('NFT_META_L4PROTO'), compare('EQ', TCP), RESET]);
  table.rule('refused', [...refused, PROHIBIT]);

  table.chain('forward', { type: 'filter', hook: 'NF_INET_FORWARD', priority: 0, policy: 'NF_DROP' });
  const known = [loadConnection('STATE'), maskBits(ESTABLISHED_OR_RELATED), compare('NEQ', NONE)];
  table.rule('forward', [...known, ACCEPT]);
  for (const family of FAMILIES) {
    // Packets to the gateway's address that were not translated: no address of the host was found.
    table.rule('forward', [
      ...isFamily(family),
      ...matchAddress(gatewayOf(network, family), family.destinationOffset),
      PROHIBIT,
      RESET,
    ]);
  }
  table.rule('forward', [...fromContainer(link), ACCEPT]);

  table.chain('input', { type: 'filter', hook: 'NF_INET_LOCAL_IN', priority: 0 });
  table.rule('input', [...fromContainer(link), DROP]);

  // The program knows the router's address only, not the container's.
  table.chain('postrouting', { type: 'nat', hook: 'NF_INET_POST_ROUTING', priority: 100 });
  table.rule('postrouting', [loadMeta('NFT_META_OIFGROUP'), compare('NEQ', ofMachine(GROUP)), MASQUERADE]);

  if (network.reaches.host) {
    const because = context.model.because('network.egress');
    table.chain('prerouting', { type: 'nat', hook: 'NF_INET_PRE_ROUTING', priority: -100 });
    for (const family of FAMILIES) {
      const target = hostAddress(context, family);
      if (target === undefined) continue;
      table.rule(
        'prerouting',
        [
          ...isFamily(family),
          ...matchAddress(gatewayOf(network, family), family.destinationOffset),
          setRegister(target, 'NFT_REG32_00'),
          translate('DNAT', family.nfproto, 'NFT_REG32_00'),
        ],
        because,
      );
    }
  }
  return table.parts;
}

const SETTINGS = {
  AF_INET: {
    IFLA_INET_CONF: { IPV4_DEVCONF_FORWARDING: 1, IPV4_DEVCONF_SEND_REDIRECTS: 0, IPV4_DEVCONF_RP_FILTER: 0 },
  },
} as const;

/** The container's first process makes its network namespace the router, and then enters a new one for the container. */
export function planRouter(context: PlanContext): readonly Tally[] | undefined {
  const { steps, model } = context;
  const { network } = model;
  if (network === undefined || network.driver === 'veth') return undefined;
  const place = inside('network', model.because('network'));
  const link = interfaceNumber(network.index);

  const setting = '/proc/sys/net/ipv6/conf/all/forwarding';
  const readOnly = 'the container around boxctl must give it a /proc/sys/net that can be written to';
  const forward = { ...place, hints: { EROFS: readOnly, EACCES: readOnly } };
  // ENOENT: the kernel has no IPv6.
  steps.add(
    forward,
    'router.forwarding.ipv6',
    'write',
    { dirfd: AT_FDCWD, pathname: setting, data: '1' },
    { allow: ['ENOENT'] },
  );

  answerAll(context, place);

  const route = openNetlink(context, place, 'router.route', NETLINK.NETLINK_ROUTE);
  const tables = { ...inside('network', byDefault('what the container may send')), hints: TABLE_HINTS };
  const netfilter = openNetlink(context, tables, 'router.netfilter', NETLINK.NETLINK_NETFILTER);
  steps.add(place, 'router.uplink', 'ioctl_siocgifindex', { fd: route, name: UPLINK });
  steps.add(place, 'router.leave', 'unshare', { flags: CLONE.CLONE_NEWNET }, { undo: 'kernel' });

  const send = sender(context, { ...place, hints: { EOPNOTSUPP: NO_VETH } }, route);
  send('router.pair', newPair(network, MTU));
  const ipv6 = network.ipv6 === undefined ? {} : NO_LINK_LOCAL;
  send('router.pair.settings', setLink(link, { IFLA_AF_SPEC: { ...SETTINGS, ...ipv6 } }));
  send('router.uplink.settings', setLink(LINK, { IFLA_AF_SPEC: SETTINGS }));
  sendTable(context, tables, 'router.table', netfilter, routerTable(context, network));
  sendTable(
    context,
    tables,
    'router.table.own',
    netfilter,
    ownedTable(context, network, { marks: true, hostSets: true, refuses: [PROGRAM_SUBNET] }),
  );
  sendRate(context, place, route, 'router.rate.ingress', link, 'ingress');
  send('router.pair.up', linkUp(link));
  for (const family of FAMILIES) {
    const own = ownAddress(network, family);
    if (own === undefined) continue;
    send(`router.neighbour.ipv${family.family}`, newNeighbour(family, link, own, macBytes(network.mac)));
    send(`router.route.ipv${family.family}`, newRoute(family, link, own));
    if (family.family !== 6 || !hasUplink(context, 6)) continue;
    const { own: address, gateway } = transitOf(network).ipv6;
    // slirp4netns gives its interface an IPv4 address only. pasta adds both, and the route.
    if (network.driver === 'slirp4netns')
      send('router.uplink.address', newAddress(family, LINK, addressBytes(address)));
    send('router.uplink.local', localRoute(family, LINK, addressBytes(address)));
    if (network.driver === 'slirp4netns') {
      send('router.uplink.route', newRoute(family, LINK, 'default', { gateway: addressBytes(gateway) }));
    }
  }
  const kept = keepTables(context, tables, netfilter);
  watchAddresses(context, network, kept);
  // Now, since the launcher cannot open the first process's /proc/PID/ns once that is not dumpable (PR_SET_DUMPABLE).
  planPortRelays(context, network, planPorts(context, network));
  return talliesOf(network, kept);
}

/**
 * ICMP messages that the kernel limits the rate of, without those that refuse a packet (destination unreachable): types 4, 11
 * and 12 of IPv4, which are bits of a number; of IPv6 all errors from 3 on.
 */
const LIMITED = {
  4: ['/proc/sys/net/ipv4/icmp_ratemask', '6160'],
  6: ['/proc/sys/net/ipv6/icmp/ratemask', '3-127'],
} as const;

/** The router refuses each datagram, and not six at once and then one in a second. */
function answerAll({ steps }: PlanContext, place: ReturnType<typeof inside>): void {
  for (const family of [4, 6] as const) {
    const [pathname, data] = LIMITED[family];
    // Without it, datagrams are refused all the same, but some without an answer.
    const allow = ['ENOENT', 'EROFS', 'EACCES'];
    steps.add(place, `router.answers.ipv${family}`, 'write', { dirfd: AT_FDCWD, pathname, data }, { allow });
  }
}

/** The kernel removes the tables when the socket that created them is closed. Only the launcher keeps that socket. */
function keepTables({ steps, model }: PlanContext, place: ReturnType<typeof inside>, netfilter: Fd): Fd {
  steps.add(place, 'router.send', 'sendmsg', { fd: netfilter, flags: MSG.MSG_NOSIGNAL });
  const receive = onHost('network', model.because('network'));
  return steps.add(
    receive,
    'netlink.netfilter',
    'recvmsg',
    {},
    { undo: [call('close_later', { fd: 'netlink.netfilter' })] },
  );
}

/** The program could reach the host by any address that it has now or later. */
function watchAddresses({ steps }: PlanContext, { index }: Network, fd: Fd): void {
  const place = onHost('network', byDefault('a container does not reach the host'));
  const sets = { set4: HOST_SETS[4], set6: HOST_SETS[6] };
  steps.add(place, 'router.addresses', 'watch_addresses', { fd, table: ownedTableName(index), ...sets });
}
