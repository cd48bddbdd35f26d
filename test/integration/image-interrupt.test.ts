/** Imports that meet each other, a signal, or the end of the disk: seen from outside. */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { boxctl, PROGRAM, type Ended, type RunOptions } from '../support/boxctl.ts';
import { BUSYBOX, hasBusybox } from '../support/busybox.ts';
import { callers, self, specFolder, type Caller } from '../support/container.ts';
import { ociArchive } from '../support/image-archives.ts';
import { slowArchive } from '../support/rootfs.ts';
import { asUser, isRoot, userEnvironment } from '../support/user.ts';
import { archive } from '../unit/image/archive-fixture.ts';

const hasBzip2 = existsSync('/usr/bin/bzip2') || existsSync('/bin/bzip2');
const needs = hasBusybox && hasBzip2 ? describe : describe.skip;

interface Place {
  readonly folder: string;
  readonly store: string;
  boxctl(args: readonly string[], options?: RunOptions): Promise<Ended>;
  /** In a session of its own, whose processes can be told from all others. */
  start(args: readonly string[]): { readonly child: ChildProcess; readonly ended: Promise<Ended> };
  imports(): readonly string[];
  layers(): readonly string[];
  images(): Promise<readonly unknown[]>;
}

const list = (folder: string): readonly string[] => (existsSync(folder) ? readdirSync(folder) : []);

