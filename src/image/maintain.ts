/** Looking after the store: what is in it, removing images, and removing what nothing needs any more. */
import { closeSync, lstatSync, openSync, readdirSync, rmSync, unlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { tryLock } from '../native.ts';
import { removeUnusedDocuments } from './documents.ts';
import { holds, rememberedIn } from './identity.ts';
import { withLock } from '../files/locks.ts';
import { allNames, digestsOf, removeName } from './names.ts';
import { sweepPartials } from './partial-layer.ts';
import { allRecords, folderOf, recordFiles, removeEmptyFolder, type ImageRecord } from './records.ts';
import { readOwner } from '../worker/owner.ts';
import { openWorkspace } from './workspace.ts';
import { removeTree } from '../worker/work.ts';

export interface StoredImage {
  readonly digest: string;
  readonly names: readonly string[];
  /** One for each ownership that it was imported under. */
  readonly records: readonly ImageRecord[];
  /** On disk, in bytes; what other images share counts in full. */
  readonly size: number;
}

/** The images of the store, the newest first. */
export function listImages(host: HostFacts): readonly StoredImage[] {
  const { store } = host.dirs;
  const names = allNames(store);
  const byDigest = new Map<string, ImageRecord[]>();
  for (const { record } of allRecords(store)) {
    byDigest.set(record.digest, [...(byDigest.get(record.digest) ?? []), record]);
  }
  return [...byDigest]
    .map(([digest, records]) => ({
      digest,
      names: names.filter((entry) => entry.digest === digest).map(({ name }) => name),
      records,
      size: Math.max(...records.map(({ bytes }) => bytes)),
    }))
    .toSorted((a, b) => (b.records[0]?.created ?? 0) - (a.records[0]?.created ?? 0));
}

/** Takes the records of an image alone; undefined where somebody runs it, or has taken it. */
function takeRecords(paths: readonly string[]): readonly number[] | undefined {
  const fds: number[] = [];
  for (const path of paths) {
    const fd = openSync(path, 'r');
    fds.push(fd);
    if (tryLock(fd, true)) continue;
    for (const each of fds) closeSync(each);
    return undefined;
  }
  return fds;
}

/** Removes an image and the layers that no other image has. False: it is in use. */
async function removeImage(digest: string, host: HostFacts): Promise<boolean> {
  const { store } = host.dirs;
  return withLock(join(store, 'lock'), async () => {
    const paths = recordFiles(store)
      .filter((file) => file.digest === digest)
      .map(({ path }) => path);
    const fds = takeRecords(paths);
    if (fds === undefined) return false;
    try {
      for (const path of paths) {
        unlinkSync(path);
        removeEmptyFolder(path);
      }
      for (const { name, digest: named } of allNames(store)) if (named === digest) removeName(store, name);
      await removeUnusedLayers(host);
      return true;
    } finally {
      for (const fd of fds) closeSync(fd);
    }
  });
}

/** Throws `E_IMAGE_IN_USE`. */
export async function removeStored(digest: string, host: HostFacts): Promise<void> {
  if (await removeImage(digest, host)) return;
  throw new BoxctlError('E_IMAGE_IN_USE', `The image ${digest.slice(0, 17)} is in use by a container`, {
    hint: 'wait for its end, or end it',
  });
}

/** Takes a name away, and removes the image with its last one. Throws `E_IMAGE_IN_USE`. */
export async function removeNamed(name: string, digest: string, host: HostFacts): Promise<'name' | 'image'> {
  const { store } = host.dirs;
  if (allNames(store).some((entry) => entry.digest === digest && entry.name !== name)) {
    removeName(store, name);
    return 'name';
  }
  await removeStored(digest, host);
  return 'image';
}

/** Removes an image that the user did not ask to remove. A failure is not reported. */
export async function removeImageQuietly(digest: string, host: HostFacts): Promise<void> {
  try {
    await removeImage(digest, host);
  } catch {
    // `image prune` will see it.
  }
}

/** Removes the layers that an import brought in before it failed, if it can be done now. */
export async function removeLeftoversQuietly(host: HostFacts): Promise<void> {
  try {
    await withLock(join(host.dirs.store, 'lock'), () => removeUnusedLayers(host));
  } catch {
    // `image prune` will see them.
  }
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** An import has layers of its own before its image is complete. Their folders are made under the store's lock. */
function isImporting(store: string): boolean {
  return list(join(store, 'tmp')).some((name) => {
    try {
      const fd = openSync(join(store, 'tmp', name, 'lock'), 'r+');
      try {
        return !tryLock(fd, true);
      } finally {
        closeSync(fd);
      }
    } catch {
      return false;
    }
  });
}

/** Configurations and manifests of images, and what names were pulled by. */
function usedDocuments(store: string): ReadonlySet<string> {
  const ofImages = allRecords(store).flatMap(({ record: { digest, manifest } }) => [digest, manifest]);
  const ofNames = allNames(store).flatMap(({ pulled }) => [pulled?.manifest, pulled?.index]);
  return new Set([...ofImages, ...ofNames].filter((digest) => digest !== undefined));
}

/** Layers and documents of no image. The caller holds the store's lock. */
async function removeUnusedLayers(host: HostFacts): Promise<void> {
  const { store } = host.dirs;
  if (isImporting(store)) return;
  removeUnusedDocuments(store, usedDocuments(store));
  const used = new Set(
    allRecords(store).flatMap(({ path, record }) =>
      record.layers.map((layer) => folderOf(store, layer, basename(path, '.json'))),
    ),
  );
  for (const digest of list(join(store, 'layers'))) {
    const folder = join(store, 'layers', digest);
    for (const form of list(folder)) {
      if (used.has(join(folder, form))) continue;
      await removeTree(folder, form, readOwner(join(folder, form)), host);
    }
    if (list(folder).length === 0) rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Removes the images that nobody has named and whose archive is gone or has changed; with `all`, every one that is not in
 * use.
 */
export async function pruneImages(host: HostFacts, all: boolean): Promise<Pruned> {
  const { store } = host.dirs;
  const before = diskUsage(store);
  const kept = all
    ? new Set<string>()
    : new Set([...allNames(store).map(({ digest }) => digest), ...heldDigests(store)]);
  const removed: string[] = [];
  for (const digest of digestsOf(store)) {
    if (!kept.has(digest) && (await removeImage(digest, host))) removed.push(digest);
  }
  // To open a workspace removes what interrupted imports have left.
  await (await openWorkspace(undefined, host)).close();
  await withLock(join(store, 'lock'), () => removeUnusedLayers(host));
  sweepPartials(store, true);
  forgetStale(store);
  return { digests: removed, bytes: Math.max(0, before - diskUsage(store)) };
}

export interface Pruned {
  readonly digests: readonly string[];
  /** Of the disk, that are free now; what the caller may not look into is not counted. */
  readonly bytes: number;
}

const SECTOR = 512;

/** Bytes that layers, and what imports have left, occupy. A file with several names counts once. */
function diskUsage(store: string): number {
  const seen = new Set<number>();
  const usage = (path: string): number => {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined || (stat.nlink > 1 && !stat.isDirectory() && seen.has(stat.ino))) return 0;
    seen.add(stat.ino);
    const inside = stat.isDirectory() ? list(path).map((name) => usage(join(path, name))) : [];
    return inside.reduce((sum, bytes) => sum + bytes, stat.blocks * SECTOR);
  };
  return ['layers', 'tmp', 'partial'].reduce((sum, name) => sum + usage(join(store, name)), 0);
}

/** What is remembered of archives and programs that are still what they were. */
function heldDigests(store: string): readonly string[] {
  return rememberedIn(store).flatMap(({ remembered }) => (holds(remembered) ? [remembered.digest] : []));
}

function forgetStale(store: string): void {
  const present = new Set(digestsOf(store));
  for (const { path, remembered } of rememberedIn(store)) {
    if (!present.has(remembered.digest) || !holds(remembered)) rmSync(path, { force: true });
  }
}
