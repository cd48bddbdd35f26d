import { findAny, learnCalls } from '../../container/existing.ts';
import { inspectContainer } from '../../container/inspect.ts';
import { safeJson } from '../../text/safe.ts';
import { plainValue } from '../../text/template/functions.ts';
import type { Run } from '../command.ts';
import { hostFacts, showsValues } from '../environment.ts';
import { formatOf } from '../format.ts';
import { writeOutput, writeTabbed } from '../output.ts';

export const inspect: Run = async (invocation) => {
  const { args } = invocation;
  const host = hostFacts(invocation);
  const containers = args.positionals.map((word) => findAny(host, word));
  await learnCalls(containers.filter(({ isAlive }) => !isAlive));
  const found = containers.map((container) => inspectContainer(host, container, showsValues(invocation)));
  const source = args.value('format');
  const format = source === undefined ? undefined : formatOf(source, found[0] ?? {});
  if (format === undefined) writeOutput(`${safeJson(plainValue(found), 2)}\n`);
  else writeTabbed(format(found));
  return 0;
};
