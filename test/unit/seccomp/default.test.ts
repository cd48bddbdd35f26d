import { describe, expect, it, test } from 'vitest';
import { defaultSeccomp } from '../../../src/model/seccomp-default.ts';
import { allowExcept } from '../../../src/model/seccomp-except.ts';
import { compileSeccomp } from '../../../src/plan/seccomp/compile.ts';
import { filterOf } from '../../../src/plan/seccomp/filter.ts';
import { arm, i386 } from '../../../src/kernel/syscalls-32.ts';
import { aarch64, x86_64 } from '../../../src/kernel/syscalls.ts';
import { readProfile, runFilter } from './machine.ts';

const ALLOW = 0x7fff_0000;
const EPERM = 0x5_0001;
const ENOSYS = 0x5_0026;
const ARCH = { x86_64: 0xc000_003e, aarch64: 0xc000_00b7 } as const;
const THIRTY_TWO = {
  x86_64: { audit: 0x4000_0003, table: i386 },
  aarch64: { audit: 0x4000_0028, table: arm },
} as const;
const TABLE = { x86_64: x86_64(), aarch64: aarch64() } as const;

describe.each(['x86_64', 'aarch64'] as const)('default profile on %s', (arch) => {
  const profile = defaultSeccomp(arch);
  const program = compileSeccomp(profile, arch);
  const ask = (nr: number, args: readonly bigint[]): number => runFilter(program, { arch: ARCH[arch], nr, args });

  it('has a filter, made when boxctl is built, that is the one that its rules compile to', () => {
    expect(filterOf(profile, arch, {})).toEqual(compileSeccomp({ ...profile }, arch));
    expect(filterOf(profile, arch, { observe: true })).toEqual(compileSeccomp(profile, arch, { observe: true }));
    const withSocketcall = defaultSeccomp(arch, { socketcall: true });
    expect(filterOf(withSocketcall, arch, {})).toEqual(compileSeccomp(withSocketcall, arch));
  });

  it('answers every number as the profile says', () => {
    const names = new Map(Object.entries(TABLE[arch]).map(([name, number]) => [number, name]));
    const words = [0n, 1n, 8n, 0x5412n, 0x541cn, 0x5401n, 40n, 0x1000_0000n, 0x2000_0000n, 0xdead_0000_5412n];
    for (let nr = 0; nr < 600; nr += 1) {
      for (const word of words) {
        const args = [word, word, 0n, 0n, 0n, 0n];
        expect([nr, word, ask(nr, args)]).toEqual([nr, word, readProfile(profile, names.get(nr), args)]);
      }
    }
  });

  test.each([
    ['unshare', [], EPERM],
    ['setns', [], EPERM],
    ['mount', [], EPERM],
    ['umount2', [], EPERM],
    ['mount_setattr', [], EPERM],
    ['open_tree', [], EPERM],
    ['fsopen', [], EPERM],
    ['pivot_root', [], EPERM],
    ['bpf', [], EPERM],
    ['io_uring_setup', [], EPERM],
    ['keyctl', [], EPERM],
    ['add_key', [], EPERM],
    ['userfaultfd', [], EPERM],
    ['perf_event_open', [], EPERM],
    ['open_by_handle_at', [], EPERM],
    ['finit_module', [], EPERM],
    ['kexec_load', [], EPERM],
    ['clock_settime', [], EPERM],
    ['settimeofday', [], EPERM],
    ['adjtimex', [], ALLOW],
    ['clock_adjtime', [], ALLOW],
    ['process_madvise', [], EPERM],
    ['lsm_get_self_attr', [], EPERM],
    ['lsm_set_self_attr', [], EPERM],
    ['lsm_list_modules', [], EPERM],
    ['file_getattr', [], EPERM],
    ['file_setattr', [], EPERM],
    ['syslog', [], EPERM],
    ['clone3', [], ENOSYS],
    ['clone', [0x1000_0011n], EPERM],
    ['clone', [0x0002_0011n], EPERM],
    ['clone', [0x11n], ALLOW],
    ['ioctl', [0n, 0x5412n], EPERM],
    ['ioctl', [0n, 0xffff_ffff_0000_5412n], EPERM],
    ['ioctl', [0n, 0x1_0000_541cn], EPERM],
    ['ioctl', [0n, 0x5401n], ALLOW],
    ['ioctl', [0n, 0x5402n], ALLOW],
    ['ioctl', [0n, 0x5413n], ALLOW],
    ['ioctl', [0n, 0x8000_5412n], ALLOW],
    ['socket', [40n], EPERM],
    ['socket', [0x1_0000_0028n], EPERM],
    ['socket', [1n], ALLOW],
    ['socket', [2n], ALLOW],
    ['personality', [0xffff_ffffn], ALLOW],
    ['personality', [0x0040_0000n], EPERM],
    ['execve', [], ALLOW],
    ['seccomp', [], ALLOW],
    ['ptrace', [], ALLOW],
    ['landlock_restrict_self', [], ALLOW],
  ] as const)('%s %o', (name, args, expected) => {
    const nr = TABLE[arch][name];
    expect(nr).toBeDefined();
    expect(ask(nr ?? -1, args)).toBe(expected);
  });

  it('makes sockets of the address families of the list alone', () => {
    const refused = new Set([12, 19, 20, 23, 25, 34, 37, 38, 40]);
    for (let family = 1; family < 64; family += 1) {
      const expected = refused.has(family) || family > 45 ? EPERM : ALLOW;
      expect([family, ask(TABLE[arch]['socket'] ?? -1, [BigInt(family)])]).toEqual([family, expected]);
      const pair = family === 1 || family === 30 ? ALLOW : EPERM;
      expect([family, ask(TABLE[arch]['socketpair'] ?? -1, [BigInt(family)])]).toEqual([family, pair]);
    }
  });

  it('answers every number of a 32-bit program as the profile says', () => {
    const { audit, table } = THIRTY_TWO[arch];
    const numbers = table();
    const names = new Map<number, string>();
    for (const [name, number] of Object.entries(numbers)) {
      if (!names.has(number)) names.set(number, name);
    }
    const words = [0n, 1n, 2n, 8n, 38n, 40n, 0x5412n, 0x541cn, 0x1000_0000n, 0xffff_ffffn];
    for (let nr = 0; nr < 600; nr += 1) {
      for (const word of words) {
        const args = [word, word, 0n, 0n, 0n, 0n];
        const given = runFilter(program, { arch: audit, nr, args });
        expect([nr, word, given]).toEqual([nr, word, readProfile(profile, names.get(nr), args)]);
      }
    }
  });

  test.each([
    ['getpid', [], ALLOW],
    ['execve', [], ALLOW],
    ['mmap2', [], ALLOW],
    ['stat64', [], ALLOW],
    ['clock_gettime64', [], ALLOW],
    ['clone', [0x11n], ALLOW],
    ['clone', [0x1000_0011n], EPERM],
    ['clone3', [], ENOSYS],
    ['unshare', [], EPERM],
    ['mount', [], EPERM],
    ['umount2', [], EPERM],
    ['keyctl', [], EPERM],
    ['bpf', [], EPERM],
    ['io_uring_setup', [], EPERM],
    ['settimeofday', [], EPERM],
    ['clock_settime64', [], EPERM],
    ['ioctl', [0n, 0x5412n], EPERM],
    ['ioctl', [0n, 0x5401n], ALLOW],
    ['socket', [2n], ALLOW],
    ['socket', [38n], EPERM],
    ['socket', [40n], EPERM],
  ] as const)('a 32-bit program: %s %o', (name, args, expected) => {
    const { audit, table } = THIRTY_TWO[arch];
    const nr = table()[name];
    expect(nr).toBeDefined();
    expect(runFilter(program, { arch: audit, nr: nr ?? -1, args })).toBe(expected);
  });

  it('kills a process that calls as a machine that it does not speak of', () => {
    expect(runFilter(program, { arch: 0x8000_0016, nr: 20, args: [] })).toBe(0x8000_0000);
  });

  it('lets no call through that has no implementation, and none that Docker’s profile lacks', () => {
    const rules = profile.syscalls.filter(({ action }) => action === 'SCMP_ACT_ALLOW');
    const allowed = new Set(rules.flatMap((rule) => rule.names));
    const refused = ['getpmsg', 'putpmsg', 'afs_syscall', 'tuxcall', 'security', 'vserver', 'umount', 'stime', 'vm86'];
    expect(refused.filter((name) => allowed.has(name))).toEqual([]);
  });

  it('says of a call that is newer than boxctl that it is not there', () => {
    expect(ask(599, [])).toBe(ENOSYS);
  });
});

