/** Which namespaces are the container's own, and which combinations cannot be (namespaces(7)). */
import type { HostFacts } from '../host/facts.ts';
import type { SpecPath } from '../spec/spec-path.ts';
import type { NamespaceKind, Spec, SpecDocument } from '../spec/spec.ts';
import type { OciNamespace } from '../oci/config.ts';
import type { Problems } from './problems.ts';
import type { Reasons } from './reasons.ts';

const OCI_NAMES: Readonly<Record<NamespaceKind, OciNamespace['type']>> = {
  user: 'user',
  pid: 'pid',
  mount: 'mount',
  uts: 'uts',
  ipc: 'ipc',
  net: 'network',
  cgroup: 'cgroup',
  time: 'time',
};
const NAMESPACE_ORDER: readonly NamespaceKind[] = ['user', 'mount', 'pid', 'uts', 'ipc', 'net', 'cgroup', 'time'];

/** Which key of the file says what a namespace is. */
export function namespacePath(document: SpecDocument, kind: NamespaceKind): SpecPath {
  const choice = document.spec.namespaces[kind];
  if (choice.kind === 'path' && choice.of !== undefined) return 'network_mode';
  return kind === 'net' && document.where('network_mode') !== undefined ? 'network_mode' : `namespaces.${kind}`;
}

/** Of a container that is joined, where nothing is started and nobody has looked for it. */
const MADE_UP_PATH = '/proc/PID/ns/net';

/** `joined`: the network namespace of the container that `network_mode` names. A time namespace that the kernel does not have is an error where the file asks for it; the default goes without. */
export function compileNamespaces(
  document: SpecDocument,
  host: HostFacts,
  reasons: Reasons,
  problems: Problems,
  joined: string | undefined,
): OciNamespace[] {
  const list: OciNamespace[] = [];
  for (const kind of NAMESPACE_ORDER) {
    const choice = document.spec.namespaces[kind];
    if (choice.kind === 'host') continue;
    if (kind === 'time' && !host.timeNamespace) {
      if (document.where('namespaces.time') === undefined) continue;
      const message = 'this kernel has no time namespaces';
      problems.add('E_NO_TIME_NAMESPACE', 'namespaces.time', message, 'take `time` out, or use Linux 5.6 or newer');
      continue;
    }
    reasons.set(`linux.namespaces.${list.length}`, namespacePath(document, kind), `private ${kind} namespace`);
    const type = OCI_NAMES[kind];
    if (choice.kind === 'container' && !host.privileged && document.spec.namespaces.user.kind === 'private') {
      problems.add(
        'E_NOT_PRIVATE',
        'network_mode',
        'an ordinary user joins the network of a container only with the user namespace that it belongs to',
        'say nothing of `namespaces.user`: that one is joined then; or run it as root',
      );
    }
    if (choice.kind === 'private') list.push({ type });
    else list.push({ type, path: choice.kind === 'path' ? choice.path : (joined ?? MADE_UP_PATH) });
  }
  return list;
}

/** Combinations that the kernel refuses, or that give less isolation than the file says. */
export function checkNamespaces(spec: Spec, host: HostFacts, problems: Problems): void {
  const { user, mount, uts, pid } = spec.namespaces;
  if (user.kind === 'private' && !host.userNamespaces.usable) {
    problems.add('E_NO_USER_NAMESPACES', 'namespaces.user', host.userNamespaces.reason, host.userNamespaces.hint);
  }
  if (user.kind === 'host' && !host.privileged) {
    problems.add(
      'E_NEEDS_ROOT',
      'namespaces.user',
      'without a user namespace of its own, a container can be made by root of the host only',
      'leave `user` private, or run boxctl as root',
    );
  }
  if (uts.kind !== 'private') {
    for (const key of ['hostname', 'domainname'] as const) {
      if (spec[key] === undefined) continue;
      const whose = uts.kind === 'host' ? "the host's" : "another container's";
      const message = `${key} would change ${whose}, because the uts namespace is not private`;
      problems.add('E_NOT_PRIVATE', key, message, `remove ${key}, or make the uts namespace private`);
    }
  }
  if (mount.kind === 'private' && pid.kind === 'path' && user.kind === 'private') {
    const message = 'a process namespace can be joined only with the user namespace that it belongs to';
    const hint =
      'else /proc could show the processes of the host alone: join that user namespace as well, or take the host’s';
    problems.add('E_NOT_PRIVATE', 'namespaces.pid', message, hint);
  }
  if (mount.kind !== 'private') {
    const keys = [
      ...(spec.image === undefined ? [] : (['image'] as const)),
      ...(spec.readOnly ? (['read_only'] as const) : []),
    ];
    for (const key of keys) {
      const message = `${key} needs a mount namespace of the container's own`;
      problems.add('E_NOT_PRIVATE', key, message, `remove ${key}, or make the mount namespace private`);
    }
    const [first] = [...spec.volumes, ...(spec.given ?? [])];
    if (first !== undefined) {
      const message = 'a mount would be made in the mount namespace of others';
      problems.add('E_NOT_PRIVATE', first.specPath, message, 'make the mount namespace private');
    }
    if (user.kind === 'private' && mount.kind === 'path') {
      const message = 'a mount namespace can be joined only with the user namespace that it belongs to';
      problems.add('E_NOT_PRIVATE', 'namespaces.mount', message, 'join that user namespace as well');
    }
  }
}
