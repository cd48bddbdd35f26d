/**
 * Manifests, indexes and configurations of images, byte for byte as they came, under their digests. An image of the store can
 * be saved and pushed with them as it was, and its signature can be checked.
 */
import { closeSync, existsSync, fstatSync, readdirSync, readSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unfinishedName } from '../files/atomic-write.ts';
import { makeFolders } from '../files/folders.ts';
import { openOwnFile } from '../files/own.ts';
import { sha256 } from '../native.ts';

/** The largest document that is kept, and that is taken from a registry or an archive. Bytes. */
export const MAX_DOCUMENT = 4 << 20;

const folderOf = (store: string): string => join(store, 'documents');
const placeOf = (store: string, digest: string): string => join(folderOf(store), digest);

/** Keeps a document. Returns its sha256, 64 hex digits. */
export function writeDocument(store: string, bytes: Uint8Array): string {
  if (bytes.length > MAX_DOCUMENT) throw new RangeError('a document of an image is too large to be kept');
  const digest = sha256(bytes);
  const path = placeOf(store, digest);
  if (existsSync(path)) return digest;
  // A store of an older boxctl has no such folder.
  makeFolders(folderOf(store), 0o700);
  const unfinished = unfinishedName(path);
  writeFileSync(unfinished, bytes, { mode: 0o600, flag: 'wx' });
  renameSync(unfinished, path);
  return digest;
}

/** The document of a digest (64 hex digits), read and verified; undefined where the store does not have it whole. Throws `E_STORE_UNSAFE`. */
export function readDocument(store: string, digest: string): Buffer | undefined {
  if (!/^[0-9a-f]{64}$/u.test(digest)) return undefined;
  const fd = openOwnFile(placeOf(store, digest));
  if (fd === undefined) return undefined;
  try {
    const { size } = fstatSync(fd);
    if (size > MAX_DOCUMENT) return undefined;
    const bytes = Buffer.alloc(size);
    let done = 0;
    for (let got = -1; got !== 0 && done < size; done += got) got = readSync(fd, bytes, done, size - done, done);
    return done === size && sha256(bytes) === digest ? bytes : undefined;
  } finally {
    closeSync(fd);
  }
}

/** Removes the documents that are not `used`. The caller holds the store's lock, and no import is at work. */
export function removeUnusedDocuments(store: string, used: ReadonlySet<string>): void {
  let names: readonly string[];
  try {
    names = readdirSync(folderOf(store));
  } catch {
    return;
  }
  for (const name of names) if (!used.has(name)) rmSync(join(folderOf(store), name), { force: true });
}
