/** The filter of a profile. That of the default profile is compiled when boxctl is built, since most containers have it. */
import { DEFAULT_FILTERS } from '../../generated/default-filters.ts';
import type { SeccompArch } from '../../kernel/machines.ts';
import { defaultSeccomp } from '../../model/seccomp-default.ts';
import type { OciSeccomp, OciSeccompAction } from '../../oci/config.ts';
import { compileSeccomp, type FilterOptions } from './compile.ts';

const FATAL: ReadonlySet<OciSeccompAction> = new Set([
  'SCMP_ACT_KILL_PROCESS',
  'SCMP_ACT_KILL_THREAD',
  'SCMP_ACT_TRAP',
]);

/** Whether the call, with some arguments, ends who makes it. */
export function kills({ syscalls, defaultAction }: OciSeccomp, name: string): boolean {
  const rules = syscalls.filter(({ names }) => names.includes(name));
  const decides = rules.findIndex(({ args }) => (args ?? []).length === 0);
  const answers = decides === -1 ? [...rules, { action: defaultAction }] : rules.slice(0, decides + 1);
  return answers.some(({ action }) => FATAL.has(action));
}

/** What `compileSeccomp` gives for the profile. */
export function filterOf(profile: OciSeccomp, arch: SeccompArch, options: FilterOptions): Uint8Array {
  if (profile === defaultSeccomp(arch) && options.observe !== true) {
    return new Uint8Array(Buffer.from(DEFAULT_FILTERS[arch], 'base64'));
  }
  return compileSeccomp(profile, arch, options);
}
