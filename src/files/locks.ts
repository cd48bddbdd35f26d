/** Locks of the store: files that are locked with flock(2), so that they fall with the process that holds them. */
import { closeSync, constants, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryLock } from '../native.ts';

const LONGEST_REST_MS = 40;

/** Runs `work` while the file is locked. The file stays: to remove it would race with who is about to lock it. */
export function withLock<T>(path: string, work: () => Promise<T>, onWait?: () => void): Promise<T> {
  return whileLocked(openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600), work, onWait);
}

/** The same with a folder that is there: no file is left in it. */
export function withFolderLock<T>(path: string, work: () => Promise<T> | T): Promise<T> {
  return whileLocked(openSync(path, constants.O_RDONLY | constants.O_DIRECTORY), work);
}

async function whileLocked<T>(fd: number, work: () => Promise<T> | T, onWait?: () => void): Promise<T> {
  try {
    // Polls the lock, because to wait in flock(2) takes one of Node's few worker threads, which the holder of
    // the lock may need: four callers that wait for a fifth in the same process would wait for ever.
    for (let rest = 1; !tryLock(fd, true); rest = Math.min(rest * 2, LONGEST_REST_MS)) {
      if (rest === LONGEST_REST_MS) onWait?.();
      await sleep(rest);
    }
    return await work();
  } finally {
    closeSync(fd);
  }
}

/** Whether another one has it locked for itself. Closes the descriptor. */
export function isHeld(fd: number): boolean {
  try {
    return !tryLock(fd, false);
  } finally {
    closeSync(fd);
  }
}
