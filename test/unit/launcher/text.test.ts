/** Texts with parts that only the launcher knows, completed by its own code. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sanitized } from '../image/worker.ts';

const NATIVE = join(import.meta.dirname, '../../../native/launcher');
const program = sanitized(
  join(import.meta.dirname, 'text-main.cc'),
  ['text.cc', 'plan.cc'].map((name) => join(NATIVE, name)),
);

function complete(...templates: readonly string[]): readonly string[] {
  const { stdout, stderr } = spawnSync(program, templates, { encoding: 'utf8' });
  expect(stderr).toBe('');
  return stdout.trimEnd().split('\n');
}

test('each part is put in, and all else stays as it is', () => {
  expect(complete('/run/$ID', '', '/proc/$CHILD/ns', 'fd/$FD(0)$', '$$X', '/a/$$ID$$$CHILD/$X')).toEqual([
    '17 /run/0123456789ab',
    '0 ',
    '14 /proc/12345/ns',
    '5 fd/7$',
    '2 $X',
    '15 /a/$ID$12345/$X',
  ]);
});

test('a descriptor that is not there, or a number that does not end, is refused', () => {
  expect(complete('$FD(1)', '$FD(2)', '$FD(0', '$FD()', '$FD(99999999999999999999)')).toEqual([
    'none',
    'none',
    'none',
    'none',
    'none',
  ]);
});

test('the longest text is 4095 bytes, whatever is at its end', () => {
  for (const [part, length] of [
    ['x', 1],
    ['$ID', 12],
    ['$CHILD', 5],
    ['$FD(0)', 1],
  ] as const) {
    const of = (size: number): string => `${'a'.repeat(size - length)}${part}`;
    expect(complete(of(4094), of(4095), of(4096), of(4107), `${of(4095)}$ID$CHILD`), part).toEqual([
      '4094 ',
      '4095 ',
      'none',
      'none',
      'none',
    ]);
  }
});
