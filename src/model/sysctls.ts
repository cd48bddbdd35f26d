/** Kernel parameters under the names that the OCI's runtimes take, and the defaults of a container. */
import { isAtLeast, type HostFacts } from '../host/facts.ts';
import type { IdMap, Spec } from '../spec/spec.ts';
import type { OciResources } from '../oci/config.ts';
import type { Problems } from './problems.ts';
import type { Reasons } from './reasons.ts';

/** Dots and slashes change places: `net/ipv4/conf/eth0.1/forwarding` is `net.ipv4.conf.eth0/1.forwarding`. */
export function swapSeparators(text: string): string {
  return text.replaceAll(/[./]/gu, (character) => (character === '.' ? '/' : '.'));
}

const PID_MAX = 'kernel/pid_max';
/** The greatest process id, and so the number of processes and threads, of a container without a limit of its own. */
const DEFAULT_PID_MAX = 4096;

/** Since Linux 6.14 each process namespace has its own; before, it is the host's. */
function ownsPidMax(host: HostFacts): boolean {
  return isAtLeast(host.kernel, 6, 14);
}

/** The greatest group id that the kernel takes for `net.ipv4.ping_group_range`. */
const LAST_PING_GROUP = 0x7fff_ffff;

/**
 * The first and the last group, as the container numbers them, between which the most of its groups lie. The kernel
 * compares them as the host numbers them, and takes a range only where the first is the smaller one in both ways.
 */
export function pingGroups(maps: readonly IdMap[] | undefined): string {
  if (maps === undefined) return `0 ${LAST_PING_GROUP}`;
  const shown = maps
    .filter(({ container }) => container <= LAST_PING_GROUP)
    .map((map) => ({ ...map, size: Math.min(map.size, LAST_PING_GROUP - map.container + 1) }));
  const end = ({ host, size }: IdMap): number => host + size - 1;
  const ranges = shown.flatMap((first) =>
    shown
      .filter((last) => first.container <= last.container && first.host <= end(last))
      .map((last) => {
        const within = shown.filter((map) => map.host >= first.host && end(map) <= end(last));
        const count = within.reduce((sum, { size }) => sum + size, 0);
        return { text: `${first.container} ${last.container + last.size - 1}`, count };
      }),
  );
  const [best] = ranges.toSorted((a, b) => b.count - a.count);
  return best?.text ?? '0 0';
}

/** As Docker does: in a network of its own an ordinary user may use ping, and every port. */
function networkDefaults(
  { namespaces }: Spec,
  gidMap: readonly IdMap[] | undefined,
): readonly (readonly [name: string, value: string, reason: string])[] {
  if (namespaces.net.kind !== 'private') return [];
  const ports = ['net.ipv4.ip_unprivileged_port_start', '0', 'every port without a capability'] as const;
  // Which groups a joined user namespace has is not known.
  if (namespaces.user.kind === 'path') return [ports];
  return [['net.ipv4.ping_group_range', pingGroups(gidMap), 'ping without a capability'], ports];
}

export function compileSysctls(
  spec: Spec,
  host: HostFacts,
  gidMap: readonly IdMap[] | undefined,
  reasons: Reasons,
  problems: Problems,
): Record<string, string> {
  const given = spec.sysctls.map(({ path, value, specPath }): [string, string] => {
    if (path === PID_MAX && !ownsPidMax(host)) {
      const message = `before Linux 6.14 \`kernel.pid_max\` belongs to no namespace, and this is ${host.kernel.release}`;
      problems.add('E_SYSCTL_OF_HOST', specPath, message, 'say `limits: {pids: N}`');
    }
    const name = swapSeparators(path);
    reasons.set(`linux.sysctl.${name}`, specPath, 'sysctl');
    return [name, value];
  });
  const names = new Set(given.map(([name]) => name));
  const defaults = networkDefaults(spec, gidMap).flatMap(([name, value, reason]): [string, string][] => {
    if (names.has(name)) return [];
    reasons.byDefault(`linux.sysctl.${name}`, reason);
    return [[name, value]];
  });
  return Object.fromEntries([...given, ...defaults]);
}

/**
 * The default limit of processes, which takes no cgroup; undefined where the file has a limit, where the namespace is not
 * the container's, and where the kernel has none for it. Not among the parameters of the OCI: other runtimes refuse it.
 */
export function compilePidMax(
  spec: Spec,
  host: HostFacts,
  resources: OciResources | undefined,
  reasons: Reasons,
): number | undefined {
  const limited = resources?.pids !== undefined || spec.sysctls.some(({ path }) => path === PID_MAX);
  if (limited || spec.namespaces.pid.kind !== 'private' || !ownsPidMax(host)) return undefined;
  reasons.byDefault('pidMax', 'no more processes than this, where `limits.pids` says nothing');
  return DEFAULT_PID_MAX;
}
