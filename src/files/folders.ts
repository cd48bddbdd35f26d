/** Folders that are made with those that lead to them. */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * As `mkdir -p`. Node's own way never ends where a folder is there and what is to be in it is not to be had, as in /proc
 * (ENOENT). Throws what mkdir(2) says.
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
