/** Files that are there as a whole or not at all. */
import { renameSync, writeFileSync } from 'node:fs';

/** A name beside `path` that no other process, nor this one, uses. */
export const unfinishedName = (path: string): string =>
  `${path}.${process.pid.toString(36)}-${process.hrtime.bigint().toString(36)}`;

/** Writes a small file of the caller's own, which takes the place of what was there. */
export function writeWhole(path: string, text: string): void {
  const unfinished = unfinishedName(path);
  // Somebody with this number in another namespace of processes would have to have the same nanosecond, too.
  writeFileSync(unfinished, text, { mode: 0o600, flag: 'wx' });
  renameSync(unfinished, path);
}
