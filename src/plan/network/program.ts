/**
 * An ordinary user's network: slirp4netns or pasta, a program of the user with a network stack of its own. Its interface is
 * not in the container's network namespace, but in the router's (router.ts): a container with CAP_NET_RAW could send frames
 * over the program's interface, which no rule would see.
 */
import type { Text } from '../../kernel/calls.ts';
import type { Network } from '../../model/network.ts';
import { addressAt, type Subnet } from '../../text/addresses.ts';
import { onHost, type PlanContext } from '../context.ts';
import type { Hints } from '../hints.ts';
import { recordHelper } from '../record.ts';
import { call } from '../steps.ts';

/** The program's interface in the router. */
export const UPLINK = 'uplink';
const READY_MS = 10_000;
const SIGKILL = 9;
/** The largest that slirp4netns accepts. pasta is given the same. */
export const MTU = 65_520;

/** The offset in the pool of the subnet between router and program. No ordinary user's container has these addresses. */
const NET = 15 * 256;
const GATEWAY = 2;
/** The offset in that subnet of the address that slirp4netns gives its interface. */
const OWN = 100;
/** The addresses that slirp4netns uses. It has no option to change them. */
const IPV6 = { gateway: 'fd00::2', own: 'fd00::64' } as const;

/**
 * In this subnet slirp4netns answers for the host and its resolver, so the container must not reach it. For IPv4 it answers
 * in the pool, which is refused as a whole.
 */
export const PROGRAM_SUBNET: Subnet = { family: 6, address: 'fd00::', prefix: 64 };

export interface Transit {
  readonly ipv4: { readonly first: string; readonly gateway: string; readonly own: string };
  readonly ipv6: typeof IPV6;
}
export function transitOf({ pool }: Network): Transit {
  const at = (offset: number): string => addressAt(pool.ipv4, NET + offset) ?? '';
  return { ipv4: { first: at(0), gateway: at(GATEWAY), own: at(OWN) }, ipv6: IPV6 };
}

/** Whether the host has a route to the internet in this family. */
export function hasUplink({ host }: PlanContext, family: 4 | 6): boolean {
  return host.networking?.uplinks.some((uplink) => uplink.family === family) ?? family === 4;
}

/** The program enters the namespaces of the container's first process, which is still in the router's network namespace. */
const CHILD: Text = { template: '$CHILD' };

function slirp4netns(context: PlanContext, network: Network): readonly Text[] {
  return [
    'slirp4netns',
    '--configure',
    `--mtu=${MTU}`,
    '--ready-fd=3',
    // A pipe from the launcher. slirp4netns ends when the launcher does.
    '--exit-fd=0',
    '--enable-sandbox',
    '--enable-seccomp',
    '--disable-host-loopback',
    `--cidr=${transitOf(network).ipv4.first}/24`,
    ...(hasUplink(context, 6) ? ['--enable-ipv6'] : []),
    CHILD,
    UPLINK,
  ];
}

function pasta(context: PlanContext, network: Network): readonly Text[] {
  const { ipv4, ipv6 } = transitOf(network);
  const [has4, has6] = [hasUplink(context, 4), hasUplink(context, 6)];
  return [
    'pasta',
    '--quiet',
    '--foreground',
    '--pid',
    '/dev/stdout',
    '--config-net',
    '--ns-ifname',
    UPLINK,
    '--mtu',
    `${MTU}`,
    ...(has4 ? ['--address', ipv4.own, '--netmask', '24', '--gateway', ipv4.gateway] : ['--ipv6-only']),
    ...(has6 ? ['--address', ipv6.own, '--gateway', ipv6.gateway] : ['--ipv4-only']),
    // The gateway's address does not lead to the host, and neither side's ports are forwarded to the other.
    '--no-map-gw',
    ...['--tcp-ports', '--udp-ports', '--tcp-ns', '--udp-ns'].flatMap((option) => [option, 'none']),
    CHILD,
  ];
}

const HINTS: Hints = {
  EACCES: 'the program may not be executed here',
  ENOENT: 'the program, or the loader that it asks for, is not there',
  ECANCELED: 'it ended with status $STATUS: its own words say why; `boxctl plan` shows how it was called',
  ETIMEDOUT: 'it was not ready in 10 seconds and was killed',
};

/** The program starts when the container's first process is in its user namespace and in the router's network namespace. */
export function planProgram(context: PlanContext, network: Network): void {
  const { steps, model, host } = context;
  const [path, argv, ready] =
    network.driver === 'pasta'
      ? [host.networking?.programs?.pasta ?? '/usr/bin/pasta', pasta(context, network), 1]
      : [host.networking?.programs?.slirp4netns ?? '/usr/bin/slirp4netns', slirp4netns(context, network), 3];
  const place = { ...onHost('network', model.because('network')), hints: HINTS };
  const id = 'network.program';
  const end = call('pidfd_send_signal', { pidfd: id, sig: SIGKILL }, { allow: ['ESRCH'] });
  steps.add(place, id, 'spawn_helper', { path, argv, ready, timeout_ms: READY_MS }, { undo: [end] });
  recordHelper(context, place, id);
}
