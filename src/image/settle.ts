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
 * Reads the archive, and gives its image the name that it has by its content. Once, however many containers run from it;
 * given up when `signal` says so, or when the archive is not what it was.
 */
export async function settleImage(image: ImageFacts, host: HostFacts, signal: AbortSignal): Promise<void> {
  const { store } = host.dirs;
  const path = sourceOf(image);
  const lock = openSync(join(store, 'locks', shortHash(`settle ${path}`)), 'a', 0o600);
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

/** If the store has an image under the digest already, that one stays. Containers that run from the old name keep theirs. */
function rename(store: string, from: string, to: string): void {
  for (const { path, record } of allRecords(store)) {
    const target = recordFile(store, to, basename(path, '.json'));
    if (record.digest !== from || existsSync(target)) continue;
    const layers = record.layers.map((layer) => (layer.inPlace === undefined ? layer : { ...layer, digest: to }));
    for (const [index, layer] of record.layers.entries()) shareIndex(store, layer, layers[index] ?? layer);
    writeRecordFile(target, { ...record, digest: to, layers });
  }
}

/** An index is the archive's; a tree keeps the folder that it has, whatever that is called. */
function shareIndex(store: string, from: RecordedLayer, to: RecordedLayer): void {
  const [old, folder] = [from, to].map((layer) => folderOf(store, layer, ''));
  if (old === undefined || folder === undefined || old === folder || existsSync(join(folder, 'index'))) return;
  makeFolders(dirname(folder), 0o700);
  makeFolders(folder, 0o700);
  linkSync(join(old, 'index'), join(folder, 'index'));
}

/** Removes the old name, after the last container that ran from it. */
export async function forgetUnsettled(image: ImageFacts, host: HostFacts): Promise<void> {
  const { store } = host.dirs;
  if (recall(store, sourceOf(image))?.digest !== image.digest) await removeImageQuietly(image.digest, host);
}
