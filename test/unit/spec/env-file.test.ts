/** The lines of an env_file, in every shape in which people write them. */
import { describe, expect, it, test } from 'vitest';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnvFile } from '../../../src/spec/env-file.ts';
import { loadSpecText } from '../../../src/spec/load.ts';
import { tempFolder } from '../../support/temp.ts';

const PEM = '-----BEGIN PRIVATE KEY-----\nMIIE+/=\n-----END PRIVATE KEY-----\n';

/** What the command gets; `$HOME_TOWN` is the caller's. */
function valuesOf(text: string, format = ''): Readonly<Record<string, string>> {
  const folder = tempFolder();
  writeFileSync(join(folder, 'f.env'), text);
  const file = `image: {host_tools: [sh]}\nenv_file: [{path: f.env${format}}]\n`;
  return loadSpecText(file, 'c.yaml', { env: { HOME_TOWN: 'Ulm' }, home: '/root', folder }).spec.environment;
}

describe('a line of an env_file', () => {
  it.each<[title: string, text: string, expected: Readonly<Record<string, string>>]>([
    ['is KEY=VALUE, spaces around it apart', '  A =  b c  \n', { A: 'b c' }],
    ['may end as on Windows', 'A=1\r\nB="x\r\ny"\r\n', { A: '1', B: 'x\ny' }],
    ['may come after a byte order mark', '\ufeffA=1\n', { A: '1' }],
    ['may have no end', 'A=1', { A: '1' }],
    ['may begin with export', 'export A=1\nexport   B="2"\n', { A: '1', B: '2' }],
    ['may be named export itself', 'export=1\n', { export: '1' }],
    ['may be empty or a comment', '\n# A=1\n   # B=2\nC=3\n', { C: '3' }],
    ['has a comment after a space', 'A=b #c\nB=b#c\nC="d # e" # f\n', { A: 'b', B: 'b#c', C: 'd # e' }],
    ['has a value with equals signs in it', 'A=b=c==\n', { A: 'b=c==' }],
    ['may have no value', 'A=\nB=""\nC=\'\'\n', { A: '', B: '', C: '' }],
    ['may be written as YAML has it', 'A: b\nB:c\n', { A: 'b', B: 'c' }],
    ['takes the place of an earlier one', 'A=1\nA=2\n', { A: '2' }],
    ['is a key in double quotes over several lines', `K="${PEM}"\nA=1\n`, { K: PEM, A: '1' }],
    ['is a key in single quotes over several lines', `K='${PEM}'\nA=1\n`, { K: PEM, A: '1' }],
    ['is a key with its line feeds as \\n', `K="${PEM.replaceAll('\n', '\\n')}"\n`, { K: PEM }],
    ['has escapes in double quotes', 'A="a\\tb\\"c\\\\d\\$e"\n', { A: 'a\tb"c\\d$e' }],
    ['has none in single quotes but the quote', "A='a\\nb\\'c$HOME_TOWN'\n", { A: "a\\nb'c$HOME_TOWN" }],
    ['takes the caller’s variable', 'A=$HOME_TOWN-${HOME_TOWN}\nHOME_TOWN\n', { A: 'Ulm-Ulm', HOME_TOWN: 'Ulm' }],
    ['takes the variable of an earlier line', 'A=1\nB="${A}2"\nC=$B\n', { A: '1', B: '12', C: '12' }],
    [
      'has defaults',
      'A=${NOPE:-x}\nB=${NOPE-y}\nC=${HOME_TOWN:+z}\nD=${NOPE:-${HOME_TOWN}}\n',
      { A: 'x', B: 'y', C: 'z', D: 'Ulm' },
    ],
    ['has a dollar sign as two', 'A=$$5\n', { A: '$5' }],
    ['is named as no shell would name it', 'a.b=1\nc-d=2\n', { 'a.b': '1', 'c-d': '2' }],
    [
      'may be named like a property of every object',
      '__proto__=1\n',
      JSON.parse('{"__proto__":"1"}') as Record<string, string>,
    ],
  ])('%s', (_title, text, expected) => expect(valuesOf(text)).toEqual(expected));

  it('is everything after the first equals sign where the format is raw', () => {
    expect(valuesOf('A="q" # c\n  B=$HOME_TOWN\\n\n# C=1\n', ', format: raw')).toEqual({
      A: '"q" # c',
      B: '$HOME_TOWN\\n',
    });
  });

  it.each<[text: string, line: number, problem: string]>([
    ['A=1\nB="hunter2\nC=3\n', 2, 'has a " that is not closed'],
    ["A='hunter2", 1, "has a ' that is not closed"],
    ['A="1" hunter2\n', 1, 'goes on after the closing quote'],
    ['hunter2 hunter2\n', 1, 'is not KEY=VALUE'],
    ['=hunter2\n', 1, 'is not KEY=VALUE'],
    ['Ä=hunter2\n', 1, 'is not KEY=VALUE'],
    ['A=hunter2\0\n', 1, 'holds a NUL character, which cannot be passed to any program'],
    ['A="hunter2\\0"\n', 1, 'holds a NUL character, which cannot be passed to any program'],
    ['A=1\nB=${NOPE:?hunter2}\n', 2, 'requires a variable that is not set'],
    ['A=hunter2$\n', 1, 'has a `$` with no variable behind it: write `$$`, or use single quotes'],
  ])('%j is refused by its line, and not quoted', (text, line, problem) => {
    const refusal = ((): string => {
      try {
        valuesOf(text);
        return 'nothing';
      } catch (error) {
        return JSON.stringify(error, ['code', 'message', 'diagnostics', 'hint']) + String(error);
      }
    })();
    expect(refusal).not.toContain('hunter2');
    expect(refusal).toContain(JSON.stringify(`line ${line} of "f.env" ${problem}`).slice(1, -1));
  });
});

test('a long file is read once from its begin to its end', () => {
  const text = `A="${'x\n'.repeat(200_000)}"\n`.repeat(4);
  expect(parseEnvFile(text, false)).toHaveLength(4);
  expect(parseEnvFile('"'.repeat(200_000), false).length).toBeGreaterThan(0);
});
