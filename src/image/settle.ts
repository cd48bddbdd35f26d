/**
 * The digest of an archive that is used where it lies, found beside the container that already runs from it: reading the
 * archive takes longer than starting, and only what was read as a whole has a name by its content.
 */
import { closeSync, existsSync, linkSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { HostFacts } from '../host/facts.ts';
import { makeFolders } from '../folders.ts';
import { tryLock } from '../native.ts';
import { identityAt, recall, remember } from './identity.ts';
import type { ImageFacts } from './image.ts';
import { withLock } from './locks.ts';
import { removeImageQuietly } from './maintain.ts';
import { folderOf, readRecord, writeRecord, type RecordedLayer } from './records.ts';
import { shortHash } from './store.ts';
import { ingest, ownPlace, WHOLE } from './work.ts';

/**
 * Reads the archive, and gives its image the name that it has by its content. Once, however many containers run from it;
 * given up when `signal` says so, or when the archive is not what it was.
 */
export async function settleImage(image: ImageFacts, host: HostFacts, signal: AbortSignal): Promise<void> {
  const { store } = host.dirs;
  const record = readRecord(store, image.digest, undefined);
  const [layer] = record?.layers ?? [];
  if (record === undefined || layer?.inPlace === undefined) return;
  const { path, identity } = layer.inPlace;
  const lock = openSync(join(store, 'locks', shortHash(`settle ${path}`)), 'a', 0o600);
  try {
    if (!tryLock(lock, true) || recall(store, path)?.digest !== image.digest) return;
    const fd = openSync(path, 'r');
    try {
      const archive = { fd, name: path, part: WHOLE, signal };
      const { sha256 } = await ingest(archive, ownPlace(join(store, 'mnt'), host), '', Number.MAX_SAFE_INTEGER);
      await withLock(join(store, 'lock'), async () => {
        if (signal.aborted || identityAt(path) !== identity) return;
        const settled: RecordedLayer = { ...layer, digest: sha256 };
        shareIndex(folderOf(store, layer, ''), folderOf(store, settled, ''));
        // An image that was imported has a copy of its own, and is the better one.
        if (readRecord(store, sha256, undefined) === undefined) {
          writeRecord(store, { ...record, digest: sha256, layers: [settled] }, undefined);
        }
        remember(store, path, { digest: sha256, files: { [path]: identity }, links: {} });
      });
    } finally {
      closeSync(fd);
    }
  } finally {
    closeSync(lock);
  }
}

/** Containers that run from the old name keep it. */
function shareIndex(from: string, to: string): void {
  if (existsSync(join(to, 'index'))) return;
  makeFolders(dirname(to), 0o700);
  makeFolders(to, 0o700);
  linkSync(join(from, 'index'), join(to, 'index'));
}

/** After the last container that ran from it: the old name goes. */
export async function forgetUnsettled(image: ImageFacts, host: HostFacts): Promise<void> {
  const path = image.layers[0]?.kind === 'erofs' ? image.layers[0].data : '';
  if (recall(host.dirs.store, path)?.digest !== image.digest) await removeImageQuietly(image.digest, host);
}
