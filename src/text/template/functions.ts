/** How values are printed and compared in templates, and the functions for them: Go's, and those that docker adds. */

export type Field = (...args: readonly unknown[]) => unknown;

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Map);

/** Of maps and objects, in the order of their keys, as Go has it. */
export function entriesOf(value: unknown): readonly (readonly [string, unknown])[] {
  if (value instanceof Map) {
    return [...(value as Map<string, unknown>)].toSorted(([one], [other]) => (one < other ? -1 : 1));
  }
  return isObject(value) ? Object.entries(value) : [];
}

/** For JSON, which has no maps. Fields that take arguments are left out. */
export function plainValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plainValue);
  if (!(value instanceof Map) && !isObject(value)) return value;
  return Object.fromEntries(
    entriesOf(value)
      .filter(([, one]) => typeof one !== 'function')
      .map(([key, one]) => [key, plainValue(one)]),
  );
}

/** As Go prints a value. */
export function printed(value: unknown): string {
  if (value === undefined) return '<no value>';
  if (value === null) return '<nil>';
  if (Array.isArray(value)) return `[${value.map(printed).join(' ')}]`;
  if (value instanceof Map)
    return `map[${entriesOf(value)
      .map(([key, one]) => `${key}:${printed(one)}`)
      .join(' ')}]`;
  if (isObject(value)) return JSON.stringify(plainValue(value));
  return String(value as string | number | boolean);
}

/** What counts as true in `if`: nothing that is empty or zero. */
export function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  return Boolean(value);
}

function lengthOf(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  return entriesOf(value).length;
}

function indexOf(value: unknown, keys: readonly unknown[]): unknown {
  return keys.reduce((found: unknown, key) => {
    if (Array.isArray(found)) return (found as readonly unknown[])[Number(key)];
    if (found instanceof Map) return (found as Map<unknown, unknown>).get(String(key));
    return isObject(found) && Object.hasOwn(found, String(key)) ? found[String(key)] : undefined;
  }, value);
}

const texts = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(printed) : [printed(value)]);

/** `%s` and its kind. */
function formatted([format, ...values]: readonly unknown[]): string {
  let next = 0;
  return printed(format).replaceAll(/%(-?\d*)([sdvq%])/gu, (_, width: string, verb: string) => {
    if (verb === '%') return '%';
    const value = printed(values[next++]);
    const text = verb === 'q' ? JSON.stringify(value) : value;
    return width.startsWith('-') ? text.padEnd(Number(width.slice(1))) : text.padStart(Number(width));
  });
}

export const FUNCTIONS: Readonly<Record<string, Field>> = {
  json: (value) => JSON.stringify(plainValue(value) ?? null),
  join: (list, between) => texts(list).join(printed(between)),
  split: (text, between) => printed(text).split(printed(between)),
  lower: (text) => printed(text).toLowerCase(),
  upper: (text) => printed(text).toUpperCase(),
  title: (text) => printed(text).replaceAll(/\b\p{L}/gu, (letter) => letter.toUpperCase()),
  pad: (text, before, after) => `${' '.repeat(Number(before))}${printed(text)}${' '.repeat(Number(after))}`,
  truncate: (text, most) => printed(text).slice(0, Number(most)),
  len: lengthOf,
  index: (value, ...keys) => indexOf(value, keys),
  print: (...values) => values.map(printed).join(' '),
  println: (...values) => `${values.map(printed).join(' ')}\n`,
  printf: (...values) => formatted(values),
  eq: (one, ...others) => others.some((other) => printed(one) === printed(other)),
  ne: (one, other) => printed(one) !== printed(other),
  lt: (one, other) => Number(one) < Number(other),
  gt: (one, other) => Number(one) > Number(other),
  le: (one, other) => Number(one) <= Number(other),
  ge: (one, other) => Number(one) >= Number(other),
  not: (value) => !isTrue(value),
  and: (...values) => values.find((value) => !isTrue(value)) ?? values.at(-1),
  or: (...values) => values.find(isTrue) ?? values.at(-1),
};
