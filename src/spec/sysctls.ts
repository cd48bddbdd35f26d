/** Kernel parameters: one spelling for each, so that what is allowed cannot be written past the check. */
import type { ContainerFile } from '../generated/container.ts';
import { clip, each, addProblem, type Context } from './context.ts';
import type { NamespaceKind, Spec, Sysctl } from './spec.ts';

/** Parameters of namespaces, by their beginning or, without a slash at the end, whole. All others are the host's. */
const NAMESPACED: readonly (readonly [path: string, kind: NamespaceKind])[] = [
  ['net/', 'net'],
  ['fs/mqueue/', 'ipc'],
  ['kernel/msgmax', 'ipc'],
  ['kernel/msgmnb', 'ipc'],
  ['kernel/msgmni', 'ipc'],
  ['kernel/sem', 'ipc'],
  ['kernel/shmall', 'ipc'],
  ['kernel/shmmax', 'ipc'],
  ['kernel/shmmni', 'ipc'],
  ['kernel/shm_rmid_forced', 'ipc'],
  ['kernel/pid_max', 'pid'],
  ['user/', 'user'],
];
const OWN_KEYS: Readonly<Record<string, string>> = {
  'kernel/hostname': 'hostname',
  'kernel/domainname': 'domainname',
};

/**
 * `net.ipv4.ip_forward` and `net/ipv4/ip_forward` as the path below /proc/sys. The first separator decides, as in
 * sysctl(8): after a dot, a slash is the dot in a name (`net.ipv4.conf.eth0/1.forwarding`), and after a slash, a dot is.
 */
export function sysctlPath(text: string): string | undefined {
  const first = /[./]/u.exec(text)?.[0];
  const swap: Readonly<Record<string, string>> = { '.': '/', '/': '.' };
  const path = first === '.' ? text.replaceAll(/[./]/gu, (character) => swap[character] ?? character) : text;
  const parts = path.split('/');
  const sound = parts.length > 1 && parts.every((part) => /^[A-Za-z0-9_.:@-]+$/u.test(part) && !/^\.+$/u.test(part));
  return sound ? parts.join('/') : undefined;
}

function namespaceOf(path: string): NamespaceKind | undefined {
  return NAMESPACED.find(([known]) => path === known || (known.endsWith('/') && path.startsWith(known)))?.[1];
}

function check(context: Context, name: string, path: string, namespaces: Spec['namespaces'], specPath: string) {
  const own = OWN_KEYS[path];
  if (own !== undefined) {
    addProblem(context, specPath, 'E_SPEC_SYSCTL', `\`${name}\` has a key of its own`, { hint: `write \`${own}\`` });
    return;
  }
  const kind = namespaceOf(path);
  if (kind === undefined) {
    addProblem(
      context,
      specPath,
      'E_SPEC_SYSCTL',
      `\`${clip(name)}\` belongs to no namespace: it would change the host`,
      {
        hint: 'those of a container are net.*, fs.mqueue.*, kernel.msg*, kernel.sem, kernel.shm*, kernel.pid_max and user.*',
      },
    );
    return;
  }
  const choice = namespaces[kind];
  if (choice.kind === 'private') return;
  const whose = choice.kind === 'host' ? 'the host' : 'another container';
  const why = `\`${clip(name)}\` would change ${whose}, because the ${kind} namespace is not private`;
  addProblem(context, specPath, 'E_SPEC_CONFLICT', why, { hint: `make \`namespaces.${kind}\` private` });
}

/** As a map or as a list of KEY=VALUE, in the file's order. */
export function normaliseSysctls(
  context: Context,
  raw: ContainerFile['sysctls'],
  namespaces: Spec['namespaces'],
): readonly Sysctl[] {
  const entries: (readonly [name: string, value: string, specPath: `sysctls.${string}`])[] = [];
  if (Array.isArray(raw)) {
    for (const [item, specPath] of each(context, raw, 'sysctls')) {
      const equals = item.indexOf('=');
      if (equals > 0) entries.push([item.slice(0, equals), item.slice(equals + 1), specPath]);
      else addProblem(context, specPath, 'E_SPEC_VALUE', `\`${specPath}\` must be KEY=VALUE; found "${clip(item)}"`);
    }
  } else {
    for (const [name, value] of Object.entries(raw ?? {})) entries.push([name, String(value), `sysctls.${name}`]);
  }
  const seen = new Map<string, string>();
  return entries.flatMap(([name, value, specPath]) => {
    const path = sysctlPath(name);
    if (path === undefined) {
      addProblem(context, specPath, 'E_SPEC_SYSCTL', `"${clip(name)}" is not the name of a kernel parameter`, {
        hint: 'for example `net.ipv4.ip_forward`',
      });
      return [];
    }
    if (/[\0\n]/u.test(value) || value === '') {
      addProblem(context, specPath, 'E_SPEC_VALUE', `\`${clip(name)}\` must have a value of one line`);
      return [];
    }
    const earlier = seen.get(path);
    if (earlier !== undefined) {
      addProblem(context, specPath, 'E_SPEC_VALUE', `\`${clip(name)}\` is there twice, also as \`${clip(earlier)}\``);
    }
    seen.set(path, name);
    check(context, name, path, namespaces, specPath);
    return [{ path, value, specPath }];
  });
}
