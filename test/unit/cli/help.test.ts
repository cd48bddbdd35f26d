/** Help, usage errors and completion, which all come from the table of commands. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseArguments } from '../../../src/cli/parse.ts';
import { COMMANDS, findCommand } from '../../../src/cli/table.ts';
import { boxctl, INSTALLED, PROGRAM, PROJECT, run } from '../../support/boxctl.ts';
import { tempFolder } from '../../support/temp.ts';

const ALL = COMMANDS.flatMap((command) => [command, ...(command.verbs ?? [])]);

describe('help', () => {
  test('of boxctl names every command, however it is asked for', async () => {
    const [first, ...others] = await Promise.all([[], ['--help'], ['-h'], ['help']].map((words) => boxctl(words)));
    expect(first).toMatchObject({ status: 0, stderr: '' });
    for (const { name, summary } of COMMANDS)
      expect(first?.stdout).toMatch(new RegExp(`^  ${name} +${summary}$`, 'mu'));
    expect(others.map(({ stdout }) => stdout)).toEqual([first?.stdout, first?.stdout, first?.stdout]);
  });

  test.each(ALL)('of $name has its options and an example, within 100 columns', async (command) => {
    const { name, options, usage } = command;
    const words = name.split(' ');
    const [asked, told] = await Promise.all([boxctl([...words, '--help']), boxctl(['help', ...words])]);
    expect(asked).toMatchObject({ status: 0, stderr: '', stdout: told.stdout });
    expect(asked.stdout.startsWith(`Usage: boxctl ${name} ${usage}\n\n`)).toBe(true);
    for (const option of Object.keys(options)) expect(asked.stdout).toContain(` --${option}`);
    expect(asked.stdout).toMatch(/^Examples:\n {2}.*boxctl \w+.* {2}# \w/mu);
    expect(asked.stdout.split('\n').filter((line) => line.length > 110)).toEqual([]);
  });

  test('examples are commands that boxctl understands', () => {
    const examples = ALL.flatMap(({ examples: list }) => list.map(([line]) => line));
    for (const line of examples) {
      const words = /boxctl ([^|&)]+)/u.exec(line)?.[1]?.trim().split(/\s+/u) ?? [];
      const found = findCommand(words);
      expect(found, line).toBeDefined();
      if (found !== undefined) expect(() => parseArguments(found.command, found.rest), line).not.toThrow();
    }
  });

  test('asks for nothing after the words of another command', async () => {
    const { stderr, status } = await boxctl(['run', 'nowhere.yaml', '--', 'ls', '--help']);
    expect({ stderr, status }).toMatchObject({ status: 125, stderr: expect.stringContaining('no such file') });
  });
});

test('the version is the package’s', async () => {
  const { version } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as { version: string };
  expect(await boxctl(['--version'])).toMatchObject({ stdout: `boxctl ${version}\n`, stderr: '', status: 0 });
});

test.each<[words: readonly string[], message: string, hint: string]>([
  [['hlep'], 'boxctl has no command "hlep"', 'did you mean `boxctl help`?'],
  [['zzzzzz'], 'boxctl has no command "zzzzzz"', 'boxctl --help'],
  [['--quiet', 'up'], 'boxctl itself has no option --quiet', 'options come after the command: boxctl up --quiet'],
  [['help', 'nope'], 'boxctl has no command "nope"', 'boxctl --help'],
  [['up', '--qiet'], 'boxctl up has no option --qiet', 'did you mean --quiet?'],
  [['up', '-x'], 'boxctl up has no option -x', 'boxctl up --help'],
  [['up', '--env'], '--env needs a value: KEY=VALUE', 'boxctl up --help'],
  [['up', '-ie'], '--env needs a value: KEY=VALUE', 'boxctl up --help'],
  [['up', '--env', '=x'], '--env =x has no name', '--env KEY=VALUE'],
  [['up', '--quiet=1'], '--quiet takes no value', 'boxctl up --help'],
  [['up', '-qv'], '--quiet and --verbose exclude each other', 'choose one of them'],
  [['up', 'a', 'b', 'c'], 'boxctl up does not know what to do with: b c', 'boxctl up --help'],
  [['up', '--', 'ls'], 'boxctl up takes nothing after --', 'boxctl run FILE -- COMMAND'],
  [
    ['run', 'a', 'ls'],
    'boxctl run does not know what to do with: ls',
    'a command comes after --: boxctl run FILE -- ls',
  ],
  [['run', '--'], 'boxctl run needs a command', 'boxctl run FILE -- COMMAND [ARGUMENT…]'],
  [['up', '-it'], '-it needs a terminal, and standard input is none', 'leave out -t to use a pipe'],
  [['up', 'nowhere.yaml'], 'nowhere.yaml: there is no such file', 'give the path of a container.yaml'],
  [['up', '/usr'], '/usr cannot be read: it is a folder', 'give the file in it: /usr/container.yaml'],
  [['image', 'lst'], 'boxctl image has no verb "lst"', 'did you mean `boxctl image ls`?'],
  [['help', 'up', 'x'], 'boxctl up has no verb "x"', 'boxctl help up'],
  [['image', 'inspect'], 'boxctl image inspect needs [OPTIONS] IMAGE', 'boxctl image inspect --help'],
  [
    ['image', 'import', 'x', '--sha256', '12'],
    '--sha256 12 is no digest',
    '64 hexadecimal digits, as sha256sum prints them',
  ],
  [
    ['image', 'import', 'x', '--max-size', 'big'],
    '--max-size big is no size',
    'units are b, k, m, g and t, 1024-based: 2g',
  ],
  [['image', 'import', 'x', '--max-entries', '0'], '--max-entries 0 is no number', '--max-entries 100000'],
  [['image', 'import', 'x', 'Debian'], '"Debian" is no name for an image', 'NAME[:TAG], in lower case: debian:12'],
  [['image', 'pack', 'sh'], 'boxctl image pack needs a file to write to', 'boxctl image pack sh ls -o rootfs.tar.gz'],
  [['bundle', 'a'], 'boxctl bundle needs', 'boxctl bundle --help'],
  [['completion', 'tcsh'], 'there is no completion for "tcsh"', 'boxctl completion bash|zsh|fish'],
])('%j is a mistake, with status 125 and nothing on standard output', async (words, message, hint) => {
  const { stdout, stderr, status } = await boxctl(words);
  expect({ stdout, status }).toEqual({ stdout: '', status: 125 });
  expect(stderr.startsWith(`boxctl: error: ${message}`), stderr).toBe(true);
  expect(stderr.endsWith(`\n  ${hint}\n`), stderr).toBe(true);
});

test('a folder without a file is told what a file is', async () => {
  const { stderr, status } = await boxctl(['up'], { cwd: tempFolder() });
  expect(status).toBe(125);
  expect(stderr).toMatch(/this folder has no container\.yaml\n.*\n\s*\n {2}image: \{host_tools: \[sh, ls\]\}/u);
});

test('a reader that has gone ends it as it ends others', async () => {
  const file = join(INSTALLED, 'examples/hello/container.yaml');
  const pipe = `"$0" "$1" plan --json "$2" | head -c 1; echo " \${PIPESTATUS[0]}"`;
  const { stdout } = await run(['bash', '-c', pipe, process.execPath, PROGRAM, file]);
  expect(stdout).toBe('{ 141\n');
});

describe('completion', () => {
  const script = async (shell: string): Promise<string> => {
    const file = join(tempFolder(), `boxctl.${shell}`);
    const { stdout, stderr, status } = await boxctl(['completion', shell]);
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    writeFileSync(file, stdout);
    return file;
  };

  for (const shell of ['bash', 'zsh', 'fish']) {
    const program = ['/bin', '/usr/bin'].map((folder) => join(folder, shell)).find((path) => existsSync(path));
    test.skipIf(program === undefined)(`${shell} takes the script (needs ${shell})`, async () => {
      const { status, stderr } = spawnSync(program ?? '', ['-n', await script(shell)], { encoding: 'utf8' });
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    });
  }

  test.each([
    ['boxctl ', 'up'],
    ['boxctl pl', 'plan'],
    ['boxctl up --ver', '--verbose'],
    ['boxctl validate --', '--json'],
    ['boxctl up cont', 'container.yaml'],
    ['boxctl image i', 'inspect'],
    ['boxctl image import --m', '--max-size'],
    ['boxctl image import cont', 'container.yaml'],
  ])('in bash, "%s" becomes "%s" among others', async (line, expected) => {
    const file = await script('bash');
    const folder = tempFolder();
    writeFileSync(join(folder, 'container.yaml'), '');
    const words = line.split(' ');
    const ask = `source ${file}; COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _boxctl; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = spawnSync('bash', ['-c', ask], { encoding: 'utf8', cwd: folder });
    expect(stdout.split('\n')).toContain(expected);
  });
});
