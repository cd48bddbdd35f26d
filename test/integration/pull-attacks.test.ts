/** Images of registries that attack the store, and the images of others in it. */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { boxctl, run, type Ended } from '../support/boxctl.ts';
import { BUSYBOX } from '../support/busybox.ts';
import { LyingRegistry, TYPES, type StoredImage } from '../support/lying-registry.ts';
import { sha256 } from '../support/registry.ts';
import { tempFolder } from '../support/temp.ts';
import { archive } from '../unit/image/archive-fixture.ts';

const base = archive(
  { name: 'bin/', type: '5', mode: 0o755 },
  { name: 'bin/busybox', data: readFileSync(BUSYBOX), mode: 0o755 },
  ...['sh', 'cat', 'true'].map((name) => ({ name: `bin/${name}`, type: '2' as const, link: 'busybox' })),
);
const layerOf = (tar: Buffer) => ({ bytes: gzipSync(tar), diffId: sha256(tar) });
const CONFIG = { config: { Cmd: ['cat', '/note'], Env: ['PATH=/bin'] } };

let registry: LyingRegistry;
beforeAll(async () => {
  registry = await LyingRegistry.start();
});
afterAll(() => registry.stop());

function addImage(repository: string, text: string): StoredImage {
  const layers = [layerOf(base), layerOf(archive({ name: 'note', data: text }))];
  return registry.addImage({ repository, tag: '1', layers, config: CONFIG });
}

interface Place {
  readonly folder: string;
  readonly store: string;
  boxctl(...args: readonly string[]): Promise<Ended>;
  up(keys: object): Promise<Ended>;
}

function place(store?: string): Place {
  const folder = tempFolder({ open: true });
  const own = store ?? join(folder, 'store');
  const call = (...args: readonly string[]): Promise<Ended> =>
    boxctl(args, { cwd: folder, env: { BOXCTL_STORE: own } });
  return {
    folder,
    store: own,
    boxctl: call,
    up(keys) {
      writeFileSync(join(folder, 'container.yaml'), JSON.stringify(keys));
      return call('up', '--quiet');
    },
  };
}

const list = (folder: string): readonly string[] => (existsSync(folder) ? readdirSync(folder) : []);

