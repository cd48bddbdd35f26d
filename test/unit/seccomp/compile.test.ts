import * as fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import type { OciSeccomp, OciSeccompAction, OciSeccompArg, OciSeccompRule } from '../../../src/oci/config.ts';
import { compileSeccomp } from '../../../src/plan/seccomp/compile.ts';
import { type SeccompArch } from '../../../src/kernel/machines.ts';
import { kills } from '../../../src/plan/seccomp/filter.ts';
import { aarch64, x86_64 } from '../../../src/kernel/syscalls.ts';
import { readProfile, runFilter } from './machine.ts';

const AUDIT = { x86_64: 0xc000003e, aarch64: 0xc00000b7 } as const;
const TABLES = { x86_64: x86_64(), aarch64: aarch64() } as const;
const NO_ARGS = [0n, 0n, 0n, 0n, 0n, 0n] as const;

const NAMES = ['read', 'ioctl', 'clone', 'socket', 'mount', 'openat2', 'mseal', 'nosuchcall', 'personality', 'open'];
const ACTIONS: readonly OciSeccompAction[] = [
  'SCMP_ACT_ALLOW',
  'SCMP_ACT_ERRNO',
  'SCMP_ACT_KILL_PROCESS',
  'SCMP_ACT_KILL_THREAD',
  'SCMP_ACT_TRAP',
  'SCMP_ACT_LOG',
];
/** Values that sit on the seams between the halves. */
const SEAMS = [0, 1, 0x5412, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_5412, 2 ** 53 - 1];
const value = fc.oneof(fc.constantFrom(...SEAMS), fc.nat({ max: 2 ** 53 - 1 }));
const argument: fc.Arbitrary<OciSeccompArg> = fc.record({
  index: fc.nat({ max: 5 }),
  value,
  valueTwo: value,
  op: fc.constantFrom<OciSeccompArg['op'][]>(
    'SCMP_CMP_NE',
    'SCMP_CMP_LT',
    'SCMP_CMP_LE',
    'SCMP_CMP_EQ',
    'SCMP_CMP_GE',
    'SCMP_CMP_GT',
    'SCMP_CMP_MASKED_EQ',
  ),
});
const rule: fc.Arbitrary<OciSeccompRule> = fc.record({
  names: fc.uniqueArray(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 4 }),
  action: fc.constantFrom(...ACTIONS),
  errnoRet: fc.nat({ max: 4095 }),
  args: fc.array(argument, { maxLength: 3 }),
});
const profile = (maxRules: number): fc.Arbitrary<OciSeccomp> =>
  fc.record({
    defaultAction: fc.constantFrom(...ACTIONS),
    defaultErrnoRet: fc.nat({ max: 4095 }),
    architectures: fc.constant([]),
    syscalls: fc.array(rule, { maxLength: maxRules }),
  });
const actual = fc.oneof(
  fc.constantFrom(...SEAMS.map(BigInt), 0xffff_ffff_0000_5412n, 0xffff_ffff_ffff_ffffn),
  fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
);
const args = fc.array(actual, { minLength: 6, maxLength: 6 });

function agree(arch: SeccompArch, given: OciSeccomp, values: readonly bigint[], numbers: Iterable<number>): void {
  const program = compileSeccomp(given, arch);
  const names = new Map(Object.entries(TABLES[arch]).map(([name, number]) => [number, name]));
  for (const nr of numbers) {
    const call = { arch: AUDIT[arch], nr, args: values };
    expect([nr, runFilter(program, call)]).toEqual([nr, readProfile(given, names.get(nr), values)]);
  }
}

describe('compileSeccomp', () => {
  it.each(['x86_64', 'aarch64'] as const)('answers every number as the profile reads (%s)', (arch) => {
    const numbers = [...Array(600).keys(), 0x3fff_ffff];
    fc.assert(
      fc.property(profile(6), args, (given, values) => agree(arch, given, values, numbers)),
      { numRuns: 60 },
    );
  });

  it.each(['x86_64', 'aarch64'] as const)('compares arguments as 64-bit numbers (%s)', (arch) => {
    const table: Readonly<Record<string, number>> = TABLES[arch];
    const numbers = NAMES.flatMap((name) => table[name] ?? []);
    fc.assert(
      fc.property(profile(12), args, (given, values) => agree(arch, given, values, numbers)),
      { numRuns: 1500 },
    );
  });

  it('jumps over more than 255 instructions', () => {
    fc.assert(
      fc.property(fc.array(rule, { minLength: 60, maxLength: 80 }), args, (syscalls, values) => {
        const given: OciSeccomp = {
          defaultAction: 'SCMP_ACT_ERRNO',
          architectures: [],
          syscalls: syscalls.map((entry) => ({ ...entry, names: NAMES })),
        };
        agree('x86_64', given, values, [0, 2, 16, 40, 41, 56, 165, 437, 462, 500]);
      }),
      { numRuns: 40 },
    );
  });

  it('kills the process that calls through another machine’s entry', () => {
    const given: OciSeccomp = { defaultAction: 'SCMP_ACT_ALLOW', architectures: [], syscalls: [] };
    for (const arch of [0x4000_0003, AUDIT.aarch64]) {
      expect(runFilter(compileSeccomp(given, 'x86_64'), { arch, nr: 0, args: NO_ARGS })).toBe(0x8000_0000);
    }
    expect(runFilter(compileSeccomp(given, 'aarch64'), { arch: AUDIT.x86_64, nr: 0, args: NO_ARGS })).toBe(0x8000_0000);
  });

  it('does not know x32', () => {
    const given: OciSeccomp = { defaultAction: 'SCMP_ACT_ALLOW', architectures: [], syscalls: [] };
    const program = compileSeccomp(given, 'x86_64');
    for (const nr of [0x4000_0000, 0x4000_0200, 0xffff_ffff]) {
      expect(runFilter(program, { arch: AUDIT.x86_64, nr, args: NO_ARGS })).toBe(0x50026);
    }
  });

  it('gives the same bytes for the same profile', () => {
    fc.assert(
      fc.property(profile(6), (given) => {
        expect(compileSeccomp(structuredClone(given), 'x86_64')).toEqual(compileSeccomp(given, 'x86_64'));
      }),
      { numRuns: 20 },
    );
  });

  it('refuses a program that is longer than the kernel takes', () => {
    const syscalls = Array.from({ length: 1200 }, (_, index): OciSeccompRule => ({
      names: ['read'],
      action: 'SCMP_ACT_ALLOW',
      args: [{ index: 0, value: index, op: 'SCMP_CMP_EQ' }],
    }));
    const given: OciSeccomp = { defaultAction: 'SCMP_ACT_ERRNO', architectures: [], syscalls };
    expect(() => compileSeccomp(given, 'x86_64')).toThrow(expect.objectContaining({ code: 'E_SECCOMP_TOO_LONG' }));
  });
});

test('a call of which `kills` says no is never answered by the end of its caller', () => {
  fc.assert(
    fc.property(profile(6), fc.constantFrom(...NAMES), args, (given, name, values) => {
      const answer = readProfile(given, name, values) & 0xffff_0000;
      if (!kills(given, name)) expect([0x8000_0000, 0, 0x0003_0000]).not.toContain(answer >>> 0);
    }),
    { numRuns: 2000 },
  );
  const syscalls: OciSeccompRule[] = [{ names: ['read'], action: 'SCMP_ACT_ALLOW' }];
  const given: OciSeccomp = { defaultAction: 'SCMP_ACT_KILL_PROCESS', architectures: [], syscalls };
  expect([kills(given, 'read'), kills(given, 'write')]).toEqual([false, true]);
});
