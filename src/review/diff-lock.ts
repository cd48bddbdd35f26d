/** Differences of the locks beside two files. */
import { lockChanges, type LockChange } from '../lock/changes.ts';
import { EMPTY_LOCK, type LockPart, type ReadLock } from '../lock/lock.ts';
import { nameOfImage } from '../lock/fit.ts';
import type { Because } from '../model/because.ts';
import type { Change, Direction } from './change.ts';

export interface Locks {
  /** Undefined: the file has none. */
  readonly before: ReadLock | undefined;
  readonly after: ReadLock | undefined;
}

/** The line of the lock; the whole lock where it does not have the part. */
function place(read: ReadLock | undefined, part: LockPart): Because | undefined {
  const at = read?.where(part);
  return at === undefined ? undefined : { kind: 'spec', path: part.kind === 'image' ? 'image' : 'env_file', at };
}

export function compareLocks({ before, after }: Locks): readonly Change[] {
  const [old, young] = [before?.lock ?? EMPTY_LOCK, after?.lock ?? EMPTY_LOCK];
  const [was, is] = [old.image, young.image];
  const isSame = was === undefined || is === undefined || nameOfImage(was) === nameOfImage(is);
  const told = ({ sign, part, message }: LockChange): readonly [Direction, string] => {
    // The other image has been told: what the lock has of it is neither more nor less.
    if (part.kind === 'image' && !isSame) return ['changes', `the lock ${sign === '+' ? 'has' : 'had'} ${message}`];
    if (sign === '~') return ['changes', `locked: ${message}`];
    return sign === '+' ? ['loses', `is locked: ${message}`] : ['gains', `is not locked any more: ${message}`];
  };
  return lockChanges(old, young).map((change) => {
    const [direction, message] = told(change);
    return {
      direction,
      message,
      before: change.sign === '+' ? undefined : place(before, change.part),
      after: change.sign === '-' ? undefined : place(after, change.part),
    };
  });
}
