/** The filter of a profile. That of the default profile is compiled when boxctl is built, since most containers have it. */
import { DEFAULT_FILTERS } from '../../generated/default-filters.ts';
import type { SeccompArch } from '../../kernel/machines.ts';
import { defaultSeccomp } from '../../model/seccomp-default.ts';
import type { OciSeccomp } from '../../oci/config.ts';
import { compileSeccomp, type FilterOptions } from './compile.ts';

/** What `compileSeccomp` gives for the profile. */
export function filterOf(profile: OciSeccomp, arch: SeccompArch, options: FilterOptions): Uint8Array {
  if (profile === defaultSeccomp(arch) && options.observe !== true) {
    return new Uint8Array(Buffer.from(DEFAULT_FILTERS[arch], 'base64'));
  }
  return compileSeccomp(profile, arch, options);
}
