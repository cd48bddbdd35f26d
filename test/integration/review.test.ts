/** `boxctl audit` and `boxctl diff` as a pull request's check would call them. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { boxctl, PROJECT } from '../support/boxctl.ts';
import { tempFolder } from '../support/temp.ts';

const SAFE = `image: {host_tools: [sh]}
user: "1000:1000"
read_only: true
limits: {memory: 64MiB, pids: 16, cpus: 1}
volumes: ["./src:/src:ro"]
command: [sh]
`;
const OPEN = SAFE.replace('"./src:/src:ro"', '"/nowhere/that/is/here:/src"').replace('read_only: true\n', '');

function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = tempFolder();
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

describe('audit', () => {
  test('ends with a status that a check can use', async () => {
    const cwd = folderWith({ 'container.yaml': SAFE, 'open.yaml': OPEN, 'broken.yaml': 'imge: x\n' });
    const status = async (...args: readonly string[]) => (await boxctl(['audit', ...args], { cwd })).status;
    expect(await status()).toBe(0);
    expect(await status('--fail-on', 'low')).toBe(1);
    expect(await status('--fail-on', 'medium')).toBe(0);
    expect(await status('open.yaml')).toBe(0);
    expect(await status('--fail-on', 'high', 'open.yaml')).toBe(1);
    expect(await status('--fail-on', 'critical', 'open.yaml')).toBe(0);
    expect(await status('--fail-on', 'high', '--ignore', 'bind-outside', 'open.yaml')).toBe(0);
    expect(await status('broken.yaml')).toBe(125);
    expect(await status('--fail-on', 'hihg', 'open.yaml')).toBe(125);
  });

  test('prints the worst first, with its line, and the change that closes it', async () => {
    const cwd = folderWith({ 'open.yaml': OPEN });
    const { stdout, stderr } = await boxctl(['audit', 'open.yaml'], { cwd });
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^high {6}open\.yaml:4:11 {2}reads and writes \/nowhere.* \[bind-outside\]\n +→ add `:ro`/u);
    expect(stdout).toMatch(/\n1 high, 2 low\n$/u);
  });

  test('prints data for programs', async () => {
    const cwd = folderWith({ 'open.yaml': OPEN });
    const { stdout } = await boxctl(['audit', '--json', 'open.yaml'], { cwd });
    expect(JSON.parse(stdout)).toMatchObject({
      file: 'open.yaml',
      findings: [
        { rule: 'bind-outside', severity: 'high', path: 'volumes.0', at: { line: 4 } },
        { rule: 'host-tools-image' },
        { rule: 'writable-root' },
      ],
    });
  });

  test('shows nothing that could steer a terminal', async () => {
    const cwd = folderWith({ 'open.yaml': `${SAFE}environment: {"A\\e[31mTOKEN": x, "B\\u202e_TOKEN": x}\n` });
    const { stdout } = await boxctl(['audit', 'open.yaml'], { cwd });
    expect(stdout).toContain('_TOKEN');
    for (const steering of ['\u001b', '\u202e']) expect(stdout).not.toContain(steering);
  });

  test.each(['hello', 'ci-job', 'debian'])('the example %s has nothing of the host', async (name) => {
    const file = join(PROJECT, 'examples', name, 'container.yaml');
    const { status, stdout } = await boxctl(['audit', '--fail-on', 'high', file]);
    expect({ status, stdout }).toMatchObject({ status: 0 });
  });
});

describe('diff', () => {
  test('compares files, and says by its status whether they differ', async () => {
    const cwd = folderWith({ 'a.yaml': SAFE, 'b.yaml': OPEN, 'c.yaml': `# another\n${SAFE}` });
    const status = async (...args: readonly string[]) => (await boxctl(['diff', ...args], { cwd })).status;
    expect(await status('a.yaml', 'c.yaml')).toBe(0);
    expect(await status('a.yaml', 'b.yaml')).toBe(1);
    expect(await status('--fail-on-gain', 'a.yaml', 'b.yaml')).toBe(1);
    expect(await status('a.yaml', 'missing.yaml')).toBe(125);
    const less = SAFE.replace('pids: 16', 'pids: 8');
    writeFileSync(join(cwd, 'd.yaml'), less);
    expect(await status('a.yaml', 'd.yaml')).toBe(1);
    expect(await status('--fail-on-gain', 'a.yaml', 'd.yaml')).toBe(0);
  });

  test('compares with a revision of git, from any folder of it', async () => {
    const folder = tempFolder();
    const git = (...args: readonly string[]) =>
      execFileSync('git', ['-c', 'user.name=x', '-c', 'user.email=x@example.org', ...args], { cwd: folder });
    mkdirSync(join(folder, 'box'));
    writeFileSync(join(folder, 'box/container.yaml'), SAFE);
    git('init', '-q');
    git('add', '.');
    git('commit', '-qm', 'one');
    writeFileSync(join(folder, 'box/container.yaml'), OPEN);
    const { stdout, status } = await boxctl(['diff', 'HEAD:container.yaml', 'container.yaml'], {
      cwd: join(folder, 'box'),
    });
    expect(status).toBe(1);
    expect(stdout).toMatch(
      /^gains\n {2}\+ mount \.\/src at \/src, read-only → \/nowhere.* \(HEAD:container\.yaml:5 → container\.yaml:4\)\n/u,
    );
    const above = await boxctl(['diff', '--json', 'HEAD:box/container.yaml', 'box/container.yaml'], { cwd: folder });
    expect(JSON.parse(above.stdout)).toMatchObject({ changes: [{ direction: 'gains' }, { direction: 'gains' }] });
    const none = await boxctl(['diff', 'HEAD~1:container.yaml', 'container.yaml'], { cwd: join(folder, 'box') });
    expect(none).toMatchObject({ status: 125 });
    expect(none.stderr).toContain('git has no HEAD~1:container.yaml');
  });
});

/** A repository with one commit, whose folder `box` is itself a bare repository with a configuration of its own. */
function hostileRepository(config: (marker: string) => string): { readonly folder: string; readonly marker: string } {
  const folder = tempFolder();
  const marker = join(folder, 'ran');
  const program = join(folder, 'program.sh');
  writeFileSync(program, `#!/bin/sh\necho ran >>${marker}\n`, { mode: 0o755 });
  const git = (cwd: string, ...args: readonly string[]): string =>
    execFileSync('git', ['-c', 'user.name=x', '-c', 'user.email=x@example.org', ...args], { cwd, encoding: 'utf8' });
  writeFileSync(join(folder, 'container.yaml'), SAFE);
  git(folder, 'init', '-q');
  git(folder, 'add', 'container.yaml');
  git(folder, 'commit', '-qm', 'one');
  execFileSync('cp', ['-r', join(folder, '.git'), join(folder, 'box')]);
  const blob = git(folder, 'rev-parse', 'HEAD:container.yaml').trim();
  for (const objects of ['box', '.git']) {
    unlinkSync(join(folder, objects, 'objects', blob.slice(0, 2), blob.slice(2)));
  }
  const text = `[core]\n repositoryformatversion = 1\n${config(program)}`;
  for (const place of ['box/config', '.git/config']) writeFileSync(join(folder, place), text);
  return { folder, marker };
}

