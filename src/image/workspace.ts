/**
 * A folder for one import, that its owner holds a lock on. A folder whose lock is free belongs to an import that was
 * interrupted; the next import removes it.
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { HostFacts } from '../host/facts.ts';
import { makeFolders } from '../files/folders.ts';
import { tryLock } from '../native.ts';
import type { Ownership } from '../model/image.ts';
import { withLock } from '../files/locks.ts';
import { callerMaps } from '../model/ids.ts';
import { noteOwner, readOwner } from '../worker/owner.ts';
import { removeTree } from '../worker/work.ts';

export interface Workspace {
  /** `<store>/tmp/<random>`. */
  readonly folder: string;
  /** A new, empty folder in it, to which the root of the maps may write. */
  makePart(name: string): string;
  /** Moves a part to its place in one step. False when that place is taken; then nothing has changed. */
  movePart(name: string, target: string): boolean;
  /** Removes a part that was not moved. */
  removePart(name: string): Promise<void>;
  /** Lets go of the lock and removes what is still here. */
  close(): Promise<void>;
}

/** Sweeps what interrupted imports have left, and makes a new workspace. */
export function openWorkspace(ownership: Ownership | undefined, host: HostFacts): Promise<Workspace> {
  const { store } = host.dirs;
  const temporary = join(store, 'tmp');
  // Under the store's lock no sweeper sees a folder between its making and its lock's taking.
  return withLock(join(store, 'lock'), async () => {
    await sweep(temporary, host);
    const folder = mkdtempSync(join(temporary, 'import-'));
    const name = basename(folder);
    const lock = openSync(join(folder, 'lock'), 'wx', 0o600);
    if (!tryLock(lock, true)) throw new Error(`${folder} is locked although it is new`);
    noteOwner(folder, ownership);
    return {
      folder,
      makePart(part) {
        const path = join(folder, part);
        mkdirSync(path, 0o755);
        // For the root of the maps, whoever that is outside; the folders above are the caller's alone.
        if (ownership !== undefined) chmodSync(path, 0o777);
        return path;
      },
      movePart(part, target) {
        makeFolders(dirname(target), 0o700);
        try {
          renameSync(join(folder, part), target);
        } catch (error) {
          if (isTaken(error)) return false;
          throw error;
        }
        return true;
      },
      async removePart(part) {
        if (existsSync(join(folder, part))) await removeTree(folder, part, ownership, host);
      },
      async close() {
        try {
          if (!removeEmpty(folder)) await removeTree(temporary, name, ownership, host);
        } catch {
          // The next import sweeps it. What led here is the error that a person must see.
        } finally {
          closeSync(lock);
        }
      },
    };
  });
}

/** After all of it has been moved to its place there is nothing that needs a worker. */
function removeEmpty(folder: string): boolean {
  if (readdirSync(folder).some((name) => name !== 'lock' && name !== 'owner.json')) return false;
  rmSync(folder, { recursive: true });
  return true;
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOTEMPTY' || error.code === 'EEXIST');
}

async function sweep(temporary: string, host: HostFacts): Promise<void> {
  for (const name of readdirSync(temporary)) {
    const fd = openLock(join(temporary, name, 'lock'));
    if (fd !== undefined && !tryLock(fd, true)) {
      closeSync(fd);
      continue;
    }
    try {
      // Without a note of its maps it is from before anything was unpacked into it, or was damaged.
      await removeTree(temporary, name, readOwner(join(temporary, name)) ?? callerMaps(host), host);
    } catch {
      // It stays for the next time: a leftover is no reason not to import.
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }
}

function openLock(path: string): number | undefined {
  try {
    return openSync(path, 'r+');
  } catch {
    return undefined;
  }
}
