/** What a seccomp listener saw, in the words of a person. */
import type { SeccompArch } from '../plan/seccomp/compile.ts';
import { AARCH64, X86_64 } from '../plan/seccomp/syscalls.ts';
import type { Outcome } from './launch.ts';

/** The name of a call of this machine; its number where the table ends before it. */
export function syscallName(number: number | undefined, arch: SeccompArch): string {
  if (number === undefined) return 'calls of another machine';
  const table = arch === 'x86_64' ? X86_64 : AARCH64;
  return Object.entries(table).find(([, known]) => known === number)?.[0] ?? `system call ${number}`;
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}

/** One sentence without full stop: which calls the default would have refused, the most frequent first. */
export function describeObserved(syscalls: Outcome['syscalls'], arch: SeccompArch): string {
  if (syscalls.size === 0) return 'the default filter would have refused nothing';
  const sorted = [...syscalls].toSorted(([, a], [, b]) => b - a);
  const list = sorted.map(([number, count]) => `${syscallName(number, arch)} (${times(count)})`);
  return `the default filter would have refused ${list.join(', ')}`;
}
