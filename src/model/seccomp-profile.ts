/**
 * A profile as it counts for this container: of this machine, its kernel and its capabilities (what Docker does before
 * it hands a profile to a runtime), with rules in the order and the meaning that libseccomp gives them.
 */
import { isAtLeast, type HostFacts } from '../host/facts.ts';
import type { SeccompCondition, SeccompProfile, SeccompRule } from '../spec/seccomp-profile.ts';
import type { OciSeccomp, OciSeccompRule } from '../oci/config.ts';
import type { Problems } from './problems.ts';

const MACHINES = {
  x86_64: { native: 'SCMP_ARCH_X86_64', also: ['SCMP_ARCH_X86'], docker: 'amd64' },
  aarch64: { native: 'SCMP_ARCH_AARCH64', also: ['SCMP_ARCH_ARM'], docker: 'arm64' },
} as const;

/** Without these no command starts, or starts as it should. */
const NEEDED = ['execve'] as const;

/** All that is said must hold. */
function includes({ arches, caps, minKernel }: SeccompCondition, host: HostFacts, held: ReadonlySet<string>): boolean {
  const arch = arches.length === 0 || arches.includes(MACHINES[host.arch].docker);
  return (
    arch && caps.every((cap) => held.has(cap)) && (minKernel === undefined || isAtLeast(host.kernel, ...minKernel))
  );
}

/** One that holds is enough. */
function excludes({ arches, caps, minKernel }: SeccompCondition, host: HostFacts, held: ReadonlySet<string>): boolean {
  const kernel = minKernel !== undefined && isAtLeast(host.kernel, ...minKernel);
  return kernel || arches.includes(MACHINES[host.arch].docker) || caps.some((cap) => held.has(cap));
}

/** Conditions on one and the same argument are alternatives (runc and Docker read them so), on several a conjunction. */
function alternatives({ names, action, errnoRet, args }: SeccompRule): OciSeccompRule[] {
  const rest = { names: [...names], action, ...(errnoRet === undefined ? {} : { errnoRet }) };
  const indexes = new Set(args.map(({ index }) => index));
  const oci = args.map(({ index, value, valueTwo, op }) => ({ index, value, valueTwo, op }));
  if (oci.length === 0) return [rest];
  return indexes.size === oci.length ? [{ ...rest, args: oci }] : oci.map((arg) => ({ ...rest, args: [arg] }));
}

/** libseccomp lets a rule without conditions override all the others of its call. */
function unconditionalFirst(rules: readonly OciSeccompRule[]): OciSeccompRule[] {
  const isPlain = ({ args }: OciSeccompRule): boolean => args === undefined;
  return [...rules.filter(isPlain), ...rules.filter((rule) => !isPlain(rule))];
}

function architectures(profile: SeccompProfile, host: HostFacts): string[] {
  const { native, also } = MACHINES[host.arch];
  const mapped = profile.archMap.find(({ architecture }) => architecture === native)?.subArchitectures ?? [];
  const named = new Set([...profile.architectures, ...mapped]);
  // The machine's own is always meant; those of other machines cannot occur.
  return [native, ...also.filter((name) => named.has(name))];
}

function check({ defaultAction, syscalls }: OciSeccomp, problems: Problems): void {
  for (const name of NEEDED) {
    const action = syscalls.find((rule) => rule.names.includes(name))?.action ?? defaultAction;
    if (action === 'SCMP_ACT_ALLOW' || action === 'SCMP_ACT_LOG') continue;
    problems.add(
      'E_SECCOMP_PROFILE',
      'seccomp',
      `the profile refuses ${name}: no command could ever start`,
      `allow ${name}`,
    );
  }
}

export function resolveProfile(
  profile: SeccompProfile,
  capabilities: readonly string[],
  host: HostFacts,
  problems: Problems,
): OciSeccomp {
  const held = new Set(capabilities);
  const rules = profile.syscalls.filter(
    (rule) => includes(rule.includes, host, held) && !excludes(rule.excludes, host, held),
  );
  const resolved: OciSeccomp = {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet === undefined ? {} : { defaultErrnoRet: profile.defaultErrnoRet }),
    architectures: architectures(profile, host),
    ...(profile.flags.length > 0 ? { flags: [...profile.flags] } : {}),
    syscalls: unconditionalFirst(rules.flatMap(alternatives)),
  };
  check(resolved, problems);
  return resolved;
}
