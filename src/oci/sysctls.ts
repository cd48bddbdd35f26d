/** Kernel parameters under the names that the OCI's runtimes take. */
import type { Spec } from '../spec/spec.ts';
import type { Reasons } from './reasons.ts';

/** Dots and slashes change places: `net/ipv4/conf/eth0.1/forwarding` is `net.ipv4.conf.eth0/1.forwarding`. */
export function swapSeparators(text: string): string {
  return text.replaceAll(/[./]/gu, (character) => (character === '.' ? '/' : '.'));
}

export function compileSysctls({ sysctls }: Spec, reasons: Reasons): Record<string, string> {
  const entries = sysctls.map(({ path, value, specPath }): [string, string] => {
    const name = swapSeparators(path);
    reasons.set(`linux.sysctl.${name}`, specPath, 'sysctl');
    return [name, value];
  });
  return Object.fromEntries(entries);
}
