/** Opens the lock beside a container file, and only what can be believed to be one. */
import { isUtf8 } from 'node:buffer';
import { closeSync, constants, fstatSync, readSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { effectiveUser, openSync, statSync } from '../inputs/outside.ts';
import { MAX_FILE_SIZE, realPath, whyNot } from '../files/read.ts';
import type { ReadLock } from './lock.ts';
import { parseLock } from './parse.ts';
import { lockOf } from './place.ts';

/** The folder of a container file without links, and in it the lock. */
export function pathOfLock(file: string): string | undefined {
  const named = lockOf(file);
  return named === undefined ? undefined : join(realPath(dirname(resolve(named))), basename(named));
}

function unsafe(named: string, problem: string, hint: string): BoxctlError {
  return new BoxctlError('E_LOCK_UNSAFE', `the lock ${named} is not used: ${problem}`, { hint });
}

/** In a folder that many may write to (/tmp), anyone could put a lock beside a file. It counts if the file's owner has done so. */
function checkOwner(named: string, uid: number, file: string): void {
  const owners = [0, effectiveUser(), statSync(file, { throwIfNoEntry: false })?.uid];
  if (owners.includes(uid)) return;
  throw unsafe(
    named,
    `it belongs to the user with the number ${uid}, and ${file} does not`,
    `if it is not yours, remove it; else chown it to the owner of ${file}`,
  );
}

/**
 * The lock of a container file. Undefined where there is none. A link is not followed: messages quote lines of a lock.
 * @throws BoxctlError E_LOCK_UNSAFE, E_LOCK_INVALID
 */
export function readLock(file: string): ReadLock | undefined {
  const [named, path] = [lockOf(file), pathOfLock(file)];
  if (named === undefined || path === undefined) return undefined;
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { missing, problem } = whyNot(error);
    if (missing) return undefined;
    const isLink = error instanceof Error && 'code' in error && error.code === 'ELOOP';
    throw unsafe(
      named,
      isLink ? 'it is a link, which is not followed' : problem,
      'a lock is a file that boxctl lock writes',
    );
  }
  try {
    const status = fstatSync(fd);
    if (!status.isFile()) throw unsafe(named, 'it is no regular file', 'remove it, and run boxctl lock');
    checkOwner(named, status.uid, file);
    return parseLock(textOf(fd, named), named);
  } finally {
    closeSync(fd);
  }
}

function textOf(fd: number, named: string): string {
  const buffer = Buffer.alloc(MAX_FILE_SIZE + 1);
  let length = 0;
  for (let got = -1; got !== 0 && length <= MAX_FILE_SIZE; length += got) {
    got = readSync(fd, buffer, length, buffer.length - length, null);
  }
  if (length > MAX_FILE_SIZE) {
    throw unsafe(named, `it is larger than ${MAX_FILE_SIZE} bytes`, 'remove it, and run boxctl lock');
  }
  const bytes = buffer.subarray(0, length);
  if (!isUtf8(bytes)) throw unsafe(named, 'it is not UTF-8 text', 'remove it, and run boxctl lock');
  return bytes.toString('utf8');
}
