/** Profiles as Docker, Podman and the OCI write them. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { OciSeccomp } from '../../../src/oci/config.ts';
import { DEFAULT_CAPABILITIES } from '../../../src/model/defaults.ts';
import { Problems } from '../../../src/model/problems.ts';
import { resolveProfile } from '../../../src/model/seccomp-profile.ts';
import { compileSeccomp } from '../../../src/plan/seccomp/compile.ts';
import { arm, i386 } from '../../../src/kernel/syscalls-32.ts';
import { x86_64 } from '../../../src/kernel/syscalls.ts';
import { parseSeccompProfile } from '../../../src/spec/seccomp-profile.ts';
import { testDocument } from '../../support/document.ts';
import { ROOT_HOST } from '../../support/host-facts.ts';
import { diagnosticsOf } from '../model/fixtures.ts';
import { readProfile, runFilter } from './machine.ts';

const ALLOW = 0x7fff_0000;
const KILL = 0x8000_0000;
const errno = (number: number): number => 0x5_0000 + number;
const MACHINE = { x86_64: 0xc000_003e, i386: 0x4000_0003, aarch64: 0xc000_00b7, arm: 0x4000_0028 } as const;
const NO_ARGS = [0n, 0n, 0n, 0n, 0n, 0n] as const;

function resolve(json: object, host = ROOT_HOST, capabilities: readonly string[] = DEFAULT_CAPABILITIES): OciSeccomp {
  const problems = new Problems(testDocument());
  const resolved = resolveProfile(parseSeccompProfile(json), capabilities, host, problems);
  problems.throwIfAny();
  return resolved;
}

const profile = (syscalls: readonly object[], rest: object = {}): object => ({
  defaultAction: 'SCMP_ACT_ERRNO',
  defaultErrnoRet: 1,
  syscalls: [{ names: ['execve'], action: 'SCMP_ACT_ALLOW' }, ...syscalls],
  ...rest,
});

const ask = (given: OciSeccomp, name: string, args: readonly bigint[] = NO_ARGS): number =>
  runFilter(compileSeccomp(given, 'x86_64'), { arch: MACHINE.x86_64, nr: x86_64()[name] ?? -1, args });

describe('what a profile must be', () => {
  test.each([
    ['no object', [], 'the profile must be an object'],
    ['an unknown key', profile([], { syscall: [] }), 'the profile has a key that is none of '],
    ['no default', { syscalls: [] }, 'defaultAction must be text'],
    [
      'an unknown action',
      profile([{ names: ['read'], action: 'ALLOW' }]),
      'syscalls[1].action is none of SCMP_ACT_ALLOW',
    ],
    ['a tracer', profile([], { defaultAction: 'SCMP_ACT_TRACE' }), 'boxctl is none'],
    ['a listener', profile([{ names: ['read'], action: 'SCMP_ACT_NOTIFY' }]), 'boxctl starts none'],
    ['a listener’s path', profile([], { listenerPath: '/run/x' }), 'listenerPath cannot be had'],
    ['a rule of no call', profile([{ names: [], action: 'SCMP_ACT_ALLOW' }]), 'syscalls[1] names no system call'],
    ['an unknown flag', profile([], { flags: ['FAST'] }), 'flags[0] is none of '],
    [
      'an unknown error',
      profile([{ names: ['read'], action: 'SCMP_ACT_ERRNO', errno: 'ENOWAY' }]),
      'is no error that there is',
    ],
    ['an error beyond errno', profile([], { defaultErrnoRet: 4096 }), 'defaultErrnoRet is more than 4095'],
    [
      'a seventh argument',
      profile([{ names: ['read'], action: 'SCMP_ACT_ALLOW', args: [{ index: 6, value: 0, op: 'SCMP_CMP_EQ' }] }]),
      'syscalls[1].args[0].index is more than 5',
    ],
    [
      'a number that JavaScript would round',
      profile([{ names: ['read'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: 2 ** 60, op: 'SCMP_CMP_EQ' }] }]),
      'syscalls[1].args[0].value is too large to be read exactly',
    ],
    [
      'an unknown operator',
      profile([{ names: ['read'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: 0, op: 'EQ' }] }]),
      'syscalls[1].args[0].op is none of SCMP_CMP_NE',
    ],
  ])('refused: %s', (_title, json, message) => {
    expect(() => resolve(json)).toThrow(message);
  });

  test('refused: one under which no command could start', () => {
    const diagnostics = diagnosticsOf(() => resolve({ defaultAction: 'SCMP_ACT_ERRNO', syscalls: [] }));
    expect(diagnostics).toMatchObject([{ code: 'E_SECCOMP_PROFILE', path: 'seccomp' }]);
  });
});

describe('which rules count', () => {
  const allow = (rest: object): object => profile([{ names: ['mount'], action: 'SCMP_ACT_ALLOW', ...rest }]);

  test('with a capability that is held, or without one that is not', () => {
    const admin = { caps: ['CAP_SYS_ADMIN'] };
    expect(ask(resolve(allow({ includes: admin })), 'mount')).toBe(errno(1));
    expect(ask(resolve(allow({ includes: admin }), ROOT_HOST, ['CAP_SYS_ADMIN']), 'mount')).toBe(ALLOW);
    expect(ask(resolve(allow({ excludes: admin })), 'mount')).toBe(ALLOW);
    expect(ask(resolve(allow({ excludes: admin }), ROOT_HOST, ['CAP_SYS_ADMIN']), 'mount')).toBe(errno(1));
  });

  test('of this machine and of this kernel', () => {
    expect(ask(resolve(allow({ includes: { arches: ['amd64', 'x32'] } })), 'mount')).toBe(ALLOW);
    expect(ask(resolve(allow({ includes: { arches: ['arm64'] } })), 'mount')).toBe(errno(1));
    expect(ask(resolve(allow({ excludes: { arches: ['amd64'] } })), 'mount')).toBe(errno(1));
    expect(ask(resolve(allow({ includes: { minKernel: '6.1' } })), 'mount')).toBe(ALLOW);
    expect(ask(resolve(allow({ includes: { minKernel: '6.2' } })), 'mount')).toBe(errno(1));
    expect(ask(resolve(allow({ includes: { minKernel: '7.0' } })), 'mount')).toBe(errno(1));
    expect(ask(resolve(allow({ excludes: { minKernel: '5.9' } })), 'mount')).toBe(errno(1));
  });

  test('several conditions on one argument are alternatives, on several a conjunction', () => {
    const arg = (index: number, value: number): object => ({ index, value, op: 'SCMP_CMP_EQ' });
    const same = resolve(profile([{ names: ['socket'], action: 'SCMP_ACT_ALLOW', args: [arg(0, 1), arg(0, 2)] }]));
    const others = resolve(profile([{ names: ['socket'], action: 'SCMP_ACT_ALLOW', args: [arg(0, 1), arg(1, 2)] }]));
    const ways = [
      [1n, 0n],
      [2n, 0n],
      [1n, 2n],
    ] as const;
    expect(ways.map(([a, b]) => ask(same, 'socket', [a, b, 0n, 0n, 0n, 0n]))).toEqual([ALLOW, ALLOW, ALLOW]);
    expect(ways.map(([a, b]) => ask(others, 'socket', [a, b, 0n, 0n, 0n, 0n]))).toEqual([errno(1), errno(1), ALLOW]);
  });

  test('a rule without conditions wins, wherever it stands', () => {
    const args = [{ index: 0, value: 0, op: 'SCMP_CMP_EQ' }];
    const given = resolve(
      profile([
        { names: ['mount'], action: 'SCMP_ACT_ERRNO', errnoRet: 5, args },
        { names: ['mount'], action: 'SCMP_ACT_ALLOW' },
      ]),
    );
    expect(ask(given, 'mount')).toBe(ALLOW);
  });
});

describe('32-bit programs', () => {
  const rules = [
    { names: ['read', 'mmap2', 'arm_fadvise64_64', 'set_tls'], action: 'SCMP_ACT_ALLOW' },
    { names: ['mount'], action: 'SCMP_ACT_KILL_PROCESS' },
  ];
  const answers = (
    given: OciSeccomp,
    arch: 'x86_64' | 'aarch64',
    machine: number,
    numbers: readonly number[],
  ): number[] => {
    const program = compileSeccomp(given, arch);
    return numbers.map((nr) => runFilter(program, { arch: machine, nr, args: NO_ARGS }));
  };

  test('are killed where the profile does not name their machine', () => {
    expect(answers(resolve(profile(rules)), 'x86_64', MACHINE.i386, [3])).toEqual([KILL]);
  });

  test.each([
    ['by architectures', { architectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_S390X', 'SCMP_ARCH_X32'] }],
    ['by a map', { archMap: [{ architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86'] }] }],
  ])('have their own numbers where it does, %s', (_title, named) => {
    const given = resolve(profile(rules, named));
    expect(given.architectures).toEqual(['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86']);
    const found = answers(given, 'x86_64', MACHINE.i386, [3, 192, 21, 1023, 0]);
    expect(found).toEqual([ALLOW, ALLOW, KILL, errno(38), errno(1)]);
    expect(answers(given, 'x86_64', MACHINE.x86_64, [0, 3, 165])).toEqual([ALLOW, errno(1), KILL]);
    expect(answers(given, 'x86_64', MACHINE.aarch64, [0])).toEqual([KILL]);
  });

  test('on arm64 too, with arm’s private calls', () => {
    const host = { ...ROOT_HOST, arch: 'aarch64' } as const;
    const given = resolve(profile(rules, { architectures: ['SCMP_ARCH_ARM'] }), host);
    expect(answers(given, 'aarch64', MACHINE.arm, [3, 270, 0xf0005, 0xf0001, 21])).toEqual([
      ALLOW,
      ALLOW,
      ALLOW,
      errno(1),
      KILL,
    ]);
    expect(answers(given, 'aarch64', MACHINE.aarch64, [63, 3])).toEqual([ALLOW, errno(1)]);
  });

  test('have tables with the numbers of the headers', () => {
    expect(i386()).toMatchObject({ exit: 1, socketcall: 102, clock_gettime64: 403, clone3: 435, mseal: 462 });
    expect(arm()).toMatchObject({ exit: 1, socket: 281, openat2: 437, cacheflush: 0xf0002 });
  });
});

const PODMAN = '/usr/share/containers/seccomp.json';
test.skipIf(!existsSync(PODMAN))('Podman’s own profile (needs golang-github-containers-common)', () => {
  const given = resolve(JSON.parse(readFileSync(PODMAN, 'utf8')) as object);
  const program = compileSeccomp(given, 'x86_64');
  const names = new Map(Object.entries(x86_64()).map(([name, number]) => [number, name]));
  for (let nr = 0; nr < 600; nr++) {
    for (const first of [0n, 16n, 0x7e02_0000n, 0xffff_ffffn]) {
      const args = [first, first, 9n, 0n, 0n, 0n];
      const answer = runFilter(program, { arch: MACHINE.x86_64, nr, args });
      expect([nr, first, answer]).toEqual([nr, first, readProfile(given, names.get(nr), args)]);
    }
  }
  expect(ask(given, 'read')).toBe(ALLOW);
  expect(ask(given, 'bpf')).toBe(errno(1));
  expect(runFilter(program, { arch: MACHINE.i386, nr: 3, args: NO_ARGS })).toBe(ALLOW);
});

test('what is watched goes before the listener, and nothing is refused', () => {
  const notify = 0x7fc0_0000;
  const given: OciSeccomp = { defaultAction: 'SCMP_ACT_LOG', architectures: [], syscalls: [] };
  const program = compileSeccomp(given, 'x86_64', { observe: true });
  const sendmsg = x86_64()['sendmsg'] ?? -1;
  const at = (arch: number, nr: number, flags: bigint): number =>
    runFilter(program, { arch, nr, args: [0n, 0n, flags, 0n, 0n, 0n] });
  expect([0, 165, 600].map((nr) => at(MACHINE.x86_64, nr, 0n))).toEqual([notify, notify, notify]);
  expect(at(MACHINE.i386, 3, 0n)).toBe(notify);
  expect(at(MACHINE.x86_64, sendmsg, 0x4000n)).toBe(notify);
  expect(at(MACHINE.x86_64, sendmsg, 0x4804n)).toBe(ALLOW);
});