describe('the names of images', () => {
  test('a short name of hexadecimal digits does not mean an image of the store whose digest begins so', async () => {
    const { config } = addImage('digits', 'not what is meant');
    const at = place();
    expect(await at.up({ image: `${registry.host}/digits:1` })).toMatchObject({ status: 0 });
    const id = config.digest.slice('sha256:'.length);
    expect(await at.up({ image: `sha256:${id.slice(0, 12)}` })).toMatchObject({ stdout: 'not what is meant' });
    for (const digits of [id.slice(0, 4), id.slice(0, 12), id.slice(0, 40)]) {
      for (const policy of ['missing', 'never']) {
        const ended = await at.up({ image: digits, pull_policy: policy });
        expect(ended).toMatchObject({ status: 125, stdout: '' });
        expect(ended.stderr).not.toContain('not what is meant');
      }
    }
  });

  test('an archive that names its image as one of a registry does not take the place of what was pulled', async () => {
    addImage('named', 'of the registry');
    const at = place();
    const image = `${registry.host}/named:1`;
    expect(await at.up({ image })).toMatchObject({ stdout: 'of the registry' });
    const layout = join(at.folder, 'layout');
    const evil = registry.addImage({ repository: 'evil', tag: '1', layers: [layerOf(base)], config: CONFIG });
    mkdirSync(join(layout, 'blobs/sha256'), { recursive: true });
    for (const { digest } of [evil.manifest, evil.config, ...evil.layers]) {
      const response = await fetch(
        `${registry.url}/v2/evil/${digest === evil.manifest.digest ? 'manifests' : 'blobs'}/${digest}`,
      );
      writeFileSync(join(layout, 'blobs', digest.replace(':', '/')), Buffer.from(await response.arrayBuffer()));
    }
    writeFileSync(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    const annotations = { 'io.containerd.image.name': image, 'org.opencontainers.image.ref.name': image };
    writeFileSync(
      join(layout, 'index.json'),
      JSON.stringify({ schemaVersion: 2, manifests: [{ ...evil.manifest, annotations }] }),
    );
    await at.up({ image: { tar: './layout' }, command: ['true'] });
    await at.boxctl('image', 'import', './layout');
    expect(await at.up({ image })).toMatchObject({ stdout: 'of the registry' });
  });
});

describe('what a broken or lying registry leaves', () => {
  test('the beginning of a layer that was a lie does not spoil the next pull', async () => {
    const image = addImage('poison', 'pulled at last');
    const big = archive({ name: 'big', data: Buffer.alloc(3 << 20, 7) });
    const packed = { bytes: big, mediaType: TYPES.tar, diffId: sha256(big) };
    const layers = [layerOf(base), layerOf(archive({ name: 'note', data: 'pulled at last' })), packed];
    const { layers: stored } = registry.addImage({ repository: 'poison', tag: '2', layers, config: CONFIG });
    const at = place();
    const path = new RegExp(`/blobs/${stored[2]?.digest ?? ''}$`, 'u');
    // Other bytes of the right length, and the connection breaks at half of them: these are kept.
    registry.lie(path, { body: Buffer.alloc(big.length, 1), closeAt: big.length / 2 }, { times: 1 });
    registry.lie(path, { status: 404 });
    expect((await at.boxctl('pull', `${registry.host}/poison:2`)).status).toBe(125);
    registry.repent();
    const ended = await at.up({ image: `${registry.host}/poison:2` });
    expect(ended).toMatchObject({ status: 0, stdout: 'pulled at last' });
    expect(image.repository).toBe('poison');
    expect(list(join(at.store, 'partial'))).toEqual([]);
  });

  test('a link in the place of a kept beginning of a layer is not followed', async () => {
    const { layers } = addImage('linked', 'safe');
    const at = place();
    await at.boxctl('image', 'ls');
    const canary = join(at.folder, 'canary');
    writeFileSync(canary, 'untouched');
    mkdirSync(join(at.store, 'partial'), { recursive: true, mode: 0o700 });
    for (const { digest } of layers) symlinkSync(canary, join(at.store, 'partial', digest.slice('sha256:'.length)));
    expect(await at.up({ image: `${registry.host}/linked:1` })).toMatchObject({ status: 0, stdout: 'safe' });
    expect(readFileSync(canary, 'utf8')).toBe('untouched');
  });
});

describe.skipIf(process.geteuid?.() !== 0)('a store with little room (needs root)', () => {
  test('a disk that is full is an error of the store, nothing stays in it, and the next pull with room succeeds', async () => {
    const data = Buffer.alloc(6 << 20, 3);
    const big = archive({ name: 'big', data });
    const layers = [layerOf(base), { bytes: big, mediaType: TYPES.tar, diffId: sha256(big) }];
    registry.addImage({ repository: 'full', tag: '1', layers, config: CONFIG });
    const at = place(join(tempFolder(), 'disk/store'));
    const disk = join(at.store, '..');
    mkdirSync(disk);
    await run(['mount', '-t', 'tmpfs', '-o', 'size=5m,mode=700', 'none', disk]);
    try {
      const ended = await at.boxctl('pull', `${registry.host}/full:1`);
      expect(ended).toMatchObject({ status: 125, stdout: '' });
      expect(ended.stderr).toMatch(/no room|ENOSPC|No space/u);
      expect(list(join(at.store, 'tmp'))).toEqual([]);
      expect(list(join(at.store, 'images'))).toEqual([]);
      await run(['mount', '-o', 'remount,size=64m', disk]);
      expect(await at.boxctl('pull', '-q', `${registry.host}/full:1`)).toMatchObject({ status: 0 });
    } finally {
      await run(['umount', '-l', disk]);
    }
  });

  test('a limit of the size of files is an error, and nothing stays in the store', async () => {
    const at = place();
    const big = archive({ name: 'big', data: Buffer.alloc(12 << 20, 9) });
    const layers = [layerOf(base), { bytes: big, mediaType: TYPES.tar, diffId: sha256(big) }];
    registry.addImage({ repository: 'fsize', tag: '1', layers, config: CONFIG });
    const program = process.env['BOXCTL_TEST_INSTALLED'] ?? '';
    const ended = await run(
      [
        'prlimit',
        `--fsize=${8 << 20}`,
        process.execPath,
        join(program, 'dist/boxctl.cjs'),
        'pull',
        `${registry.host}/fsize:1`,
      ],
      { cwd: at.folder, env: { BOXCTL_STORE: at.store } },
    );
    expect(ended).toMatchObject({ status: 125, signal: null, stdout: '' });
    expect(ended.stderr).toContain('EFBIG');
    expect(list(join(at.store, 'tmp'))).toEqual([]);
    expect(list(join(at.store, 'images'))).toEqual([]);
    expect(await at.boxctl('pull', '-q', `${registry.host}/fsize:1`)).toMatchObject({ status: 0 });
  });
});
