/** Help, usage errors and completion, which all come from the table of commands. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseArguments } from '../../../src/cli/parse.ts';
import { namedCommand } from '../../../src/cli/named-command.ts';
import { COMMANDS } from '../../../src/cli/table.ts';
import { boxctl, INSTALLED, PROGRAM, PROJECT, run, type Ended } from '../../support/boxctl.ts';
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
      const found = namedCommand(words, COMMANDS);
      expect(found, line).toBeDefined();
      if (found !== undefined) expect(() => parseArguments(found.command, found.rest), line).not.toThrow();
    }
  });

  test('is not printed for a --help after the words of another command', async () => {
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
    'a: there is no such file',
    'a command for the file of this folder comes after --: boxctl run -- a ls',
  ],
  [
    ['run', 'sh', '-c', 'x'],
    'boxctl run has no option -c',
    'a command with options comes after --: boxctl run -- sh -c x',
  ],
  [
    ['run', 'sh', '-c', "echo 'a b'; exit 7"],
    'boxctl run has no option -c',
    String.raw`a command with options comes after --: boxctl run -- sh -c 'echo '\''a b'\''; exit 7'`,
  ],
  [['audit', '--ignore', 'bind-rot'], '--ignore bind-rot: there is no such rule', 'did you mean bind-root?'],
  [
    ['up', '--progress', 'fancy'],
    '--progress fancy: there is no such way',
    'choose one of auto, list, verbose, quiet, json',
  ],
  [['up', '-q', '--progress', 'list'], '--quiet and --progress list exclude each other', 'choose one of them'],
  [['allow', '--list', '--revoke'], '--list and --revoke exclude each other', 'choose one of them'],
  [['images'], 'boxctl has no command "images"', 'did you mean `boxctl image ls`?'],
  [['rmi', 'x'], 'boxctl has no command "rmi"', 'did you mean `boxctl image rm`?'],
  [['push', 'x'], 'boxctl has no command "push"', 'did you mean `boxctl image push`?'],
  [['volume', 'sl'], 'boxctl volume has no verb "sl"', 'did you mean `boxctl volume ls`?'],
  [['run', '--'], 'boxctl run needs a command', 'boxctl run FILE -- COMMAND [ARGUMENT…]'],
  [['up', '-it'], '-it needs a terminal, and standard input is none', 'leave out -t to use a pipe'],
  [
    ['pull', 'https://ghcr.io/org/app'],
    '"https://ghcr.io/org/app" is no reference to an image: it begins with a scheme',
    'leave out what ends with ://, such as docker:// or https://: ghcr.io/org/app',
  ],
  [['up', 'nowhere.yaml'], 'nowhere.yaml: there is no such file', 'give the path of a container.yaml'],
  [
    ['shell', 'nowhere'],
    'nowhere: there is no such file, and no container of yours is called so',
    'give the path of a container.yaml, or the name of a container that runs: boxctl ps lists them',
  ],
  [['up', '/usr'], '/usr cannot be read: it is a folder', 'give the file in it: /usr/container.yaml'],
  [['image', 'lst'], 'boxctl image has no verb "lst"', 'did you mean `boxctl image ls`?'],
  [['help', 'up', 'x'], 'boxctl up has no verb "x"', 'boxctl help up'],
  [['image', 'inspect'], 'boxctl image inspect needs IMAGE', 'boxctl image inspect --help'],
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
  [['bundle', 'a'], 'boxctl bundle needs FILE DIR', 'boxctl bundle --help'],
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

test('boxctl ends by SIGPIPE when its reader is gone', async () => {
  const file = join(INSTALLED, 'examples/hello/container.yaml');
  const pipe = `"$0" "$1" plan --json "$2" | head -c 1; echo " \${PIPESTATUS[0]}"`;
  const { stdout } = await run(['bash', '-c', pipe, process.execPath, PROGRAM, file]);
  expect(stdout).toBe('{ 141\n');
});

describe('completion', () => {
  const told = new Map<string, Promise<Ended>>();
  const script = async (shell: string): Promise<string> => {
    const file = join(tempFolder(), `boxctl.${shell}`);
    // The same text for each line that is completed.
    const asked = told.get(shell) ?? boxctl(['completion', shell]);
    told.set(shell, asked);
    const { stdout, stderr, status } = await asked;
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

  const LINES: readonly (readonly [line: string, expected: string])[] = [
    ['boxctl ', 'up'],
    ['boxctl pl', 'plan'],
    ['boxctl up --ver', '--verbose'],
    ['boxctl validate --', '--json'],
    ['boxctl up cont', 'container.yaml'],
    ['boxctl image i', 'inspect'],
    ['boxctl image import --m', '--max-size'],
    ['boxctl image import cont', 'container.yaml'],
    ['boxctl volume ', 'prune'],
    ['boxctl volume prune --a', '--all'],
    ['boxctl audit --fail-on h', 'high'],
    ['boxctl audit --fail-on=h', 'high'],
    ['boxctl audit --ignore bind-r', 'bind-root'],
    ['boxctl up --allow names', 'namespace'],
    ['boxctl bundle --allow=names', 'namespace'],
    ['boxctl shell --progress l', 'list'],
    ['boxctl ps --filter st', 'status='],
    ['boxctl kill --signal US', 'USR1'],
    ['boxctl cp cont', 'container.yaml'],
    ['boxctl completion z', 'zsh'],
    ['boxctl help comp', 'completion'],
  ];

  /** A folder with the script, a container.yaml, and boxctl by its name. */
  async function place(shell: string) {
    const folder = tempFolder();
    const file = await script(shell);
    writeFileSync(join(folder, 'container.yaml'), '');
    writeFileSync(join(folder, 'boxctl'), `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`, { mode: 0o755 });
    return { folder, file, env: { ...process.env, PATH: `${folder}:${process.env['PATH'] ?? ''}` } };
  }

  test.each(LINES)('in bash, "%s" becomes "%s" among others', async (line, expected) => {
    const { folder, file, env } = await place('bash');
    // Readline takes words apart at `=`, too.
    const words = line.split(' ').flatMap((word) => word.split(/(=)/u));
    const ask = `source ${file}; COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _boxctl; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = spawnSync('bash', ['-c', ask], { encoding: 'utf8', cwd: folder, env });
    expect(stdout.split('\n')).toContain(expected);
  });

  test.skipIf(!existsSync('/usr/bin/fish')).each(LINES)(
    'in fish, "%s" becomes "%s" among others (needs fish)',
    async (line, expected) => {
      const { folder, file, env } = await place('fish');
      const ask = `source ${file}; complete -C '${line}'`;
      const { stdout } = spawnSync('fish', ['--no-config', '-c', ask], { encoding: 'utf8', cwd: folder, env });
      const offered = stdout.split('\n').map((each) => each.split('\t')[0]?.replace(/^--[\w-]+=/u, ''));
      expect(offered).toContain(expected);
    },
  );

  /** What zsh shows for each line. One shell for all: to set up completion takes longer than everything else. */
  async function shownByZsh(): Promise<readonly string[]> {
    const { folder, file, env } = await place('zsh');
    // A shell at a terminal, at which somebody types the line, asks for what there is, and clears the line. Only once the prompt is
    // there, the shell reads keys itself: before, the terminal takes ^D for the end of the input.
    const ask = `zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1="next"">"; TERM=dumb; unsetopt zle_bracketed_paste; autoload -U compinit; compinit -u -D; source ${file}; zstyle ":completion:*" list-prompt ""; LISTMAX=1000; echo show"n"'
zpty -r shell out '*shown*next>*'
for line in "$@"; do
  zpty -n -w shell "$line"$'\\C-d\\t\\t\\C-u'
  zpty -w shell 'echo show"n"'
  zpty -r shell out '*shown*next>*'
  print -rn -- $out$'\\0'
done
zpty -d shell`;
    const lines = LINES.map(([line]) => line);
    const { stdout } = await run(['timeout', '60', 'zsh', '-f', '-c', ask, 'zsh', ...lines], { cwd: folder, env });
    return stdout.split('\0');
  }
  let shown: Promise<readonly string[]> | undefined;

  test.skipIf(!existsSync('/usr/bin/zsh')).each(LINES.map(([line, expected], at) => [line, expected, at] as const))(
    'in zsh, "%s" becomes "%s" among others (needs zsh)',
    async (_line, expected, at) => {
      shown ??= shownByZsh();
      expect((await shown)[at]).toMatch(new RegExp(`(^|[\\s=])${expected}(\\s|\\b|$)`, 'u'));
    },
  );
});

describe('errors for programs', () => {
  const JSON_COMMANDS = ALL.filter(({ options }) => options['json'] !== undefined);

  test.each(JSON_COMMANDS.map(({ name }) => name))('boxctl %s --json tells them as lines of JSON', async (name) => {
    for (const words of [['--nope'], ['nowhere', 'nowhere.yaml', 'x', 'y']]) {
      const { stdout, stderr, status } = await boxctl([...name.split(' '), '--json', ...words]);
      if (status === 0) continue;
      // `validate` is asked for what is wrong: that is its result.
      if (stdout !== '') expect(JSON.parse(stdout)).toBeDefined();
      const lines = stdout === '' ? stderr.trimEnd().split('\n') : [];
      // `image rm` goes on with the next image.
      if (name !== 'image rm') expect(lines.length, stderr).toBeLessThan(2);
      for (const line of lines) {
        expect(JSON.parse(line)).toMatchObject({ event: 'error', code: expect.stringMatching(/^E_/u) });
      }
    }
  });

  test('boxctl --json tells an unknown command as a line of JSON', async () => {
    const { stderr } = await boxctl(['nope', '--json']);
    expect(JSON.parse(stderr)).toMatchObject({ event: 'error', code: 'E_USAGE', hint: 'boxctl --help' });
  });
});

test('a standard output that cannot be written is an error', async () => {
  const { stderr, status } = await run(['sh', '-c', '"$0" "$1" help >/dev/full', process.execPath, PROGRAM]);
  expect({ stderr, status }).toEqual({
    stderr: 'boxctl: error: standard output cannot be written to: ENOSPC\n  is it closed, or its disk full?\n',
    status: 125,
  });
});
