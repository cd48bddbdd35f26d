/** What a container that may write to a project cannot change in it: what programs of the host run by themselves. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { boxctl } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, type Caller } from '../support/container.ts';
import { busyboxRootfs } from '../support/rootfs.ts';
import { tempFolder } from '../support/temp.ts';

const GIT = '/usr/bin/git';
const AS = ['-c', 'user.name=x', '-c', 'user.email=x@y', '-c', 'safe.directory=*', '-c', 'protocol.file.allow=always'];
const git = (cwd: string, ...args: readonly string[]): string =>
  execFileSync(GIT, [...AS, ...args], { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });

/** A repository with a worktree and a submodule, and a container file in it. */
function project(caller: Caller, keys: Readonly<Record<string, unknown>>, change = ''): string {
  const folder = tempFolder({ open: true });
  const sub = join(tempFolder({ open: true }), 'sub');
  mkdirSync(sub);
  for (const [at, file] of [
    [sub, 's'],
    [folder, 'a'],
  ] as const) {
    git(at, 'init', '-q', '.');
    writeFileSync(join(at, file), 'text\n');
    git(at, 'add', file);
    git(at, 'commit', '-qm', 'first');
  }
  git(folder, 'worktree', 'add', '-q', 'tree');
  git(folder, 'submodule', '--quiet', 'add', sub, 'lib/sub');
  writeFileSync(join(folder, 'variables.env'), 'A=1\n');
  const spec = { name: 'guarded', image: busyboxRootfs(), env_file: './variables.env', volumes: ['.:/w'], ...keys };
  writeFileSync(join(folder, 'container.yaml'), stringify({ ...caller.keys, ...spec }));
  execFileSync('sh', ['-c', change], { cwd: folder });
  // So that nothing is refused for want of a right.
  execFileSync('chmod', ['-R', 'a+rwX', folder]);
  if (caller.user !== undefined) execFileSync('chown', ['-R', `${caller.user.uid}:${caller.user.gid}`, folder]);
  return folder;
}

const ATTACKS = [
  'echo "[core] fsmonitor=/w/evil" >>.git/config',
  'mv .git/config .git/other',
  'rm -f .git/config',
  'echo x >.git/new && mv .git/new .git/config',
  'mv .git .moved',
  'touch .git/hooks/pre-commit',
  'mv .git/hooks .git/other',
  'touch .git/info/attributes',
  'echo ../evil >.git/commondir',
  'rm -f .git/commondir',
  'touch .git/config.worktree && false',
  'echo x >.git/worktrees/tree/commondir',
  'mv .git/worktrees .git/other',
  'mv .git/worktrees/tree .git/worktrees/other',
  'echo x >tree/.git',
  'mv tree other',
  'echo x >>.git/modules/lib/sub/config',
  'mv .git/modules/lib .git/modules/other',
  'touch .git/modules/lib/sub/hooks/x',
  'echo x >.git/modules/lib/sub/commondir',
  'echo x >lib/sub/.git',
  'mv lib other',
  'echo x >>container.yaml',
  'mv container.yaml other',
  'echo x >>variables.env',
];

/** Tries each, and prints those that worked. */
const trying = (attacks: readonly string[]): readonly string[] => [
  'sh',
  '-c',
  attacks
    .map((one) => `cd /w; if (${one}) 2>/dev/null; then echo 'worked: ${one}'; fi`)
    .join('\n')
    .replaceAll('$', '$$$$'),
];

