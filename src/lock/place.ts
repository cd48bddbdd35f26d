/** Where the lock of a container file is. A start without a lock needs nothing else of this folder. */
import { dirname, join, resolve } from 'node:path';
import { lstatSync } from '../inputs/outside.ts';
import { lockName } from '../spec/lock-name.ts';

/** A descriptor of this process, such as `/dev/stdin`, has no file beside it. */
const isDescriptor = (path: string): boolean => /^\/(?:dev|proc)\//u.test(path);

/** The path of the lock, as messages name it. Undefined where the container file is no file of a folder. */
export function lockOf(file: string): string | undefined {
  if (isDescriptor(resolve(file))) return undefined;
  const folder = dirname(file);
  return folder === '.' && !file.startsWith('./') ? lockName(file) : join(folder, lockName(file));
}

/** Whether anything is there, also what cannot be used as a lock. */
export function hasLock(file: string): boolean {
  const path = lockOf(file);
  return path !== undefined && lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