function place(caller: Caller = self, image: string = slowArchive()): Place {
  const folder = specFolder({ image, command: ['echo', 'ran'] }, caller);
  const store = join(folder, 'store');
  mkdirSync(store, { mode: 0o700 });
  if (caller.user !== undefined) chownSync(store, caller.user.uid, caller.user.gid);
  const allowed = (args: readonly string[]): readonly string[] =>
    args[0] === 'up' ? [...args, '--allow', 'all'] : args;
  const own: RunOptions = { cwd: folder, env: { BOXCTL_STORE: store, CI: '' } };
  const options: RunOptions = caller.user === undefined ? own : { ...own, user: caller.user };
  const call = (args: readonly string[], more: RunOptions = {}): Promise<Ended> =>
    boxctl(allowed(args), { ...options, ...more });
  return {
    folder,
    store,
    boxctl: call,
    start(args) {
      const command = [process.execPath, PROGRAM, ...allowed(args)];
      const [program = '', ...words] = caller.user === undefined ? command : asUser(caller.user, command);
      const home = caller.user === undefined ? { HOME: '/root' } : userEnvironment(caller.user);
      const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', ...home, ...options.env };
      const child = spawn(program, words, { cwd: folder, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
      const texts = { stdout: '', stderr: '' };
      child.stdout.on('data', (piece: Buffer) => (texts.stdout += piece.toString()));
      child.stderr.on('data', (piece: Buffer) => (texts.stderr += piece.toString()));
      const ended = new Promise<Ended>((resolve) => {
        child.on('close', (status, signal) => resolve({ status, signal, stdoutBytes: Buffer.alloc(0), ...texts }));
      });
      return { child, ended };
    },
    imports: () => list(join(store, 'tmp')),
    layers: () => list(join(store, 'layers')),
    images: async () => JSON.parse((await call(['image', 'ls', '--json'])).stdout) as readonly unknown[],
  };
}

const ESCAPES = new RegExp(String.raw`${String.fromCodePoint(27)}\[[0-9;]*[mK]`, 'gu');

const until = (what: () => boolean): Promise<void> =>
  expect.poll(what, { timeout: 15_000, interval: 10 }).toBe(true) as Promise<void>;

/** Processes of a session, the workers of an import among them. */
const processesOf = (session: number): string =>
  spawnSync('pgrep', ['-s', String(session)], { encoding: 'utf8' }).stdout.trim();

const eventsOf = ({ stderr }: Ended): readonly Readonly<Record<string, unknown>>[] =>
  stderr
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);

needs('two at once (needs busybox-static and bzip2)', () => {
  test('of two starts of one new image, one imports, the other says that it waits, and both run', async () => {
    const at = place();
    const both = await Promise.all([1, 2].map(() => at.boxctl(['up', '--json'], { once: 'it imports what is new' })));
    expect(both.map(({ status, stdout }) => ({ status, stdout }))).toEqual([
      { status: 0, stdout: 'ran\n' },
      { status: 0, stdout: 'ran\n' },
    ]);
    const kinds = both.map((ended) => {
      const events = eventsOf(ended);
      const progress = events.filter(({ event, read }) => event === 'import' && read !== undefined);
      return {
        imported: events.filter(({ event }) => event === 'imported').length,
        waited: events.filter(({ waiting }) => waiting === true).length,
        followed:
          progress.length > 2 && progress.every(({ source, total }) => source === 'slow-72.tar.bz2' && total !== 0),
      };
    });
    expect(kinds).toContainEqual({ imported: 1, waited: 0, followed: true });
    expect(kinds).toContainEqual({ imported: 0, waited: 1, followed: false });
    expect(at.layers()).toHaveLength(1);
    expect(at.imports()).toEqual([]);
  });

  test('on a terminal an import shows size, rate and remaining time, and a waiting one what it waits for', async () => {
    const at = place();
    const inTerminal = async (): Promise<string> => {
      const command = `${process.execPath} ${PROGRAM} up --allow all`;
      const child = spawn('script', ['-qec', command, '/dev/null'], {
        cwd: at.folder,
        env: { PATH: process.env['PATH'], HOME: '/root', BOXCTL_STORE: at.store, TERM: 'xterm' },
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      let screen = '';
      for await (const piece of child.stdout) screen += String(piece);
      return screen.replaceAll(ESCAPES, '').replaceAll('\r', '\n');
    };
    const first = inTerminal();
    await until(() => at.imports().length > 0);
    const [one, two] = await Promise.all([first, inTerminal()]);
    expect(one).toMatch(
      /○ importing slow-72\.tar\.bz2 {2}\d+ %, \d+(\.\d)? MB of 7\d MB,( \d+ files,)? \d+(\.\d)? MB\/s, \d+ s left\n/u,
    );
    expect(one).toMatch(/✔ importing slow-72\.tar\.bz2 {2}7\d MB in \d+\.\d s\n/u);
    expect(one).toMatch(/ran\s*$/u);
    expect(two).toMatch(/○ waiting for another boxctl that imports slow-72\.tar\.bz2/u);
    expect(two).toMatch(/ran\s*$/u);
  });

  test('layers that a running import uses are neither removed nor pruned', async () => {
    const busybox = archive(
      { name: 'bin/busybox', data: readFileSync(BUSYBOX), mode: 0o755 },
      { name: 'bin/echo', type: '2', link: 'busybox' },
    );
    const at = place();
    const noise = archive({ name: 'noise', data: randomBytes(24 << 20) });
    const pack = (layer: Buffer): Buffer =>
      layer === noise ? execFileSync('bzip2', ['-1'], { input: layer, maxBuffer: 1 << 28 }) : layer;
    writeFileSync(join(at.folder, 'small.tar'), ociArchive({ layers: [busybox] }, pack));
    writeFileSync(join(at.folder, 'large.tar'), ociArchive({ layers: [busybox, noise] }, pack));
    await at.boxctl(['image', 'import', 'small.tar', 'small']);
    const { child, ended } = at.start(['image', 'import', 'large.tar', 'large']);
    await until(() => at.imports().some((name) => list(join(at.store, 'tmp', name)).includes('layer-2')));
    // Its image would be one to be pruned if it ended meanwhile.
    child.kill('SIGSTOP');
    expect(await at.boxctl(['image', 'rm', 'small'])).toMatchObject({ status: 0 });
    expect(await at.boxctl(['image', 'prune', '--all'])).toMatchObject({ status: 0 });
    child.kill('SIGCONT');
    expect(await ended).toMatchObject({ status: 0, stderr: '' });
    writeFileSync(join(at.folder, 'container.yaml'), 'image: large\ncommand: [echo, whole]\n');
    expect(await at.boxctl(['up'])).toMatchObject({ status: 0, stdout: 'whole\n' });
  });
});

needs('an import that is interrupted (needs busybox-static and bzip2)', () => {
  describe.each(callers.slice(0, 2))('of $title', (caller) => {
    test.each([
      ['SIGINT', 130],
      ['SIGTERM', 143],
      ['SIGHUP', 129],
    ] as const)('by %s removes what it has made, and says so', async (signal, status) => {
      const at = place(caller);
      const { child, ended } = at.start(['up']);
      await until(() => at.imports().length > 0);
      child.kill(signal);
      expect(await ended).toMatchObject({
        status,
        stdout: '',
        stderr: `boxctl: error: the import was given up (${signal}); the image store is as it was\n`,
      });
      expect(at.imports()).toEqual([]);
      expect(at.layers()).toEqual([]);
      await until(() => processesOf(child.pid ?? 0) === '');
    });

    test('by a person in a terminal, whose signal all of its processes get', async () => {
      const at = place(caller);
      const { child, ended } = at.start(['up']);
      await until(() => at.imports().length > 0);
      process.kill(-(child.pid ?? 0), 'SIGINT');
      expect(await ended).toMatchObject({ status: 130, stdout: '' });
      expect(at.imports()).toEqual([]);
    });

    test('while it waits for another, at once', async () => {
      const at = place(caller);
      const first = at.start(['up']);
      await until(() => at.imports().length > 0);
      const second = at.start(['up', '--json']);
      let seen = '';
      second.child.stderr?.on('data', (piece: Buffer) => (seen += piece.toString()));
      await until(() => seen.includes('"waiting":true'));
      second.child.kill('SIGINT');
      expect(await second.ended).toMatchObject({ status: 130, stdout: '' });
      expect(await first.ended).toMatchObject({ status: 0, stdout: 'ran\n' });
    });

    test(
      'at any moment, by SIGKILL, leaves nothing but what the next command removes',
      { timeout: 120_000 },
      async () => {
        const at = place(caller);
        for (const whole of [true, false, true, false]) {
          const { child, ended } = at.start(['up']);
          const pid = child.pid ?? 0;
          await sleep(100 + Math.random() * 700);
          process.kill(whole ? -pid : pid, 'SIGKILL');
          expect(await ended).toMatchObject({ signal: 'SIGKILL', stdout: '' });
          // Nobody goes on with the work of a boxctl that is gone.
          await until(() => processesOf(pid) === '');
          expect(await at.images()).toEqual([]);
        }
        expect(await at.boxctl(['image', 'prune'])).toMatchObject({ status: 0, stderr: '' });
        expect([at.imports(), at.layers()]).toEqual([[], []]);
        expect(await at.boxctl(['up'])).toMatchObject({ status: 0, stdout: 'ran\n' });
        expect(at.imports()).toEqual([]);
      },
    );
  });
});

needs('a store without room (needs root, busybox-static and bzip2)', () => {
  // On the one, archives are unpacked, on the other mounted.
  test.skipIf(!isRoot).each(['tmpfs', 'ext4'])(
    'on %s is a clear error, and is as it was; with room it goes on',
    async (type) => {
      const at = place();
      const disk = join(at.store, '../disk');
      execFileSync('truncate', ['-s', '200M', disk]);
      if (type === 'ext4') execFileSync('mkfs.ext4', ['-q', '-m', '0', disk]);
      execFileSync('mount', ['-t', type, '-o', type === 'ext4' ? 'loop' : 'size=200m', disk, at.store]);
      onTestFinished(() => void spawnSync('umount', ['-l', at.store]));
      chmodSync(at.store, 0o700);
      if (type === 'tmpfs') mkdirSync(join(at.store, 'lost+found'));
      const { bavail, bsize } = statfsSync(at.store);
      execFileSync('fallocate', ['-l', String(bavail * bsize - 8 * 2 ** 20), join(at.store, 'lost+found/filler')]);
      for (const args of [['up'], ['image', 'import', slowArchive(), 'slow']]) {
        const { status, stdout, stderr } = await at.boxctl(args);
        expect({ status, stdout }).toEqual({ status: 125, stdout: '' });
        expect(stderr).toMatch(/error: The image store cannot take .*slow-72\.tar\.bz2.*: it is full \(ENOSPC\)\n/u);
        expect([at.imports(), at.layers(), await at.images()]).toEqual([[], [], []]);
      }
      rmSync(join(at.store, 'lost+found/filler'));
      expect(await at.boxctl(['up'])).toMatchObject({ status: 0, stdout: 'ran\n' });
    },
  );
});
