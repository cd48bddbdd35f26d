/** The C library that the launcher is linked with (native/libc), beside that of the system. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tempFolder } from '../../support/temp.ts';
import { build, sanitized } from '../image/worker.ts';

const LIBC = join(import.meta.dirname, '../../../native/libc');
const LAUNCHER = join(import.meta.dirname, '../../../dist/native/boxctl-launcher');
const sources = readdirSync(LIBC)
  .filter((name) => name.endsWith('.cc'))
  .map((name) => join(LIBC, name));
const compared = sanitized(join(import.meta.dirname, 'compare-main.cc'), []);
const GUARD = join(import.meta.dirname, 'guard-main.cc');
const ALONE = [
  '-static',
  '-nostdlib',
  '-no-pie',
  '-fno-builtin',
  '-fstack-protector-strong',
  '-mstack-protector-guard=global',
  '-isystem',
  join(LIBC, 'include'),
];
const guarded = build(GUARD, ALONE, sources);
const SPAWN = join(import.meta.dirname, 'spawn-main.cc');
const spawning = build(SPAWN, ALONE, sources);
const CROSS = '/usr/bin/aarch64-linux-gnu-g++';
const EMULATOR = '/usr/bin/qemu-aarch64-static';

test('each function does what that of the system does, on random input and at the edges', () => {
  const { stdout, stderr } = spawnSync(compared, { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(stdout).toBe('0 differences\n');
});

/** The protector's value, and how the program ended that fills so many bytes of an array of 16. */
function fill(bytes: string): { readonly guard: string; readonly ended: string | number | null } {
  const { stdout, status, signal } = spawnSync(guarded, { input: bytes });
  return { guard: stdout.toString('hex'), ended: signal ?? status };
}

test('a stack that is overwritten ends the program, and one that is not does not', () => {
  expect(fill('16').ended).toBe(3);
  expect(fill('60').ended).toMatch(/^SIG(?:ILL|TRAP|ABRT)$/u);
});

test('the value that protects the stack is another one in each process, and has a zero byte', () => {
  const guards = Array.from({ length: 4 }, () => fill('16').guard);
  expect(new Set(guards).size).toBe(4);
  for (const guard of guards) expect(guard).toMatch(/^00[0-9a-f]{14}$/u);
});

function crossBuild(main: string): string {
  const program = join(tempFolder(), 'program');
  const words = ['-std=c++20', '-Os', '-fno-exceptions', '-fno-rtti', ...ALONE, main, ...sources];
  execFileSync(CROSS, [...words, '-o', program]);
  return program;
}

test('a program is started without a copy of the memory, and who starts it hears that there is none', () => {
  expect(spawnSync(spawning, { input: '' }).status).toBe(42);
});

test.skipIf(!existsSync(CROSS) || !existsSync(EMULATOR))(
  'a program for arm64 starts another one (needs g++-aarch64-linux-gnu, qemu-user-static)',
  { timeout: 120_000 },
  () => {
    expect(spawnSync(EMULATOR, [crossBuild(SPAWN)], { input: 'emulated', cwd: tempFolder() }).status).toBe(42);
  },
);

test.skipIf(!existsSync(CROSS) || !existsSync(EMULATOR))(
  'a program for arm64 starts, reads and writes, and its stack is protected (needs g++-aarch64-linux-gnu, qemu-user-static)',
  { timeout: 120_000 },
  () => {
    const program = crossBuild(GUARD);
    const run = (bytes: string) => spawnSync(EMULATOR, [program], { input: bytes, cwd: tempFolder() });
    const sound = run('16');
    expect([sound.status, sound.stdout.length, sound.stdout[0]]).toEqual([3, 8, 0]);
    expect(run('60').signal).toMatch(/^SIG(?:ILL|TRAP|ABRT)$/u);
  },
);

/** Whether a file with this use of snprintf compiles. */
function compiles(use: string): boolean {
  const code = `#include <stdio.h>\nint f(char (&out)[64], const char* text, int number) { return snprintf(out, sizeof out, ${use}); }`;
  const args = ['-std=c++20', '-fsyntax-only', '-x', 'c++', '-isystem', join(LIBC, 'include'), '-'];
  return (
    spawnSync('g++', args, {
      input: `${code}\nint main(int number, char** text) { char out[64]; return f(out, *text, number); }`,
    }).status === 0
  );
}

test('a format that snprintf does not know, or an argument of another type, does not compile', () => {
  for (const use of ['"%d/%s", number, text', '"%%"', '"%.*s", number, text', '"%04x", 7U', '"%lu", 7UL']) {
    expect(`${use}: ${compiles(use)}`).toBe(`${use}: ${use !== '"%%"'}`);
  }
  for (const use of [
    'text',
    '"%f", 1.5',
    '"%p", text',
    '"%i", number',
    '"%5d", number',
    '"%-5s", text',
    '"%.3s", text',
    '"%*d", number, number',
    '"%s", number',
    '"%d", text',
    '"%u", number',
    '"%d", 7UL',
    '"%zu", sizeof out',
    '"%d"',
    '"%d", number, number',
    '"%"',
    '"%n", &number',
  ]) {
    expect(`${use}: ${compiles(use)}`).toBe(`${use}: false`);
  }
});

test('nothing is computed before the launcher begins: all of its static data is constant or zero', () => {
  const sections = execFileSync('readelf', ['--wide', '--section-headers', LAUNCHER], { encoding: 'utf8' });
  expect(sections).toContain('.bss');
  expect(sections).not.toMatch(/\.(?:init_array|data)\b/u);
});

test('the launcher is linked with no other library, and its stack cannot be executed', () => {
  const symbols = execFileSync('readelf', ['--wide', '--program-headers', '--dynamic', LAUNCHER], { encoding: 'utf8' });
  expect(symbols).toContain('There is no dynamic section');
  expect(symbols).not.toContain('INTERP');
  expect(symbols).not.toContain('TLS');
  expect(symbols).toMatch(/GNU_STACK.* RW /u);
  expect(symbols).not.toMatch(/LOAD.* RWE /u);
});
