/** The lowest version of the OCI runtime specification that has every word of a configuration (its ChangeLog). */
import type { OciBase } from './config.ts';

export function ociVersion(config: Omit<OciBase, 'ociVersion'>): string {
  const rules = config.linux.seccomp?.syscalls ?? [];
  const usesErrno =
    config.linux.seccomp?.defaultErrnoRet !== undefined || rules.some((rule) => rule.errnoRet !== undefined);
  const usesTime = config.linux.namespaces.some((entry) => entry.type === 'time');
  if (config.domainname !== undefined || usesErrno || usesTime) return '1.1.0';
  return '1.0.2';
}
