/**
 * A container's network as root: a veth pair, whose inner end is created in the container's network namespace. The host
 * has a route for each address of the container. There is no bridge. No table that other containers' packets pass has
 * rules for a single container.
 */
import type { Network } from '../../model/network.ts';
import { AT_FDCWD } from '../../kernel/calls.ts';
import { NETLINK, O } from '../../kernel/constants.ts';
import { inside, onHost, type PlanContext } from '../context.ts';
import type { Hints } from '../hints.ts';
import type { Tally } from '../plan.ts';
import { byDefault, call, type Place } from '../steps.ts';
import { planForgetConnections } from './connections.ts';
import { planForwarding } from './forwarding.ts';
import {
  deleteLink,
  linkUp,
  localRoute,
  newAddress,
  newNeighbour,
  newRoute,
  NO_LINK_LOCAL,
  setLink,
} from './messages.ts';
import {
  FAMILIES,
  gatewayOf,
  hostInterface,
  hostMac,
  interfaceNumber,
  macBytes,
  ownAddress,
  sharedNetworks,
} from './names.ts';
import { ownedTable, rejectRules, removeTable } from './owned-table.ts';
import { planNames } from './names-of-others.ts';
import { newPair } from './pair.ts';
import { planPorts } from './ports.ts';
import { planProgram } from './program.ts';
import { openNamespace, planDnsRelays, planPortRelays } from './relay.ts';
import { NO_VETH, openNetlink, sender, sendRate, sendTable, TABLE_HINTS } from './send.ts';
import { addressesOf, connectionTallies, datagramTallies, talliesOf } from './tallies.ts';
import { anySharedTable, forgettings, sharedTable, sharedTableQuestion } from './shared-table.ts';

const LINK_HINTS: Hints = {
  EEXIST: 'the interface of an earlier container is still there: start again',
  EOPNOTSUPP: NO_VETH,
  EPERM: 'boxctl needs CAP_NET_ADMIN over the host’s network namespace for this',
};
/** Has the launcher remove the file of the claim (src/state/addresses.ts) at the end, even if boxctl was killed. */
function holdClaim({ steps, host, model, kept }: PlanContext, index: number): void {
  // A container that stays is started again at the same address: the file belongs to who has its lock.
  if (host.networking === undefined || kept) return;
  const place = onHost('network', model.because('network'));
  const pathname = `${host.networking.state}/addresses/${index}`;
  const open = { dirfd: AT_FDCWD, pathname, flags: O.O_RDONLY | O.O_CLOEXEC | O.O_NOFOLLOW, mode: 0, resolve: 0 };
  const remove = call('unlinkat', { dirfd: AT_FDCWD, pathname, flags: 0 }, { allow: ['ENOENT'] });
  steps.add(place, 'claim', 'openat2', open, { undo: [remove] });
}

/**
 * The steps on the host's side that come first, so that the start fails before anything else is made if a port is in use. The
 * container's first process is in its network namespace already.
 */
export function planNetworkOnHost(context: PlanContext): void {
  const { network } = context.model;
  if (network === undefined) return;
  if (network.driver !== 'veth') return planProgram(context, network);
  holdClaim(context, network.index);
  const sockets = planPorts(context, network);
  planPortRelays(context, network, sockets, openNamespace(context, true));
}

/**
 * The host's end of the pair, and all that belongs to it. Where these steps follow steps of the container's side, the launcher
 * makes them meanwhile: to make the root file system takes longer.
 */
