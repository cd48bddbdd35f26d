/** "Did you mean …" */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { didYouMean, editDistance } from '../../../src/spec/suggest.ts';

const SCHEMA = join(import.meta.dirname, '../../../specs/container.schema.json');
const KEYS = Object.keys((JSON.parse(readFileSync(SCHEMA, 'utf8')) as { properties: object }).properties);

test.each([
  ['', '', 0],
  ['abc', 'abc', 0],
  ['abc', '', 3],
  ['abc', 'acb', 1],
  ['hostnme', 'hostname', 1],
  ['kitten', 'sitting', 3],
])('the edit distance of %j and %j is %i', (a, b, distance) => {
  expect(editDistance(a, b)).toBe(distance);
  expect(editDistance(b, a)).toBe(distance);
});

test.each([
  ['hostnme', 'hostname'],
  ['Hostname', 'hostname'],
  ['working-dir', 'working_dir'],
  ['workingDir', 'working_dir'],
  ['readonly', 'read_only'],
  ['cmd', 'command'],
  ['mem_limit', 'limits.memory'],
  ['network', 'network_mode'],
  ['publish', 'ports'],
  ['imgae', 'image'],
  ['zzzzzzzzzz', undefined],
  ['constructor', undefined],
  ['x'.repeat(100_000), undefined],
])('didYouMean(%.40s) suggests %s', (word, meant) => {
  expect(didYouMean(word, KEYS)).toBe(meant);
});

test('within a map, the last part of the path is suggested', () => {
  expect(didYouMean('mem_limit', ['memory', 'swap'])).toBe('memory');
  expect(didYouMean('network', ['pid', 'net'])).toBe('net');
});
