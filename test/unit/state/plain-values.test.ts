/** Values that are put into kept plans without being judged (native/front/fill.cc), beside those that are judged (src/model/secrets.ts). */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { isSecretValue } from '../../../src/model/secrets.ts';
import { sanitized } from '../image/worker.ts';

const native = (...path: readonly string[]): string => join(import.meta.dirname, '../../../native', ...path);
const program = sanitized(join(import.meta.dirname, 'plain-main.cc'), [
  native('front/fill.cc'),
  native('launcher/plan.cc'),
  native('launcher/no_image.cc'),
]);

/** The values that the front would put in without Node. */
function putIn(values: readonly string[]): readonly string[] {
  const input = Buffer.from(values.map((value) => `${value}\0`).join(''));
  const { stdout, stderr, status } = spawnSync(program, { input, maxBuffer: 2 ** 26 });
  expect({ status, stderr: stderr.toString() }).toEqual({ status: 0, stderr: '' });
  expect(stdout.length).toBe(values.length);
  return values.filter((_, index) => stdout[index] === 0x31);
}

const LETTERS = 'abcxyzABCXYZ0189_-.';
const word = (min: number, max: number): fc.Arbitrary<string> =>
  fc.array(fc.constantFrom(...LETTERS), { minLength: min, maxLength: max }).map((letters) => letters.join(''));

/** Beginnings of tokens and keys, whole words of each of the patterns, and what stands between them. */
const MARKS =
  `ghp_ ghs_ github_pat_ glpat- AKIA ASIA xoxb- xoxp- sk_live_ AIza eyJ .eyJ . -----BEGIN PRIVATE KEY ----- RSA a:// https:// x+y: //
  : @ / ? # & ; , password pwd pass SECRET token access_token authtoken api_key clientsecret sig signature = " \\ ' ſ K é %3A`
    .split(/\s+/u)
    .concat(' ', ' = ', '\n', '\t', '-----BEGIN RSA PRIVATE KEY-----');
const PART = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...MARKS) },
  { weight: 3, arbitrary: word(0, 4) },
  { weight: 2, arbitrary: word(8, 40) },
  { weight: 1, arbitrary: fc.string({ maxLength: 6 }).map((text) => text.replaceAll('\0', '')) },
);
const VALUE = fc.array(PART, { minLength: 1, maxLength: 8 }).map((parts) => parts.join(''));

test('no value that Node would take for a secret is taken for a plain one', () => {
  const values = fc.sample(VALUE, 60_000).filter((value) => value !== '');
  const taken = putIn(values);
  expect(taken.filter(isSecretValue)).toEqual([]);
  // Both kinds are among them, or this would say nothing.
  expect(values.filter(isSecretValue).length).toBeGreaterThan(500);
  expect(taken.length).toBeGreaterThan(500);
});

/** Each of these is a secret, and would be none with a letter less. */
const SHORTEST = [
  'a://:x@',
  `a://${'x'.repeat(20)}@`,
  'pwd=x',
  'sig=x',
  '-----BEGIN PRIVATE KEY-----',
  `ghp_${'a'.repeat(30)}`,
  `github_pat_${'a'.repeat(30)}`,
  `glpat-${'a'.repeat(20)}`,
  `AKIA${'A'.repeat(16)}`,
  `xoxb-${'a'.repeat(10)}`,
  `sk_live_${'a'.repeat(16)}`,
  `AIza${'a'.repeat(30)}`,
  `eyJ${'a'.repeat(10)}.eyJ${'a'.repeat(10)}.a`,
];

test('the shortest secrets of each form go by way of Node, alone and with other text around', () => {
  expect(SHORTEST.filter((value) => !isSecretValue(value))).toEqual([]);
  const around = SHORTEST.flatMap((value) => [value, `x ${value}`, `${value} y`, `(${value})`, `a\n${value}\nb`]);
  expect(putIn(around)).toEqual([]);
});

test('values of other bytes than ASCII, and empty ones, go by way of Node, and usual ones do not', () => {
  expect(putIn(['é', 'x\u0080', '💧', ''])).toEqual([]);
  const usual = ['1', 'true', 'debug', '/srv/data', '10.0.0.1:8080', 'en_US.UTF-8', 'a b c', 'https://host/path?x'];
  expect(putIn(usual)).toEqual(usual);
});
