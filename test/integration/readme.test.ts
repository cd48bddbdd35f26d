/** What the README shows is so. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { describe, expect, test } from 'vitest';
import { COMMANDS } from '../../src/cli/table.ts';
import { boxctl, INSTALLED, PROGRAM, PROJECT, run } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, hasLimits, self } from '../support/container.ts';
import { isRoot } from '../support/user.ts';
import { busyboxRootfs } from '../support/rootfs.ts';
import { tempFolder } from '../support/temp.ts';

const text = readFileSync(join(PROJECT, 'README.md'), 'utf8');
const HELLO = join(INSTALLED, 'examples/hello');

/** The fenced blocks of a language, '' for those of none. */
function blocks(language: string): readonly string[] {
  const fences = [...text.matchAll(/^```(\w*)\n(.*?)^```$/gmsu)];
  return fences.flatMap(([, name, content]) => (name === language ? [content ?? ''] : []));
}

/** The block without a language that holds the words. */
function shown(words: string): string {
  const found = blocks('').filter((block) => block.includes(words));
  expect(found).toHaveLength(1);
  return found[0] ?? '';
}

describe('commands', () => {
  test('in README run the package’s own program', () => {
    const { scripts, bin } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as {
      scripts: Readonly<Record<string, string>>;
      bin: Readonly<Record<string, string>>;
    };
    expect(blocks('sh').map((block) => block.trim())).toEqual([
      'npm ci && npx boxctl up examples/hello/container.yaml',
      'npm cit',
    ]);
    expect(bin['boxctl']).toBe('dist/boxctl');
    expect(scripts['test']).toMatch(/^vitest run /u);
    expect(scripts['prepare']).toContain('build');
    expect(readFileSync(join(PROJECT, '.ci/run'), 'utf8')).toMatch(/^ +if ! npm cit 2>&1 \| tee /mu);
  });

  test('the table has every command, and no other', () => {
    const rows = [...text.matchAll(/^\| `boxctl (\w+)/gmu)].map(([, name]) => name);
    expect(rows.toSorted()).toEqual(
      COMMANDS.map(({ name }) => name)
        .filter((name) => name !== 'help')
        .toSorted(),
    );
  });
});

test.skipIf(!hasLimits)(
  'the container file in README starts, and each of its keys holds (needs root, or a cgroup of the user’s own)',
  async () => {
    const [yaml = ''] = blocks('yaml');
    const folder = tempFolder();
    writeFileSync(join(folder, 'container.yaml'), yaml);
    writeFileSync(join(folder, 'rootfs.tar.gz'), '');
    const { stderr, status } = await boxctl(['validate'], { cwd: folder });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  },
);

test('the errors of the wrong file are those in README', async () => {
  const expected = shown('potatoes');
  const folder = tempFolder();
  const lines = [...expected.matchAll(/^ \d+ \| (.*)$/gmu)].map(([, line]) => line);
  writeFileSync(join(folder, 'container.yaml'), ['image: {host_tools: [sh]}', ...lines, ''].join('\n'));
  const { stderr } = await boxctl(['validate'], { cwd: folder });
  expect(stderr).toBe(expected);
});

test('the refusal of a file with demands is the one in README', async () => {
  const expected = shown('not allowed');
  const folder = tempFolder();
  const [, line = ''] = /^ 3 \| (.*)$/mu.exec(expected) ?? [];
  const [, socket = ''] = /'(\/[^:]+):/u.exec(line) ?? [];
  // Whatever is there, or not, on this machine, stands for it.
  const file = ['image: {host_tools: [sh]}', 'command: [sh]', line.replace(socket, '/etc/hostname'), ''].join('\n');
  writeFileSync(join(folder, 'container.yaml'), file);
  const { stderr, status } = await boxctl(['up'], callerOptions(self, folder));
  expect(status).toBe(125);
  const squeezed = (part: string): string => part.replaceAll(socket, '/etc/hostname').replaceAll(/\^+/gu, '^');
  expect(squeezed(stderr)).toContain(squeezed(expected).trimEnd());
});

test.skipIf(!isRoot)('a plan has the lines that README shows (needs root)', async () => {
  const expected = shown('users (on the host)');
  const folder = tempFolder();
  const file = '#\n#\n#\nimage: {host_tools: [sh]}\ncommand: [sh]\nuid_map: ["0:100000:65536"]\n';
  writeFileSync(join(folder, 'container.yaml'), file);
  const { stdout } = await boxctl(['plan'], { ...callerOptions(self, folder), cwd: folder });
  expect(stdout).toContain(expected);
});

describe.skipIf(!hasBusybox || !isRoot)('the pictures of the first run (needs root and busybox-static)', () => {
  const titles = (part: string): readonly string[] =>
    [...part.matchAll(/✔ (.*?) +\d+ steps? /gu)].map(([, title]) => title ?? '');
  const labels = (part: string): readonly string[] =>
    [...part.matchAll(/^ {2}(\w+(?: \w+)?)(?: {2}|\r?$)/gmu)].map(([, label]) => label ?? '');

  async function onTerminal(words: string): Promise<string> {
    const command = `'${process.execPath}' '${PROGRAM}' ${words} container.yaml`;
    const options = { ...callerOptions(self, HELLO), cwd: HELLO };
    await boxctl(['up', 'container.yaml'], options);
    const { stdout } = await run(['script', '-qec', command, '/dev/null'], {
      ...options,
      env: { ...options.env, TERM: 'xterm', NO_COLOR: '1' },
    });
    const lines = stdout.replaceAll('\r\n', '\n').split('\n');
    return lines.map((line) => line.split('\r\u001b[K').at(-1)).join('\n');
  }

  test('show the words of a real one, and nothing else', async () => {
    const real = await onTerminal('up');
    expect(labels(real)).toEqual(labels(shown('Hello from a container')));
    expect(real.startsWith('Hello from a container\n')).toBe(true);
  });

  test('show the steps of a real one', async () => {
    expect(titles(await onTerminal('up --progress list'))).toEqual(titles(shown('✔ namespaces')));
  });
});

describe.skipIf(!hasBusybox)('the library (needs busybox-static)', () => {
  /** The example with its end printed, as a program beside the package that is installed. */
  async function programOf(index: number): Promise<string> {
    const code = blocks('ts')[index] ?? '';
    const source = join(INSTALLED, `dist/test/readme-${index}.ts`);
    mkdirSync(join(INSTALLED, 'dist/test'), { recursive: true });
    writeFileSync(
      source,
      `${code.replace("'boxctl'", "'../index.js'")}\nconsole.error(JSON.stringify({ reason, status }));\n`,
    );
    const program = join(INSTALLED, `dist/test/readme-${index}.mjs`);
    const bundle = await rolldown({ input: source, platform: 'node', external: ['../index.js'], logLevel: 'silent' });
    await bundle.write({ file: program, format: 'esm' });
    return program;
  }

  test.each([
    ['starts boxes from a template', 0, '7'],
    ['runs a container', 1, 'none'],
  ])('%s as the example says', async (_title, index, job) => {
    const program = await programOf(index);
    const folder = tempFolder();
    symlinkSync(busyboxRootfs(), join(folder, 'rootfs.tar'));
    const script = 'echo from a library: $${JOB:-none}; exit 3';
    writeFileSync(join(folder, 'container.yaml'), `image: ./rootfs.tar\ncommand: [sh, -c, "${script}"]\n`);
    const { stdout, stderr, status } = await run([process.execPath, program], callerOptions(self, folder));
    expect({ stdout, stderr, status }).toEqual({
      stdout: `from a library: ${job}\n`,
      stderr: '{"reason":"exited","status":3}\n',
      status: 0,
    });
  });
});
