/** What the command may do: the keys about privileges that are more than a word. */
import { posix } from 'node:path';
import type { ContainerFile } from '../generated/container.ts';
import { clip, each, addProblem, type Context } from './context.ts';
import { knownEntries } from './spec-path.ts';
import type { PathChanges, Ulimit } from './spec.ts';

/** What has to be written out for a privileged container, so that nobody gets one by habit. */
export const PRIVILEGED_SENTENCE = 'this container may harm the host';

export function normalisePrivileged(context: Context, raw: ContainerFile['privileged']): boolean {
  if (raw === undefined || raw === false) return false;
  if (raw === PRIVILEGED_SENTENCE) return true;
  const found = raw === true ? '' : `; found "${clip(raw)}"`;
  addProblem(context, 'privileged', 'E_SPEC_PRIVILEGED', `a privileged container has to be spelled out${found}`, {
    hint: `\`cap_add\`, \`seccomp\` and their like give what is needed key by key; for all of it at once write \`privileged: ${PRIVILEGED_SENTENCE}\``,
  });
  return false;
}

const UNLIMITED = -1;

const limit = (value: number): Ulimit['soft'] => (value === UNLIMITED ? 'unlimited' : value);

/** `ulimits`, soft and hard, in the file's order. */
export function normaliseUlimits(context: Context, raw: ContainerFile['ulimits']): readonly Ulimit[] {
  return knownEntries(raw).flatMap(([name, value]) => {
    const specPath = `ulimits.${name}` as const;
    if (value === undefined || context.bad.has(specPath)) return [];
    const { soft, hard } = typeof value === 'number' ? { soft: value, hard: value } : value;
    if (hard !== UNLIMITED && (soft === UNLIMITED || soft > hard)) {
      addProblem(context, specPath, 'E_SPEC_RANGE', `\`${specPath}.soft\` must not be more than \`${specPath}.hard\``);
      return [];
    }
    return [{ name, soft: limit(soft), hard: limit(hard), specPath }];
  });
}

/** `masked_paths` or `readonly_paths`: PATH is added to the usual ones, !PATH taken from them. */
export function normalisePathChanges(
  context: Context,
  raw: readonly string[] | undefined,
  key: 'masked_paths' | 'readonly_paths',
): PathChanges {
  const add: PathChanges['add'][number][] = [];
  const remove: PathChanges['remove'][number][] = [];
  for (const [item, specPath] of each(context, raw ?? [], key)) {
    const taken = item.startsWith('!');
    const text = taken ? item.slice(1) : item;
    const path = posix.normalize(text);
    if (!path.startsWith('/') || path === '/' || /(^|\/)\.\.(\/|$)/u.test(text) || text.includes('\0')) {
      addProblem(context, specPath, 'E_SPEC_PATH', `\`${specPath}\` must be an absolute path; found "${clip(item)}"`);
      continue;
    }
    (taken ? remove : add).push({ path, specPath });
  }
  return { add, remove };
}
