/** What a registry can do to the store: with every lie a pull ends with an error of its own, and the store is as it was. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { pruneImages } from '../../src/image/maintain.ts';
import { writeName } from '../../src/image/names.ts';
import { ensureImage, findImage, pullReference } from '../../src/image/resolve.ts';
import type { ImageFacts } from '../../src/model/image.ts';
import type { RegistryAccess } from '../../src/registry/access.ts';
import { candidatesOf, PLAIN_SHORT_NAMES } from '../../src/registry/short-names.ts';
import type { ImageSource } from '../../src/spec/spec.ts';
import { imageHost, roads, type ImageHost } from '../support/image-host.ts';
import { LyingRegistry, TYPES, type ImageOptions, type StoredImage } from '../support/lying-registry.ts';
import { sha256 } from '../support/registry.ts';
import { testClient } from '../support/registry-client.ts';
import { isRoot } from '../support/user.ts';
import { archive } from '../unit/image/archive-fixture.ts';

const base = archive({ name: 'hello', data: 'from the image' });
const noise = archive({ name: 'noise', data: randomBytes(3 << 20) });
const honest = (tar: Buffer): ImageOptions['layers'][number] => ({ bytes: gzipSync(tar), diffId: sha256(tar) });

const list = (folder: string): readonly string[] => (existsSync(folder) ? readdirSync(folder).toSorted() : []);

describe.each(roads.filter((road) => road !== 'looped'))('a registry that lies, layers %s', (road) => {
  let registry: LyingRegistry;
  let at: ImageHost;
  beforeAll(async () => {
    registry = await LyingRegistry.start();
  });
  afterAll(() => registry.stop());
  beforeEach(() => {
    registry.repent();
    at = imageHost(road);
  });
  afterEach(() => at.close());

  const registries = (): RegistryAccess => ({
    client: testClient({ patience: 1500 }),
    credentials: () => Promise.resolve(undefined),
    candidates: (text) => candidatesOf(text, PLAIN_SHORT_NAMES),
    close: async () => undefined,
  });
  const source = (limits: object = {}): ImageSource & { readonly kind: 'reference' } => ({
    kind: 'reference',
    name: `${registry.host}/library/image`,
    ...limits,
  });
  const pull = (limits: object = {}): Promise<ImageFacts> =>
    ensureImage(source(limits), at.ownership, at.host, { registries: registries() });
  /** Everything that a store may have. */
  const contents = (): readonly string[] => {
    const { store } = at.host.dirs;
    const names = list(join(store, 'names')).filter((name) => name !== 'short-names');
    const others = ['layers', 'images', 'documents', 'tmp', 'partial'].flatMap((name) => list(join(store, name)));
    return [...names, ...others];
  };
  const partials = (): readonly string[] => list(join(at.host.dirs.store, 'partial'));
  const add = (...layers: ImageOptions['layers']): StoredImage => registry.addImage({ layers });

  test.each<[what: string, code: string, prepare: () => void, limits?: object]>([
    [
      'a layer with other content',
      'E_IMAGE_DIGEST',
      () => {
        const { layers } = add({ bytes: base, diffId: sha256(base) }, honest(noise));
        registry.lie(new RegExp(`blobs/${layers[0]?.digest ?? ''}`, 'u'), {
          body: archive({ name: 'hello', data: 'from the imagE' }),
        });
      },
    ],
    [
      'a layer whose tar is not what the configuration says',
      'E_IMAGE_DIGEST',
      () => add({ ...honest(base), diffId: sha256('x') }),
    ],
    [
      'a layer that is longer than its manifest says',
      'E_REGISTRY_SIZE',
      () => {
        const { layers } = add(honest(base));
        registry.lie(/blobs/u, ({ path }) =>
          path.endsWith(layers[0]?.digest ?? '') ? { body: Buffer.alloc((layers[0]?.size ?? 0) + 1) } : undefined,
        );
      },
    ],
    [
      'a layer without an end',
      'E_REGISTRY_SIZE',
      () => {
        const { layers } = add(honest(noise));
        registry.lie(new RegExp(layers[0]?.digest ?? '', 'u'), { body: gzipSync(noise), endless: true });
      },
    ],
    [
      'a layer of which nothing comes but the beginning, again and again',
      'E_REGISTRY_UNREACHABLE',
      () => {
        const { layers } = add(honest(base), honest(noise));
        registry.lie(new RegExp(layers[1]?.digest ?? '', 'u'), ({ headers }) =>
          headers.range === undefined ? { resetAt: 1000 } : { silent: true },
        );
      },
    ],
    [
      'a layer that stops coming',
      'E_REGISTRY_TIMEOUT',
      () => {
        const { layers } = add(honest(noise));
        registry.lie(new RegExp(layers[0]?.digest ?? '', 'u'), { stallAt: 0 });
      },
    ],
    [
      'another range than was asked for',
      'E_REGISTRY_PROTOCOL',
      () => {
        const { layers } = add(honest(noise));
        registry.lie(new RegExp(layers[0]?.digest ?? '', 'u'), ({ headers }) =>
          headers.range === undefined ? { resetAt: 1000 } : { headers: { 'content-range': 'bytes 0-9/10' } },
        );
      },
    ],
    [
      'a bomb as a layer',
      'E_IMAGE_TOO_LARGE',
      () => add(honest(archive({ name: 'zeros', data: Buffer.alloc(64 << 20) }))),
      { maxSize: 1 << 20 },
    ],
    [
      'several layers that are too large together',
      'E_IMAGE_TOO_LARGE',
      () => add(...[1, 2, 3].map((number) => honest(archive({ name: `${number}`, data: Buffer.alloc(800_000) })))),
      { maxSize: 2_000_000 },
    ],
    [
      'layers that are too large as they are packed',
      'E_IMAGE_TOO_LARGE',
      () => registry.addImage({ layers: [honest(base)], manifest: (own) => ({ ...own, layers: [huge()] }) }),
    ],
    [
      'a layer that is no tar',
      'E_IMAGE_BAD_ARCHIVE',
      () => add({ bytes: gzipSync('not a tar'), diffId: sha256('not a tar') }),
    ],
    [
      'a layer that is cut off within',
      'E_IMAGE_BAD_ARCHIVE',
      () => add({ bytes: gzipSync(noise).subarray(0, 99_999), diffId: sha256(noise) }),
    ],
    [
      'a manifest of 1 GB',
      'E_REGISTRY_TOO_LARGE',
      () => {
        add(honest(base));
        registry.lie(/manifests/u, {
          headers: { 'content-length': String(1 << 30) },
          body: Buffer.alloc(1 << 20, ' '),
          endless: true,
        });
      },
    ],
    [
      'a page in HTML as a manifest',
      'E_REGISTRY_PROTOCOL',
      () => {
        add(honest(base));
        registry.lie(/manifests/u, { headers: { 'content-type': 'text/html' }, body: '<html>' });
      },
    ],
    [
      'a configuration with other content',
      'E_REGISTRY_DIGEST',
      () => {
        const { config } = add(honest(base));
        registry.lie(new RegExp(config.digest, 'u'), { body: Buffer.alloc(config.size, ' ') });
      },
    ],
    [
      'a configuration of other layers',
      'E_IMAGE_BAD_ARCHIVE',
      () => {
        registry.addImage({ layers: [honest(base)], manifest: (own) => ({ ...own, layers: [] }) });
      },
    ],
    [
      'indexes in indexes without an end',
      'E_IMAGE_BAD_ARCHIVE',
      () => {
        const { manifest } = registry.addImage({ tag: 'inner', layers: [honest(base)] });
        registry.addNested('library/image', 'latest', manifest, 9);
      },
    ],
    [
      'thousands of layers',
      'E_IMAGE_BAD_ARCHIVE',
      () => {
        registry.addImage({
          layers: [honest(base)],
          manifest: (own) => ({ ...own, layers: Array(5000).fill(layer(sha256('x'))) }),
        });
      },
    ],
    [
      'a digest that is a path',
      'E_IMAGE_BAD_ARCHIVE',
      () => {
        registry.addImage({
          layers: [honest(base)],
          manifest: (own) => ({ ...own, layers: [layer('sha256:../../../../etc/passwd')] }),
        });
      },
    ],
    [
      'a manifest that is an index, too',
      'E_IMAGE_BAD_ARCHIVE',
      () => {
        registry.addImage({ layers: [honest(base)], manifest: (own) => ({ ...own, manifests: [] }) });
      },
    ],
    [
      'a manifest of schema 1',
      'E_PULL_FORMAT',
      () => {
        registry.addManifest(
          'library/image',
          ['latest'],
          { schemaVersion: 1, name: 'x', fsLayers: [] },
          'application/vnd.docker.distribution.manifest.v1+prettyjws',
        );
      },
    ],
  ])('%s: %s', async (_, code, prepare, limits) => {
    prepare();
    await expect(pull(limits)).rejects.toMatchObject({ code });
    // What has come of a layer before its registry went away is kept for the next time, and pruned.
    if (!code.startsWith('E_REGISTRY_')) expect(partials()).toEqual([]);
    await pruneImages(at.host, false);
    expect(contents()).toEqual([]);
    // It was the registry's lie, and nothing of it is remembered.
    registry.repent();
    registry.addImage({ layers: [honest(base)] });
    expect(await at.text(await pull(), 'hello')).toBe('from the image');
  });

  test('a layer goes on where a broken connection was, within a pull and in the next one, and is verified as a whole', async () => {
    const { layers } = add(honest(base), honest(noise));
    const large = layers[1]?.digest ?? '';
    const isLarge = new RegExp(large, 'u');
    registry.lie(isLarge, ({ headers }) => (headers.range === undefined ? { closeAt: 1_000_000 } : { status: 500 }));
    await expect(pull()).rejects.toMatchObject({ code: 'E_REGISTRY_FAILED' });
    const [file = ''] = partials();
    expect(`sha256:${file}`).toBe(large);
    const size = statSync(join(at.host.dirs.store, 'partial', file)).size;
    expect(size).toBeGreaterThan(0);
    registry.repent();
    registry.lie(isLarge, { closeAt: 700_000 }, { times: 2 });
    expect(await at.text(await pull(), 'hello')).toBe('from the image');
    const ranges = registry.requests.filter(({ path }) => isLarge.test(path)).map(({ headers }) => headers.range);
    expect(ranges[0]).toBe(`bytes=${size}-${(layers[1]?.size ?? 0) - 1}`);
    expect(ranges).toHaveLength(3);
    // The other layer was complete, and kept.
    expect(registry.requests.filter(({ path }) => path.endsWith(layers[0]?.digest ?? '?'))).toHaveLength(0);
    expect(partials()).toEqual([]);
  });

  test('a registry that ignores ranges is read from the beginning, and gives the same image', async () => {
    const { layers } = add(honest(noise), honest(base));
    const isLarge = new RegExp(layers[0]?.digest ?? '', 'u');
    registry.lie(isLarge, { ignoreRange: true });
    registry.lie(isLarge, { resetAt: 1_000_000 }, { times: 1 });
    expect(await at.text(await pull(), 'hello')).toBe('from the image');
    expect(registry.requests.filter(({ path }) => isLarge.test(path))).toHaveLength(2);
  });

  test.each<[string, (file: string) => void]>([
    ['damaged', (file) => writeFileSync(file, randomBytes(600_000))],
    ['longer than the layer', (file) => writeFileSync(file, randomBytes(8 << 20))],
    ['empty', (file) => truncateSync(file, 0)],
  ])('what was received before and is %s is fetched again', async (_, damage) => {
    const { layers } = add(honest(noise));
    const folder = join(at.host.dirs.store, 'partial');
    await expect(
      ensureImage({ kind: 'reference', name: `${registry.host}/library/none` }, at.ownership, at.host, {
        registries: registries(),
      }),
    ).rejects.toMatchObject({ code: 'E_REGISTRY_NOT_FOUND' });
    mkdirSync(folder, { mode: 0o700 });
    const file = join(folder, (layers[0]?.digest ?? '').slice(7));
    writeFileSync(file, 'x', { mode: 0o600 });
    damage(file);
    expect((await pull()).digest).toHaveLength(64);
    expect(partials()).toEqual([]);
  });

  test('is asked for a layer once by many pulls at a time, in one process or in several', async () => {
    const { layers } = add(honest(base), honest(noise));
    const all = await Promise.all(
      [1, 2, 3].map(() => pullReference(source(), at.ownership, at.host, { registries: registries() })),
    );
    expect(new Set(all.map(({ image }) => image.digest)).size).toBe(1);
    for (const { digest } of layers) {
      expect(registry.requests.filter(({ path }) => path.endsWith(digest))).toHaveLength(1);
    }
    expect(findImage(source(), at.ownership, at.host)?.digest).toBe(all[0]?.image.digest);
  });

  test('a pull that is given up keeps what has come, and the store has no image of it', async () => {
    const { layers } = add(honest(base), honest(noise));
    registry.lie(new RegExp(layers[1]?.digest ?? '', 'u'), { stallAt: 1_500_000 });
    const stop = new AbortController();
    const pulling = ensureImage(source(), at.ownership, at.host, {
      registries: registries(),
      signal: stop.signal,
      // Once some of the second layer has come; the registry says no more of it.
      onProgress: ({ layer, read }) => {
        if (layer?.number === 2 && read >= 1_000_000) stop.abort();
      },
    });
    await expect(pulling).rejects.toMatchObject({ code: 'E_IMAGE_WORK' });
    expect(findImage(source(), at.ownership, at.host)).toBeUndefined();
    expect(partials()).toHaveLength(1);
    expect(list(join(at.host.dirs.store, 'tmp'))).toEqual([]);
    registry.repent();
    expect(await at.text(await pull(), 'hello')).toBe('from the image');
    expect(registry.requests.some(({ headers }) => headers.range !== undefined)).toBe(true);
  });

  // What is mounted serves all ids.
  const kept = road === 'unpacked' ? ['unpacked'] : [];
  test.skipIf(!isRoot).each(kept)(
    'an image that was %s is pulled again for other ids, the same one, also where its tag has moved or it has a local name',
    async () => {
      add(honest(base));
      const { digest } = await pull();
      writeName(at.host.dirs.store, 'mine:latest', digest);
      registry.addImage({ layers: [honest(noise)] });
      const maps = [{ container: 0, host: 700_000, size: 65_536 }];
      for (const name of [`${registry.host}/library/image`, 'mine']) {
        maps[0] = { container: 0, host: (maps[0]?.host ?? 0) + 65_536, size: 65_536 };
        const ownership = { uidMap: [...maps], gidMap: [...maps] };
        const wanted = { kind: 'reference', name } as const;
        const image = await ensureImage(wanted, ownership, at.host, { registries: registries() });
        expect(image.digest).toBe(digest);
      }
    },
  );

  test('an image is called by nothing but its own digest, whatever its manifest says of names', async () => {
    registry.addImage({
      layers: [honest(base)],
      manifest: (own) => ({ ...own, annotations: { 'org.opencontainers.image.ref.name': 'debian:12' } }),
    });
    await pull();
    const names = list(join(at.host.dirs.store, 'names')).filter((name) => name.endsWith('.json'));
    expect(
      names.map(
        (name) => (JSON.parse(readFileSync(join(at.host.dirs.store, 'names', name), 'utf8')) as { name: string }).name,
      ),
    ).toEqual([`${registry.host}/library/image:latest`]);
  });
});

const layer = (digest: string): object => ({ mediaType: TYPES.gzip, digest, size: 10 });
const huge = (): object => ({ mediaType: TYPES.gzip, digest: sha256('x'), size: 2 ** 52 });
