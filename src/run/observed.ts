/** The sentence about the system calls that a seccomp listener saw (`seccomp: log`). */
import { syscallName, type SeccompArch } from '../kernel/machines.ts';
import type { Outcome } from '../launcher/events.ts';

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
