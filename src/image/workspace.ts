/**
 * A folder for one import, that its owner holds a lock on. A folder whose lock is free belongs to an import that was
 * interrupted; the next import removes it.
 */
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { IdMap } from '../spec/spec.ts';
import { crypto } from './builtin.ts';
import type { ImageHooks } from './hooks.ts';
import type { Ownership } from './image.ts';
import { isRecord } from './json.ts';
import { withLock } from './locks.ts';

export interface Workspace {
  /** `<store>/tmp/<random>`; `rootfs` in it is an empty directory of mode 0755. */
  readonly folder: string;
  /** Moves all of it to its place in one step. False when that place is taken; then nothing has changed. */
  moveTo(target: string): boolean;
  /** Lets go of the lock and removes what is still here. */
  close(): Promise<void>;
}

/** Sweeps what interrupted imports have left, and makes a new workspace. */
export function openWorkspace(store: string, ownership: Ownership | undefined, hooks: ImageHooks): Promise<Workspace> {
  const temporary = join(store, 'tmp');
  // Under the store's lock no sweeper sees a folder between its making and its lock's taking.
  return withLock(join(store, 'lock'), hooks, async () => {
    await sweep(temporary, hooks);
    const name = crypto().randomBytes(8).toString('hex');
    const folder = join(temporary, name);
    mkdirSync(folder, { mode: 0o700 });
    const lock = openSync(join(folder, 'lock'), 'wx', 0o600);
    if (!hooks.tryLock(lock)) throw new Error(`${folder} is locked although it is new`);
    writeFileSync(join(folder, 'owner.json'), JSON.stringify(ownership ?? null), { mode: 0o600 });
    mkdirSync(join(folder, 'rootfs'));
    let moved = false;
    return {
      folder,
      moveTo(target) {
        mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
        try {
          renameSync(folder, target);
        } catch (error) {
          if (isTaken(error)) return false;
          throw error;
        }
        moved = true;
        unlinkSync(join(target, 'lock'));
        return true;
      },
      async close() {
        try {
          if (!moved) await hooks.remove(temporary, name, ownership);
        } catch {
          // The next import sweeps it. What led here is the error that a person must see.
        } finally {
          closeSync(lock);
        }
      },
    };
  });
}

const isTaken = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOTEMPTY' || error.code === 'EEXIST');

async function sweep(temporary: string, hooks: ImageHooks): Promise<void> {
  for (const name of readdirSync(temporary)) {
    const fd = openLock(join(temporary, name, 'lock'));
    if (fd !== undefined && !hooks.tryLock(fd)) {
      closeSync(fd);
      continue;
    }
    try {
      await hooks.remove(temporary, name, readOwner(join(temporary, name)));
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

/** Under which maps a folder of the store was filled; undefined: none, or it is not known. */
export function readOwner(folder: string): Ownership | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(join(folder, 'owner.json'), 'utf8'));
    if (!isRecord(value)) return undefined;
    const { uidMap, gidMap } = value;
    return isMaps(uidMap) && isMaps(gidMap) ? { uidMap, gidMap } : undefined;
  } catch {
    return undefined;
  }
}

const isMaps = (value: unknown): value is readonly IdMap[] =>
  Array.isArray(value) &&
  value.every((map) => isRecord(map) && ['container', 'host', 'size'].every((key) => Number.isSafeInteger(map[key])));
