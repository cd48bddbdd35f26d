/** Images from a pipe, which cannot be read twice, nor from its end. */
import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BoxctlError } from '../errors.ts';
import { reasonOf } from '../kernel/errno.ts';
import type { HostFacts } from '../host/facts.ts';
import { treeOwnership, type ImageFacts, type Ownership } from '../model/image.ts';
import { realPath } from '../files/read.ts';
import { importArchive } from './import.ts';
import type { ImportOptions } from './import-job.ts';
import { importOptions, type ResolveOptions, type TarSource } from './resolve.ts';
import { storeTrouble } from '../worker/store-failure.ts';
import { prepareStore } from './store.ts';
import { openWorkspace } from './workspace.ts';

/** As much as is written at once of what comes without an end in sight. */
const PIECE = 1 << 20;

/**
 * Imports the archive that descriptor `fd` gives, a pipe or whatever it is; `name` is what it is called. Throws as
 * `ensureImage` does.
 */
export async function importStream(
  fd: number,
  source: Omit<TarSource, 'kind' | 'path'> & { readonly name: string },
  ownership: Ownership | undefined,
  host: HostFacts,
  options: ResolveOptions = {},
): Promise<ImageFacts> {
  prepareStore(host.dirs.store);
  const workspace = await openWorkspace(treeOwnership(ownership), host);
  try {
    const path = join(realPath(workspace.folder), 'archive');
    const wants = { ...importOptions(source, ownership, options), inPlace: false, source: source.name };
    await keepStream(fd, path, wants);
    return (await importArchive(path, host, wants)).image;
  } finally {
    await workspace.close();
  }
}

/** What cannot be read twice is kept: an archive in layers has its table of contents at its end. */
async function keepStream(fd: number, path: string, { limits, signal, onProgress }: ImportOptions): Promise<void> {
  const input = createReadStream('', { fd, autoClose: false, highWaterMark: PIECE });
  let read = 0;
  const watched = new Transform({
    transform(piece: Buffer, _, done) {
      read += piece.length;
      onProgress?.({ read, total: 0 });
      // No archive of an image that is small enough is larger than the image.
      if (read > limits.maxBytes) done(tooLarge());
      else done(null, piece);
    },
  });
  try {
    await pipeline(input, watched, createWriteStream(path, { mode: 0o600 }), signal === undefined ? {} : { signal });
  } catch (cause) {
    if (cause instanceof BoxctlError || signal?.aborted === true) throw cause;
    const code = cause instanceof Error ? String((cause as NodeJS.ErrnoException).code) : '';
    const full = storeTrouble('the archive', code, cause);
    if (full !== undefined) throw full;
    const why = reasonOf(cause);
    throw new BoxctlError('E_IMAGE_STORE', `The archive cannot be kept in the image store: ${why}`, { cause });
  }
}

function tooLarge(): BoxctlError {
  return new BoxctlError('E_IMAGE_TOO_LARGE', 'The archive has more data than an image may have', {
    hint: 'raise --max-size if it is to be trusted',
  });
}
