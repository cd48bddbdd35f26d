/** The text of a lock: written and read back, and nothing else taken for one. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { assert, constantFrom, oneof, property, string } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { BoxctlError } from '../../../src/errors.ts';
import type { Lock, LockedImage } from '../../../src/lock/lock.ts';
import { parseLock } from '../../../src/lock/parse.ts';
import { lockText } from '../../../src/lock/write.ts';

const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;

const REFERENCE: LockedImage = {
  kind: 'reference',
  ref: 'alpine:3.20',
  name: 'docker.io/library/alpine:3.20',
  index: digest('a'),
  platforms: new Map([
    ['linux/arm64/v8', { manifest: digest('b'), config: digest('c') }],
    ['linux/amd64', { manifest: digest('d'), config: digest('e') }],
  ]),
};
const WHOLE: Lock = {
  image: REFERENCE,
  files: new Map([
    ['./b.env', digest('1')],
    ['./a b: #.env', `names:${'2'.repeat(64)}`],
    ['/etc/true', digest('3')],
  ]),
};

const readBack = (lock: Lock): Lock => parseLock(lockText(lock), 'container.lock').lock;

/** Maps that differ in order alone are equal. */
const plain = (lock: Lock): unknown => lockText(lock);

function problemOf(text: string): string {
  try {
    parseLock(text, 'container.lock');
  } catch (error) {
    if (!(error instanceof BoxctlError)) throw error;
    expect(error.code).toBe('E_LOCK_INVALID');
    const [first] = error.diagnostics;
    expect(error.diagnostics.length).toBeGreaterThan(0);
    return `${first?.at?.line}:${first?.at?.column} ${first?.message}`;
  }
  return 'taken';
}

test('a lock is written sorted, one fact to a line', () => {
  expect(lockText(WHOLE)).toBe(`version: 1
image:
  ref: alpine:3.20
  name: docker.io/library/alpine:3.20
  index: ${digest('a')}
  platforms:
    linux/amd64:
      manifest: ${digest('d')}
      config: ${digest('e')}
    linux/arm64/v8:
      manifest: ${digest('b')}
      config: ${digest('c')}
files:
  "./a b: #.env": names:${'2'.repeat(64)}
  ./b.env: ${digest('1')}
  /etc/true: ${digest('3')}
`);
});

const IMAGES: readonly (LockedImage | undefined)[] = [
  undefined,
  REFERENCE,
  { kind: 'stored', ref: 'mine', digest: digest('0') },
  { kind: 'tar', tar: './rootfs.tar', digest: digest('0') },
  { kind: 'host_tools', tools: ['7z', 'ls', 'true'], packed: digest('0'), files: new Map([['/bin/ls', digest('1')]]) },
];

test.each(IMAGES)('what is written of the image %o is read as the same', (image) => {
  const lock: Lock = { image, files: WHOLE.files };
  expect(plain(readBack(lock))).toBe(plain(lock));
  expect(readBack(lock).image?.kind).toBe(image?.kind);
});

test('any path is written so that it is read as the same text', () => {
  const path = string({ minLength: 1, maxLength: 80 }).filter((text) => /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+$/u.test(text));
  const odd = constantFrom(
    'true',
    '~',
    '1',
    '0x1f',
    '1e5',
    '.inf',
    '-',
    '- a',
    '? b',
    'a: b',
    '#c',
    '&d',
    '*e',
    '!f',
    '%g',
    '@h',
  );
  assert(
    property(oneof(path, odd), (name) => {
      const lock: Lock = { image: undefined, files: new Map([[name, digest('1')]]) };
      expect([...readBack(lock).files.keys()]).toEqual([name]);
    }),
  );
});

