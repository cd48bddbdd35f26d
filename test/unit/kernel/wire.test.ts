/** The one declaration of what boxctl and its launcher send to each other, and the headers that are derived from it. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { wireHeaders } from '../../../native/wire/headers.mjs';
import * as calls from '../../../src/kernel/calls.ts';
import * as constants from '../../../src/kernel/constants.ts';
import * as layout from '../../../src/kernel/layout.ts';
import * as wire from '../../../src/kernel/wire.ts';
import { byDefault, Steps } from '../../../src/plan/steps.ts';
import { encodePlan } from '../../../src/launcher/encode.ts';
import type { Plan } from '../../../src/plan/plan.ts';

const ALL = { calls, constants, wire, layout };

describe('the headers of the launcher', () => {
  test('cannot be derived when two calls have the same number', () => {
    const table = { ...calls.CALLS, other: { op: calls.CALLS.openat2.op, args: [] } };
    expect(() => wireHeaders({ ...ALL, calls: { ...calls, CALLS: table } })).toThrow(
      'openat2 and other have the same number, 1: give the newer one the next free number',
    );
  });

  test('cannot be derived when two events have the same number', () => {
    const EVENT = { ...wire.EVENT, other: wire.EVENT.begun };
    expect(() => wireHeaders({ ...ALL, wire: { ...wire, EVENT } })).toThrow(
      `Event: begun and other have the same number, ${wire.EVENT.begun}`,
    );
  });

  test('cannot be derived when a call has more arguments than the launcher has room for', () => {
    const args = Array.from({ length: wire.MAX_ARGS + 1 }, (_, index) => ({ name: `a${index}`, kind: 'int' }));
    const table = { ...calls.CALLS, wide: { op: 199, args } };
    expect(() => wireHeaders({ ...ALL, calls: { ...calls, CALLS: table } })).toThrow(
      `wide has more than ${wire.MAX_ARGS} arguments`,
    );
  });

  test('cannot be derived from a structure that C would lay out with gaps', () => {
    const gap = [
      ['kind', 'u32'],
      ['start', 'u64'],
    ] as const;
    expect(() => wireHeaders({ ...ALL, wire: { ...wire, EVENT_RECORD: gap } })).toThrow(
      'Record: start is at 4, which is no multiple of its size',
    );
    const short = [
      ['start', 'u64'],
      ['kind', 'u32'],
    ] as const;
    expect(() => wireHeaders({ ...ALL, wire: { ...wire, EVENT_RECORD: short } })).toThrow(
      'Record: the size 12 is no multiple of 8',
    );
  });

  test('cannot be derived when the descriptors of the launcher are not consecutive', () => {
    const gap = { plan: 3, control: 5 };
    expect(() => wireHeaders({ ...ALL, wire: { ...wire, LAUNCHER_FD: gap } })).toThrow(
      'LAUNCHER_FD.control is 5: it must be 4, the next number',
    );
  });

  test('have the numbers of all descriptors that the launcher and the imager are started with', () => {
    const text = wireHeaders(ALL)['descriptors.h'];
    for (const [name, fd] of Object.entries({ ...wire.LAUNCHER_FD, ...wire.IMAGER_FD })) {
      const constant = `k${name[0]?.toUpperCase()}${name.slice(1)}Fd`;
      expect(text).toContain(`inline constexpr int ${constant} = ${fd};`);
    }
    expect(text).toContain('inline constexpr int kLauncherFds = 5;');
  });

  test('have the arguments of a call in the order in which they are declared', () => {
    const text = wireHeaders(ALL)['calls.h'];
    expect(text).toContain('// fsconfig(fd, cmd, key, value, aux)\n    row(Op::kFsconfig) = {"fnttf"};');
    expect(text).toContain('row(Op::kOpenat2) = {"ftnnn", true};');
    expect(text).toContain('row(Op::kCopy) = {"ff", false, true};');
  });
});

test('arguments go over the wire in the order of the table, in whichever order a step names them', () => {
  const plan = (reversed: boolean): Plan => {
    const steps = new Steps();
    const args = { dirfd: calls.AT_FDCWD, pathname: 'x', mode: 0o100644, major: 1, minor: 3 };
    const other = { minor: 3, major: 1, mode: 0o100644, pathname: 'x', dirfd: calls.AT_FDCWD };
    const place = { group: 'dev', side: 'host', because: byDefault('test') } as const;
    steps.add(place, 'node', 'mknodat', reversed ? other : args);
    const rest = {
      reports: [],
      terminal: undefined,
      timeLimit: undefined,
      dropped: [],
      demands: [],
      warnings: [],
      borrowed: [],
    };
    return { version: 1, name: 'test', steps: steps.list, stop: { signal: 15, graceMs: 0 }, ...rest };
  };
  expect(encodePlan(plan(true))).toEqual(encodePlan(plan(false)));
});

test('a structure is read as it was written, with numbers up to 2^53', () => {
  const values = { kind: 1, index: 0xffff_ffff, error: -1, value: 7, start: 2 ** 53 - 1, end: 2 ** 32 + 5 };
  const view = new DataView(new ArrayBuffer(layout.sizeOf(wire.EVENT_RECORD) + 3));
  layout.writeStruct(view, 3, wire.EVENT_RECORD, values);
  expect(layout.readStruct(view, 3, wire.EVENT_RECORD)).toEqual(values);
});

test('the numbers of the kernel are those of the headers that the launcher is compiled with', () => {
  const machine = new Set(['O_DIRECTORY', 'O_NOFOLLOW']);
  const names = Object.entries(constants.NAME_SETS)
    .filter(([set]) => set !== 'IMAGE')
    .flatMap(([, { names: set }]) => Object.entries(set))
    .filter(([name]) => process.arch === 'x64' || !machine.has(name));
  const numbers = [...names, ...Object.entries(constants.ERRNO)];
  // A name that is an enumerator, or that these headers do not have, is no macro: it is left out.
  const checks = numbers.map(([name, number]) => `#ifdef ${name}\nstatic_assert(${name} == ${number}, "");\n#endif`);
  const headers =
    'fcntl sched errno net/if sys/mount sys/prctl sys/resource sys/socket sys/file sys/ioctl linux/openat2 linux/seccomp linux/keyctl linux/close_range linux/bpf'.split(
      ' ',
    );
  const source = [...headers.map((name) => `#include <${name}.h>`), ...checks, ''].join('\n');
  const compiler = process.env['CXX'] ?? 'g++';
  const args = ['-std=c++20', '-D_GNU_SOURCE', '-fsyntax-only', '-x', 'c++', '-'];
  execFileSync(compiler, args, { input: source, cwd: join(import.meta.dirname), stdio: ['pipe', 'pipe', 'pipe'] });
  expect(checks.length).toBeGreaterThan(100);
});
