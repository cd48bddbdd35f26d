/** Atomic writes: a file is written under a temporary name and renamed, so that nobody reads half of it. */
import { renameSync, rmSync, writeFileSync } from 'node:fs';

/** A name beside `path` that no other process, nor this one, uses. */
export const unfinishedName = (path: string): string =>
  `${path}.${process.pid.toString(36)}-${process.hrtime.bigint().toString(36)}`;

/** Writes a small file of the caller's own, which takes the place of what was there. The umask narrows `mode`. */
export function writeWhole(path: string, text: string | Uint8Array, mode = 0o600): void {
  const unfinished = unfinishedName(path);
  // A process of another pid namespace can have the same process id. The time in nanoseconds tells the two apart.
  try {
    writeFileSync(unfinished, text, { mode, flag: 'wx' });
    renameSync(unfinished, path);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  }
}
