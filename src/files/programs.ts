/** Finds programs of the host by name, as a shell would. */
import { constants } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { accessSync, statSync } from '../inputs/outside.ts';

/** Where programs lie on every Linux, also when the caller's PATH leaves the sbin folders out. */
export const STANDARD_PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'] as const;

export interface Lookup {
  /** Absolute; undefined when there is none. */
  readonly found: string | undefined;
  /** The folders that were searched. */
  readonly searched: readonly string[];
}

/** `path` is a value of PATH; the standard folders are searched after it. Relative folders in it are left out. */
export function lookUp(tool: string, path: string): Lookup {
  if (tool.includes('/')) return { found: isAbsolute(tool) && isProgram(tool) ? tool : undefined, searched: [] };
  const folders = [...new Set([...path.split(':').filter(isAbsolute), ...STANDARD_PATH])];
  const index = folders.findIndex((folder) => isProgram(join(folder, tool)));
  const folder = folders[index];
  return folder === undefined
    ? { found: undefined, searched: folders }
    : { found: join(folder, tool), searched: folders.slice(0, index + 1) };
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
