/** Locks of the store: files that are locked with flock(2), so that they fall with the process that holds them. */
import { closeSync, openSync } from 'node:fs';
import type { ImageHooks } from './hooks.ts';

/** Runs `work` while the file is locked. The file stays: to remove it would race with who is about to lock it. */
export async function withLock<T>(path: string, hooks: ImageHooks, work: () => Promise<T>): Promise<T> {
  const fd = openSync(path, 'a', 0o600);
  try {
    await hooks.lock(fd);
    return await work();
  } finally {
    closeSync(fd);
  }
}
