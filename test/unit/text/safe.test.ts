/** Text of foreign origin on a terminal. */
import { describe, expect, test } from 'vitest';
import { columns } from '../../../src/text/columns.ts';
import { safe, safeJson, safeLines, safeOutput } from '../../../src/text/safe.ts';
import { GREEN, painter, safeButStyles } from '../../../src/text/style.ts';
import { clip, padTo, textWidth } from '../../../src/text/width.ts';
import { STEERING, steeringIn } from '../../support/steering.ts';

describe('text of foreign origin', () => {
  test('keeps no control, bidirectional or invisible character', () => {
    expect(STEERING.length).toBeGreaterThan(4000);
    expect(safe(`a${STEERING}b`)).toMatch(/^a\ufffd+b$/u);
    expect(safe('a\0b\nc')).toBe('a\ufffdb\ufffdc');
  });

  test('keeps everything else, in any script', () => {
    const text = 'größer 日本 עברית العربية नमस्ते 🦀 e\u0301 ✔ …';
    expect(safe(text)).toBe(text);
    expect(safeLines(`${text}\n\u009b${text}`)).toBe(`${text}\n\ufffd${text}`);
  });

  test('is the same after JSON, which holds none of these characters', () => {
    const value = { [`key${STEERING}`]: `value${STEERING}\0`, list: [STEERING] };
    for (const indent of [undefined, 2]) {
      const json = safeJson(value, indent);
      expect(steeringIn(json)).toEqual([]);
      expect(JSON.parse(json)).toEqual(value);
    }
  });

  test('is not taken for a colour of boxctl’s own, nor does it end one', () => {
    const painted = painter(true)(GREEN, 'a\u001b[0mb\u001b[31m');
    expect(painted).toBe('\u001b[32ma\ufffd[0mb\ufffd[31m\u001b[0m');
    expect(safeButStyles(`${painted}\u001b[2J\u001b[8mx\u001b`)).toBe(`${painted}\ufffd[2J\ufffd[8mx\ufffd`);
  });

  test('is a cell of a table, and no more than that', () => {
    expect(
      columns([
        ['NAME', 'SIZE'],
        ['a\nb', '1'],
        ['日本', '2'],
      ]),
    ).toBe('NAME  SIZE\na\ufffdb   1\n日本  2\n');
  });
});

describe('columns of a terminal', () => {
  test('are counted by what is seen', () => {
    expect([textWidth('abc'), textWidth('日本'), textWidth('e\u0301')]).toEqual([3, 4, 1]);
    expect(padTo('日', 4)).toBe('日  ');
  });

  test('clip text to fit, at every width', () => {
    for (let width = 0; width <= 20; width++) {
      expect(textWidth(clip('ab日本cd語efghijk', width))).toBeLessThanOrEqual(width);
    }
    expect(clip('abc', 3)).toBe('abc');
    expect(clip('abcd', 3)).toBe('ab…');
  });
});

test.each([
  ['plain\n', 'plain\n'],
  ['a\tb\r\n', 'a\tb\n'],
  ['a\rb', 'a\nb'],
  ['\u001b[31mred\u001b[0m\n', '\u001b[31mred\u001b[0m\u001b[0m\n'],
  ['\u001b[1;38;5;208mx\n', '\u001b[1;38;5;208mx\u001b[0m\n'],
  ['\u001b[38;2;8;8;8mx', '\u001b[38;2;8;8;8mx\u001b[0m'],
  ['\u001b[8mhidden\u001b[5mblinks', 'hiddenblinks'],
  ['\u001b[1;8mx', 'x'],
  ['\u001b[2Jx\u0007\u009b1m', '\ufffd[2Jx\ufffd\ufffd1m'],
  ['\u001b]0;t\u001b\\', '\ufffd]0;t\ufffd\\'],
  ['\u202ex', '\ufffdx'],
])('the output %j is %j on a terminal', (text, shown) => expect(safeOutput(text, true)).toBe(shown));

test('output has no colours where none are wanted', () =>
  expect(safeOutput('\u001b[31mred\u001b[0m', false)).toBe('red'));

test('output of many codes takes no time that grows faster than it', () => {
  // In time that grows with its square, this would take longer than the limit of the test.
  const text = `\u001b[${'0;'.repeat(500_000)}`;
  expect(safeOutput(text, true)).toBe(text.replace('\u001b', '\ufffd'));
});
