/** Reads and changes parts of a tree by their dotted path. A change returns a new tree: aliases may share the old one. */
import type { Span } from '../../yaml/problems.ts';
import { parseSize } from '../../text/units.ts';
import type { Branch, Entry, Scalar, Tree } from '../../yaml/tree.ts';

export function entryAt(tree: Tree, path: string): Entry | undefined {
  const [first = '', ...rest] = path.split('.');
  const entry = tree.kind === 'map' ? tree.entries.get(first) : undefined;
  return entry === undefined || rest.length === 0 ? entry : entryAt(entry.value, rest.join('.'));
}

/** Returns the tree without the entry, and without the maps around it that become empty. */
export function without(tree: Branch, path: string): Branch {
  const [first = '', ...rest] = path.split('.');
  const entries = new Map(tree.entries);
  const entry = entries.get(first);
  const inner = entry?.value.kind === 'map' && rest.length > 0 ? without(entry.value, rest.join('.')) : undefined;
  if (entry !== undefined && inner !== undefined && inner.entries.size > 0)
    entries.set(first, { ...entry, value: inner });
  else entries.delete(first);
  return { ...tree, entries };
}

/** Returns the tree with the entry, and makes the maps around it that are missing. Undefined: a value there is no map. */
export function withEntry(tree: Branch, path: string, entry: Entry): Branch | undefined {
  const [first = '', ...rest] = path.split('.');
  if (rest.length === 0) return { ...tree, entries: new Map([...tree.entries, [first, entry]]) };
  const around = tree.entries.get(first) ?? { key: entry.key, value: { ...tree, entries: new Map(), span: entry.key } };
  const value = around.value.kind === 'map' ? withEntry(around.value, rest.join('.'), entry) : undefined;
  return value && { ...tree, entries: new Map([...tree.entries, [first, { ...around, value }]]) };
}

export function scalarOf(value: Scalar['value'], span: Span): Scalar {
  return {
    kind: 'scalar',
    value,
    text: String(value),
    span,
  };
}

/** `2` equals `2.0`, and `1g` equals `1024m`. Values without a unit are compared as numbers: `0.5` is no size. */
function isSameAmount(a: string, b: string): boolean {
  const [plain, other] = [a, b].map((text) => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined));
  if (plain !== undefined && other !== undefined) return plain === other;
  return parseSize(a) !== undefined && parseSize(a) === parseSize(b);
}

/** Whether two parts of a file have the same value. */
export function isSame(a: Tree, b: Tree): boolean {
  if (a.kind === 'scalar' && b.kind === 'scalar') return a.text === b.text || isSameAmount(a.text, b.text);
  if (a.kind === 'list' && b.kind === 'list') {
    return a.items.length === b.items.length && a.items.every((item, index) => isSame(item, b.items[index] ?? item));
  }
  if (a.kind !== 'map' || b.kind !== 'map' || a.entries.size !== b.entries.size) return false;
  return [...a.entries].every(([key, { value }]) => {
    const other = b.entries.get(key);
    return other !== undefined && isSame(value, other.value);
  });
}
