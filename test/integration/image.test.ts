/** Images through the real launcher: what GNU tar would make, as root and as an ordinary user, and interrupted. */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { INSTALLED } from '../support/boxctl.ts';
import { archive } from '../unit/image/archive-fixture.ts';
import type { Work } from './image-worker.ts';

/** Where an ordinary user can read it. */
const worker = join(INSTALLED, 'dist/test/image-worker.cjs');
const isRoot = process.geteuid?.() === 0;
/** An ordinary user; one with subordinate ids where the host has one. */
const user = /^([^:]+):/m.exec(existsSync('/etc/subuid') ? readFileSync('/etc/subuid', 'utf8') : '')?.[1] ?? 'nobody';

beforeAll(async () => {
  const bundle = await rolldown({
    input: join(import.meta.dirname, 'image-worker.ts'),
    platform: 'node',
    logLevel: 'silent',
  });
  await bundle.write({ file: worker, format: 'cjs' });
  execFileSync('chmod', ['-R', 'a+rX', dirname(worker)]);
});

let base = '';
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'boxctl-image-'));
  chmodSync(base, 0o755);
});
afterEach(() => {
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(base);
  rmSync(base, { recursive: true });
});

/** The facts, with the one tree that the archive became. */
function resultOf(text: string): Result {
  const facts = JSON.parse(text) as Result & { layers?: readonly { readonly path: string }[] };
  const [layer] = facts.layers ?? [];
  return { ...facts, ...(layer === undefined ? {} : { rootfs: layer.path }) };
}

interface Result {
  readonly rootfs?: string;
  readonly digest?: string;
  readonly passwd?: string;
  readonly code?: string;
  readonly message?: string;
}
const commandOf = (work: Work, as?: string): [string, string[]] => {
  const command = [process.execPath, worker, JSON.stringify(work)];
  const switched = ['setpriv', `--reuid=${as}`, `--regid=${as}`, '--init-groups', '--', ...command];
  const [program = '', ...args] = as === undefined ? command : switched;
  return [program, args];
};
function ensure(work: Work, as?: string): Result {
  const [program, args] = commandOf(work, as);
  const { stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: work.folder },
  });
  if (!stdout.startsWith('{')) throw new Error(`${stdout}\n${stderr}`);
  return resultOf(stdout);
}

/** Everything of a tree that an archive can say. */
function listing(folder: string): string[] {
  const inodes = new Map<bigint, number>();
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .toSorted()
    .map((name) => {
      const path = join(folder, name);
      const stat = lstatSync(path, { bigint: true });
      if (!inodes.has(stat.ino)) inodes.set(stat.ino, inodes.size);
      const what = stat.isSymbolicLink() ? readlinkSync(path) : stat.isFile() ? readFileSync(path, 'hex') : '';
      const { mode, uid, gid, mtimeNs, rdev } = stat;
      return [name, mode.toString(8), uid, gid, mtimeNs, rdev, inodes.get(stat.ino), what].join(' ');
    });
}

