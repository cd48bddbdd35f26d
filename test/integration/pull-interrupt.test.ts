/** A pull that is interrupted: by a signal, by SIGKILL at any moment, by a full disk. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { boxctl, PROGRAM, run, type Ended } from '../support/boxctl.ts';
import { BUSYBOX } from '../support/busybox.ts';
import { LyingRegistry } from '../support/lying-registry.ts';
import { withoutRegistries } from '../support/no-registries.ts';
import { sha256 } from '../support/registry.ts';
import { tempFolder } from '../support/temp.ts';
import { asUser, isRoot, testUser, userEnvironment, type TestUser } from '../support/user.ts';
import { archive } from '../unit/image/archive-fixture.ts';

const base = archive(
  { name: 'bin/', type: '5', mode: 0o755 },
  { name: 'bin/busybox', data: readFileSync(BUSYBOX), mode: 0o755 },
  { name: 'bin/cat', type: '2', link: 'busybox' },
);
const tars = [base, ...[1, 2, 3].map((number) => archive({ name: `noise-${number}`, data: randomBytes(4 << 20) }))];
const layers = tars.map((tar) => ({ bytes: gzipSync(tar, { level: 1 }), diffId: sha256(tar) }));
const note = archive({ name: 'note', data: 'whole' });
const all = [...layers, { bytes: gzipSync(note), diffId: sha256(note) }];

const list = (folder: string): readonly string[] => (existsSync(folder) ? readdirSync(folder).toSorted() : []);

let registry: LyingRegistry;
beforeAll(async () => {
  registry = await LyingRegistry.start();
});
afterAll(() => registry.stop());
beforeEach(() => {
  registry.repent();
  registry.addImage({ repository: 'big', tag: '1', layers: all, config: { config: { Cmd: ['/bin/cat', '/note'] } } });
});

interface Place {
  readonly folder: string;
  readonly store: string;
  boxctl(...args: readonly string[]): Promise<Ended>;
  /** `boxctl pull` of the image, in a process group of its own. */
  start(): {
    readonly pid: number;
    readonly ended: Promise<{ readonly status: number | null; readonly stderr: string }>;
  };
  /** What is in the store beside names, and what has been received of layers. */
  contents(): readonly string[];
}

async function place(user?: TestUser): Promise<Place> {
  const folder = tempFolder({ open: true });
  const store = join(folder, 'own/store');
  await run(['install', '-d', ...(user === undefined ? [] : ['-o', user.name]), join(folder, 'own')]);
  const options = { cwd: folder, env: { BOXCTL_STORE: store }, ...(user === undefined ? {} : { user }) };
  return {
    folder,
    store,
    boxctl: (...args) => boxctl(args, options),
    start() {
      const words = [process.execPath, PROGRAM, 'pull', '-q', `${registry.host}/big:1`];
      const [program = '', ...args] = user === undefined ? words : asUser(user, words);
      const own = user === undefined ? { HOME: '/root', PATH: process.env['PATH'] } : userEnvironment(user);
      const env = { ...withoutRegistries(), ...own, BOXCTL_STORE: store };
      const child = spawn(program, args, { cwd: folder, env, detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
      let stderr = '';
      child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString()));
      const ended = new Promise<{ status: number | null; stderr: string }>((resolve) =>
        child.once('close', (status) => resolve({ status, stderr })),
      );
      return { pid: child.pid ?? 0, ended };
    },
    contents: () => ['images', 'layers', 'documents', 'tmp', 'partial'].flatMap((name) => list(join(store, name))),
  };
}

const callers: readonly (readonly [string, TestUser | undefined])[] = [
  ['root', undefined],
  ...(testUser === undefined ? [] : [['an ordinary user', testUser] as const]),
];

