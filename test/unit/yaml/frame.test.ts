/** Problems as a person reads them. */
import { expect, test } from 'vitest';
import { formatDiagnostics } from '../../../src/yaml/frame.ts';
import { problemsOf } from '../../support/spec.ts';

const framed = (yaml: string, color = false): string => formatDiagnostics(problemsOf(yaml), yaml, { color });

test('sentence, line, place and help; all problems, with an empty line between', () => {
  expect(framed('image: {host_tools: [sh]}\nhostnme: web\nlimits: {pids: 0}\n')).toBe(`\
/usr/container.yaml:2:1: error: there is no key \`hostnme\`
   |
 2 | hostnme: web
   | ^^^^^^^
   = help: did you mean \`hostname\`?

/usr/container.yaml:3:16: error: \`limits.pids\` must be at least 1; found 0
   |
 3 | limits: {pids: 0}
   |                ^
`);
});

test('wide letters, marks of no width and tabs keep the mark in its place', () => {
  const yaml = 'image: {host_tools: [sh]}\nlimits: {"日本e\u0301": 1,\t"x": 2}\n';
  expect(framed(yaml).split('\n').slice(2, 4)).toEqual([
    ' 2 | limits: {"日本e\u0301": 1,    "x": 2}',
    '   |          ^^^^^^^',
  ]);
  expect(framed(yaml).split('\n').at(-2)).toMatch(/^ {3}= help: the keys are: memory, swap, pids, .*, optional$/u);
});

test('a long line is cut around the place', () => {
  const [, , line = '', mark = ''] = framed(
    `image: {host_tools: [sh]}\ncommand: [${'"aaaaaaaa", '.repeat(50)}5, ${'"bbbbbbbb", '.repeat(50)}6]\n`,
  ).split('\n');
  expect(line.length).toBeLessThan(110);
  expect(line).toMatch(/^ 2 \| ….*"aaaaaaaa", 5, "bbbbbbbb".*…$/u);
  expect(line[mark.indexOf('^')]).toBe('5');
});

test('what the file holds cannot steer the terminal', () => {
  const text = framed('image: {host_tools: [sh]}\nhostname: "\u001b]0;title\u0007\u202e"\n');
  expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\u202e]/u);
  expect(text).toContain('\ufffd');
});

test('colours, where they are wanted', () => {
  expect(framed('hostname: a\n', true)).toContain('\u001b[31merror:\u001b[0m');
});
