/** Translates values that Compose writes in another way than boxctl. Variables have been put in before. */
import { composeNames } from '../../limits/table.ts';
import type { ComposeName } from '../../limits/row.ts';
import { clip } from '../context.ts';
import type { TextProblems } from '../../yaml/problems.ts';
import type { Branch, Scalar } from '../../yaml/tree.ts';
import { parseDuration, parseSize } from '../../text/units.ts';
import { entryAt, scalarOf, withEntry, without } from './branch.ts';
import { REDUNDANT_KEYS, isRedundant } from './redundant.ts';
import type { Taken } from './take.ts';

interface Refusal {
  readonly expected: string;
  readonly hint: string;
}
/** A value as boxctl writes it; `none`: the value means that there is no limit. */
type Meaning = { readonly value: Scalar['value'] } | 'none' | 'as it is' | Refusal;
type Rule = (scalar: Scalar, tree: Branch) => Meaning;

const number = ({ value, text }: Scalar): number => (typeof value === 'number' ? value : Number(text.trim() || 'x'));
function bytes(scalar: Scalar): number | undefined {
  return typeof scalar.value === 'number' ? scalar.value : parseSize(scalar.text);
}

/** A rule for the numbers that mean "no limit" in Docker. */
const noneIf =
  (...values: readonly number[]): Rule =>
  (scalar) =>
    values.includes(number(scalar)) || (values.includes(0) && bytes(scalar) === 0) ? 'none' : 'as it is';

const swapOf: Rule = (scalar, tree) => {
  if ([0, -1].includes(number(scalar))) return 'none';
  const memory = entryAt(tree, 'limits.memory')?.value;
  const [both, own] = [bytes(scalar), memory?.kind === 'scalar' ? bytes(memory) : undefined];
  // A text that is no size, and swap without memory, are reported by the check of the key.
  if (both === undefined || own === undefined) return 'as it is';
  if (both >= own) return { value: both - own };
  return {
    expected: 'at least as much as the memory',
    hint: 'it is memory and swap together; the memory alone is no swap',
  };
};

/** Docker's default of cpu.cfs_period_us. */
const PERIOD = 100_000;

const cpusOf: Rule = (scalar, tree) => {
  const quota = number(scalar);
  if (quota === 0 || quota === -1) return 'none';
  const entry = entryAt(tree, 'cpu_period')?.value;
  const period = entry?.kind === 'scalar' ? microseconds(entry) : PERIOD;
  const hint = 'both are microseconds: `cpu_quota: 50000` of `cpu_period: 100000` is half of a CPU, `cpus: 0.5`';
  if (!(quota > 0) || period === undefined || !(period > 0)) return { expected: 'a number of microseconds', hint };
  return { value: quota / period };
};

function microseconds(scalar: Scalar): number | undefined {
  const plain = number(scalar);
  const duration = parseDuration(scalar.text);
  return Number.isNaN(plain) ? (duration === undefined ? undefined : duration * 1000) : plain;
}

/**
 * A rule for a namespace. `kind`: its file in /proc/PID/ns, for hints. `words`: Compose's words and boxctl's for the same.
 * `hints`: what to write instead of words that boxctl does not have.
 */
const namespace =
  (kind: string, words: Readonly<Record<string, string>>, hints: Readonly<Record<string, string>> = {}): Rule =>
  ({ text }) => {
    if (Object.hasOwn(words, text)) return { value: words[text] ?? '' };
    const others = /^(?:service|container|ns):/.test(text)
      ? `a namespace of others is joined by its path: \`namespaces: {${kind}: /proc/PID/ns/${kind}}\``
      : undefined;
    const known = Object.hasOwn(hints, text) ? hints[text] : undefined;
    const hint = others ?? known ?? `a private one is what a container has by default: leave the key out`;
    return {
      expected: Object.keys(words)
        .join(', ')
        .replace(/, (?=\w+$)/, ' or '),
      hint,
    };
  };

const CONVERSIONS: Readonly<Record<NonNullable<ComposeName['convert']>, Rule>> = {
  'memory and swap': swapOf,
  quota: cpusOf,
};

/** Rules for Compose's names of limits whose values mean something else under boxctl's key. */
const limitRules = (): Readonly<Record<string, Rule>> =>
  Object.fromEntries(
    composeNames().flatMap(([name, , { convert, none }]): readonly (readonly [string, Rule])[] => {
      if (convert !== undefined) return [[name, CONVERSIONS[convert]]];
      return none === undefined ? [] : [[name, noneIf(...none)]];
    }),
  );

// A function, so that a start without keys of Compose does not build the table.
const allRules = (): Readonly<Record<string, Rule>> => ({
  ...limitRules(),
  pid: namespace('pid', { private: 'private', host: 'host' }),
  ipc: namespace(
    'ipc',
    { private: 'private', shareable: 'private', host: 'host' },
    { none: '/dev/shm is the container’s own and there: `private`' },
  ),
  uts: namespace('uts', { private: 'private', host: 'host' }),
  cgroup: namespace('cgroup', { private: 'private', host: 'host' }),
  userns_mode: namespace(
    'user',
    { private: 'private', host: 'host' },
    { 'keep-id': 'write `keep_id: true`', auto: 'write `uid_map: auto`' },
  ),
});

/** Translates the values of moved keys to boxctl's. `written` is the tree before variables were put in. */
export function convertComposeValues({ names, tree: written }: Taken, filled: Branch, problems: TextProblems): Branch {
  let tree = filled;
  const rules = names.size === 0 ? {} : allRules();
  for (const [to, from] of names) {
    const rule = Object.hasOwn(rules, from) ? rules[from] : undefined;
    const entry = entryAt(tree, to);
    if (rule === undefined || entry === undefined) continue;
    const { value } = entry;
    if (value.kind === 'scalar' && value.broken === true) continue;
    const meaning: Meaning =
      value.kind === 'scalar' ? rule(value, tree) : { expected: 'a single value', hint: `write \`${from}: VALUE\`` };
    if (meaning === 'as it is') continue;
    if (meaning !== 'none' && 'value' in meaning) {
      tree = withEntry(tree, to, { ...entry, value: { ...scalarOf(meaning.value, value.span) } }) ?? tree;
      continue;
    }
    tree = without(tree, to);
    if (meaning === 'none') continue;
    const raw = entryAt(written, to)?.value;
    const found = raw?.kind === 'scalar' ? `"${clip(raw.text)}"` : raw?.kind === 'list' ? 'a list' : 'a map';
    problems.add('E_SPEC_VALUE', `\`${from}\` must be ${meaning.expected}; found ${found}`, {
      path: to,
      at: raw?.kind === 'scalar' && raw.text !== '' ? raw.span : entry.key,
      hint: meaning.hint,
    });
  }
  const period = tree.entries.get('cpu_period');
  if (period !== undefined) {
    tree = without(tree, 'cpu_period');
    if (names.get('limits.cpus') !== 'cpu_quota') {
      problems.add('E_SPEC_CONFLICT', '`cpu_period` says nothing without `cpu_quota`', {
        path: 'cpu_period',
        at: period.key,
        hint: 'write `cpus: 0.5` for half of a CPU',
      });
    }
  }
  for (const key of REDUNDANT_KEYS) {
    const value = tree.entries.get(key)?.value;
    if (value !== undefined && isRedundant(key, value)) tree = without(tree, key);
  }
  return tree;
}