describe.each(callers.filter(() => existsSync(BUSYBOX)))('a pull of %s (needs busybox-static)', (_, user) => {
  const runs = async (at: Place): Promise<Ended> => {
    await run(['sh', '-c', `printf 'image: ${registry.host}/big:1\n' >'${join(at.folder, 'container.yaml')}'`]);
    return at.boxctl('up', '--quiet');
  };

  test(
    'that is killed at any moment leaves nothing but what the next commands remove, and the next one succeeds',
    { timeout: 300_000 },
    async () => {
      const at = await place(user);
      for (let round = 0; round < 15; round++) {
        // Slow enough to be met in the middle: of one layer after the other the end does not come.
        registry.lie(/blobs/u, { delay: Math.random() * 120 });
        const { pid, ended } = at.start();
        await sleep(100 + Math.random() * 900);
        try {
          process.kill(round % 2 === 0 ? pid : -pid, 'SIGKILL');
        } catch {
          // It was over.
        }
        await ended;
        if (round % 3 === 2)
          expect(await at.boxctl('image', 'prune', '--all')).toMatchObject({ status: 0, stderr: '' });
      }
      registry.repent();
      registry.addImage({
        repository: 'big',
        tag: '1',
        layers: all,
        config: { config: { Cmd: ['/bin/cat', '/note'] } },
      });
      expect(await runs(at)).toMatchObject({ status: 0, stdout: 'whole', stderr: '' });
      expect(['tmp', 'partial'].flatMap((name) => list(join(at.store, name)))).toEqual([]);
      expect(await at.boxctl('image', 'prune', '--all')).toMatchObject({ status: 0, stderr: '' });
      expect(at.contents()).toEqual([]);
    },
  );

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('that is given up by %s says so, and the next one goes on', async (signal, status) => {
    const at = await place(user);
    const large = sha256(layers[1]?.bytes ?? '');
    registry.lie(new RegExp(large, 'u'), { stallAt: 2_000_000 });
    const { pid, ended } = at.start();
    while (!registry.requests.some(({ path }) => path.includes(large))) await sleep(20);
    await sleep(500);
    process.kill(pid, signal);
    const { stderr, status: ending } = await ended;
    expect({ stderr, ending }).toMatchObject({
      ending: status,
      stderr: expect.stringContaining(`given up (${signal})`) as string,
    });
    expect(list(join(at.store, 'tmp'))).toEqual([]);
    expect(list(join(at.store, 'images'))).toEqual([]);
    registry.repent();
    registry.addImage({ repository: 'big', tag: '1', layers: all, config: { config: { Cmd: ['/bin/cat', '/note'] } } });
    expect(await runs(at)).toMatchObject({ status: 0, stdout: 'whole' });
    expect(registry.requests.find(({ path }) => path.includes(large))?.headers.range).toMatch(/^bytes=[1-9]/u);
  });
});

test.skipIf(!isRoot)(
  'a pull into a store without room is an error of its own, and leaves the store as it was (needs root)',
  async () => {
    const at = await place();
    mkdirSync(at.store);
    const disk = join(at.folder, 'disk');
    execFileSync('truncate', ['-s', '64M', disk]);
    execFileSync('mkfs.ext4', ['-q', '-m', '0', disk]);
    execFileSync('mount', ['-t', 'ext4', '-o', 'loop', disk, at.store]);
    onTestFinished(() => void spawnSync('umount', ['-l', at.store]));
    chmodSync(at.store, 0o700);
    const { bavail, bsize } = statfsSync(at.store);
    execFileSync('fallocate', ['-l', String(bavail * bsize - 6 * 2 ** 20), join(at.store, 'lost+found/filler')]);
    const full = await at.boxctl('pull', `${registry.host}/big:1`);
    expect(full).toMatchObject({ status: 125, stdout: '' });
    expect(full.stderr).toMatch(/The image store cannot take .*: it is full \(ENOSPC\)\n/u);
    expect(at.contents()).toEqual([]);
    rmSync(join(at.store, 'lost+found/filler'));
    expect(await at.boxctl('pull', `${registry.host}/big:1`)).toMatchObject({ status: 0 });
  },
);
