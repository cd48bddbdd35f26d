import { restartContainer } from '../../container/restart.ts';
import { findContainer } from '../../container/existing.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { graceOf } from '../grace.ts';
import { writeOutput } from '../output.ts';

export const restart: Run = async (invocation) => {
  const { args } = invocation;
  const host = hostFacts(invocation);
  const grace = graceOf(args.value('time'), 'boxctl restart --time 30 NAME');
  const found = args.positionals.map((word) => findContainer(host, word));
  await Promise.all(
    found.map(async (container) => {
      await restartContainer(host, container, grace);
      writeOutput(`${container.name}\n`);
    }),
  );
  return 0;
};
