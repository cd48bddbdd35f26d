import { changesOf } from '../../container/changes.ts';
import { findContainer } from '../../container/existing.ts';
import { safe, safeJson } from '../../text/safe.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { writeOutput } from '../output.ts';

/** As git does: a name that a terminal would not show as it is, is in quotes. */
const quoted = (path: string): string => (safe(path) === path ? path : safeJson(path));

export const changes: Run = async (invocation) => {
  const { args } = invocation;
  const host = hostFacts(invocation);
  const found = await changesOf(host, findContainer(host, args.positionals[0] ?? ''));
  if (args.flag('json')) writeOutput(`${safeJson(found, 2)}\n`);
  else writeOutput(found.map(({ kind, path }) => `${kind} ${quoted(path)}\n`).join(''));
  return 0;
};
