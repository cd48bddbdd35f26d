/**
 * A complete image as a small file: its layers, and what the planner needs to know of it. Who runs a container holds a
 * shared lock on it; who removes an image takes it alone.
 */
import { rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { lstatSync, readdirSync, statSync } from '../inputs/outside.ts';
import { makeFolders } from '../files/folders.ts';
import { writeWhole } from '../files/atomic-write.ts';
import type { HostFacts } from '../host/facts.ts';
import { deviceOf, identityAt } from './identity.ts';
import { treeOwnership, type ImageFacts, type Layer, type Ownership } from '../model/image.ts';
import { isRecord, isTextList, isTexts } from '../text/json.ts';
import { isOwn, readOwnJson } from '../files/own.ts';
import { layerFolder, ownersKey, ownershipKey } from './store.ts';

const VERSION = 1;

export interface RecordedLayer {
  readonly digest: string;
  readonly form: 'erofs' | 'tree';
  /** Files of other owners than these (ownersKey of store.ts) became root's in it. Undefined: there were none. */
  readonly owners?: string;
  /** The user's own archive, where the store has no copy of it. */
  readonly inPlace?: { readonly path: string; readonly identity: string };
}

/**
 * Where files were squashed for the owners that a mount can give, the layer is one for these alone; any other serves all. What
 * is unpacked under maps goes by the maps anyway.
 */
export const ownersOf = (
  { squashed }: { readonly squashed: number },
  owners: Ownership | undefined,
): Pick<RecordedLayer, 'owners'> => (squashed === 0 || owners === undefined ? {} : { owners: ownersKey(owners) });

export interface ImageRecord {
  readonly digest: string;
  readonly layers: readonly RecordedLayer[];
  readonly passwd: string;
  readonly group: string;
  readonly shell: string;
  readonly defaults: ImageFacts['defaults'];
  readonly entries: number;
  /** Of files, uncompressed. */
  readonly bytes: number;
  readonly squashed: number;
  readonly skipped: number;
  /** When it was imported, milliseconds since 1970. */
  readonly created: number;
  /** The archive's path, or the programs that were packed. */
  readonly source: string;
  /** Names that the archive has for its image; whether the store has them is another matter (names.ts). */
  readonly archiveNames?: readonly string[];
  /**
   * Of an image in layers: the sha256 of the manifest that it came with, where it had one. The configuration's is `digest`.
   * The store has both as documents (documents.ts).
   */
  readonly manifest?: string;
  /** `linux/ARCHITECTURE[/VARIANT]`, where the configuration says it. */
  readonly platform?: string;
}

/** `ownership` is an ownership's key. */
export function recordFile(store: string, digest: string, ownership: string): string {
  return join(store, 'images', digest, `${ownership}.json`);
}

/** An image in which files of other owners became root's has a record for each set of owners. */
function recordKey(ownership: Ownership | undefined, squashed: boolean): string {
  return `${ownershipKey(ownership)}${squashed ? `-${ownersKey(ownership)}` : ''}`;
}

function isSquashed({ layers }: Pick<ImageRecord, 'layers'>): boolean {
  return layers.some(({ owners }) => owners !== undefined);
}

export function recordPath(store: string, digest: string, ownership: Ownership | undefined, squashed = false): string {
  return recordFile(store, digest, recordKey(ownership, squashed));
}

export function writeRecord(store: string, record: ImageRecord, ownership: Ownership | undefined): void {
  writeRecordFile(recordPath(store, record.digest, ownership, isSquashed(record)), record);
}

export function writeRecordFile(path: string, record: ImageRecord): void {
  makeFolders(dirname(path), 0o700);
  writeWhole(path, JSON.stringify({ version: VERSION, ...record }));
}

export function readRecord(store: string, digest: string, ownership: Ownership | undefined): ImageRecord | undefined {
  const plain = readRecordFile(recordPath(store, digest, ownership));
  if (plain !== undefined || ownership?.byMount !== true) return plain;
  return readRecordFile(recordPath(store, digest, ownership, true));
}

export function readRecordFile(path: string): ImageRecord | undefined {
  const value = readOwnJson(path);
  return isRecord(value) && isImageRecord(value) ? value : undefined;
}

const TEXTS = ['digest', 'passwd', 'group', 'shell', 'source'];
const NUMBERS = ['entries', 'bytes', 'squashed', 'skipped', 'created'];

/** What another version of boxctl, or a crash of the machine, has left is no record. */
function isImageRecord(
  value: Readonly<Record<string, unknown>>,
): value is Readonly<Record<string, unknown>> & ImageRecord {
  const { version, layers, defaults, archiveNames, manifest, platform } = value;
  return (
    version === VERSION &&
    TEXTS.every((key) => typeof value[key] === 'string') &&
    NUMBERS.every((key) => typeof value[key] === 'number') &&
    isRecord(defaults) &&
    (archiveNames === undefined || isTextList(archiveNames)) &&
    [manifest, platform].every((text) => text === undefined || typeof text === 'string') &&
    Array.isArray(layers) &&
    layers.every(
      (layer: unknown) =>
        isRecord(layer) &&
        typeof layer['digest'] === 'string' &&
        (layer['form'] === 'erofs' || layer['form'] === 'tree') &&
        (layer['inPlace'] === undefined || isTexts(layer['inPlace'])),
    )
  );
}

/**
 * `ownership` is an ownership's key, or the name of a record. An index alone has another folder than an index with a copy
 * of its archive.
 */
export function folderOf(store: string, layer: RecordedLayer, ownership: string): string {
  const form = layer.inPlace === undefined ? 'erofs' : 'index';
  const key = layer.form === 'tree' ? ownership.replace(/^plain-.*/u, 'plain') : form;
  return layerFolder(store, layer.digest, layer.owners === undefined ? key : `${key}-${layer.owners}`);
}

export function layerOf(store: string, layer: RecordedLayer, ownership: Ownership | undefined): Layer {
  const folder = folderOf(store, layer, ownershipKey(ownership));
  if (layer.form === 'tree') return { kind: 'tree', path: join(folder, 'rootfs') };
  const index = join(folder, 'index');
  if (layer.inPlace === undefined) return { kind: 'erofs', index, data: join(folder, 'data') };
  const { path: data, identity } = layer.inPlace;
  const isWithStore = deviceOf(identity) === String(deviceAt(store));
  return { kind: 'erofs', index, data, identity, ...(isWithStore ? {} : { apart: true }) };
}

/** That a path is on, or would be when it is made. */
function deviceAt(path: string): number {
  for (let at = path; ; at = dirname(at)) {
    const found = statSync(at, { throwIfNoEntry: false });
    if (found !== undefined || at === dirname(at)) return found?.dev ?? 0;
  }
}

/** What the planner sees of a record. */
export function factsOf(store: string, record: ImageRecord, ownership: Ownership | undefined): ImageFacts {
  const { digest, layers, passwd, group, shell, defaults } = record;
  return {
    digest,
    record: recordPath(store, digest, ownership, isSquashed(record)),
    layers: layers.map((layer) => layerOf(store, layer, ownership)),
    ownership: treeOwnership(ownership),
    passwd,
    group,
    shell,
    defaults,
  };
}

const lstatFolder = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** An archive's index and copy are mounted as they are; a tree's folder is the caller's, and what is in it the image's. */
function isThereOwn(folder: string, { form, inPlace }: RecordedLayer): boolean {
  if (!isOwn(dirname(folder), 'folder')) return false;
  // A tree may belong to the root of a container.
  if (form === 'tree') return lstatFolder(folder);
  if (!isOwn(folder, 'folder')) return false;
  return isOwn(join(folder, 'index'), 'file') && (inPlace !== undefined || isOwn(join(folder, 'data'), 'file'));
}

/** How much an image may have in it. */
export interface SizeLimits {
  readonly maxBytes: number;
  readonly maxEntries: number;
}

function checkSize({ bytes, entries, source }: ImageRecord, { maxBytes, maxEntries }: SizeLimits): void {
  const [what, most] = bytes > maxBytes ? [`${bytes} bytes of files`, maxBytes] : [`${entries} entries`, maxEntries];
  if (bytes <= maxBytes && entries <= maxEntries) return;
  throw new BoxctlError('E_IMAGE_TOO_LARGE', `The image ${source} has ${what}, and it may have ${most}`, {
    hint: 'raise `image.max_size` or `image.max_entries` (of an import, --max-size or --max-entries) if it is to be trusted',
  });
}

/**
 * The image of a digest, if the store has it complete and this host can use it. Throws `E_IMAGE_TOO_LARGE`: it may have come
 * into the store when more was allowed.
 */
export function readFacts(
  digest: string,
  ownership: Ownership | undefined,
  host: HostFacts,
  limits?: SizeLimits,
): ImageFacts | undefined {
  const { store } = host.dirs;
  const record = readRecord(store, digest, ownership);
  if (record === undefined) return undefined;
  if (limits !== undefined) checkSize(record, limits);
  if (!host.erofs.usable && record.layers.some((layer) => layer.form === 'erofs')) return undefined;
  const owners = ownershipKey(ownership);
  // The archive may have been under another name, and gone since; a folder of the store, removed by hand.
  const isThere = (layer: RecordedLayer): boolean =>
    (layer.inPlace === undefined || identityAt(layer.inPlace.path) === layer.inPlace.identity) &&
    isThereOwn(folderOf(store, layer, owners), layer);
  if (!record.layers.every(isThere)) return undefined;
  return factsOf(store, record, ownership);
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** The files of all records, also of those that cannot be read. */
export function recordFiles(store: string): readonly { readonly path: string; readonly digest: string }[] {
  return list(join(store, 'images')).flatMap((digest) =>
    list(join(store, 'images', digest))
      .filter((name) => name.endsWith('.json'))
      .map((name) => ({ path: join(store, 'images', digest, name), digest })),
  );
}

/** Every record of the store, with its path. */
export function allRecords(store: string): readonly { readonly path: string; readonly record: ImageRecord }[] {
  return recordFiles(store).flatMap(({ path }) => {
    const record = readRecordFile(path);
    return record === undefined ? [] : [{ path, record }];
  });
}

/** A digest's folder goes with its last record. */
export function removeEmptyFolder(file: string): void {
  try {
    rmdirSync(dirname(file));
  } catch {
    // There are others.
  }
}
