/** Failures of the file system that the image store lies on. */
import { BoxctlError } from '../errors.ts';

/** Errors of writing to the store, for which no archive is to blame. */
const TROUBLE: Readonly<Record<string, { readonly why: string; readonly hint: string }>> = {
  ENOSPC: {
    why: 'it is full',
    hint: 'make room there (`boxctl image prune`), or set BOXCTL_STORE to a folder of another disk',
  },
  EDQUOT: {
    why: 'your quota is used up',
    hint: 'make room there (`boxctl image prune`), or set BOXCTL_STORE to a folder of another disk',
  },
  EROFS: { why: 'it cannot be written', hint: 'set BOXCTL_STORE to a folder that can be written' },
};

/** The error where the store and not `what`, which was to be put there, is to blame for the error `code`. */
export function storeTrouble(what: string, code: string, cause?: unknown): BoxctlError | undefined {
  const found = Object.hasOwn(TROUBLE, code) ? TROUBLE[code] : undefined;
  if (found === undefined) return undefined;
  const { why, hint } = found;
  return new BoxctlError('E_IMAGE_STORE', `The image store cannot take ${what}: ${why} (${code})`, { hint, cause });
}