describe.skipIf(!hasBusybox || !existsSync(GIT)).each(callers)('as $title (needs busybox-static, git)', (caller) => {
  const up = (folder: string, ...words: readonly string[]) => boxctl(['up', ...words], callerOptions(caller, folder));

  test('nothing that git or boxctl run by themselves can be changed, replaced, or made', async () => {
    const folder = project(caller, {
      command: trying([...ATTACKS, 'echo b >b', 'echo x >.git/index.lock && rm .git/index.lock']),
    });
    const before = git(folder, 'config', '--list', '--local');
    expect(await up(folder)).toMatchObject({
      stdout: 'worked: echo b >b\nworked: echo x >.git/index.lock && rm .git/index.lock\n',
      stderr: '',
    });
    expect(git(folder, 'config', '--list', '--local')).toBe(before);
    expect(existsSync(join(folder, '.git/commondir'))).toBe(false);
    expect(git(folder, 'status', '--short', '--ignore-submodules')).toContain('?? b');
  });

  test('what the configuration names in the project is covered, and what is missing is made', async () => {
    const change = `rm -r .git/hooks .git/info; git config core.hooksPath .tools/hooks; git config extensions.worktreeConfig true
      git config include.path ../more.config; touch more.config`;
    const attacks = [
      'touch .tools/hooks/pre-commit',
      'mv .tools other',
      'echo x >>more.config',
      'mkdir .git/hooks',
      'touch .git/hooks/x',
      'touch .git/info/attributes',
      'echo x >>.git/config.worktree',
    ];
    expect(await up(project(caller, { command: trying(attacks) }, change))).toMatchObject({ stdout: '', stderr: '' });
  });

  test('a part of a project, a bare repository, and git’s own folders as sources are covered, too', async () => {
    const change = 'git init -q --bare bare.git; mkdir sub; git init -q sub/inner';
    const volumes = [
      './bare.git:/bare',
      './.git:/git',
      './.git/hooks:/hooks',
      './container.yaml:/file',
      './sub/inner:/inner',
    ];
    const attacks = [
      'echo x >>/bare/config',
      'touch /bare/hooks/x',
      'echo x >>/git/config',
      'mv /git/modules/lib /git/modules/other',
      'touch /hooks/x',
      'echo x >>/file',
      'echo x >>/inner/.git/config',
      'mv /inner/.git /inner/other',
      'touch /bare/x /git/x /inner/x',
    ];
    const folder = project(caller, { volumes: [...volumes, '.:/w'], command: trying(attacks) }, change);
    expect(await up(folder)).toMatchObject({ stdout: 'worked: touch /bare/x /git/x /inner/x\n', stderr: '' });
  });

  test('what cannot be covered is refused until it is allowed, and so is a file that asks for everything', async () => {
    for (const [name, change] of [
      ['.git/hooks', 'rm -r .git/hooks; mkdir tools; ln -s ../tools .git/hooks'],
      ['.git', 'mv .git real; ln -s real .git'],
      ['.git/config', 'mv .git/config real; ln -s ../real .git/config'],
    ] as const) {
      const folder = project(caller, { command: ['true'] }, change);
      const { status, stderr } = await up(folder);
      expect({ name, status }).toEqual({ name, status: 125 });
      expect(stderr).toContain(`--allow unprotect=${folder}`);
      expect(stderr).toContain(`${name} is a link, which cannot be made read-only`);
      expect((await up(folder, '--allow', `unprotect=${folder}`)).status).toBe(0);
    }
    const bind = { type: 'bind', source: '.', target: '/w', bind: { protect: false } };
    const folder = project(caller, { volumes: [bind], command: trying(['echo "# x" >>.git/config']) });
    expect(await up(folder)).toMatchObject({ status: 125, stderr: expect.stringContaining('--allow unprotect=') });
    const allowed = await up(folder, '--allow', 'unprotect');
    expect(allowed.stdout).toBe('worked: echo "# x" >>.git/config\n');
    expect(readFileSync(join(folder, '.git/config'), 'utf8')).toContain('# x');
  });

  test('a link that is swapped in after the file was looked at is not followed', async () => {
    const folder = project(caller, { command: ['true'] });
    const planned = await boxctl(['plan', '--json'], callerOptions(caller, folder));
    const { steps } = JSON.parse(planned.stdout) as {
      steps: readonly { id: string; call: { name: string; args: { resolve?: readonly string[] } } }[];
    };
    const opened = steps.filter(({ id, call }) => id.startsWith('mount.w.guard.') && call.name === 'openat2');
    expect(opened.length).toBeGreaterThan(10);
    for (const { call } of opened) expect(call.args.resolve).toContain('RESOLVE_NO_SYMLINKS');
    execFileSync('rm', ['-r', join(folder, '.git/modules')]);
    symlinkSync('/etc', join(folder, '.git/modules'));
    expect((await up(folder)).stderr).toContain('.git/modules is a link, which cannot be');
  });
});
