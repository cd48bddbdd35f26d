import { findRunning } from '../../container/existing.ts';
import { pauseContainer, unpauseContainer } from '../../container/pause.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { writeOutput } from '../output.ts';

export const pause: Run = async (invocation) => {
  const host = hostFacts(invocation);
  for (const container of invocation.args.positionals.map((word) => findRunning(host, word))) {
    await pauseContainer(host, container);
    writeOutput(`${container.name}\n`);
  }
  return 0;
};

export const unpause: Run = (invocation) => {
  const host = hostFacts(invocation);
  for (const container of invocation.args.positionals.map((word) => findRunning(host, word))) {
    unpauseContainer(host, container);
    writeOutput(`${container.name}\n`);
  }
  return 0;
};
