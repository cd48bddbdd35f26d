/** Under which digests a layer is known: what a manifest only claims does not count. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { knownBlobs, manifestLayers, noteBlob, type KnownBlob } from '../../../src/image/known-blobs.ts';
import type { StoredLayer } from '../../../src/image/stored-tars.ts';
import { tempFolder } from '../../support/temp.ts';

const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const DIFF_ID = 'd'.repeat(64);
const facts = { diffId: DIFF_ID, newest: '', machine: 0 };
const gzip = 'application/vnd.oci.image.layer.v1.tar+gzip';
const claimed: KnownBlob = { mediaType: gzip, digest: digest('a'), size: 7, facts, places: [] };

function layer(packed: string): StoredLayer {
  const counts = { entries: 1, bytes: 1, squashed: 0, skipped: 0 };
  const made = { ...counts, implied: [], opaqueRoot: false, packed };
  return { folder: tempFolder(), kind: 'data', ownAt: 0, made, inPlace: undefined };
}

test('a blob of another image’s manifest counts only where its digest was computed from what came', () => {
  const origins = new Map([[DIFF_ID, [claimed]]]);
  expect(knownBlobs(layer('a'.repeat(64)), DIFF_ID, origins, undefined)).toEqual([claimed]);
  expect(knownBlobs(layer('b'.repeat(64)), DIFF_ID, origins, undefined)).toEqual([]);
});

test('what was pushed is remembered, with the newest place first, and found by its compression alone', () => {
  const stored = layer('');
  const packing = { compression: 'gzip', level: 0 } as const;
  for (const repository of ['one', 'two', 'one']) {
    noteBlob(stored, { ...claimed, packing, places: [{ registry: 'r:1', repository }] });
  }
  const [found, ...more] = knownBlobs(stored, DIFF_ID, new Map(), undefined);
  expect(more).toEqual([]);
  expect(found?.places.map(({ repository }) => repository)).toEqual(['one', 'two']);
  expect(knownBlobs(stored, DIFF_ID, new Map(), packing)).toHaveLength(1);
  expect(knownBlobs(stored, DIFF_ID, new Map(), { compression: 'gzip', level: 9 })).toEqual([]);
  expect(knownBlobs(stored, DIFF_ID, new Map(), { compression: 'zstd', level: 0 })).toEqual([]);
});

test('notes that are no notes are passed over', () => {
  const stored = layer('');
  for (const text of ['', '{', '{}', '[1, {}, {"digest": "x"}]', '[{"digest":1,"size":"x"}]']) {
    writeFileSync(join(stored.folder, 'blobs.json'), text);
    expect(knownBlobs(stored, DIFF_ID, new Map(), undefined)).toEqual([]);
  }
});

test('a manifest of another configuration, or with digests that are none, tells nothing', () => {
  const manifest = (config: string, layerDigest: string): Buffer =>
    Buffer.from(
      JSON.stringify({
        config: { mediaType: 'x', digest: config, size: 1 },
        layers: [{ mediaType: gzip, digest: layerDigest, size: 7 }],
      }),
    );
  expect(manifestLayers(manifest(digest('c'), digest('a')), 'c'.repeat(64))).toHaveLength(1);
  expect(manifestLayers(manifest(digest('e'), digest('a')), 'c'.repeat(64))).toBeUndefined();
  expect(manifestLayers(manifest(digest('c'), 'sha256:../x'), 'c'.repeat(64))).toBeUndefined();
  expect(manifestLayers(Buffer.from('['), 'c'.repeat(64))).toBeUndefined();
});
