/** The two validators that are generated from the schema: the short one of every start, and the one for messages. */
import { describe, expect, test } from 'vitest';
import { validate as isValid } from '../../../src/generated/is-valid.mjs';
import { validate } from '../../../src/generated/validate.mjs';

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

  test('say what is wrong in one file all at once', () => {
    validate({ nmae: 'web', name: ['web'], command: 7 });
    expect(validate.errors?.map(({ keyword }) => keyword).toSorted()).toStrictEqual([
      'additionalProperties',
      'type',
      'type',
    ]);
  });
});
