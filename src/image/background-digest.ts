/**
 * Computes the digest of an archive while a container already runs from it. Reading the whole archive takes longer than
 * starting the container, and the digest is needed only to name the image by its content.
 */
import { closeSync, existsSync, linkSync, openSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { makeFolders } from '../files/folders.ts';
import type { HostFacts } from '../host/facts.ts';
import { tryLock } from '../native.ts';
import { checkUnchanged, openArchive } from './archive.ts';
import { identityOf, recall, remember } from './identity.ts';
import type { ImageFacts } from '../model/image.ts';
import { withLock } from '../files/locks.ts';
import { removeImageQuietly } from './maintain.ts';
import { allRecords, folderOf, readRecordFile, recordFile, writeRecordFile, type RecordedLayer } from './records.ts';
import { shortHash } from './store.ts';
import { ingest, ownPlace, WHOLE } from '../worker/work.ts';

/**
 * Reads the archive, computes its digest, and renames the image's records from the provisional digest to that one. A lock
 * keeps a second container of the same archive from computing it, too. Nothing is renamed when `signal` is aborted or the
 * archive has changed.
 */
export async function computeDigest(image: ImageFacts, host: HostFacts, signal: AbortSignal): Promise<void> {
  const { store } = host.dirs;
  const path = sourceOf(image);
  const lock = openSync(join(store, 'locks', shortHash(`digest of ${path}`)), 'a', 0o600);
  try {
    const remembered = recall(store, path);
    if (!tryLock(lock, true) || remembered?.digest !== image.digest) return;
    const archive = openArchive(path);
    try {
      if (identityOf(archive.stat) !== remembered.files[path]) return;
      const whole = { fd: archive.fd, name: path, part: WHOLE, signal };
      const { sha256 } = await ingest(whole, ownPlace(join(store, 'mnt'), host), '', Number.MAX_SAFE_INTEGER);
      await withLock(join(store, 'lock'), async () => {
        checkUnchanged(archive);
        if (signal.aborted) return;
        rename(store, image.digest, sha256);
        remember(store, path, { ...remembered, digest: sha256 });
      });
    } finally {
      closeSync(archive.fd);
    }
  } finally {
    closeSync(lock);
  }
}

const sourceOf = (image: ImageFacts): string => readRecordFile(image.record)?.source ?? '';

/** If the store has an image under the digest already, that one stays. The records of the old name stay as well: containers run from it. */
function rename(store: string, from: string, to: string): void {
  for (const { path, record } of allRecords(store)) {
    const target = recordFile(store, to, basename(path, '.json'));
    if (record.digest !== from || existsSync(target)) continue;
    const layers = record.layers.map((layer) => (layer.inPlace === undefined ? layer : { ...layer, digest: to }));
    for (const [index, layer] of record.layers.entries()) shareIndex(store, layer, layers[index] ?? layer);
    writeRecordFile(target, { ...record, digest: to, layers });
  }
}

/** Links the index of an archive into the folder of its digest. An unpacked tree keeps its folder. */
function shareIndex(store: string, from: RecordedLayer, to: RecordedLayer): void {
  const [old, folder] = [from, to].map((layer) => folderOf(store, layer, ''));
  if (old === undefined || folder === undefined || old === folder || existsSync(join(folder, 'index'))) return;
  makeFolders(dirname(folder), 0o700);
  makeFolders(folder, 0o700);
  linkSync(join(old, 'index'), join(folder, 'index'));
}

/** Removes the image with the provisional digest, unless the archive still has no other one. */
export async function removeProvisionalName(image: ImageFacts, host: HostFacts): Promise<void> {
  const { store } = host.dirs;
  if (recall(store, sourceOf(image))?.digest !== image.digest) await removeImageQuietly(image.digest, host);
}
