import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { OciSeccomp, OciSeccompArg } from '../../../src/oci/config.ts';
import { defaultSeccomp } from '../../../src/oci/seccomp-default.ts';
import { compileSeccomp, type Architecture } from '../../../src/plan/seccomp/compile.ts';
import { AARCH64, X86_64 } from '../../../src/plan/seccomp/syscalls.ts';

const ALLOW = 0x7fff_0000;
const KILL = 0x8000_0000;
const errno = (number: number): number => 0x0005_0000 | number;
const ARCH = { x86_64: 0xc000_003e, aarch64: 0xc000_00b7 } as const;
const TABLE = { x86_64: X86_64, aarch64: AARCH64 } as const;

interface Data {
  readonly nr: number;
  readonly arch: number;
  readonly args: readonly bigint[];
}

/** What the kernel would do: classic BPF over `struct seccomp_data`. */
function interpret(program: Uint8Array, { nr, arch, args }: Data): number {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, nr, true);
  data.setUint32(4, arch, true);
  for (const [index, value] of args.entries()) data.setBigUint64(16 + index * 8, value, true);
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  let accumulator = 0;
  for (let at = 0; at * 8 < program.length; at++) {
    const code = view.getUint16(at * 8, true);
    const yes = view.getUint8(at * 8 + 2);
    const no = view.getUint8(at * 8 + 3);
    const k = view.getUint32(at * 8 + 4, true);
    if (code === 0x20) accumulator = data.getUint32(k, true);
    else if (code === 0x54) accumulator = (accumulator & k) >>> 0;
    else if (code === 0x05) at += k;
    else if (code === 0x15) at += accumulator === k ? yes : no;
    else if (code === 0x25) at += accumulator > k ? yes : no;
    else if (code === 0x35) at += accumulator >= k ? yes : no;
    else if (code === 0x06) return k;
    else throw new Error(`code ${code} at ${at}`);
  }
  throw new Error('ran past the end');
}

/** What the profile says, read as it is written. */
function evaluate(profile: OciSeccomp, arch: Architecture, nr: number, args: readonly bigint[]): number {
  const name = Object.entries(TABLE[arch]).find(([, number]) => number === nr)?.[0];
  if (name === undefined) return errno(38);
  const rule = profile.syscalls.find(
    (entry) => entry.names.includes(name) && (entry.args ?? []).every((argument) => holds(argument, args)),
  );
  const action = rule?.action ?? profile.defaultAction;
  if (action === 'SCMP_ACT_ALLOW') return ALLOW;
  return errno((rule === undefined ? undefined : rule.errnoRet) ?? profile.defaultErrnoRet ?? 1);
}

function holds({ index, op, value, valueTwo }: OciSeccompArg, args: readonly bigint[]): boolean {
  const actual = args[index] ?? 0n;
  const wanted = BigInt(value);
  switch (op) {
    case 'SCMP_CMP_EQ':
      return actual === wanted;
    case 'SCMP_CMP_NE':
      return actual !== wanted;
    case 'SCMP_CMP_GT':
      return actual > wanted;
    case 'SCMP_CMP_GE':
      return actual >= wanted;
    case 'SCMP_CMP_LT':
      return actual < wanted;
    case 'SCMP_CMP_LE':
      return actual <= wanted;
    case 'SCMP_CMP_MASKED_EQ':
      return (actual & wanted) === BigInt(valueTwo ?? 0);
  }
}

const OPERATORS = [
  'SCMP_CMP_EQ',
  'SCMP_CMP_NE',
  'SCMP_CMP_GT',
  'SCMP_CMP_GE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_MASKED_EQ',
] as const;
/** Values around the boundaries of the two halves, where mistakes live. */
const interesting = fc.constantFrom(
  0,
  1,
  2,
  0x5412,
  0xffff_ffff,
  0x1_0000_0000,
  0x1_0000_0001,
  0x1_ffff_ffff,
  2 ** 53 - 1,
);

