/** Chooses what carries a container's packets: the kernel (veth), or for an ordinary user slirp4netns or pasta. */
import type { HostFacts } from '../host/facts.ts';
import type { SpecDocument } from '../spec/spec.ts';
import type { Network, NetworkDriver } from './network.ts';
import type { Problems } from './problems.ts';

/** Without facts of the host's network the model is never started, so nothing is reported then. */
export function driverFor(document: SpecDocument, host: HostFacts, problems: Problems): NetworkDriver {
  const { networking } = host;
  if (networking?.netAdmin ?? host.privileged) return 'veth';
  checkNamespacesFor(document, problems);
  for (const { name, specPath } of document.spec.network?.networks ?? []) {
    const message = `the network ${name} is between containers, which takes root: an ordinary user’s container has a way to the world alone`;
    problems.add('E_NETWORK_NEEDS_ROOT', specPath, message, 'leave `networks` out, or run boxctl as root');
  }
  const programs = networking?.programs;
  if (programs === undefined) return 'slirp4netns';
  if (programs.noTun !== undefined) {
    const message = `the container’s packets cannot be carried: ${programs.noTun.reason}`;
    problems.add('E_NO_NETWORK_PROGRAM', 'network_mode', message, programs.noTun.hint);
  }
  // In measurements, slirp4netns is ready in 5 ms, pasta in 100 ms, and the pasta of 2023 breaks off long uploads.
  if (programs.slirp4netns !== undefined) return 'slirp4netns';
  if (programs.pasta !== undefined) return 'pasta';
  const message =
    'an ordinary user’s container has its packets carried by slirp4netns or pasta, and neither is installed by root';
  problems.add('E_NO_NETWORK_PROGRAM', 'network_mode', message, `as root: ${programs.install}`);
  return 'slirp4netns';
}

/** The program needs the container's user namespace. The container must not see it in its pid namespace. */
function checkNamespacesFor({ spec }: SpecDocument, problems: Problems): void {
  const { user, pid } = spec.namespaces;
  if (user.kind !== 'private') {
    const message = 'without root, a container with a network has a user namespace of its own';
    problems.add('E_NOT_PRIVATE', 'namespaces.user', message, 'leave `user` private, or use `network_mode: none`');
  }
  if (pid.kind !== 'private') {
    const message =
      'a container that sees other processes could take over the one that carries its packets, and reach the host';
    problems.add('E_NOT_PRIVATE', 'namespaces.pid', message, 'leave `pid` private, or run boxctl as root');
  }
}

/**
 * Refuses CAP_NET_ADMIN where it would let the container remove rules or rates. For an ordinary user, the rules are in a
 * network namespace that belongs to the container's user namespace. A process with CAP_NET_ADMIN there could take the
 * program's interface, and send packets that no rule sees.
 */
export function checkNetworkCapabilities(
  network: Network | undefined,
  capabilities: readonly string[],
  document: SpecDocument,
  problems: Problems,
): void {
  if (network === undefined || !capabilities.includes('CAP_NET_ADMIN')) return;
  if (network.driver === 'veth') {
    if (network.rates.egress === undefined) return;
    // The queue that limits what the container sends is on its own end of the pair.
    const message = 'with NET_ADMIN the container could remove the queue that limits what it sends';
    problems.add('E_RATE_NET_ADMIN', 'limits.network.egress', message, 'leave out one of both');
    return;
  }
  const path = (['cap_add', 'privileged'] as const).find((key) => document.where(key) !== undefined) ?? 'cap_add';
  const rules = network.egress === undefined ? 'the rules that keep it from the host' : 'the rules of `egress`';
  problems.add(
    'E_EGRESS_NET_ADMIN',
    path,
    `with NET_ADMIN the container could undo ${rules}, since boxctl is not root here`,
    'leave NET_ADMIN out, run boxctl as root, or use `network_mode: none`',
  );
}
