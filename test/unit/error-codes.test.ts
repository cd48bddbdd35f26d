/** The codes that boxctl uses are those of the table, and the table has none that boxctl does not use. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ERROR_CODES, exitStatusOf, type ErrorCode } from '../../src/error-codes.ts';
import { BoxctlError } from '../../src/errors.ts';

const SOURCES = join(import.meta.dirname, '../../src');
const TABLE = 'error-codes.ts';
const names = Object.keys(ERROR_CODES) as readonly ErrorCode[];

/** The code of every source, without its comments. */
const sources = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.(?:ts|cjs)$/u.test(name) && name !== TABLE && !name.startsWith('generated'))
  .map((name) => readFileSync(join(SOURCES, name), 'utf8').replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gmu, ''));
const used = new Set(sources.flatMap((text) => [...text.matchAll(/['"`]([EW]_[A-Z][A-Z_]+)['"`]/gu)].map((m) => m[1])));

test('every code that boxctl uses is in the table of codes', () => {
  expect([...used].filter((name) => !names.some((known) => known === name))).toEqual([]);
});

test('every code of the table is used', () => {
  expect(names.filter((name) => !used.has(name))).toEqual([]);
});

test('the codes are in alphabetical order, and each has one sentence without a full stop', () => {
  expect(names).toEqual(names.toSorted());
  for (const name of names) {
    expect(ERROR_CODES[name].meaning, name).toMatch(/^[^.\n]{8,}$/u);
  }
});

test('two codes never mean the same', () => {
  const meanings = names.map((name) => ERROR_CODES[name].meaning);
  expect(meanings.filter((meaning, index) => meanings.indexOf(meaning) !== index)).toEqual([]);
});

test('the exit status of an error is the one of its code', () => {
  const statusOf = (code: ErrorCode, signal?: number): number => new BoxctlError(code, 'message', { signal }).exitCode;
  expect(statusOf('E_USAGE')).toBe(125);
  expect(statusOf('E_COMMAND_NOT_EXECUTABLE')).toBe(126);
  expect(statusOf('E_COMMAND_NOT_FOUND')).toBe(127);
  expect(statusOf('E_INTERRUPTED', 15)).toBe(143);
  // A signal tells nothing where the table does not say so.
  expect(exitStatusOf('E_USAGE', 15)).toBe(125);
});
