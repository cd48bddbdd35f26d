/** Which paths are masked, and which are read-only: the usual ones, and what the file changes of them. */
import type { PathChanges, Spec } from '../spec/spec.ts';
import { quoted } from '../text/quote.ts';
import { didYouMean } from '../spec/suggest.ts';
import { MASKED_PATHS, READONLY_PATHS } from './defaults.ts';
import type { Problems } from './problems.ts';
import type { Reasons } from './reasons.ts';

function change(usual: readonly string[], { add, remove }: PathChanges, problems: Problems): string[] {
  const removed = new Set<string>();
  for (const { path, specPath } of remove) {
    const folder = path.replace(/\/$/u, '');
    const found = usual.filter((known) => known === folder || known.startsWith(`${folder}/`));
    for (const known of found) removed.add(known);
    if (found.length > 0) continue;
    const meant = didYouMean(path, usual);
    problems.add(
      'E_PATH_NOT_USUAL',
      specPath,
      `${quoted(path)} is none of the usual paths, so it cannot be taken from them`,
      meant === undefined ? `they are ${usual.join(', ')}` : `did you mean \`!${meant}\`?`,
    );
  }
  return [...usual.filter((path) => !removed.has(path)), ...add.map(({ path }) => path)];
}

export interface RestrictedPaths {
  readonly maskedPaths: string[];
  readonly readonlyPaths: string[];
}

/** A privileged container has no default paths. */
export function compileRestrictedPaths(spec: Spec, reasons: Reasons, problems: Problems): RestrictedPaths {
  const usual = (paths: readonly string[]): readonly string[] => (spec.privileged ? [] : paths);
  const key = spec.privileged ? 'privileged' : undefined;
  reasons.set('linux.maskedPaths', key ?? 'masked_paths', 'masked paths');
  reasons.set('linux.readonlyPaths', key ?? 'readonly_paths', 'read-only paths');
  return {
    maskedPaths: change(usual(MASKED_PATHS), spec.maskedPaths, problems),
    readonlyPaths: change(usual(READONLY_PATHS), spec.readonlyPaths, problems),
  };
}
