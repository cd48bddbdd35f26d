/** Numbers of errors as names. */
import { ERRNO } from '../kernel/constants.ts';

const NAMES = new Map(Object.entries(ERRNO).map(([name, number]) => [number, name]));

/** `EPERM`; `error 999` for a number that has no name here. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `error ${errno}`;
}
