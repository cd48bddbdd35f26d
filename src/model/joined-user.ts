/**
 * `network_mode: container:NAME` by an ordinary user: that network namespace belongs to the user namespace of that container.
 * The kernel lets a process join it only from there, so the container is put into both.
 */
import type { HostFacts } from '../host/facts.ts';
import type { SpecDocument } from '../spec/spec.ts';
import type { Claims } from './claims.ts';
import type { Problems } from './problems.ts';

/** Of a container that nobody has looked for, since nothing is started. */
const MADE_UP_PATH = '/proc/PID/ns/user';

/** The document with the user namespace that it joins, where the file says nothing else of it. */
export function withJoinedUser(document: SpecDocument, host: HostFacts, { joined }: Claims): SpecDocument {
  const { net, user } = document.spec.namespaces;
  if (net.kind !== 'container' || host.privileged || user.kind !== 'private') return document;
  if (document.where('namespaces.user') !== undefined) return document;
  const path = joined?.user?.path ?? MADE_UP_PATH;
  const namespaces = { ...document.spec.namespaces, user: { kind: 'path', path, of: net.name } as const };
  return { ...document, spec: { ...document.spec, namespaces } };
}

/** Keys that need a user namespace of the container's own, or would let it take over the program that carries packets. */
export function checkJoinedUser(
  { spec, where }: SpecDocument,
  capabilities: readonly string[],
  problems: Problems,
): void {
  const { user, pid } = spec.namespaces;
  if (user.kind !== 'path' || user.of === undefined) return;
  for (const key of ['uid_map', 'gid_map', 'keep_id'] as const) {
    if (where(key) === undefined) continue;
    const message = `\`${key}\` needs a user namespace of the container’s own, and it joins that of ${user.of} with its network`;
    problems.add('E_SPEC_CONFLICT', key, message, `leave \`${key}\` out, or run it as root`);
  }
  if (pid.kind !== 'private') {
    const message = `a container that sees other processes could take over the one that carries the packets of ${user.of}`;
    problems.add('E_NOT_PRIVATE', 'namespaces.pid', message, 'leave `pid` private, or run boxctl as root');
  }
  if (!capabilities.includes('CAP_NET_ADMIN')) return;
  const path = (['cap_add', 'privileged'] as const).find((key) => where(key) !== undefined) ?? 'cap_add';
  const message = `with NET_ADMIN the container could undo the rules of the network of ${user.of}, since boxctl is not root here`;
  problems.add('E_EGRESS_NET_ADMIN', path, message, 'leave NET_ADMIN out, or run boxctl as root');
}