export function planPair(context: PlanContext): readonly Tally[] | undefined {
  const { network } = context.model;
  if (network === undefined || network.driver !== 'veth') return undefined;
  const { steps, model } = context;
  const { index } = network;
  const place: Place = { ...onHost('network', model.because('network')), hints: LINK_HINTS, meanwhile: true };
  const link = interfaceNumber(index);
  const route = openNetlink(context, place, 'netlink.route', NETLINK.NETLINK_ROUTE);
  const send = sender(context, place, route);
  // A container that stays may be started again at once, before the kernel has removed the interface by itself.
  const removed = call('netlink', { fd: route, messages: [deleteLink(link)] }, { allow: ['ENODEV'] });
  const undo = context.kept ? [removed] : ('kernel' as const);
  steps.add(place, 'veth', 'netlink', { fd: route, messages: [newPair(network)] }, { undo });
  send(
    'veth.settings',
    setLink(link, {
      IFLA_AF_SPEC: {
        AF_INET: {
          IFLA_INET_CONF: {
            IPV4_DEVCONF_FORWARDING: 1,
            IPV4_DEVCONF_RP_FILTER: 0,
            IPV4_DEVCONF_SEND_REDIRECTS: 0,
            IPV4_DEVCONF_ACCEPT_REDIRECTS: 0,
            IPV4_DEVCONF_ROUTE_LOCALNET: 0,
          },
        },
        ...(network.ipv6 === undefined ? {} : NO_LINK_LOCAL),
      },
    }),
  );

  const tables: Place = {
    ...onHost('network', byDefault('what the container may send')),
    hints: TABLE_HINTS,
    meanwhile: true,
  };
  const netfilter = openNetlink(context, tables, 'netlink.netfilter', NETLINK.NETLINK_NETFILTER);
  sendTable(context, tables, 'table.own', netfilter, ownedTable(context, network), {
    undo: [call('netlink', { fd: netfilter, messages: removeTable(network) })],
    late: true,
  });
  sendTable(context, tables, 'table.reject', netfilter, rejectRules(network), { allow: ['ENOENT'] });
  // The kernel writes down changes as soon as somebody waits for them: only now.
  steps.add(tables, 'table.watch', 'watch_tables', { fd: netfilter, question: [anySharedTable] });
  sendTable(context, tables, 'table.shared', netfilter, sharedTable(network), {
    question: sharedTableQuestion(network),
    mends: true,
  });
  // Most have nothing that is counted: to ask for it takes much less time than a transaction.
  for (const [at, [family, address]] of addressesOf(network).entries()) {
    for (const { name, question, messages } of forgettings(family, address)) {
      const id = `count.${name}.${at}`;
      steps.add(tables, id, 'netlink', { fd: netfilter, messages: [question] }, { allow: ['ENOENT'] });
      const forgets = { fd: netfilter, messages };
      steps.add(tables, `${id}.forget`, 'netlink', forgets, { allow: ['ENOENT'], dependent: true });
    }
  }
  planForgetConnections(context, network, netfilter);
  if (network.toWorld || network.ports.length > 0) planForwarding(context, netfilter);
  if (network.ipv6 !== undefined && context.host.networking?.forcesForwarding === true) {
    const pathname = `/proc/sys/net/ipv6/conf/${hostInterface(index)}/force_forwarding`;
    steps.add(place, 'veth.forwarding', 'write', { dirfd: AT_FDCWD, pathname, data: '1' }, { undo: 'kernel' });
  }
  sendRate(context, place, route, 'rate.ingress', link, 'ingress');
  send('veth.up', linkUp(link));
  const reachesHost = network.reaches.host;
  for (const family of FAMILIES) {
    const own = ownAddress(network, family);
    if (own === undefined) continue;
    const name = (what: string): string => `${what}.ipv${family.family}`;
    if (reachesHost) {
      const because = model.because('network.egress');
      const gateway = gatewayOf(network, family);
      send(name('veth.address'), newAddress(family, link, gateway), because);
      if (family.family === 6) send(name('veth.local'), localRoute(family, link, gateway), because);
    }
    send(name('veth.neighbour'), newNeighbour(family, link, own, macBytes(network.mac)));
    send(name('veth.route'), newRoute(family, link, own));
    for (const { index: at, address } of sharedNetworks(network, family)) {
      const because = model.because(`network.networks.${at}`);
      send(name(`veth.network${at}.neighbour`), newNeighbour(family, link, address, macBytes(network.mac)), because);
      // The rules of other users' containers refuse the pool, but do not know the subnets of networks.
      send(name(`veth.network${at}.route`), newRoute(family, link, address, { protocol: 'RTPROT_BOXCTL' }), because);
    }
  }
  return [
    ...talliesOf(network, netfilter),
    ...datagramTallies(network, netfilter),
    ...connectionTallies(network, netfilter),
  ];
}

/** Not the kernel's default, 1000: only a change has an effect. */
const QUEUE_LENGTH = 1001;

/**
 * Makes the outer end of the pair able to send at once. It was set up before it had a carrier. The kernel activates the
 * queue of such an interface in a work item up to a second later (linkwatch), and drops all packets until then, such as the
 * answer to the container's first packet. A change of the queue's length activates it at once.
 */
function startSending(context: PlanContext, network: Network): void {
  const because = context.model.because('network');
  const [place, route] =
    network.driver === 'veth'
      ? ([onHost('network', because), 'netlink.route'] as const)
      : ([inside('network', because), 'router.route'] as const);
  sender(context, place, route)('outer.queue', setLink(interfaceNumber(network.index), { IFLA_TXQLEN: QUEUE_LENGTH }));
}

/** The steps on the container's side, before it gives up its privileges: settings, addresses and routes of its end. */
export function planNetworkInside(context: PlanContext): void {
  const { network } = context.model;
  if (network === undefined) return;
  const { model } = context;
  const withoutIpv6 = network.ipv6 === undefined ? ['EAFNOSUPPORT'] : [];
  const place = inside('network', model.because('network'));
  const link = interfaceNumber(network.index);
  const route = openNetlink(context, place, 'inner.route', NETLINK.NETLINK_ROUTE);
  const send = sender(context, place, route);
  // The container's own namespace may have IPv6 although the host gives its interfaces none.
  send('inner.settings', setLink(link, { IFLA_AF_SPEC: NO_LINK_LOCAL }), undefined, withoutIpv6);
  sendRate(context, place, route, 'rate.egress', link, 'egress');
  for (const family of FAMILIES) {
    const own = ownAddress(network, family);
    if (own === undefined) continue;
    send(`inner.address.ipv${family.family}`, newAddress(family, link, own));
    for (const { index, address } of sharedNetworks(network, family)) {
      const because = model.because(`network.networks.${index}`);
      send(`inner.network${index}.address.ipv${family.family}`, newAddress(family, link, address), because);
    }
  }
  send('inner.up', linkUp(link));
  startSending(context, network);
  for (const family of FAMILIES) {
    const own = ownAddress(network, family);
    if (own === undefined) continue;
    const gateway = gatewayOf(network, family);
    if (family.family === 6) {
      send('inner.local.ipv6', localRoute(family, link, own));
      for (const { index, address } of sharedNetworks(network, family)) {
        const because = model.because(`network.networks.${index}`);
        send(`inner.network${index}.local.ipv6`, localRoute(family, link, address), because);
      }
    }
    send(`inner.neighbour.ipv${family.family}`, newNeighbour(family, link, gateway, hostMac(network.index)));
    send(`inner.route.ipv${family.family}`, newRoute(family, link, 'default', { gateway, source: own }));
    for (const { index, subnet, address } of sharedNetworks(network, family)) {
      const because = model.because(`network.networks.${index}`);
      const message = newRoute(family, link, subnet, { gateway, source: address });
      send(`inner.network${index}.route.ipv${family.family}`, message, because);
    }
  }
  planDnsRelays(context, network);
  planNames(context, network);
}
