/** Brings an archive into the store: all of it, or nothing that could be taken for an image. */
import { closeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { getSystemErrorName } from 'node:util';
import { BoxctlError } from '../errors.ts';
import { checkUnchanged, compressionOf, hashArchive, openArchive, pour, settled } from './archive.ts';
import type { Archive } from './archive.ts';
import type { ImageHooks } from './hooks.ts';
import { identityOf, recall } from './identity.ts';
import type { ImageFacts, Ownership } from './image.ts';
import { treeFolder } from './store.ts';
import { readFacts, writeFacts } from './tree.ts';
import { openWorkspace } from './workspace.ts';

export interface Import {
  readonly store: string;
  /** Absolute. */
  readonly path: string;
  /** 64 lower-case hex digits that the file must hash to. */
  readonly pin: string | undefined;
  readonly ownership: Ownership | undefined;
}

/** Returns the image and what the archive was when it was read. The caller holds the lock of the source. */
export async function importArchive(
  { store, path, pin, ownership }: Import,
  hooks: ImageHooks,
): Promise<{ readonly image: ImageFacts; readonly identity: string }> {
  const opened = openArchive(path);
  try {
    const archive = await settled(opened);
    const identity = identityOf(archive.stat);
    // Reading twice costs less than unpacking for nothing: with a pin, and when the archive looks like one that is
    // already here (it was copied or touched).
    const digest = pin !== undefined || looksKnown(store, archive) ? hashArchive(archive) : undefined;
    if (pin !== undefined && digest !== pin) throw wrongDigest(path, pin, digest ?? '');
    if (digest !== undefined) {
      const image = readFacts(store, digest, ownership);
      checkUnchanged(archive);
      if (image !== undefined) return { image, identity };
    }
    return { image: await unpackArchive(store, archive, digest, ownership, hooks), identity };
  } finally {
    closeSync(opened.fd);
  }
}

function looksKnown(store: string, archive: Archive): boolean {
  const before = recall(store, archive.path)?.files[archive.path];
  return before?.split(' ')[2] === String(archive.stat.size);
}

export const wrongDigest = (path: string, pin: string, digest: string): BoxctlError =>
  new BoxctlError('E_IMAGE_DIGEST', `The image ${path} is not the one that was asked for`, {
    hint: `asked for sha256 ${pin}, the file has ${digest}`,
  });

async function unpackArchive(
  store: string,
  archive: Archive,
  expected: string | undefined,
  ownership: Ownership | undefined,
  hooks: ImageHooks,
): Promise<ImageFacts> {
  const compression = compressionOf(archive);
  const workspace = await openWorkspace(store, ownership, hooks);
  try {
    const digest = await unpackInto(join(workspace.folder, 'rootfs'), archive, compression, ownership, hooks);
    checkUnchanged(archive);
    if (expected !== undefined && digest !== expected) throw wrongDigest(archive.path, expected, digest);
    writeFacts(workspace.folder, hooks);
    const target = treeFolder(store, digest, ownership);
    if (!workspace.moveTo(target)) {
      const present = readFacts(store, digest, ownership);
      if (present !== undefined) return present;
      // A tree whose facts were lost in a crash of the machine: it gives way.
      await hooks.remove(dirname(target), basename(target), ownership);
      workspace.moveTo(target);
    }
    const image = readFacts(store, digest, ownership);
    if (image === undefined) throw new BoxctlError('E_IMAGE_STORE', `The image store ${store} does not keep its files`);
    return image;
  } finally {
    await workspace.close();
  }
}

/** Unpacks and returns the archive's sha256. Of the two ends, the one that failed first has the cause. */
async function unpackInto(
  target: string,
  archive: Archive,
  compression: 'none' | 'gzip',
  ownership: Ownership | undefined,
  hooks: ImageHooks,
): Promise<string> {
  const job = hooks.unpack(target, ownership);
  const pouring = pour(archive, compression, job.input, hooks.onProgress);
  const [poured, unpacked] = await Promise.allSettled([pouring, job.done]);
  if (poured.status === 'rejected' && poured.reason instanceof BoxctlError) throw poured.reason;
  if (unpacked.status === 'rejected') throw unpacked.reason;
  const report = unpacked.value;
  if (!report.ok) throw badArchive(archive.path, report.error, report.entry, report.errno);
  if (poured.status === 'rejected') throw poured.reason;
  return poured.value;
}

const ENOSPC = 28;
const EDQUOT = 122;

function badArchive(path: string, error: string, entry: string, errno: number): BoxctlError {
  // Control characters of a hostile name must not reach a terminal.
  const at = entry === '' ? '' : ` (entry ${JSON.stringify(entry)})`;
  const message = `The image ${path} cannot be unpacked: ${error}${at}`;
  if (errno === ENOSPC || errno === EDQUOT) {
    return new BoxctlError('E_IMAGE_STORE', message, { hint: 'there is no space left in the image store' });
  }
  return new BoxctlError('E_IMAGE_BAD_ARCHIVE', errno === 0 ? message : `${message}: ${getSystemErrorName(-errno)}`);
}
