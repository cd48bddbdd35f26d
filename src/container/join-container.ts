/** `network_mode: container:NAME`: the network namespace of another container of the caller's. Loaded for such a file alone. */
import type { HostFacts } from '../host/facts.ts';
import type { Claims } from '../model/claims.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { closeNetwork, runningNetworks } from '../state/running.ts';
import { closed } from './closed.ts';
import { located, type Problem } from '../spec/located.ts';

export interface JoinedContainer extends Pick<Claims, 'joined'> {
  readonly locks: readonly number[];
  /** To be called once the container is started, or will not be. */
  release(): void;
}

/**
 * The network namespace of the container that `network_mode` names. `isKept`: the path is that of another process's, which
 * may be gone later; else it is this process's own descriptor, which leads to that namespace and no other.
 *
 * @throws BoxctlError E_CONTAINER_NOT_RUNNING, E_CONTAINER_AMBIGUOUS, E_CONTAINER_CLOSED, E_CONTAINER_HOST_NETWORK
 */
export function joinContainer(document: SpecDocument, host: HostFacts, isKept = false): JoinedContainer {
  const choice = document.spec.namespaces.net;
  if (choice.kind !== 'container') return { locks: [], release: () => undefined };
  const all = runningNetworks(host, choice.name);
  const release = (): void => {
    for (const { opened } of all) if (opened !== undefined) closeNetwork(opened);
  };
  const fail = (problem: Problem): never => {
    release();
    throw located(document, [['network_mode', problem]]);
  };
  const [first, second] = all;
  if (first === undefined) {
    const message = `no container of yours that runs is called ${choice.name}`;
    return fail({ code: 'E_CONTAINER_NOT_RUNNING', message, hint: 'start it first: its `name` is what counts' });
  }
  if (second !== undefined) {
    const message = `${all.length} containers of yours that run are called ${choice.name}`;
    const hint = `give each a \`name\` of its own, or write the path: /proc/${first.pid}/ns/net`;
    return fail({ code: 'E_CONTAINER_AMBIGUOUS', message, hint });
  }
  const { pid, opened } = first;
  if (opened === undefined) {
    const { code, message, hint } = closed(choice.name);
    return fail({ code, message, ...(hint === undefined ? {} : { hint }) });
  }
  if (opened.isOwn) {
    const message = `the container ${choice.name} has no network of its own: it is in that of the host`;
    return fail({ code: 'E_CONTAINER_HOST_NETWORK', message, hint: 'write `network_mode: host`' });
  }
  const path = (kind: string, fd: number): string =>
    isKept ? `/proc/${pid}/ns/${kind}` : `/proc/${process.pid}/fd/${fd}`;
  const user = { path: path('user', opened.user.fd), setsGroups: opened.user.setsGroups };
  return { joined: { path: path('net', opened.fd), user }, locks: [], release };
}
