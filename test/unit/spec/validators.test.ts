/** The two validators that are generated from the schema: the short one of every start, and the one for messages. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { validate as isValid } from '../../../src/generated/is-valid.mjs';
import { validate } from '../../../src/generated/validate.mjs';

const EXAMPLES = readdirSync('examples', { recursive: true, encoding: 'utf8' })
  .filter((name) => /container\.ya?ml$/u.test(name))
  .map((name) => join('examples', name));

const OTHERS = [null, true, -1, 7.5, 'x', '', [], ['x'], {}, { zzz: 1 }];

/** The same data with one of its values replaced, for each value and each of `OTHERS`. */
function changed(data: unknown): unknown[] {
  if (typeof data !== 'object' || data === null) return [...OTHERS];
  const inner = Object.entries(data).flatMap(([key, value]) =>
    changed(value).map((other) => (Array.isArray(data) ? data.with(Number(key), other) : { ...data, [key]: other })),
  );
  return [...inner, ...OTHERS];
}

describe('the validators that are generated from the schema', () => {
  test.each([
    ['a sound file', { name: 'web', image: './rootfs.tar', command: ['true'] }],
    ['an unknown key', { nmae: 'web' }],
    ['a wrong type', { name: ['web'] }],
    ['a text that does not fit its pattern', { name: '-web' }],
    ['a key that is missing in the long form', { volumes: [{ target: '/data' }] }],
    ['a number beyond its range', { image: { tar: 'x', max_entries: -1 } }],
    ['no map', []],
  ])('say the same of %s', (_what, data) => {
    expect(isValid(data)).toBe(validate(data));
  });

  test('say the same of every example with any one of its values replaced', () => {
    const files = EXAMPLES.map((path): unknown => parse(readFileSync(path, 'utf8')));
    const different = files.flatMap((file) =>
      changed(file).filter((data) => isValid(structuredClone(data)) !== validate(structuredClone(data))),
    );
    expect(different).toStrictEqual([]);
    expect(files.filter((file) => isValid(file)).length).toBeGreaterThan(3);
  });

  test('say what is wrong in one file all at once', () => {
    validate({ nmae: 'web', name: ['web'], command: 7 });
    expect(validate.errors?.map(({ keyword }) => keyword).toSorted()).toStrictEqual([
      'additionalProperties',
      'type',
      'type',
    ]);
  });
});
