/** Which numbers the names in a message mean. */
import type { Names } from './declare.ts';

/** Throws for a name that is not declared, which is a mistake of the planner. */
export function numberOf(value: number | string, names: Names | undefined): number {
  if (typeof value === 'number') return value;
  const whole = names?.[value];
  if (whole !== undefined) return whole;
  let number = 0;
  for (const name of value.split('|')) {
    const one = names?.[name];
    if (one === undefined) throw new Error(`no number is named ${name} here`);
    // Not by |, which has a sign in its 32nd bit. No two names of a value share a bit.
    number += one;
  }
  return number;
}
