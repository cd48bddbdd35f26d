/** Errors of system calls: their names, and what they mean in words. */
import { ERRNO } from './constants.ts';

/** `EPERM`; `error 999` for a number that has no name. */
export function errnoName(errno: number): string {
  return Object.keys(ERRNO).findLast((name) => ERRNO[name] === errno) ?? `error ${errno}`;
}

export const MEANINGS: Readonly<Record<string, string>> = {
  EPERM: 'operation not permitted',
  ENOENT: 'no such file or directory',
  EIO: 'the disk, or what holds the file, has failed',
  ENXIO: 'no such device, or nobody at its other end',
  E2BIG: 'too long',
  ENOEXEC: 'not a program that this machine can execute',
  EAGAIN: 'not now, or a limit was reached',
  EACCES: 'permission denied',
  EBUSY: 'in use',
  EEXIST: 'it is there already',
  ENODEV: 'no such device or file system',
  ENOTDIR: 'not a folder',
  EISDIR: 'a folder',
  EINVAL: 'the kernel does not take these arguments',
  ENFILE: 'the host has too many open files',
  EMFILE: 'too many open files',
  EFBIG: 'the file is too large',
  ENOSPC: 'no room, or a limit of the kernel was reached',
  EROFS: 'read-only file system',
  EMLINK: 'too many links',
  ENAMETOOLONG: 'the path is too long',
  ELOOP: 'a symbolic link where none may be, or links in a circle',
  ENOSYS: 'this kernel does not have the call',
  ENOMEM: 'out of memory',
  ERANGE: 'another value than the one that was asked for',
  EOPNOTSUPP: 'not supported there',
  EAFNOSUPPORT: 'this kernel does not have this kind of addresses',
  EADDRINUSE: 'taken by another',
  EADDRNOTAVAIL: 'this host does not have the address',
  ECONNREFUSED: 'nobody listens there',
  ETIMEDOUT: 'no answer',
  ESTALE: 'what was there has been replaced or removed meanwhile',
  EUCLEAN: 'the file system is damaged',
  EREMOTEIO: 'the other side refused',
  EDQUOT: 'the quota is used up',
  EXDEV: 'outside of the root',
  EUSERS: 'too many namespaces in each other',
};

/**
 * Why a call of Node's failed, for a message: the meaning, the error's name, and the path. A path below /proc/self is left
 * out: boxctl uses it to open files through a descriptor, and the user does not know it.
 */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, path } = error as NodeJS.ErrnoException;
  if (code === undefined || !Object.hasOwn(ERRNO, code)) return error.message;
  const meaning = MEANINGS[code] === undefined ? code : `${MEANINGS[code]} (${code})`;
  return path === undefined || path.startsWith('/proc/self/') ? meaning : `${meaning}: ${path}`;
}
