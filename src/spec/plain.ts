/** The tree as plain data for the schema, with the variables put in. */
import { BOOLEAN_PATHS, NUMBER_PATHS } from '../generated/scalars.ts';
import type { Borrowed } from '../text/borrowed.ts';
import { interpolate } from './interpolate.ts';
import type { TextProblems } from '../yaml/problems.ts';
import type { Taken } from './spec.ts';
import type { Branch, Entry, Scalar, Tree } from '../yaml/tree.ts';

const NUMBERS = new Set(NUMBER_PATHS);
const BOOLEANS = new Set(BOOLEAN_PATHS);

/** A tree whose texts have their variables replaced. Top-level `x-` keys are left as they are: nobody reads them. */
export function interpolateTree(
  tree: Branch,
  env: Readonly<Record<string, string | undefined>>,
  problems: TextProblems,
  taken: Taken[],
  borrowed: Borrowed[],
): Branch {
  const below = (prefix: string, name: string | number) => (prefix === '' ? String(name) : `${prefix}.${name}`);
  const walk = (node: Tree, path: string, pattern: string): Tree => {
    if (node.kind === 'scalar') return replace(node, path, pattern, env, problems, taken, borrowed);
    if (node.kind === 'map') return walkMap(node, path, pattern);
    return { ...node, items: node.items.map((item, index) => walk(item, below(path, index), below(pattern, '*'))) };
  };
  const walkMap = (node: Branch, path: string, pattern: string): Branch => {
    const entries = new Map(
      [...node.entries].map(([name, entry]) => {
        const skip = path === '' && name.startsWith('x-');
        const value = skip
          ? entry.value
          : walk(entry.value, below(path, name), below(pattern, patternOf(pattern, name)));
        return [name, skip ? entry : { ...entry, value }];
      }),
    );
    return { ...node, entries };
  };
  return walkMap(tree, '', '');
}

/** Keys of the file's own are `*`, as items of lists are. */
const patternOf = (around: string, name: string): string => (around === 'networks' ? '*' : name);

function replace(
  node: Scalar,
  path: string,
  pattern: string,
  env: Readonly<Record<string, string | undefined>>,
  problems: TextProblems,
  taken: Taken[],
  borrowed: Borrowed[],
): Scalar {
  if (typeof node.value !== 'string') return node;
  if (node.value.includes('\0')) {
    problems.add('E_SPEC_VALUE', 'a NUL character cannot be passed to any program', { path, at: node.span });
    return { ...node, broken: true };
  }
  const { text, changed, taken: names, problems: found } = interpolate(node.value, env);
  // An alias is walked once for each of its places, and each place has a path of its own.
  problems.written(path, names.size === 0 ? undefined : node.value);
  for (const [name, value] of names) {
    taken.push({ name, path, value });
    borrowed.push({ path, value, shown: `\${${name}}` });
  }
  for (const one of found) problems.add(one.code, one.message, { path, at: node.span, hint: one.hint });
  if (found.length > 0) return { ...node, text, value: text, broken: true };
  // The schema decides what a variable, or a value in quotes, may become: text stays text wherever text is allowed.
  if (NUMBERS.has(pattern) && /^[-+]?((0|[1-9]\d*)(\.\d*)?|\.\d+)$/.test(text))
    return { ...node, text, value: Number(text) };
  if (BOOLEANS.has(pattern) && (text === 'true' || text === 'false')) return { ...node, text, value: text === 'true' };
  return changed ? { ...node, text, value: text } : node;
}

/** Plain data. Maps have no prototype, so that no key of a file means anything to JavaScript. */
export function toPlain(tree: Tree): unknown {
  if (tree.kind === 'scalar') return tree.value;
  if (tree.kind === 'list') return tree.items.map(toPlain);
  return toPlainMap(tree.entries);
}

/** The entries of a map as plain data. */
export function toPlainMap(entries: ReadonlyMap<string, Entry>): Record<string, unknown> {
  const map: Record<string, unknown> = Object.create(null);
  for (const [key, entry] of entries) map[key] = toPlain(entry.value);
  return map;
}
