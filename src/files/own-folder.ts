/**
 * A folder in which only the caller can have written. Each part of its path is opened without following links and judged by
 * its descriptor. A folder or link that is put there afterwards is not used.
 */
import { closeSync, constants, fstatSync, type Stats } from 'node:fs';
import { openIn, openSync } from '../inputs/outside.ts';
import { realPath, whyNot } from './read.ts';

/** openat(2); Node has no name for it. The same number on x86-64 and arm64. */
const O_PATH = 0o10_000_000;
const FOLDER = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const WRITABLE_BY_GROUP = 0o020;
const WRITABLE_BY_OTHERS = 0o002;
const STICKY = 0o1000;

export type OwnFolder =
  | { readonly kind: 'own'; readonly fd: number; readonly path: string }
  | { readonly kind: 'missing' }
  /** `problem`: a sentence about why it is not used. */
  | { readonly kind: 'unsafe'; readonly problem: string };

/** A group with the number of its user has nobody else in it (useradd(8), USERGROUPS_ENAB). */
function isWritableByOthers({ mode, gid }: Stats, euid: number): boolean {
  return (mode & WRITABLE_BY_OTHERS) !== 0 || ((mode & WRITABLE_BY_GROUP) !== 0 && gid !== euid);
}

function problemOf(path: string, status: Stats, euid: number, isLast: boolean): string | undefined {
  const { uid, mode } = status;
  if (uid !== euid && (isLast || uid !== 0)) {
    return `${path} belongs to the user with the number ${uid}, and boxctl runs as ${euid}`;
  }
  if (isWritableByOthers(status, euid) && (isLast || (mode & STICKY) === 0)) {
    return `${path} can be written to by others`;
  }
  return undefined;
}

/** Opens it (O_PATH); the descriptor is the caller's to close. Folders above it may be root's. */
export function openOwnFolder(given: string, euid: number): OwnFolder {
  const path = realPath(given);
  const parts = path.split('/').filter((part) => part !== '');
  let at = '';
  let fd = openSync('/', FOLDER);
  try {
    for (let index = -1; index < parts.length; index++) {
      if (index >= 0) {
        const part = parts[index] ?? '';
        const next = openIn(fd, at === '' ? '/' : at, part, FOLDER);
        at = `${at}/${part}`;
        closeSync(fd);
        fd = next;
      }
      const problem = problemOf(at === '' ? '/' : at, fstatSync(fd), euid, index === parts.length - 1);
      if (problem !== undefined) {
        closeSync(fd);
        return { kind: 'unsafe', problem };
      }
    }
    return { kind: 'own', fd, path };
  } catch (error) {
    closeSync(fd);
    const { missing, problem } = whyNot(error);
    return missing
      ? { kind: 'missing' }
      : { kind: 'unsafe', problem: `${at === '' ? '/' : at} cannot be opened: ${problem}` };
  }
}
