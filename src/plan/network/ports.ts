/**
 * The launcher's listening sockets of published ports. Packets of other machines and containers do not arrive at them: the
 * shared table reads the socket's mark and sends the packets to the container. Packets of the host itself arrive, and
 * the launcher relays them (relay.ts).
 */
import { NO_FD, type Fd } from '../../kernel/calls.ts';
import { AF, SOCK, SOCKET_OPTION, SOL } from '../../kernel/constants.ts';
import type { Network } from '../../model/network.ts';
import type { PublishedPort } from '../../spec/network/network.ts';
import type { Hints } from '../hints.ts';
import { onHost, type PlanContext } from '../context.ts';
import type { Place } from '../steps.ts';
import { socketMark } from './names.ts';

/** A socket that listens for a published port. */
export interface PortSocket {
  readonly fd: Fd;
  readonly port: PublishedPort;
  /** The index in `network.ports`. */
  readonly index: number;
  readonly family: 4 | 6;
}

/** The kernel's default of the most waiting connections (net.core.somaxconn). */
const BACKLOG = 4096;

const WILDCARD = { 4: '0.0.0.0', 6: '::' } as const;

function addressesOf({ hostAddress }: PublishedPort, network: Network): readonly { family: 4 | 6; address: string }[] {
  if (hostAddress !== undefined) return [{ family: hostAddress.includes(':') ? 6 : 4, address: hostAddress }];
  return ([4, 6] as const)
    .filter((family) => (family === 4 ? network.ipv4 : network.ipv6) !== undefined)
    .map((family) => ({ family, address: WILDCARD[family] }));
}

function hintsFor({ hostPort, protocol, hostAddress }: PublishedPort): Hints {
  const port = `${hostPort}/${protocol}`;
  return {
    EADDRINUSE: `another program, or another container, has port ${port} of the host: \`ss -Hlnp${protocol === 'tcp' ? 't' : 'u'} sport = :${hostPort}\` says which; end it, publish another port, or write 0 for one that is free`,
    EAFNOSUPPORT: 'this kernel has no IPv6',
    EADDRNOTAVAIL: `no interface of the host has the address ${hostAddress ?? ''}: \`ip addr\` lists those that there are`,
    EACCES: `ports of the host below \`sysctl net.ipv4.ip_unprivileged_port_start\` are root’s: publish a higher one, or, as root: sysctl net.ipv4.ip_unprivileged_port_start=${hostPort}`,
  };
}

/** Plans the sockets of all published ports: one for each port and family. */
export function planPorts(context: PlanContext, network: Network): readonly PortSocket[] {
  return network.ports.flatMap((port, index) => planPort(context, network, port, index));
}

interface Opened extends PortSocket {
  readonly address: string;
}

function planPort(context: PlanContext, network: Network, port: PublishedPort, index: number): readonly PortSocket[] {
  const { steps, model } = context;
  const place = { ...onHost('network', model.because(`network.ports.${index}`)), hints: hintsFor(port) };
  const sockets = addressesOf(port, network).map(({ family, address }): Opened => {
    const fd = openSocket(context, place, network, port, family);
    return { fd, port, index, family, address };
  });
  if (port.hostPort === 0) bindFree(context, place, port, sockets);
  for (const { fd, family, address } of sockets) {
    const af = family === 4 ? AF.AF_INET : AF.AF_INET6;
    if (port.hostPort !== 0) steps.add(place, `${fd}.bind`, 'bind', { fd, family: af, port: port.hostPort, address });
    if (port.protocol === 'tcp') steps.add(place, `${fd}.listen`, 'listen', { fd, backlog: BACKLOG });
  }
  return sockets;
}

function openSocket({ steps }: PlanContext, place: Place, network: Network, port: PublishedPort, family: 4 | 6): Fd {
  const id = `port.${port.hostPort === 0 ? 'free' : port.hostPort}.${port.protocol}${family}`;
  const domain = family === 4 ? AF.AF_INET : AF.AF_INET6;
  const type = (port.protocol === 'tcp' ? SOCK.SOCK_STREAM : SOCK.SOCK_DGRAM) + SOCK.SOCK_NONBLOCK + SOCK.SOCK_CLOEXEC;
  const fd = steps.add(place, id, 'socket', { domain, type, protocol: 0 });
  const set = (name: string, level: number, optname: number, value: number): void => {
    steps.add(place, `${fd}.${name}`, 'setsockopt', { fd, level, optname, value });
  };
  // Otherwise bind(2) fails while old connections of the port are in TIME_WAIT. A second listener is refused all the same.
  if (port.protocol === 'tcp') set('reuse', SOL.SOL_SOCKET, SOCKET_OPTION.SO_REUSEADDR, 1);
  if (family === 6) set('v6only', SOL.IPPROTO_IPV6, SOCKET_OPTION.IPV6_V6ONLY, 1);
  // The shared table reads the mark. An ordinary user has no shared table.
  if (network.driver === 'veth') {
    set('mark', SOL.SOL_SOCKET, SOCKET_OPTION.SO_MARK, socketMark(network.index, port.port));
  }
  return fd;
}

/** Binds the sockets of both families to the same free port. */
function bindFree({ steps }: PlanContext, place: Place, port: PublishedPort, sockets: readonly Opened[]): void {
  const [one, other] = sockets;
  if (one === undefined) return;
  const args = {
    fd: one.fd,
    address: one.address,
    other: other?.fd ?? NO_FD,
    other_address: other?.address ?? '',
  };
  const publishes = { hostAddress: port.hostAddress, port: port.port, protocol: port.protocol };
  steps.add(place, `${one.fd}.bind`, 'bind_free', args, { publishes });
}
