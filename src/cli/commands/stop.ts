import { stopContainer } from '../../container/end.ts';
import { findAny } from '../../container/existing.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { graceOf } from '../grace.ts';
import { writeOutput } from '../output.ts';

export const stop: Run = async (invocation) => {
  const { args } = invocation;
  const host = hostFacts(invocation);
  const grace = graceOf(args.value('time'), 'boxctl stop --time 30 NAME');
  const found = args.positionals.map((word) => findAny(host, word));
  await Promise.all(
    found.map(async (container) => {
      await stopContainer(host, container, grace);
      writeOutput(`${container.name}\n`);
    }),
  );
  return 0;
};
