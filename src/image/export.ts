/** An image of the store as others take it: a configuration, and for each layer a tar. */
import { basename } from 'node:path';
import { closeSync, openSync } from 'node:fs';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { sha256, tryLock } from '../native.ts';
import { isRecord, isTextList } from '../text/json.ts';
import { readDocument } from './documents.ts';
import { createdOf, json, newConfig, withLayers, type Json } from './image-documents.ts';
import { allRecords, type ImageRecord } from './records.ts';
import { findStored, gone, storedAs, type StoredLayer } from './stored-tars.ts';

export interface ExportedLayer {
  readonly stored: StoredLayer;
  /** sha256 of its tar as the configuration has it; undefined where there is no configuration. */
  readonly diffId: string | undefined;
}

export interface ExportedImage {
  readonly record: ImageRecord;
  /** The configuration that it came with, byte for byte. */
  readonly config: Buffer | undefined;
  /** The lowest first. */
  readonly layers: readonly ExportedLayer[];
  /** Lets go of the image, which is not removed before. */
  close(): void;
}

/** What reading the layers has told, the lowest first. */
export interface LayerFacts {
  readonly diffId: string;
  readonly newest: string;
  readonly machine: number;
}

/** Which of the records of an image has the most of what it was: an archive rather than files. */
function recordsOf(store: string, digest: string): readonly { readonly path: string; readonly record: ImageRecord }[] {
  const trees = ({ record }: { readonly record: ImageRecord }): number =>
    record.layers.filter(({ form }) => form === 'tree').length;
  return allRecords(store)
    .filter(({ record }) => record.digest === digest)
    .toSorted((a, b) => trees(a) - trees(b));
}

/** The image is held until it is closed. Throws `E_IMAGE_STORE` where the store does not have all of it. */
export function openImage(digest: string, name: string, host: HostFacts): ExportedImage {
  const { store } = host.dirs;
  const [best] = recordsOf(store, digest);
  if (best === undefined) throw gone(name);
  const fd = openSync(best.path, 'r');
  try {
    if (!tryLock(fd, false)) throw new BoxctlError('E_IMAGE_IN_USE', `The image ${name} is being removed`);
    const config = readDocument(store, digest);
    const layers = config === undefined ? recordedLayers(best, store, name) : layersOf(config, store, name);
    return { record: best.record, config, layers, close: () => closeSync(fd) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function layersOf(config: Buffer, store: string, name: string): readonly ExportedLayer[] {
  const layers: ExportedLayer[] = [];
  for (const diffId of diffIdsOf(config)) {
    const stored = findStored(store, diffId);
    // A layer of which nothing is seen through the ones above may be gone: the image's record does not have it.
    layers.push({ stored: stored ?? MISSING, diffId });
    if (stored?.made?.opaqueRoot === true) dropMissing(layers);
  }
  if (layers.some(({ stored }) => stored === MISSING)) throw gone(name);
  return layers;
}

const MISSING: StoredLayer = { folder: '', kind: 'tree', ownAt: 0, made: undefined, inPlace: undefined };

/** Where one of the lower layers is missing, all of them go: the last one hides them. */
function dropMissing(layers: ExportedLayer[]): void {
  if (layers.some(({ stored }) => stored === MISSING)) layers.splice(0, layers.length - 1);
}

export function diffIdsOf(config: Buffer): readonly string[] {
  const { rootfs } = parse(config);
  const ids = isRecord(rootfs) ? rootfs['diff_ids'] : undefined;
  return isTextList(ids) ? ids.map((id) => id.replace(/^sha256:/u, '')) : [];
}

function parse(config: Buffer): Json {
  const value: unknown = JSON.parse(config.toString('utf8'));
  return isRecord(value) ? value : {};
}

/** A root file system, or an image of a boxctl that kept no configurations: its layers as they are. */
function recordedLayers(
  { path, record }: { readonly path: string; readonly record: ImageRecord },
  store: string,
  name: string,
): readonly ExportedLayer[] {
  return record.layers.map((layer) => {
    const stored = storedAs(store, layer, basename(path, '.json'));
    if (stored === undefined) throw gone(name);
    return { stored, diffId: undefined };
  });
}

/** The configuration for layers that were read: the image's own where they are what it says. */
export function configFor(
  image: Pick<ExportedImage, 'config' | 'record'>,
  layers: readonly LayerFacts[],
  host: HostFacts,
  epoch: string | undefined,
): { readonly bytes: Buffer; readonly digest: string } {
  const diffIds = layers.map(({ diffId }) => diffId);
  const bytes = image.config === undefined ? fresh(image.record, layers, host, epoch) : image.config;
  const isTrue = diffIdsOf(bytes).join(' ') === diffIds.join(' ');
  const result = isTrue ? bytes : json(withLayers(parse(bytes), diffIds));
  return { bytes: result, digest: sha256(result) };
}

function fresh(record: ImageRecord, layers: readonly LayerFacts[], host: HostFacts, epoch: string | undefined): Buffer {
  const newest = layers.map((layer) => Number(layer.newest)).toSorted((a, b) => b - a)[0] ?? 0;
  const created = createdOf(String(newest), epoch);
  const machine = layers.find((layer) => layer.machine !== 0)?.machine ?? 0;
  const diffIds = layers.map(({ diffId }) => diffId);
  return json(newConfig({ defaults: record.defaults, diffIds, created, machine, platform: record.platform }, host));
}