describe('what is no lock is an error with its line', () => {
  const image = (text: string): string => `version: 1\nimage: ${text}\n`;
  test.each([
    ['', '1:1 the lock is empty'],
    ['[]', '1:1 a lock must be a map'],
    ['files: {}\n', '1:1 a lock lacks the key `version`'],
    ['version: 2\n', '1:10 the lock was written by a newer boxctl'],
    ['version: "1"\n', '1:10 `version` must be 1'],
    ['version: 1\nmore: 1\n', '2:1 a lock has no key more in this version of boxctl'],
    ['version: 1\nfiles: []\n', '2:8 `files` must be a map'],
    ['version: 1\nfiles: {a: 1}\n', /^2:12 the digest of a must be/u],
    ['version: 1\nfiles:\n  a: sha256:abc\n', /^3:6 the digest of a must be/u],
    [`version: 1\nfiles:\n  a: ${digest('A')}\n`, /^3:6 the digest of a must be/u],
    ['version: 1\nfiles: {a: {b: {}}}\n', /^2:12 the digest of a must be/u],
    [image('x'), /^2:8 `image` must be a map/u],
    [image('{}'), /^2:8 `image` lacks the key `ref`, `tar` or `host_tools`/u],
    [image('{ref: 1, digest: 2}'), /^2:14 `image.ref` must be text/u],
    [image(`{ref: a, digest: ${digest('1')}, tar: b}`), /has no key ref/u],
    [image(`{ref: a, name: b, platforms: {}}`), /`image.platforms` is empty/u],
    [image(`{ref: a, name: b, platforms: {../x: {manifest: 1, config: 2}}}`), /is no platform/u],
    [image(`{ref: a, name: b, platforms: {linux/amd64: {manifest: ${digest('1')}}}}`), /lacks the key `config`/u],
    [image(`{ref: "a\\n", digest: ${digest('1')}}`), /`image.ref` must be text on one line/u],
    [image(`{host_tools: ls, packed: ${digest('1')}, files: {}}`), /must be a list/u],
    ['version: 1\nversion: 1\n', /`version` is here twice/u],
    ['version: 1\nfiles: *x\n', /alias/u],
    ['version: 1\nfiles: !!js/function x\n', /tag/u],
    ['version: 1\n---\nversion: 1\n', /more than one YAML document/u],
    ['version: 1\nfiles: {a: "\n', /not closed/u],
  ])('%s', (text, message) => {
    if (typeof message === 'string') expect(problemOf(text)).toBe(message);
    else expect(problemOf(text)).toMatch(message);
  });

  test('a lock that grows by its aliases is refused at once', () => {
    const levels = Array.from(
      { length: 20 },
      (_, n) =>
        `  l${n}: &l${n} [${Array(10)
          .fill(n === 0 ? 'x' : `*l${n - 1}`)
          .join(', ')}]\n`,
    );
    expect(problemOf(`version: 1\nfiles:\n${levels.join('')}`)).toMatch(/100000 values/u);
    expect(problemOf(`version: 1\nfiles: ${'['.repeat(5000)}`)).toMatch(/nests deeper/u);
  });

  test('a message quotes nothing of a lock but its keys', () => {
    expect(problemOf('version: 1\nfiles: {a: SECRET-VALUE}\n')).not.toContain('SECRET-VALUE');
  });
});

test('the schema and the reader agree, also on locks that were changed in one place', () => {
  const schema: unknown = JSON.parse(
    readFileSync(join(import.meta.dirname, '../../../specs/container.lock.schema.json'), 'utf8'),
  );
  const validate = new Ajv({ strict: true, allErrors: true }).compile(schema as object);
  const texts = IMAGES.map((image) => lockText({ image, files: WHOLE.files }));
  for (const text of texts) expect(validate(parse(text)), text).toBe(true);
  const pieces = ['x', '1', '[]', '{}', 'null', digest('f'), 'names:1'];
  for (const text of texts) {
    const lines = text.trimEnd().split('\n');
    for (let at = 0; at < lines.length; at++) {
      const line = lines[at] ?? '';
      const changed = [
        [...lines.slice(0, at), ...lines.slice(at + 1)],
        ...pieces.map((piece) => lines.with(at, line.replace(/(?<=: ).*$/u, piece))),
        lines.with(at, line.replace(/[a-z]/u, 'Q')),
      ].map((each) => `${each.join('\n')}\n`);
      for (const each of changed) {
        let value: unknown;
        try {
          value = parse(each, { version: '1.2' });
        } catch {
          continue;
        }
        const isTaken = problemOf(each) === 'taken';
        expect({ each, isTaken }).toEqual({ each, isTaken: validate(value) });
      }
    }
  }
});
