/**
 * Characters that steer a terminal, in all that a stranger can choose: names of files and folders, values and keys of a
 * container file, names and configuration of an image, words of a command line. None of them comes out of any command.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Command } from '../../src/cli/command.ts';
import { COMMANDS } from '../../src/cli/table.ts';
import { boxctl, PROGRAM, run, type Ended } from '../support/boxctl.ts';
import { BUSYBOX, hasBusybox } from '../support/busybox.ts';
import { dockerArchive } from '../support/image-archives.ts';
import { SOME_STEERING, STEERING, steeringIn, yamlQuoted } from '../support/steering.ts';
import { tempFolder } from '../support/temp.ts';
import { archive } from '../unit/image/archive-fixture.ts';

const ALL = COMMANDS.flatMap((command) => command.verbs ?? [command]);
/** A name of at most 255 bytes. */
const NAME = `x${SOME_STEERING}`;

/** Commands that look into a container file; the others are tried once. */
const READERS: ReadonlySet<string> = new Set(['up', 'plan', 'validate', 'audit', 'diff', 'bundle', 'allow']);

interface Place {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
}

function base(): Place & { readonly layer: Buffer } {
  const folder = join(tempFolder(), NAME);
  mkdirSync(folder);
  const layer = archive({ name: 'bin/busybox', data: readFileSync(BUSYBOX), mode: 0o755 }, ...links);
  writeFileSync(join(folder, 'rootfs.tar'), layer);
  return {
    folder,
    layer,
    env: { BOXCTL_STORE: join(folder, 'store'), XDG_CONFIG_HOME: join(folder, 'config'), HOME: '/' },
  };
}
const links = ['sh', 'true'].map((name) => ({ name: `bin/${name}`, type: '2', link: 'busybox' }));

/** What may come out: nothing that steers, but line ends, and on a terminal the line that is drawn over. */
function expectSafe({ stdout, stderr }: Pick<Ended, 'stdout' | 'stderr'>, words: readonly string[]): void {
  // In a format of the caller's, tabs are between columns.
  const isFormat = words.some((word) => word.startsWith('--format'));
  const found = steeringIn(stdout + stderr).filter((character) => !(isFormat && character === 'U+9'));
  expect({ words, found }).toEqual({ words, found: [] });
}

const tried = (words: readonly string[], { folder, env }: Place): Promise<Ended> => boxctl(words, { cwd: folder, env });

/** What is drawn over: the line, or all of the screen from some lines above on. */
const DRAWN = ['\r\u001b[K', '\r\u001b[J', ...Array.from({ length: 9 }, (_, up) => `\u001b[${up + 1}A`)];

/** The same on a terminal without colours. */
async function triedOnTerminal(words: readonly string[], { folder, env }: Place): Promise<void> {
  const file = join(folder, 'words');
  writeFileSync(file, words.map((word) => `${word}\0`).join(''));
  const command = `xargs -0 '${process.execPath}' '${PROGRAM}' <words`;
  const options = { cwd: folder, env: { ...env, TERM: 'xterm', NO_COLOR: '1', SHELL: '/bin/sh' } };
  const { stdout, stderr } = await run(['script', '-qec', command, '/dev/null'], options);
  const text = DRAWN.reduce((rest, sequence) => rest.replaceAll(sequence, ''), stdout.replaceAll('\r\n', '\n'));
  expectSafe({ stdout: text, stderr }, words);
}

/** Ways to call a command with words that a stranger has chosen. */
function calls({ name, options, positionals: [least, most], takesRest }: Command, file: string): readonly string[][] {
  // What would go on until it is interrupted.
  const words = [...name.split(' '), ...(name === 'events' ? ['--until=0s'] : [])];
  const count = Math.max(least, Math.min(most, 1));
  const given = (word: string): string[] => Array.from({ length: count }, () => word);
  const rest = takesRest ? ['--', 'true'] : [];
  const json = options['json'] === undefined ? [[]] : [[], ['--json']];
  const values = Object.entries(options).flatMap(([option, { value }]) =>
    value === undefined ? [] : [[`--${option}`, `all=${STEERING}`], [`--${option}=${STEERING}`]],
  );
  return [
    ...json.flatMap((form) => [
      [...words, ...form, ...given(file), ...rest],
      [...words, ...form, ...given(`/${STEERING}`), ...rest],
      [...words, ...form, `--${STEERING}`],
    ]),
    ...values.map((value) => [...words, ...value, ...given(file), ...rest]),
    [...words, STEERING, STEERING, STEERING, ...rest],
  ];
}

