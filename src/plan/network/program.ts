/**
 * An ordinary user's network: slirp4netns or pasta, a network stack in a process of the user's own. It is given an interface in a
 * network namespace that is not the container's but a router's, which lies between (router.ts): a container with CAP_NET_RAW
 * could send frames by the program's own interface that no rule sees.
 */
import type { Text } from '../../kernel/calls.ts';
import type { Network } from '../../model/network.ts';
import { addressAt, type Subnet } from '../../text/addresses.ts';
import { onHost, type PlanContext } from '../context.ts';
import type { Hints } from '../hints.ts';
import { recordHelper } from '../record.ts';
import { call } from '../steps.ts';

/** The interface of the program, in the router. */
export const UPLINK = 'uplink';
const READY_MS = 10_000;
const SIGKILL = 9;
/** The greatest that slirp4netns takes; both programs have the same from here. */
export const MTU = 65_520;

/** Between the router and the program: of the pool's last addresses, which no container of an ordinary user has. */
const NET = 15 * 256;
const GATEWAY = 2;
/** What slirp4netns gives to its interface, counted from the first address of its subnet. */
const OWN = 100;
/** slirp4netns has it so, and no option for another. */
const IPV6 = { gateway: 'fd00::2', own: 'fd00::64' } as const;

/** Here slirp4netns answers for the host, and for its resolver. Of IPv4 it does so within the pool, which is refused as a whole. */
export const PROGRAM_SUBNET: Subnet = { family: 6, address: 'fd00::', prefix: 64 };

export interface Transit {
  readonly ipv4: { readonly first: string; readonly gateway: string; readonly own: string };
  readonly ipv6: typeof IPV6;
}
export function transitOf({ pool }: Network): Transit {
  const at = (offset: number): string => addressAt(pool.ipv4, NET + offset) ?? '';
  return { ipv4: { first: at(0), gateway: at(GATEWAY), own: at(OWN) }, ipv6: IPV6 };
}

/** Whether the host has a way to the world by this family. */
export function hasUplink({ host }: PlanContext, family: 4 | 6): boolean {
  return host.networking?.uplinks.some((uplink) => uplink.family === family) ?? family === 4;
}

/** The program asks for the namespaces of the container's first process, which is still in the router's. */
const CHILD: Text = { template: '$CHILD' };

function slirp4netns(context: PlanContext, network: Network): readonly Text[] {
  return [
    'slirp4netns',
    '--configure',
    `--mtu=${MTU}`,
    '--ready-fd=3',
    // It ends when the launcher does, whose pipe this is.
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
    // Neither the host's loopback by the gateway's address, nor ports of either side on the other.
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

/** Started once the container's first process has its user namespace and the router's network namespace. */
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
