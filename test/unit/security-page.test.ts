/** The table of attacks names tests that are there, and leaves none of them out. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const TESTS = join(import.meta.dirname, '..');
const PAGE = readFileSync(join(TESTS, '../specs/security.md'), 'utf8');
const named = [...PAGE.matchAll(/`((?:unit|integration|conformance)\/[\w./-]+)`/gu)].map(([, path = '']) => path);

test('each test that it names exists', () => {
  expect(named.length).toBeGreaterThan(30);
  expect(named.filter((path) => !existsSync(join(TESTS, path)))).toEqual([]);
});

test('each row has a test, and each file of attacks a row', () => {
  const rows = PAGE.split('\n').filter((line) => line.startsWith('| ') && !/^\| (?:attack|-)/u.test(line));
  expect(rows.filter((row) => !named.some((path) => row.includes(path)))).toEqual([]);
  const files = readdirSync(join(TESTS, 'conformance/attacks')).filter((name) => name.endsWith('.test.ts'));
  expect(files.filter((name) => !named.includes(`conformance/attacks/${name}`))).toEqual([]);
});