/** A tree with one of everything. */
function makeTree(folder: string): void {
  mkdirSync(join(folder, 'etc/deep/er'), { recursive: true });
  writeFileSync(join(folder, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\n');
  writeFileSync(join(folder, 'etc/deep/er/file'), 'x'.repeat(100_000));
  writeFileSync(join(folder, 'su'), '#!/bin/sh\n');
  chownSync(join(folder, 'su'), 12, 34);
  chmodSync(join(folder, 'su'), 0o6755);
  linkSync(join(folder, 'su'), join(folder, 'etc/hard'));
  symlinkSync('/etc/passwd', join(folder, 'absolute'));
  symlinkSync('etc/nowhere', join(folder, 'dangling'));
  mkdirSync(join(folder, 'closed'));
  writeFileSync(join(folder, 'closed/file'), '');
  mkdirSync(join(folder, 'n'.repeat(200), 'm'.repeat(200)), { recursive: true });
  writeFileSync(join(folder, 'line\nbreak'), 'ünïcode');
  execFileSync('mkfifo', ['-m', '600', join(folder, 'fifo')]);
  execFileSync('mknod', ['-m', '666', join(folder, 'null'), 'c', '1', '3']);
  execFileSync('truncate', ['-s', '3M', join(folder, 'sparse')]);
  execFileSync('sh', ['-c', `printf x | dd bs=1 seek=2000000 conv=notrunc status=none of='${join(folder, 'sparse')}'`]);
  execFileSync('touch', ['-h', '-d', '1965-04-03 02:01:00.123456789', join(folder, 'dangling'), join(folder, 'su')]);
  execFileSync('touch', ['-d', '2001-02-03 04:05:06.789', join(folder, 'closed'), join(folder, 'etc')]);
  chmodSync(join(folder, 'closed'), 0o500);
}

describe.skipIf(!isRoot)('as root (skipped without root: owners and devices need it)', () => {
  test.each([
    ['posix', []],
    ['gnu', []],
    ['posix', ['--sparse']],
    ['gnu', ['--sparse']],
    ['posix', ['--sparse', '--sparse-version=0.0']],
    ['posix', ['--sparse', '--sparse-version=0.1']],
  ])('a tree is what GNU tar makes of it: %s %j', (format, options) => {
    const [tree, oracle, path] = ['tree', 'oracle', 'image.tar'].map((name) => join(base, name)) as [
      string,
      string,
      string,
    ];
    makeTree(tree);
    mkdirSync(oracle);
    execFileSync('tar', [`--format=${format}`, ...options, '-C', tree, '-cf', path, '.']);
    execFileSync('tar', ['-C', oracle, '--numeric-owner', '--warning=none', '-xpf', path]);
    const { rootfs = '', passwd } = ensure({ source: { kind: 'tar', path }, folder: base });
    expect(passwd).toBe('root:x:0:0::/:/bin/sh\n');
    expect(listing(rootfs)).toEqual(listing(oracle));
    const { blocks } = lstatSync(join(rootfs, 'sparse'));
    if (options.length > 0) expect(blocks).toBeLessThan(100);
  });

  test('extended attributes and file capabilities are unpacked', () => {
    const path = join(base, 'image.tar');
    // VFS_CAP_REVISION_2, effective, permitted CAP_NET_RAW.
    const capability = '\u0001\0\0\u0002\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0';
    const pax = { 'SCHILY.xattr.security.capability': capability, 'SCHILY.xattr.user.mine': 'value' };
    writeFileSync(path, archive({ name: 'ping', mode: 0o755, pax }));
    const { rootfs = '' } = ensure({ source: { kind: 'tar', path }, folder: base });
    const read = (name: string) =>
      execFileSync(
        'python3',
        ['-c', `import os,sys; sys.stdout.buffer.write(os.getxattr("${rootfs}/ping", "${name}"))`],
        {
          encoding: 'latin1',
        },
      );
    expect(read('security.capability')).toBe(capability);
    expect(read('user.mine')).toBe('value');
  });

  /** An archive that takes a while. */
  const slow = (path: string): void => {
    const zeroes = spawnSync('sh', [
      '-c',
      `truncate -s 1G "$0.data" && tar -C "$(dirname "$0")" -cf - "$(basename "$0").data" | gzip -1 >"$0"; rm "$0.data"`,
      path,
    ]);
    expect(zeroes.status).toBe(0);
  };
  /** Starts an import, and waits until it is at work. */
  const begin = async (work: Work) => {
    const [program, args] = commandOf(work);
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const temporary = join(base, 'store/tmp');
    // A folder in the workspace: the lock under which that was made is given up by then.
    const parts = () => readdirSync(temporary).filter((name) => existsSync(join(temporary, name, 'tree')));
    await expect.poll(() => existsSync(temporary) && parts().length, { interval: 5 }).toBe(1);
    return child;
  };
  const end = (child: ChildProcess) => new Promise((resolve) => child.once('close', resolve));

  test('an import that is killed leaves no image, and the next import removes its files', async () => {
    const path = join(base, 'image.tar');
    slow(path);
    const child = await begin({ source: { kind: 'tar', path }, folder: base });
    child.kill('SIGKILL');
    await end(child);
    expect(readdirSync(join(base, 'store/layers'))).toEqual([]);
    expect(readdirSync(join(base, 'store/tmp'))).toHaveLength(1);
    writeFileSync(path, archive({ name: 'a', data: 'x' }));
    const { rootfs = '' } = ensure({ source: { kind: 'tar', path }, folder: base });
    expect(readdirSync(rootfs)).toEqual(['a']);
    expect(readdirSync(join(base, 'store/tmp'))).toEqual([]);
  });

  test('an import does not remove the folder of another one that still runs', async () => {
    const [one, two] = ['one', 'two'].map((name) => join(base, name)) as [string, string];
    slow(one);
    writeFileSync(two, archive({ name: 'two', data: 'x' }));
    const child = await begin({ source: { kind: 'tar', path: one }, folder: base });
    child.kill('SIGSTOP');
    expect(ensure({ source: { kind: 'tar', path: two }, folder: base }).code).toBeUndefined();
    expect(readdirSync(join(base, 'store/tmp'))).toHaveLength(1);
    child.kill('SIGKILL');
    await end(child);
  });

  test('several imports of one archive at once make one tree', async () => {
    const path = join(base, 'image.tar');
    writeFileSync(path, archive({ name: 'a', data: 'x' }, { name: 'big', data: Buffer.alloc(3 << 20) }));
    const [program, args] = commandOf({ source: { kind: 'tar', path }, folder: base });
    const ends = Array.from({ length: 4 }, async () => {
      const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      let text = '';
      child.stdout.on('data', (part: Buffer) => (text += part.toString()));
      await new Promise((resolve) => child.once('close', resolve));
      return resultOf(text);
    });
    const results = await Promise.all(ends);
    expect(new Set(results.map((result) => JSON.stringify(result))).size).toBe(1);
    expect(readdirSync(join(base, 'store/tmp'))).toEqual([]);
  });

  test('a bad archive names its entry, and leaves nothing', () => {
    const path = join(base, 'image.tar');
    writeFileSync(path, archive({ name: 'fine' }, { name: 'link', type: '2', link: '/etc' }, { name: 'link/passwd' }));
    expect(ensure({ source: { kind: 'tar', path }, folder: base })).toEqual({
      code: 'E_IMAGE_BAD_ARCHIVE',
      message: `The image ${path} cannot be read: the path leads through a symbolic link of the archive (entry "link/passwd")`,
    });
    expect(readdirSync(join(base, 'store/tmp'))).toEqual([]);
  });

  test('a large bad archive and a truncated gzip file end the import, and no process stays', () => {
    const path = join(base, 'image.tar');
    const big = { name: 'big', data: Buffer.alloc(8 << 20, 'data') };
    writeFileSync(path, archive({ name: '../evil' }, big));
    expect(ensure({ source: { kind: 'tar', path }, folder: base }).code).toBe('E_IMAGE_BAD_ARCHIVE');
    writeFileSync(path, gzipSync(archive(big, { name: 'end' })).subarray(0, -12));
    expect(ensure({ source: { kind: 'tar', path }, folder: base })).toMatchObject({
      code: 'E_IMAGE_BAD_ARCHIVE',
      message: expect.stringMatching(/ends too early/),
    });
    expect(readdirSync(join(base, 'store/tmp'))).toEqual([]);
  });

  test('the tools of this host', () => {
    const { rootfs = '' } = ensure({ source: { kind: 'host_tools', tools: ['sh', 'ls'] }, folder: base });
    expect(lstatSync(join(rootfs, 'bin/sh')).isSymbolicLink() || lstatSync(join(rootfs, 'bin/sh')).isFile()).toBe(true);
  });
});

describe.skipIf(!isRoot)('as an ordinary user (skipped without root: the test has to become one)', () => {
  test.each(['alone', 'range'] as const)(
    'owners are those of the map (%s), what it lacks is squashed, no devices',
    (mapped) => {
      const path = join(base, 'image.tar');
      const home = join(base, 'home');
      mkdirSync(home);
      const uid = Number(execFileSync('id', ['-u', user], { encoding: 'utf8' }));
      chownSync(home, uid, Number(execFileSync('id', ['-g', user], { encoding: 'utf8' })));
      writeFileSync(
        path,
        archive(
          { name: 'etc/passwd', data: 'root:x:0:0::/:/bin/sh\n' },
          { name: 'mine', uid: 0, gid: 0, mode: 0o755 },
          { name: 'su', uid: 4_000_000_000 % 2097152, gid: 0, mode: 0o4755, pax: { uid: '4000000000' } },
          { name: 'null', type: '3', major: 1, minor: 3 },
          { name: 'd/closed', type: '5', mode: 0, uid: 5 },
          { name: 'd/closed/file', data: 'x' },
        ),
      );
      const { rootfs = '', passwd, message } = ensure({ source: { kind: 'tar', path }, folder: home, mapped }, user);
      expect(message).toBeUndefined();
      expect(passwd).toBe('root:x:0:0::/:/bin/sh\n');
      expect(lstatSync(join(rootfs, 'mine')).uid).toBe(uid);
      expect(lstatSync(join(rootfs, 'su'))).toMatchObject({ uid, mode: 0o100755 });
      expect(existsSync(join(rootfs, 'null'))).toBe(false);
      const range = readFileSync('/etc/subuid', 'utf8')
        .split('\n')
        .find((line) => line.startsWith(`${user}:`));
      const expected = range === undefined || mapped === 'alone' ? uid : Number(range.split(':')[1]) + 4;
      expect(lstatSync(join(rootfs, 'd/closed')).uid).toBe(expected);
      // What belongs to mapped ids can be removed again: the failed import's folder goes.
      writeFileSync(
        path,
        archive({ name: 'd', type: '5', mode: 0, uid: 5 }, { name: 'd/f', uid: 7 }, { name: '../evil' }),
      );
      expect(ensure({ source: { kind: 'tar', path }, folder: home, mapped }, user).code).toBe('E_IMAGE_BAD_ARCHIVE');
      expect(readdirSync(join(home, 'store/tmp'))).toEqual([]);
    },
  );

  test('the tools of this host, with no subordinate ids', () => {
    chownSync(base, Number(execFileSync('id', ['-u', user], { encoding: 'utf8' })), -1);
    const source = { kind: 'host_tools', tools: ['sh', 'ls', 'ps'] } as const;
    const { rootfs = '', message } = ensure({ source, folder: join(base, 'home'), mapped: 'alone' }, user);
    expect(message).toBeUndefined();
    const { stdout } = spawnSync('chroot', [rootfs, '/bin/sh', '-c', 'ls -d /tmp'], { encoding: 'utf8' });
    expect(stdout).toBe('/tmp\n');
  });
});
