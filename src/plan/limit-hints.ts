/** What to do about a limit that the kernel does not take, or does not have. */
import type { Hints } from './hints.ts';

export const NO_LIMIT = 'this kernel does not have this limit';
const REFUSED = 'the kernel refused the value: it may be less than what is in use, or than the least that it takes';

export const LIMIT_HINTS: Hints = {
  EBUSY: REFUSED,
  EINVAL: REFUSED,
  ENODEV: 'there is no such disk; a partition cannot be limited, its whole disk can',
  ENOENT: NO_LIMIT,
};
