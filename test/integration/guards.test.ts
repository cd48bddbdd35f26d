/** What a container that may write to a project cannot change in it: what programs of the host run by themselves. */
import { execFileSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { boxctl } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, type Caller } from '../support/container.ts';
import { ownRecords } from '../support/own-records.ts';
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

/** Ends a process and its children, the launcher among them, by SIGKILL. */
function killTree(pid: number): void {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  for (const one of [pid, ...children.map(Number)]) process.kill(one, 'SIGKILL');
}

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

  test('what is included at any depth, and programs of filters and aliases, are covered; missing ones are made', async () => {
    const change = `git config include.path ../.inc1; printf '[include]\\n path = .inc2\\n' >.inc1
      printf '[include]\\n path = .inc3\\n' >.inc2; printf '[core]\\n hooksPath = .late\\n' >.git/config.worktree
      git config extensions.worktreeConfig true; git config core.fsmonitor tools/mon
      mkdir tools; touch tools/clean.py tools/x; git config filter.x.clean 'python3 tools/clean.py %f'; git config alias.y '!./tools/x'`;
    const attacks = [
      'echo x >>.inc1',
      'echo x >>.inc2',
      'echo x >>.inc3',
      'touch .late/pre-commit',
      'touch tools/mon && false; echo x >>tools/mon',
      'echo x >>tools/clean.py',
      'mv tools other',
      'echo x >>tools/x',
    ];
    expect(await up(project(caller, { command: trying(attacks) }, change))).toMatchObject({ stdout: '', stderr: '' });
  });

  test('the project’s folder does not become a bare repository with a configuration of the container’s', async () => {
    const folder = project(caller, {
      command: trying([
        'rm .git/HEAD; mkdir objects refs; echo "ref: refs/heads/x" >HEAD; printf "[core]\\nfsmonitor=touch evil;\\nworktree=.\\n" >config; false',
        'rmdir commondir',
        'mv commondir other',
        'touch commondir/x',
      ]),
    });
    expect(await up(folder)).toMatchObject({ stdout: '', stderr: '' });
    // What the container has prepared would count as soon as what covers it is gone.
    expect(() => git(folder, 'status')).toThrow();
    expect((await up(folder)).status).toBe(0);
    expect(() => git(folder, 'status')).toThrow();
    expect(existsSync(join(folder, 'evil'))).toBe(false);
  });

  test('what is made for a while lasts until the last container ends, and the next command removes what a killed launcher left', async () => {
    const folder = project(caller, { command: ['sleep', '60'] });
    const made = ['.git/commondir', 'commondir'].map((name) => join(folder, name));
    const attack = trying(['rm -f .git/commondir', 'echo x >.git/commondir', 'rmdir commondir']);
    // Any command could be the next one.
    const own = await ownRecords(caller);
    const start = async () => {
      let child: ChildProcess | undefined;
      const ended = own(['up'], folder, { held: true, onStart: (started) => (child = started) });
      const isMade = (): boolean => child !== undefined && made.every((path) => existsSync(path));
      await expect.poll(isMade).toBe(true);
      return { ended, killAll: () => killTree(child?.pid ?? 0) };
    };
    const first = await start();
    // The first one to end leaves to the other what both need.
    expect(await own(['run', 'container.yaml', '--', ...attack], folder)).toMatchObject({
      stdout: '',
      stderr: '',
    });
    expect(made.map((path) => existsSync(path))).toEqual([true, true]);
    // Launcher and all: nothing is left to remove it but the next command.
    first.killAll();
    await first.ended;
    expect(made.map((path) => existsSync(path))).toEqual([true, true]);
    const elsewhere = project(caller, { volumes: [], command: ['true'] });
    expect((await own(['up'], elsewhere)).status).toBe(0);
    expect(made.map((path) => existsSync(path))).toEqual([false, false]);
    // It also ends by itself.
    expect((await own(['run', 'container.yaml', '--', 'true'], folder)).status).toBe(0);
    expect(made.map((path) => existsSync(path))).toEqual([false, false]);
  });

  test('committing, branches and resets work from inside', async () => {
    const commands = [
      'echo new >new',
      'git add new',
      'git commit -qm second',
      'git switch -qc other',
      'git branch more',
      'echo changed >new',
      'git diff --quiet HEAD || git commit -qam third',
      'git tag t',
      'git switch -q -',
      'git merge -q other',
      'git reset -q --hard HEAD',
      'git log --format=%s HEAD',
      'git status --short --ignore-submodules',
    ];
    // The exec path has nothing in it, and every one of these is built in.
    const words =
      'git() { /usr/bin/git -c safe.directory=\'*\' -c user.name=x -c user.email=x@y "$$@"; }; set -e; cd /w';
    const image = { host_tools: ['sh', 'git', 'cat'] };
    const folder = project(caller, { image, command: ['sh', '-c', [words, ...commands].join('\n')] });
    const once = callerOptions(caller, folder, { once: 'it commits' });
    const { status, stdout, stderr } = await boxctl(['up'], once);
    expect({ status, stderr, log: stdout.split('\n').slice(0, 3) }).toEqual({
      status: 0,
      stderr: '',
      log: ['third', 'second', 'first'],
    });
    expect(git(folder, 'log', '--format=%s', 'HEAD').split('\n').slice(0, 3)).toEqual(['third', 'second', 'first']);
    expect(git(folder, 'branch', '--list', 'other', 'more').split('\n').length).toBe(3);
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