const PROMISOR = (program: string): string => `[extensions]
 partialClone = evil
[remote "evil"]
 url = .
 promisor = true
 uploadpack = ${program}
`;

describe('a revision of git', () => {
  test.each([
    ['an uploadpack of a promisor remote', PROMISOR],
    ['a helper of a promisor remote', (program: string) => `${PROMISOR(program)} vcs = ext\n url = ext::${program}\n`],
    ['an ssh command', (program: string) => `${PROMISOR(program)} url = ssh://x/y\n[core]\n sshCommand = ${program}\n`],
    ['fsmonitor', (program: string) => `[core]\n fsmonitor = ${program}\n`],
    ['hooks', (program: string) => `[core]\n hooksPath = ${dirname(program)}\n`],
    ['a pager', (program: string) => `[core]\n pager = ${program}\n[pager]\n cat-file = ${program}\n`],
    ['an alias', (program: string) => `[alias]\n cat-file = !${program}\n`],
  ])('is read without running the repository’s words: %s', async (_name, config) => {
    const { folder, marker } = hostileRepository(config);
    for (const place of ['.', 'box']) {
      const cwd = join(folder, place);
      const { status } = await boxctl(['diff', 'HEAD:container.yaml', join(folder, 'container.yaml')], { cwd });
      expect(status).toBe(125);
    }
    expect(existsSync(marker)).toBe(false);
  });

  test('in a folder that is a bare repository is the one of the repository around it', async () => {
    const { folder } = hostileRepository(() => '');
    execFileSync('git', ['hash-object', '-w', 'container.yaml'], { cwd: folder });
    mkdirSync(join(folder, 'box/sub'));
    const { status, stderr } = await boxctl(['diff', 'HEAD:../container.yaml', '../container.yaml'], {
      cwd: join(folder, 'box'),
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  test('does not depend on variables of git’s, nor on a git that the repository brings', async () => {
    const { folder, marker } = hostileRepository(() => '');
    execFileSync('git', ['hash-object', '-w', 'container.yaml'], { cwd: folder });
    mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true });
    renameSync(join(folder, 'program.sh'), join(folder, 'node_modules/.bin/git'));
    const { status } = await boxctl(['diff', 'HEAD:container.yaml', 'container.yaml'], {
      cwd: folder,
      env: { GIT_DIR: '/nowhere', PATH: `${folder}/node_modules/.bin:.:${process.env['PATH'] ?? ''}` },
    });
    expect({ status, ran: existsSync(marker) }).toEqual({ status: 0, ran: false });
  });

  test('that is in no repository is told', async () => {
    const { status, stderr } = await boxctl(['diff', 'HEAD:a.yaml', 'HEAD:a.yaml'], { cwd: tempFolder() });
    expect(status).toBe(125);
    expect(stderr).toContain('is in no git repository');
  });
});
