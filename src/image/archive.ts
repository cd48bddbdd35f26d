/** An archive as a file that must not change while it is looked at. */
import { closeSync, fstatSync, readSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { BoxctlError } from '../errors.ts';
import { reasonOf } from '../kernel/errno.ts';
import { openUnlinkedFile } from '../files/read.ts';
import { identityOf } from './identity.ts';

/** Longer than the kernel's clock tick. A file that is written after this time gets another ctime. */
const TICK_MS = 20;

export interface Archive {
  readonly path: string;
  readonly fd: number;
  readonly stat: BigIntStats;
}

/** Opens a regular file by a path without links (`realPath`); the descriptor is the caller's to close. */
export function openArchive(path: string): Archive {
  let fd: number;
  try {
    fd = openUnlinkedFile(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
  const stat = fstatSync(fd, { bigint: true });
  if (stat.isFile()) return { path, fd, stat };
  closeSync(fd);
  throw new BoxctlError('E_IMAGE_UNREADABLE', `The image ${path} is not a file`, {
    hint: 'an image is an archive of a root file system, or what `docker save` writes',
  });
}

/** Waits until the archive is older than one clock tick: within the tick, a second write would not change its times. */
export async function afterClockTick(archive: Archive): Promise<Archive> {
  const age = Date.now() - Number(archive.stat.ctimeNs / 1_000_000n);
  if (age < 0 || age >= TICK_MS) return archive;
  await sleep(TICK_MS);
  return { ...archive, stat: fstatSync(archive.fd, { bigint: true }) };
}

function unreadable(path: string, cause: unknown): BoxctlError {
  const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
  const why = reasonOf(cause);
  return missing
    ? new BoxctlError('E_IMAGE_NOT_FOUND', `The image ${path} does not exist`, { cause })
    : new BoxctlError('E_IMAGE_UNREADABLE', `The image ${path} cannot be read: ${why}`, { cause });
}

/** Throws `E_IMAGE_CHANGED` when the file is not what it was when it was opened. */
export function checkUnchanged(archive: Archive): void {
  if (identityOf(fstatSync(archive.fd, { bigint: true })) === identityOf(archive.stat)) return;
  throw new BoxctlError('E_IMAGE_CHANGED', `The image ${archive.path} was changed while it was read`, {
    hint: 'write it to another name and rename it when it is complete',
  });
}

/** As many first bytes as tell how a file is compressed. */
const MAGIC_SIZE = 6;
const MAGICS = ['1f8b', 'fd377a585a00', '28b52ffd', '425a68'];

/** Whether the archive must be decompressed before it can be mounted (gzip, xz, zstd, bzip2: by content). */
export function isCompressed(archive: Archive): boolean {
  const start = Buffer.alloc(MAGIC_SIZE);
  readSync(archive.fd, start, 0, MAGIC_SIZE, 0);
  // A frame of zstd may be one to skip: 184d2a50 to 184d2a5f, in little-endian.
  return (
    MAGICS.some((magic) => start.toString('hex').startsWith(magic)) || /^5[0-9a-f]2a4d18/u.test(start.toString('hex'))
  );
}
