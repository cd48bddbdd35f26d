/**
 * Moves Compose's keys to those that boxctl has for the same thing. It runs before everything else that reads the file, so
 * that later code knows boxctl's keys only. An entry keeps its position: messages point at what the user wrote.
 */
import { COMPOSE_NAMES } from '../../generated/compose-names.ts';
import type { TextProblems } from '../../yaml/problems.ts';
import type { Branch, Entry } from '../../yaml/tree.ts';
import { entryAt, isSame, withEntry, without } from './branch.ts';
import { whyNotHere } from './elsewhere.ts';
import { isRedundant } from './redundant.ts';
import { isEmpty, withoutNotes } from './ignored.ts';
import { optionsOf } from './security-opt.ts';
import { takeService } from './services.ts';

export interface Taken {
  readonly tree: Branch;
  /** The keys that were moved: boxctl's path, and the file's name for it. */
  readonly names: ReadonlyMap<string, string>;
}

/** Undefined where the file is a Compose file without one container; the problems say why. */
export function takeCompose(file: Branch, problems: TextProblems): Taken | undefined {
  const container = takeService(file, problems);
  if (container === undefined) return undefined;
  const names = new Map<string, string>();
  let tree = withoutNotes(container);
  const put = (to: string, from: string, entry: Entry): void => {
    const there = entryAt(tree, to);
    const [around = ''] = to.split('.');
    if (there !== undefined) {
      if (!isSame(there.value, entry.value)) reportConflict(problems, to, names.get(to) ?? to, from, there, entry);
    } else if (around === 'namespaces' && entryAt(tree, around)?.value.kind === 'list') {
      problems.add('E_SPEC_CONFLICT', `\`${from}\` and a list of \`namespaces\` both say which are private`, {
        path: to,
        at: entry.key,
        hint: 'take it out, or write `namespaces` as a map: `namespaces: {net: host}`',
      });
    } else {
      tree = withEntry(tree, to, entry) ?? tree;
      names.set(to, from);
    }
  };
  for (const [from, to] of COMPOSE_NAMES) {
    const entry = entryAt(tree, from);
    if (entry === undefined) continue;
    tree = without(tree, from);
    put(to, from, entry);
  }
  const options = tree.entries.get('security_opt');
  if (options !== undefined) {
    tree = without(tree, 'security_opt');
    for (const { to, value, item } of optionsOf(options.value, problems)) put(to, item, { key: value.span, value });
  }
  const deploy = tree.entries.get('deploy');
  if (deploy?.value.kind === 'map') {
    tree = without(tree, 'deploy');
    refuseRest(deploy.value, 'deploy', problems);
  }
  return { tree, names };
}

function reportConflict(
  problems: TextProblems,
  path: string,
  one: string,
  other: string,
  first: Entry,
  second: Entry,
): void {
  const line = problems.position(first.key).line;
  problems.add(
    'E_SPEC_CONFLICT',
    `\`${other}\` says something else than \`${one}\` of line ${line}, which means the same`,
    {
      path,
      at: second.key,
      hint: 'keep one of them',
    },
  );
}

/** Reports what is left of `deploy` after the supported parts were moved. */
function refuseRest(map: Branch, path: string, problems: TextProblems): void {
  for (const [key, { key: at, value }] of map.entries) {
    const full = `${path}.${key}`;
    if (key.startsWith('x-') || isEmpty(value) || isRedundant(full, value)) continue;
    const why = whyNotHere(full);
    if (why === undefined && value.kind === 'map') refuseRest(value, full, problems);
    else {
      const hint = why ?? 'boxctl takes `deploy.resources.limits` and `deploy.resources.reservations` alone';
      problems.add('E_SPEC_UNSUPPORTED', `\`${full}\` is not supported`, { path: full, at, hint });
    }
  }
}
