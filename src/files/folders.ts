/** Makes a folder and its missing parent folders. */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * As `mkdir -p`. Node's recursive mkdir loops for ever where the parent exists and mkdir(2) fails with ENOENT all the
 * same, as in /proc. Throws the error of mkdir(2).
 */
export function makeFolders(path: string, mode: number): void {
  try {
    makeFolder(path, mode);
  } catch (error) {
    const parent = dirname(path);
    if (parent === path || !(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    makeFolders(parent, mode);
    makeFolder(path, mode);
  }
}

function makeFolder(path: string, mode: number): void {
  try {
    mkdirSync(path, mode);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST') || !statSync(path).isDirectory()) {
      throw error;
    }
  }
}