describe('sockets by socketcall(2) of 32-bit x86, where the family is behind a pointer', () => {
  const ask = (socketcall: boolean, number: bigint): number => {
    const program = compileSeccomp(defaultSeccomp('x86_64', { socketcall }), 'x86_64');
    return runFilter(program, { arch: THIRTY_TWO.x86_64.audit, nr: i386()['socketcall'] ?? -1, args: [number] });
  };

  it('makes none by default, and does all else', () => {
    for (let number = 1n; number <= 20n; number += 1n) {
      expect([number, ask(false, number)]).toEqual([number, number === 1n || number === 8n ? EPERM : ALLOW]);
    }
    expect(ask(false, 21n)).toBe(EPERM);
  });

  it('makes them where the file asks for it', () => {
    expect(ask(true, 1n)).toBe(ALLOW);
    expect(ask(true, 8n)).toBe(ALLOW);
  });
});

it('allows every value but the refused ones, whatever the order of the rules', () => {
  const values = [0x5412, 0x541c];
  const profile = {
    defaultAction: 'SCMP_ACT_ERRNO' as const,
    architectures: [],
    syscalls: allowExcept('ioctl', 1, values).toReversed(),
  };
  const program = compileSeccomp(profile, 'x86_64');
  const ask = (value: bigint): number => runFilter(program, { arch: ARCH.x86_64, nr: 16, args: [0n, value] });
  for (const value of values) {
    expect(ask(BigInt(value))).toBe(EPERM);
    expect(ask(BigInt(value) | 0xabcd_0000_0000n)).toBe(EPERM);
    for (let bit = 0n; bit < 32n; bit += 1n) {
      const other = BigInt(value) ^ (1n << bit);
      expect([other, ask(other)]).toEqual([other, ALLOW]);
    }
  }
});
