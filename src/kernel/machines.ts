/** The machines whose system calls have numbers here: those that boxctl runs on, and the 32-bit ones that they also run. */
import { arm, i386 } from './syscalls-32.ts';
import { aarch64, x86_64 } from './syscalls.ts';

export type SeccompArch = 'x86_64' | 'aarch64';

/** AUDIT_ARCH_… (linux/audit.h). */
export const MACHINES = {
  x86_64: { audit: 0xc000_003e, numbers: x86_64 },
  aarch64: { audit: 0xc000_00b7, numbers: aarch64 },
} as const;

/** 32-bit programs that the machine also runs, by the OCI's name. */
export const SUBORDINATE = {
  x86_64: { name: 'SCMP_ARCH_X86', audit: 0x4000_0003, numbers: i386 },
  aarch64: { name: 'SCMP_ARCH_ARM', audit: 0x4000_0028, numbers: arm },
} as const;

/** Names and numbers of a machine's calls, by what the kernel calls the machine (AUDIT_ARCH_…). */
export function numbersOf(audit: number): Readonly<Record<string, number>> | undefined {
  return [...Object.values(MACHINES), ...Object.values(SUBORDINATE)].find((known) => known.audit === audit)?.numbers();
}

/** Names of the calls that the filter can speak of, in the order of their numbers. */
export function knownSyscalls(arch: SeccompArch): readonly string[] {
  return Object.keys(MACHINES[arch].numbers());
}

/** The 32-bit machine that the architecture also runs: its name in a profile, and the names of its calls. */
export function subordinateMachine(arch: SeccompArch): {
  readonly architecture: string;
  readonly names: readonly string[];
} {
  const { name, numbers } = SUBORDINATE[arch];
  return { architecture: name, names: Object.keys(numbers()) };
}

/** The name of a call of this machine; its number where the table ends before it. */
export function syscallName(number: number | undefined, arch: SeccompArch): string {
  if (number === undefined) return 'calls of another machine';
  return Object.entries(MACHINES[arch].numbers()).find(([, known]) => known === number)?.[0] ?? `system call ${number}`;
}
