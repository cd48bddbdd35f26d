/** Reads an archive once: hashes it, decompresses it, and hands the tar stream on. */
import type { Hash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { Readable } from 'node:stream';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { BoxctlError } from '../errors.ts';
import { crypto, zlib } from './builtin.ts';
import { identityOf } from './identity.ts';

const CHUNK = 1 << 20;
/** Longer than the kernel's clock tick: a file written after this much rest gets another ctime. */
const TICK_MS = 20;

export interface Archive {
  readonly path: string;
  readonly fd: number;
  readonly stat: BigIntStats;
}

/** Opens a regular file; the descriptor is the caller's to close. */
export function openArchive(path: string): Archive {
  let fd: number;
  try {
    // O_NONBLOCK: a fifo must not make us wait.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw unreadable(path, cause);
  }
  const stat = fstatSync(fd, { bigint: true });
  if (stat.isFile()) return { path, fd, stat };
  closeSync(fd);
  throw new BoxctlError('E_IMAGE_UNREADABLE', `The image ${path} is not a file`, {
    hint: 'an image is a tar archive of a root file system, as .tar or .tar.gz',
  });
}

/** The archive once it has rested: within one tick it could be written again without its times showing it. */
export async function settled(archive: Archive): Promise<Archive> {
  const age = Date.now() - Number(archive.stat.ctimeNs / 1_000_000n);
  if (age < 0 || age >= TICK_MS) return archive;
  await sleep(TICK_MS);
  return { ...archive, stat: fstatSync(archive.fd, { bigint: true }) };
}

function unreadable(path: string, cause: unknown): BoxctlError {
  const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
  const why = cause instanceof Error ? cause.message : String(cause);
  return missing
    ? new BoxctlError('E_IMAGE_NOT_FOUND', `The image ${path} does not exist`, { cause })
    : new BoxctlError('E_IMAGE_UNREADABLE', `The image ${path} cannot be read: ${why}`, { cause });
}

/** The digest of an open archive, read from its start. Synchronous: also `plan` needs it, and it takes 0.5 ms a MiB. */
export function hashArchive(archive: Archive): string {
  const hash = crypto().createHash('sha256');
  const buffer = Buffer.allocUnsafe(CHUNK);
  for (let position = 0; ;) {
    const read = readSync(archive.fd, buffer, 0, CHUNK, position);
    if (read === 0) return hash.digest('hex');
    hash.update(buffer.subarray(0, read));
    position += read;
  }
}

/** Throws `E_IMAGE_CHANGED` when the file is not what it was when it was opened. */
export function checkUnchanged(archive: Archive): void {
  if (identityOf(fstatSync(archive.fd, { bigint: true })) === identityOf(archive.stat)) return;
  throw new BoxctlError('E_IMAGE_CHANGED', `The image ${archive.path} was changed while it was read`, {
    hint: 'write it to another name and rename it when it is complete',
  });
}

type Compression = 'none' | 'gzip' | 'xz' | 'zstd' | 'bzip2';

const MAGICS: readonly (readonly [Compression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2', [0x42, 0x5a, 0x68]],
];

/** How the archive is compressed, told by its content. Throws `E_IMAGE_COMPRESSION` for what cannot be read. */
export function compressionOf(archive: Archive): 'none' | 'gzip' {
  const start = Buffer.alloc(8);
  readSync(archive.fd, start, 0, start.length, 0);
  const compression = MAGICS.find(([, magic]) => magic.every((byte, index) => start[index] === byte))?.[0] ?? 'none';
  if (compression === 'none' || compression === 'gzip') return compression;
  throw new BoxctlError('E_IMAGE_COMPRESSION', `The image ${archive.path} is compressed with ${compression}`, {
    hint: `boxctl reads .tar and .tar.gz so far: ${compression} -dc ${archive.path} | gzip > image.tar.gz`,
  });
}

/**
 * Pours the tar stream into `output` and ends it. Returns the sha256 of the file as it is on disk.
 * A broken compression throws `E_IMAGE_BAD_ARCHIVE`; an error of `output` (EPIPE) is passed on.
 */
export async function pour(
  archive: Archive,
  compression: 'none' | 'gzip',
  output: Writable,
  onProgress?: (read: number, total: number) => void,
): Promise<string> {
  const hash = crypto().createHash('sha256');
  const file = Readable.from(chunksOf(archive, hash, onProgress), { objectMode: false });
  if (compression === 'none') {
    await pipeline(file, output);
  } else {
    try {
      await pipeline(file, zlib().createGunzip({ chunkSize: CHUNK }), output);
    } catch (cause) {
      if (!(cause instanceof Error) || !('code' in cause) || !String(cause.code).startsWith('Z_')) throw cause;
      throw new BoxctlError('E_IMAGE_BAD_ARCHIVE', `The image ${archive.path} is damaged: ${cause.message}`, { cause });
    }
  }
  return hash.digest('hex');
}

/**
 * The file, read synchronously: a stream of Node's closes the descriptor when the pipeline fails, and an asynchronous
 * read may still be under way when its owner closes it.
 */
function* chunksOf(archive: Archive, hash: Hash, onProgress?: (read: number, total: number) => void): Iterable<Buffer> {
  const total = Number(archive.stat.size);
  for (let position = 0; ;) {
    const buffer = Buffer.allocUnsafe(CHUNK);
    const read = readSync(archive.fd, buffer, 0, CHUNK, position);
    if (read === 0) return;
    const chunk = buffer.subarray(0, read);
    position += read;
    hash.update(chunk);
    onProgress?.(position, total);
    yield chunk;
  }
}
