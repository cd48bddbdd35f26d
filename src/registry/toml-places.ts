/** Where the keys of a TOML file are. The parser tells it for what is no TOML alone. */
import type { Span } from '../yaml/problems.ts';

/** A path of a value: names of keys, and numbers of tables in lists. */
export type TomlPath = readonly (string | number)[];

const HEADER = /^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$/u;
const KEY = /^\s*((?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*=/u;

/** The names in a dotted key. */
function namesIn(text: string): readonly string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|([\w-]+)/gu)].map((found) => found[1] ?? found[2] ?? found[3] ?? '');
}

/**
 * The place of each table and key, found line by line, by its path as JSON. A text in several lines that looks like a key may
 * hide the right place; what is read is decided by the parser alone.
 */
export function tomlPlaces(text: string): (path: TomlPath) => Span {
  const places = new Map<string, Span>();
  const counts = new Map<string, number>();
  const keep = (path: TomlPath, span: Span): void => {
    const key = JSON.stringify(path);
    if (!places.has(key)) places.set(key, span);
  };
  /** With the number of the last table for each list on the way. */
  const numbered = (names: readonly string[]): TomlPath => {
    const path: (string | number)[] = [];
    for (const name of names) {
      path.push(name);
      const count = counts.get(JSON.stringify(path));
      if (count !== undefined) path.push(count - 1);
    }
    return path;
  };
  let table: TomlPath = [];
  let start = 0;
  for (const line of text.split('\n')) {
    const indent = line.length - line.trimStart().length;
    const whole = { start: start + indent, end: start + line.trimEnd().length };
    const [, brackets, header] = HEADER.exec(line) ?? [];
    const [, key] = header === undefined ? (KEY.exec(line) ?? []) : [];
    if (header !== undefined) {
      const names = namesIn(header);
      if (brackets === '[[') {
        const list = [...numbered(names.slice(0, -1)), ...names.slice(-1)];
        const name = JSON.stringify(list);
        keep(list, whole);
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
      table = numbered(names);
      keep(table, whole);
    } else if (key !== undefined) keep([...table, ...namesIn(key)], whole);
    start += line.length + 1;
  }
  return (path) => {
    for (let length = path.length; length > 0; length--) {
      const found = places.get(JSON.stringify(path.slice(0, length)));
      if (found !== undefined) return found;
    }
    return { start: 0, end: 1 };
  };
}
