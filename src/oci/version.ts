/** The lowest version of the OCI runtime specification that has every word of a configuration (its ChangeLog). */
import type { OciBase } from './config.ts';

export function ociVersion(config: Omit<OciBase, 'ociVersion'>): string {
  const { seccomp, namespaces } = config.linux;
  if (config.domainname !== undefined || namespaces.some(({ type }) => type === 'time')) return '1.1.0';
  // The rules of the default profile are made when they are read, which a start can do without.
  if (seccomp?.defaultErrnoRet !== undefined) return '1.1.0';
  if (seccomp?.syscalls.some(({ errnoRet }) => errnoRet !== undefined) === true) return '1.1.0';
  return '1.0.2';
}
