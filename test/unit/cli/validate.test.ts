/** `boxctl validate` and `boxctl plan`, which start nothing and change nothing. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { boxctl, type RunOptions } from '../../support/boxctl.ts';
import { tempFolder } from '../../support/temp.ts';

const GOOD = 'image: {host_tools: [sh]}\ncommand: [sh, -c, "true"]\n';
const BAD = 'image: {host_tools: [sh]}\nhostnme: web\nlimits: {memory: 1 potato}\n';

function folderWith(files: Readonly<Record<string, string>>): RunOptions & { readonly cwd: string } {
  const cwd = tempFolder();
  for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), text);
  return { cwd, env: { BOXCTL_STORE: join(cwd, 'store') } };
}

describe('validate', () => {
  test('a right file: status 0, and not a word', async () => {
    const { stdout, stderr, status } = await boxctl(['validate'], folderWith({ 'container.yml': GOOD }));
    expect({ stdout, stderr, status }).toEqual({ stdout: '', stderr: '', status: 0 });
  });

  test('a wrong file: status 1, and all problems framed on standard error', async () => {
    const { stdout, stderr, status } = await boxctl(['validate'], folderWith({ 'container.yaml': BAD }));
    expect({ stdout, status }).toEqual({ stdout: '', status: 1 });
    expect(stderr).toBe(`\
container.yaml:2:1: error: there is no key \`hostnme\`
   |
 2 | hostnme: web
   | ^^^^^^^
   = help: did you mean \`hostname\`?

container.yaml:3:18: error: "1 potato" is not a size
   |
 3 | limits: {memory: 1 potato}
   |                  ^^^^^^^^
   = help: units are b, k, m, g and t, 1024-based: 1MiB, 1g
`);
  });

  test('a file without an end is told to be too large', async () => {
    const { stderr, status } = await boxctl(['validate', '/dev/zero'], { env: { BOXCTL_STORE: '/nonexistent' } });
    expect({ stderr: stderr.split('\n')[0], status }).toEqual({
      stderr: '/dev/zero:1:1: error: the file cannot be used: it is larger than 1048576 bytes',
      status: 1,
    });
  });

  test('--json: one entry for each file, the problems with their places', async () => {
    const files = folderWith({ 'a.yaml': GOOD, 'b.yaml': BAD });
    const { stdout, stderr, status } = await boxctl(['validate', '--json', 'a.yaml', 'b.yaml', 'c.yaml'], files);
    expect({ stderr, status }).toEqual({ stderr: '', status: 1 });
    expect(JSON.parse(stdout)).toEqual([
      { file: 'a.yaml', problems: [] },
      {
        file: 'b.yaml',
        problems: [
          {
            code: 'E_SPEC_UNKNOWN_KEY',
            severity: 'error',
            message: 'there is no key `hostnme`',
            path: 'hostnme',
            at: { file: 'b.yaml', line: 2, column: 1, length: 7 },
            hint: 'did you mean `hostname`?',
          },
          expect.objectContaining({ code: 'E_SPEC_SIZE', path: 'limits.memory' }),
        ],
      },
      { file: 'c.yaml', problems: [expect.objectContaining({ code: 'E_SPEC_NOT_FOUND' })] },
    ]);
  });

  test('an image that is not unpacked yet is not asked for its users, nor unpacked', async () => {
    const files = folderWith({ 'container.yaml': `${GOOD}user: nobody-here\n` });
    expect(await boxctl(['validate'], files)).toMatchObject({ stderr: '', status: 0 });
    expect(existsSync(join(files.cwd, 'store'))).toBe(false);
  });

  test('colours: none in a pipe, some where they are forced, none where NO_COLOR is', async () => {
    const files = folderWith({ 'container.yaml': BAD });
    const colored = async (env: Readonly<Record<string, string>>): Promise<boolean> =>
      (await boxctl(['validate'], { ...files, env })).stderr.includes('\u001b[');
    expect(await colored({})).toBe(false);
    expect(await colored({ FORCE_COLOR: '1' })).toBe(true);
    expect(await colored({ FORCE_COLOR: '1', NO_COLOR: '1' })).toBe(false);
    expect(await colored({ FORCE_COLOR: '0' })).toBe(false);
  });
});

describe('plan', () => {
  test('prints to standard output alone, and leaves nothing', async () => {
    const files = folderWith({ 'container.yaml': GOOD });
    const { stdout, stderr, status } = await boxctl(['plan'], files);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^\S+: \d+ steps, \d+ on the host and \d+ inside\n/u);
    expect(stdout).toMatch(/^ {2}pivot_root\("\.", "\."\) +default: pivot_root$/mu);
    expect(stdout).toMatch(/container\.yaml:2$/mu);
    expect(stderr).toBe('boxctl: the image is not in the store yet: its digest in this plan is made up\n');
    expect(readdirSync(files.cwd)).toEqual(['container.yaml']);
  });

  test('an image that is not in the store yet may have the command: validate and plan do not miss it', async () => {
    const files = folderWith({ 'container.yaml': 'image: localhost:1/org/app:1\n' });
    expect(await boxctl(['validate'], files)).toMatchObject({ stdout: '', stderr: '', status: 0 });
    const { stdout, stderr, status } = await boxctl(['plan'], files);
    expect(status).toBe(0);
    expect(stdout).toContain('the-command-of-the-image');
    expect(stderr).toBe(
      'boxctl: the image is not in the store yet: its digest and its command in this plan are made up\n',
    );
  });

  test('programs of this host come without a command, and one is missed', async () => {
    const files = folderWith({ 'container.yaml': 'image: {host_tools: [sh]}\n' });
    expect(await boxctl(['validate'], files)).toMatchObject({
      stderr: expect.stringContaining('container.yaml:1:1: error: there is nothing to run'),
      status: 1,
    });
  });

  test('follows the width of the page', async () => {
    const files = folderWith({ 'container.yaml': GOOD });
    const lines = async (columns: string): Promise<number> => {
      const { stdout } = await boxctl(['plan'], { ...files, env: { ...files.env, COLUMNS: columns } });
      return stdout.split('\n').length;
    };
    expect(await lines('200')).toBeLessThan(await lines('80'));
  });

  test('--json is JSON alone', async () => {
    const { stdout, status } = await boxctl(['plan', '--json'], folderWith({ 'container.yaml': GOOD }));
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ version: 1, steps: expect.any(Array), reports: [] });
  });

  test('of a wrong file is its problems, with status 125', async () => {
    const { stdout, stderr, status } = await boxctl(['plan'], folderWith({ 'container.yaml': BAD }));
    expect({ stdout, status }).toEqual({ stdout: '', status: 125 });
    expect(stderr).toMatch(/^container\.yaml:2:1: error: /u);
  });
});
