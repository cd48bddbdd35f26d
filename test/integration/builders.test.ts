/** Images and root file systems as builders other than docker and podman write them, on every road. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ensureImage, findImage } from '../../src/image/resolve.ts';
import { readRecordFile } from '../../src/image/records.ts';
import type { ImageFacts, Ownership } from '../../src/model/image.ts';
import type { ImageSource } from '../../src/spec/spec.ts';
import { imageHost, roads, type ImageHost } from '../support/image-host.ts';
import { isRoot } from '../support/user.ts';
import { archive, entry, paxRecords, type Fixture } from '../unit/image/archive-fixture.ts';

const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const base = archive({ name: 'hello', data: 'from the image' });

interface Parts {
  readonly layers: readonly Buffer[];
  readonly pack?: (layer: Buffer) => Buffer;
  readonly configName?: (hex: string) => string;
  readonly layerName?: (hex: string, number: number) => string;
  /** In place of the layers' own. */
  readonly diffIds?: readonly string[];
  readonly first?: 'manifest' | 'config' | 'layers';
}

/** What `docker load` takes, its members in the order that a builder writes them. */
function saved(parts: Parts): Buffer {
  const { layers, pack = (layer) => layer, configName = (hex) => `${hex}.json`, first = 'config' } = parts;
  const { layerName = (hex) => `${hex}.tar`, diffIds = layers.map((layer) => `sha256:${sha256(layer)}`) } = parts;
  const config = json({ os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids: diffIds } });
  const packed = layers.map(pack);
  const names = packed.map((layer, number) => layerName(sha256(layer), number));
  const manifest = json([{ Config: configName(sha256(config)), RepoTags: ['app:1'], Layers: names }]);
  const files: Record<'manifest' | 'config' | 'layers', readonly Fixture[]> = {
    manifest: [{ name: 'manifest.json', data: manifest }],
    config: [{ name: configName(sha256(config)), data: config }],
    layers: packed.map((data, number) => ({ name: names[number] ?? '', data })),
  };
  const order = (['config', 'layers', 'manifest'] as const).toSorted(
    (a, b) => Number(b === first) - Number(a === first),
  );
  return archive(...order.flatMap((kind) => files[kind]));
}

const EMPTY: readonly (readonly [string, Buffer])[] = [
  ['an end mark alone', Buffer.alloc(1024)],
  ['one block of zeroes', Buffer.alloc(512)],
  ['not a byte', Buffer.alloc(0)],
  ['nothing but a global header', archive({ name: 'g', type: 'g', data: paxRecords({ comment: 'x' }) })],
  ['a global header without an end', entry({ name: 'g', type: 'g', data: paxRecords({ comment: 'x' }) })],
];

const BUILDERS: readonly (readonly [string, Omit<Parts, 'layers'>])[] = [
  ['crane and ko', { configName: (hex) => `sha256:${hex}`, layerName: (hex) => `${hex}.tar.gz`, pack: gzipSync }],
  ['jib', { configName: () => 'config.json', layerName: (hex) => `${hex}.tar.gz`, pack: gzipSync }],
  ['those that put layers first', { first: 'layers', layerName: (hex) => `${hex}.tar.gz`, pack: gzipSync }],
  ['those that put the manifest first', { first: 'manifest' }],
  ['those that number their layers', { first: 'layers', layerName: (_, number) => `layers/${number}` }],
];

const ROOTFS: readonly (readonly [string, readonly Fixture[]])[] = [
  [
    'a folder blobs first',
    [
      { name: 'blobs/', type: '5', mode: 0o755 },
      { name: 'blobs/x', data: 'y' },
    ],
  ],
  ['a file named by a digest first', [{ name: 'ab'.repeat(32), data: 'y' }]],
  ['a web application’s manifest.json', [{ name: 'manifest.json', data: '{"name":"app"}' }]],
  ['a manifest.json that is another list', [{ name: './manifest.json', data: '[{"Config":1,"Layers":[]},2]' }]],
  ['an empty list as manifest.json', [{ name: 'manifest.json', data: '[]' }]],
  ['a manifest.json that is no JSON', [{ name: 'manifest.json', data: 'x' }]],
  ['an index.json without a layout', [{ name: 'index.json', data: '{"manifests":[]}' }]],
  [
    'an oci-layout of another kind',
    [
      { name: 'index.json', data: '{"manifests":[]}' },
      { name: 'oci-layout', data: '{}' },
    ],
  ],
];