describe.each(['x86_64', 'aarch64'] as const)('default profile on %s', (arch) => {
  const profile = defaultSeccomp(arch);
  const program = compileSeccomp(profile, arch);

  test('answers every number as the profile says', () => {
    const words = [0n, 1n, 8n, 0x5412n, 0x541cn, 0x5401n, 40n, 0x1000_0000n, 0x2000_0000n, 0xdead_0000_5412n];
    for (let nr = 0; nr < 600; nr++) {
      for (const word of words) {
        const args = [word, word, 0n, 0n, 0n, 0n];
        const real = interpret(program, { nr, arch: ARCH[arch], args });
        expect({ nr, word, real }).toEqual({ nr, word, real: evaluate(profile, arch, nr, args) });
      }
    }
  });

  test('ends a process that calls as another architecture', () => {
    expect(interpret(program, { nr: 0, arch: 0x4000_0003, args: [] })).toBe(KILL);
  });

  test.each([
    ['unshare', [], errno(1)],
    ['setns', [], errno(1)],
    ['mount', [], errno(1)],
    ['fsopen', [], errno(1)],
    ['bpf', [], errno(1)],
    ['io_uring_setup', [], errno(1)],
    ['keyctl', [], errno(1)],
    ['userfaultfd', [], errno(1)],
    ['perf_event_open', [], errno(1)],
    ['open_by_handle_at', [], errno(1)],
    ['clone3', [], errno(38)],
    ['clone', [0x1000_0011n], errno(1)],
    ['clone', [0x11n], ALLOW],
    ['ioctl', [0n, 0x5412n], errno(1)],
    ['ioctl', [0n, 0xffff_ffff_0000_5412n], errno(1)],
    ['ioctl', [0n, 0x1_0000_541cn], errno(1)],
    ['ioctl', [0n, 0x5401n], ALLOW],
    ['socket', [40n], errno(1)],
    ['socket', [2n], ALLOW],
    ['personality', [0xffff_ffffn], ALLOW],
    ['personality', [0x0040_0000n], errno(1)],
    ['execve', [], ALLOW],
    ['seccomp', [], ALLOW],
    ['ptrace', [], ALLOW],
  ] as const)('%s %o', (name, args, expected) => {
    const nr = TABLE[arch][name];
    expect(nr).toBeDefined();
    expect(interpret(program, { nr: nr ?? -1, arch: ARCH[arch], args: [...args] })).toBe(expected);
  });

  test('finds a call within a dozen comparisons', () => {
    // The tree is what makes it cheap: as a list, the last call would take hundreds.
    expect(program.length / 8).toBeLessThan(1000);
  });
});

test('x32 numbers are not there', () => {
  const program = compileSeccomp(defaultSeccomp('x86_64'), 'x86_64');
  expect(interpret(program, { nr: 0x4000_0000, arch: ARCH.x86_64, args: [] })).toBe(errno(38));
  expect(interpret(program, { nr: 0xffff_ffff, arch: ARCH.x86_64, args: [] })).toBe(errno(38));
});

test('any rules on any arguments', () => {
  const argument = fc.record({
    index: fc.integer({ min: 0, max: 5 }),
    op: fc.constantFrom(...OPERATORS),
    value: interesting,
    valueTwo: interesting,
  });
  const rule = fc.record({
    names: fc.subarray(['read', 'write', 'ioctl', 'clone', 'mseal'], { minLength: 1 }),
    action: fc.constantFrom('SCMP_ACT_ALLOW', 'SCMP_ACT_ERRNO'),
    errnoRet: fc.integer({ min: 1, max: 133 }),
    args: fc.array(argument, { maxLength: 4 }),
  });
  fc.assert(
    fc.property(
      fc.array(rule, { maxLength: 8 }),
      fc.constantFrom(0, 1, 16, 56, 462, 463),
      fc.array(interesting.map(BigInt), { minLength: 6, maxLength: 6 }),
      (syscalls, nr, args) => {
        const profile = { defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: 1, architectures: [], syscalls } as const;
        const program = compileSeccomp({ ...profile, architectures: [] }, 'x86_64');
        const real = interpret(program, { nr, arch: ARCH.x86_64, args });
        expect(real).toBe(evaluate({ ...profile, architectures: [] }, 'x86_64', nr, args));
      },
    ),
    { numRuns: 500 },
  );
});
