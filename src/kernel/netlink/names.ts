/** Translates the names in a message to numbers. */
import type { Names } from './declare.ts';

/** Throws for a name that is not declared, which is a bug of the planner. */
export function numberOf(value: number | string, names: Names | undefined): number {
  if (typeof value === 'number') return value;
  const whole = names?.[value];
  if (whole !== undefined) return whole;
  let number = 0;
  for (const name of value.split('|')) {
    const one = names?.[name];
    if (one === undefined) throw new Error(`no number is named ${name} here`);
    // Added, since `|` would make bit 31 the sign. No two names of a value share a bit.
    number += one;
  }
  return number;
}
