/** Files of the store: read only where they are the caller's own, and never through a link. */
import { closeSync } from 'node:fs';
import { BoxctlError } from '../errors.ts';
import { readOpened } from '../inputs/outside.ts';
import { openOwn } from '../native.ts';

const WRONG: Readonly<Record<string, string>> = {
  ELOOP: 'there is a symbolic link on the way',
  EPERM: 'it belongs to somebody else, others can write to it, or it is of another kind',
};

/** @throws BoxctlError E_STORE_UNSAFE; an error of openat2(2) where it is not there */
function open(path: string, kind: 'file' | 'folder'): number {
  try {
    return openOwn(path, kind);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const wrong = WRONG[code];
    if (wrong === undefined) throw error;
    throw new BoxctlError('E_STORE_UNSAFE', `${path} is not used: ${wrong}`, {
      hint: 'the store must hold nothing but what boxctl has put there for you: remove it, or take another store',
      cause: error,
    });
  }
}

/** @throws BoxctlError E_STORE_UNSAFE; an error of openat2(2) where it is not there */
export function readOwn(path: string): string {
  const fd = open(path, 'file');
  try {
    return readOpened(fd).toString('utf8');
  } finally {
    closeSync(fd);
  }
}

/** A file opened for reading, which the caller closes; undefined where there is none. Throws E_STORE_UNSAFE. */
export function openOwnFile(path: string): number | undefined {
  try {
    return open(path, 'file');
  } catch (error) {
    if (error instanceof BoxctlError) throw error;
    return undefined;
  }
}

/** The value of a small JSON file; undefined where there is none, or it is cut short. Throws E_STORE_UNSAFE. */
export function readOwnJson(path: string): unknown {
  try {
    return JSON.parse(readOwn(path)) as unknown;
  } catch (error) {
    if (error instanceof BoxctlError) throw error;
    return undefined;
  }
}

/** Whether it is there. Throws E_STORE_UNSAFE where it is another's, or is reached through a link. */
export function isOwn(path: string, kind: 'file' | 'folder'): boolean {
  try {
    closeSync(open(path, kind));
    return true;
  } catch (error) {
    if (error instanceof BoxctlError) throw error;
    return false;
  }
}