describe.each(roads)('%s', (road) => {
  let at: ImageHost;
  let path = '';
  let source: ImageSource;
  beforeEach(() => {
    at = imageHost(road);
    path = join(at.base, 'image.tar');
    source = { kind: 'tar', path };
  });
  afterEach(() => at.close());

  const take = (data: Buffer, ownership: Ownership | undefined = at.ownership): Promise<ImageFacts> => {
    writeFileSync(path, data);
    return ensureImage(source, ownership, at.host);
  };

  test.each(EMPTY)('a layer with %s is a layer, lowest, highest and alone', async (_what, layer) => {
    for (const pack of [(data: Buffer) => data, gzipSync]) {
      for (const layers of [[base, layer], [layer, base], [base, layer, layer], [layer]]) {
        const image = await take(saved({ layers, pack }));
        expect(await at.text(image, '/hello')).toBe(layers.includes(base) ? 'from the image' : '');
      }
    }
  });

  test('an image without a layer has an empty root', async () => {
    const image = await take(saved({ layers: [] }));
    expect(image.layers).toHaveLength(1);
    expect(await at.text(image, '/hello')).toBe('');
  });

  test('an archive without any entry is refused as a root file system', async () => {
    for (const [, data] of EMPTY) await expect(take(data)).rejects.toMatchObject({ code: 'E_IMAGE_BAD_ARCHIVE' });
  });

  test.each(BUILDERS)('an archive of %s is imported as an image, plain and compressed', async (_what, parts) => {
    const data = saved({ layers: [base, archive({ name: 'more', data: 'x' })], ...parts });
    for (const each of [data, gzipSync(data)]) {
      const image = await take(each);
      expect(image.layers).toHaveLength(2);
      expect(await at.text(image, '/hello')).toBe('from the image');
    }
    expect(at.unfinished()).toEqual([]);
  });

  test.each(ROOTFS)('a root file system with %s is imported as one, plain and compressed', async (_what, files) => {
    const before = archive(...files, { name: 'hello', data: 'from the rootfs' });
    const after = archive({ name: 'hello', data: 'from the rootfs' }, ...files);
    for (const data of [before, after, gzipSync(before), gzipSync(after)]) {
      const image = await take(data);
      expect(await at.text(image, '/hello')).toBe('from the rootfs');
    }
    expect(at.unfinished()).toEqual([]);
  });

  test('a layer that the store has is compared with what the archive holds', async () => {
    const other = archive({ name: 'hello', data: 'something else' });
    const diffIds = [`sha256:${sha256(base)}`];
    await take(saved({ layers: [base] }));
    await take(saved({ layers: [base], pack: gzipSync, configName: () => 'config.json' }));
    for (const layer of [other, Buffer.alloc(0), Buffer.alloc(1024)]) {
      const false_ = { layers: [layer], diffIds, configName: (hex: string) => `${hex}.${layer.length}` };
      for (const pack of [(data: Buffer) => data, gzipSync]) {
        await expect(take(saved({ ...false_, pack }))).rejects.toMatchObject({
          code: 'E_IMAGE_DIGEST',
          hint: expect.stringContaining(sha256(base)),
        });
      }
    }
  });

  test('the limits of a file hold when the store has the image already', async () => {
    const data = archive({ name: 'a', data: 'x'.repeat(4000) }, { name: 'b', data: 'x' });
    for (const [each, entries] of [
      [data, 2],
      [saved({ layers: [data] }), 2],
    ] as const) {
      await take(each);
      const limited = (limits: object): ImageSource => ({ kind: 'tar', path, ...limits });
      for (const limits of [{ maxSize: 4000 }, { maxEntries: entries - 1 }]) {
        const refused = { code: 'E_IMAGE_TOO_LARGE', hint: expect.stringContaining('image.max_size') };
        expect(() => findImage(limited(limits), at.ownership, at.host)).toThrow(expect.objectContaining(refused));
        await expect(ensureImage(limited(limits), at.ownership, at.host)).rejects.toMatchObject(refused);
      }
      expect(findImage(limited({ maxSize: 4001, maxEntries: entries }), at.ownership, at.host)).toBeDefined();
    }
  });

  test.skipIf(!isRoot)('owners beyond the map are root’s, without set-id bits, and counted (needs root)', async () => {
    const maps = (size: number): Ownership => {
      const map = [{ container: 0, host: 524_288, size }];
      return { uidMap: map, gidMap: map, byMount: true };
    };
    const files: readonly Fixture[] = [
      { name: 'far', data: 'x', mode: 0o4755, pax: { uid: '3000000', gid: '5' } },
      { name: 'last', data: 'x', mode: 0o4755, uid: 65_535, gid: 65_535 },
      { name: 'group', data: 'x', mode: 0o2755, pax: { gid: '65536' } },
      { name: 'folder', type: '5', mode: 0o755, pax: { uid: '70000' } },
      { name: 'link', type: '2', link: 'x', pax: { uid: '70000' } },
      { name: 'fifo', type: '6', mode: 0o644, pax: { uid: '70000' } },
    ];
    const { inspect } = await import('../../src/worker/work.ts');
    const look = async (image: ImageFacts): Promise<readonly string[]> => {
      const { paths } = await inspect(image, at.host, [], ['far', 'last', 'group', 'folder', 'fifo']);
      return paths.map((status) => status.split(' ').slice(0, 3).join(' '));
    };
    const squashed = ['100755 0 5', '104755 65535 65535', '100755 0 0', '40755 0 0', '10644 0 0'];
    const whole = ['104755 3000000 5', '104755 65535 65535', '102755 0 65536', '40755 70000 0', '10644 70000 0'];
    for (const data of [archive(...files), gzipSync(archive(...files)), saved({ layers: [archive(...files)] })]) {
      const few = await take(data, maps(65_536));
      expect(await look(few)).toEqual(squashed);
      expect(readRecordFile(few.record)).toMatchObject({ squashed: 5 });
      // For a container that has these ids it is another image, beside the first.
      const all = await take(data, maps(4_000_000));
      expect(await look(all)).toEqual(whole);
      expect(readRecordFile(all.record)).toMatchObject({ squashed: 0 });
      expect(findImage(source, maps(65_536), at.host)).toBeDefined();
      expect(findImage(source, maps(4_000_000), at.host)?.record).toBe(all.record);
    }
    // What needed no squashing serves every map.
    const plain = await take(archive({ name: 'a', uid: 7 }), maps(65_536));
    expect(findImage(source, maps(100), at.host)?.record).toBe(plain.record);
  });

  test('nothing of an archive that was tried as both stays behind', async () => {
    await expect(take(saved({ layers: [base], diffIds: [`sha256:${'0'.repeat(64)}`] }))).rejects.toThrow();
    expect(at.unfinished()).toEqual([]);
    const images = join(at.host.dirs.store, 'images');
    expect(existsSync(images) ? readdirSync(images) : []).toEqual([]);
  });
});