describe.skipIf(!hasBusybox)('no command lets a stranger steer the terminal (needs busybox-static)', () => {
  const CONTAINERS: Readonly<Record<string, string>> = {
    'a wrong file': `${yamlQuoted(STEERING)}: 1\nimage: ${yamlQuoted(STEERING)}\nlimits: {memory: ${yamlQuoted(STEERING)}}\n# ${STEERING.replaceAll(/[\n\r\u0085\u2028\u2029]/gu, '')}\n`,
    'a file with what is to be allowed': `image: ./rootfs.tar\ncommand: ["true"]\nvolumes: [{type: bind, source: ${yamlQuoted(`/etc/${NAME}`)}, target: ${yamlQuoted(`/${NAME}`)}}]\nname: x\nenvironment: {A: ${yamlQuoted(STEERING)}}\n`,
    'a file that is right': `image: ./rootfs.tar\ncommand: ["true", ${yamlQuoted(STEERING)}]\nworking_dir: ${yamlQuoted(`/${NAME}`)}\nenvironment: {A: ${yamlQuoted(STEERING)}}\nvolumes: ["cache:/c"]\n`,
    'a command that is not there': `image: ./rootfs.tar\ncommand: [${yamlQuoted(STEERING)}]\n`,
    'a user that is not there': `image: ./rootfs.tar\ncommand: ["true"]\nuser: ${yamlQuoted(NAME)}\n`,
  };

  describe.each(Object.entries(CONTAINERS))('given %s', (title, text) => {
    const asked = title === 'a wrong file' ? ALL : ALL.filter(({ name }) => READERS.has(name));
    test.each(asked.map((command) => [command.name, command] as const))(
      'boxctl %s is safe',
      async (_name, command) => {
        const place = base();
        const file = join(place.folder, NAME);
        writeFileSync(file, text);
        writeFileSync(join(place.folder, 'container.yaml'), text);
        for (const words of calls(command, file)) expectSafe(await tried(words, place), words);
      },
      120_000,
    );
  });

  test.skipIf(!existsSync('/usr/bin/script'))(
    'a command that draws on a terminal prints no control characters of a file',
    async () => {
      const place = base();
      const file = join(place.folder, NAME);
      for (const text of Object.values(CONTAINERS)) {
        writeFileSync(file, text);
        for (const way of ['list', 'auto', 'verbose']) await triedOnTerminal(['up', '--progress', way, file], place);
        for (const name of ['plan', 'validate', 'audit']) await triedOnTerminal([name, file], place);
      }
    },
    120_000,
  );

  test('commands about a hostile image, or a volume of a folder with such a name, print no control characters of them', async () => {
    const place = base();
    const config = {
      Cmd: ['true', STEERING],
      Env: [`A=${STEERING}`],
      User: NAME,
      WorkingDir: `/${NAME}`,
      StopSignal: NAME,
    };
    const one = { layers: [place.layer], config, names: [`${NAME}:1`] };
    const two = { layers: [place.layer], config: { ...config, Cmd: ['sh'] }, names: [`b${NAME}:2`] };
    const files = { one: dockerArchive(one), two: dockerArchive(one, two), bad: archive({ name: `../${NAME}` }) };
    for (const [name, data] of Object.entries(files)) writeFileSync(join(place.folder, `${name}${NAME}.tar`), data);
    const inside = readdirSync(place.folder).filter((name) => name.endsWith('.tar'));
    for (const name of inside) {
      for (const form of [[], ['--json']]) {
        const words = ['image', 'import', ...form, name];
        expectSafe(await tried(words, place), words);
      }
    }
    const { stdout } = await tried(['image', 'import', inside.find((name) => name.startsWith('one')) ?? ''], place);
    const [digest = ''] = stdout.trim().split(' ');
    expect(digest).toMatch(/^[0-9a-f]{64}$/u);
    writeFileSync(
      join(place.folder, 'container.yaml'),
      `image: ./rootfs.tar\ncommand: ["true"]\nvolumes: [cache:/c]\n`,
    );
    expect(await tried(['up'], place)).toMatchObject({ status: 0 });
    writeFileSync(join(place.folder, 'image.yaml'), `image: {name: "sha256:${digest}"}\n`);
    for (const words of [
      ['image', 'ls'],
      ['image', 'ls', '--json'],
      ['image', 'inspect', digest],
      ['image', 'inspect', '--json', digest],
      ['volume', 'ls'],
      ['up', 'image.yaml'],
      ['plan', 'image.yaml'],
      ['plan', '--json', 'image.yaml'],
      ['validate', 'image.yaml'],
      ['image', 'rm', digest],
      ['image', 'prune', '--all'],
    ]) {
      expectSafe(await tried(words, place), words);
    }
  }, 120_000);
});
