/**
 * Plans what the launcher relays itself while the command runs (native/launcher/network_relay.h): connections and datagrams
 * from the host to published ports, which the rules do not send to the container, and DNS queries to a name server that
 * the container cannot reach.
 */
import { AT_FDCWD, NO_FD, type Fd } from '../../kernel/calls.ts';
import { AF, MSG, O, SOCK, SOCKET_OPTION, SOL } from '../../kernel/constants.ts';
import type { DnsRelay, Network } from '../../model/network.ts';
import { inside, onHost, type PlanContext } from '../context.ts';
import { call } from '../steps.ts';
import type { PortSocket } from './ports.ts';

const DNS_PORT = 53;
/** The most DNS queries or connections at once, and the seconds that an idle one is kept, to spare the name server. */
const DNS_MOST = 256;
const DNS_IDLE = 10;
const DNS_BACKLOG = 64;
/** Seconds that a client of a UDP port is remembered after its last datagram. */
const UDP_IDLE = 120;

function endpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The container's addresses to try: that of the client's family first, since a server may listen on only one. */
function targetsOf({ family, port }: PortSocket, { ipv4, ipv6 }: Network): readonly string[] {
  const addresses = family === 4 ? [ipv4, ipv6] : [ipv6, ipv4];
  return addresses.filter((address) => address !== undefined).map((address) => endpoint(address, port.port));
}

/**
 * Opens the container's network namespace, once the first process is in it. `isHeld`: until all else is taken back. The kernel removes
 * the interface when nobody has the namespace any more, holding the lock of all interfaces for 10 ms and longer. The launcher's own
 * steps back would wait for that, and those by /proc/sys would not even sleep: a write there is tried again and again.
 */
export function openNamespace({ steps, model, kept }: PlanContext, isHeld: boolean): Fd {
  const pathname = { template: '/proc/$CHILD/ns/net' };
  const open = { dirfd: AT_FDCWD, pathname, flags: O.O_RDONLY | O.O_CLOEXEC, mode: 0, resolve: 0 };
  const held = { undo: [call('close', { fd: 'netns' })], ...(kept ? {} : ({ late: true } as const)) };
  return steps.add(onHost('network', model.because('network')), 'netns', 'openat2', open, isHeld ? held : {});
}

/** These steps come after the container's first process has entered its network namespace. */
export function planPortRelays(
  context: PlanContext,
  network: Network,
  sockets: readonly PortSocket[],
  namespace = sockets.length === 0 ? NO_FD : openNamespace(context, false),
): void {
  const { steps, model } = context;
  for (const socket of sockets) {
    const { fd, port, index } = socket;
    const place = onHost('network', model.because(`network.ports.${index}`));
    const idle = port.protocol === 'udp' ? UDP_IDLE : 0;
    const targets = targetsOf(socket, network);
    steps.add(place, `${fd}.relay`, 'relay', { fd, netns: namespace, targets, most: 0, idle });
  }
}

/** These steps come after the loopback interface is up, and before CAP_NET_BIND_SERVICE is dropped, which port 53 needs. */
export function planDnsRelays(context: PlanContext, { dns }: Network): void {
  for (const [index, relay] of dns.relays.entries()) {
    for (const type of ['udp', 'tcp'] as const) planDnsRelay(context, relay, `dns${index}.${type}`, type);
  }
}

function planDnsRelay(context: PlanContext, { at, to }: DnsRelay, id: string, type: 'udp' | 'tcp'): void {
  const { steps, model } = context;
  const place = inside('network', model.because('network.dns'));
  const isIpv6 = at.includes(':');
  const family = isIpv6 ? AF.AF_INET6 : AF.AF_INET;
  const kind = (type === 'udp' ? SOCK.SOCK_DGRAM : SOCK.SOCK_STREAM) + SOCK.SOCK_NONBLOCK + SOCK.SOCK_CLOEXEC;
  const fd: Fd = steps.add(place, id, 'socket', { domain: family, type: kind, protocol: 0 });
  // A name server in the container can then listen on port 53 of all addresses, if it sets SO_REUSEADDR, too.
  const reuse = { fd, level: SOL.SOL_SOCKET, optname: SOCKET_OPTION.SO_REUSEADDR, value: 1 };
  steps.add(place, `${id}.reuse`, 'setsockopt', reuse);
  steps.add(place, `${id}.bind`, 'bind', { fd, family, port: DNS_PORT, address: at });
  if (type === 'tcp') steps.add(place, `${id}.listen`, 'listen', { fd, backlog: DNS_BACKLOG });
  steps.add(place, `${id}.send`, 'sendmsg', { fd, flags: MSG.MSG_NOSIGNAL });
  const receive = onHost('network', model.because('network.dns'));
  const received = steps.add(receive, `${id}.receive`, 'recvmsg', {}, { returns: `${id}.relayed`, undo: 'kernel' });
  const targets = [endpoint(to, DNS_PORT)];
  steps.add(receive, `${id}.relay`, 'relay', { fd: received, netns: NO_FD, targets, most: DNS_MOST, idle: DNS_IDLE });
}
