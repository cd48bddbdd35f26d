/**
 * Under which digests registries know a layer of the store, and where they have it: then it need not be compressed, or not be
 * sent. What is written down beside a layer was computed by boxctl. What a manifest claims counts only for its own image.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from '../files/atomic-write.ts';
import type { Descriptor } from '../registry/protocol.ts';
import { isProblem, parseImageName } from '../text/image-name.ts';
import { isRecord } from '../text/json.ts';
import { readDocument } from './documents.ts';
import { diffIdsOf, type LayerFacts } from './export.ts';
import { compressionOf } from './image-documents.ts';
import type { Packing } from './layer-blobs.ts';
import { allNames } from './names.ts';
import { allRecords } from './records.ts';
import type { StoredLayer } from './stored-tars.ts';

export type Blob = Pick<Descriptor, 'mediaType' | 'digest' | 'size'>;

export interface Place {
  readonly registry: string;
  readonly repository: string;
}

export interface KnownBlob extends Blob {
  /** Of the tar in it. */
  readonly facts: LayerFacts;
  /** What boxctl made it by; undefined where it came from elsewhere. */
  readonly packing?: Packing | undefined;
  /** Repositories that have had it. */
  readonly places: readonly Place[];
}

/** As many blobs of a layer, and places of a blob, are remembered; the newest. */
const MOST = 16;
const FILE = 'blobs.json';

function blobOf(value: unknown): Blob | undefined {
  if (!isRecord(value)) return undefined;
  const { mediaType, digest, size } = value;
  if (typeof mediaType !== 'string' || typeof digest !== 'string' || typeof size !== 'number') return undefined;
  return /^sha256:[0-9a-f]{64}$/u.test(digest) && Number.isSafeInteger(size) && size >= 0
    ? { mediaType, digest, size }
    : undefined;
}

function placeOf(value: unknown): readonly Place[] {
  if (!isRecord(value)) return [];
  const { registry, repository } = value;
  return typeof registry === 'string' && typeof repository === 'string' ? [{ registry, repository }] : [];
}

function packingOf(value: unknown): Packing | undefined {
  if (!isRecord(value)) return undefined;
  const { compression, level } = value;
  const isKnown = compression === 'none' || compression === 'gzip' || compression === 'zstd';
  return isKnown && typeof level === 'number' ? { compression, level } : undefined;
}

function factsOf(value: unknown): LayerFacts | undefined {
  if (!isRecord(value)) return undefined;
  const { diffId, newest, machine } = value;
  if (typeof diffId !== 'string' || typeof newest !== 'string' || typeof machine !== 'number') return undefined;
  return { diffId, newest, machine };
}

/** What is written down beside a layer. */
function noted(folder: string): readonly KnownBlob[] {
  try {
    const list: unknown = JSON.parse(readFileSync(join(folder, FILE), 'utf8'));
    if (!Array.isArray(list)) return [];
    return list.flatMap((entry: unknown) => {
      const blob = blobOf(entry);
      const facts = isRecord(entry) ? factsOf(entry['facts']) : undefined;
      if (blob === undefined || !isRecord(entry) || facts === undefined) return [];
      const places = Array.isArray(entry['places']) ? entry['places'].flatMap(placeOf) : [];
      return [{ ...blob, facts, packing: packingOf(entry['packing']), places }];
    });
  } catch {
    return [];
  }
}

const samePlace = (a: Place, b: Place): boolean => a.registry === b.registry && a.repository === b.repository;

/** Writes down that a layer is known as a blob, and that a repository has it. A store that cannot be written only forgets it. */
export function noteBlob({ folder }: StoredLayer, blob: KnownBlob): void {
  const all = noted(folder);
  const before = all.find(({ digest }) => digest === blob.digest);
  const others = (before?.places ?? []).filter((place) => !blob.places.some((one) => samePlace(one, place)));
  const { mediaType, digest, size } = blob;
  const { diffId, newest, machine } = blob.facts;
  const facts: LayerFacts = { diffId, newest, machine };
  const packing = blob.packing ?? before?.packing;
  const places = [...blob.places, ...others].slice(0, MOST);
  const entry = { mediaType, digest, size, facts, ...(packing === undefined ? {} : { packing }), places };
  const rest = all.filter((one) => one.digest !== digest);
  try {
    writeWhole(join(folder, FILE), JSON.stringify([entry, ...rest].slice(0, MOST)));
  } catch {
    // The next push compresses it again.
  }
}

/** Layers of a manifest; undefined where it is none, or is not one of this configuration. */
export function manifestLayers(manifest: Buffer, config: string): readonly Blob[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(manifest.toString('utf8'));
  } catch {
    return undefined;
  }
  if (!isRecord(value) || !Array.isArray(value['layers'])) return undefined;
  if (blobOf(value['config'])?.digest !== `sha256:${config}`) return undefined;
  const layers = value['layers'].map(blobOf);
  return layers.every((layer) => layer !== undefined) ? layers : undefined;
}

/** What images of the store were pulled with, by the diff id of a layer. */
export type Origins = ReadonlyMap<string, readonly KnownBlob[]>;

export function originsOf(store: string): Origins {
  const names = allNames(store);
  const found = new Map<string, KnownBlob[]>();
  const seen = new Set<string>();
  for (const { record } of allRecords(store)) {
    if (record.manifest === undefined || seen.has(record.digest)) continue;
    seen.add(record.digest);
    const [config, manifest] = [record.digest, record.manifest].map((digest) => readDocument(store, digest));
    const layers = config && manifest ? manifestLayers(manifest, record.digest) : undefined;
    if (config === undefined || layers === undefined) continue;
    const places = names.flatMap(({ name, digest, pulled }) =>
      digest === record.digest && pulled !== undefined ? repositoryOf(name) : [],
    );
    for (const [index, diffId] of diffIdsOf(config).entries()) {
      const layer = layers[index];
      if (layer === undefined) continue;
      const facts = { diffId, newest: '', machine: 0 };
      found.set(diffId, [...(found.get(diffId) ?? []), { ...layer, facts, places }]);
    }
  }
  return found;
}

function repositoryOf(name: string): readonly Place[] {
  const parsed = parseImageName(name);
  if (isProblem(parsed) || parsed.registry === undefined) return [];
  return [{ registry: parsed.registry, repository: parsed.path }];
}

/**
 * As what a layer is known: what boxctl made of it, and of what manifests say, what is proved by the layer's own record to
 * be the layer. With `packing`, only what is compressed in this way.
 */
export function knownBlobs(
  stored: StoredLayer,
  diffId: string | undefined,
  origins: Origins,
  packing: Packing | undefined,
): readonly KnownBlob[] {
  const own = noted(stored.folder);
  const packed = `sha256:${stored.made?.packed ?? ''}`;
  const claimed = (diffId === undefined ? undefined : origins.get(diffId)) ?? [];
  const all = [...own, ...claimed.filter(({ digest }) => digest === packed)];
  return all.filter(
    (blob) =>
      packing === undefined ||
      (blob.packing === undefined
        ? packing.level === 0 && compressionOf(blob.mediaType) === packing.compression
        : blob.packing.compression === packing.compression && blob.packing.level === packing.level),
  );
}

/** Where the blobs of a manifest may be had from: repositories of the same registry that an image with them was pulled from. */
export function placesOf(digest: string, origins: Origins): readonly Place[] {
  return [...origins.values()].flat().flatMap((blob) => (blob.digest === digest ? blob.places : []));
}
