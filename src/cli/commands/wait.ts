import { controlOf, findContainer, stateOf } from '../../container/existing.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { writeOutput } from '../output.ts';

export const wait: Run = async (invocation) => {
  const host = hostFacts(invocation);
  for (const container of invocation.args.positionals.map((word) => findContainer(host, word))) {
    const control = controlOf(host, container);
    await control?.gone;
    const { ending } = stateOf({ ...container, isAlive: false });
    writeOutput(`${ending?.status ?? 125}\n`);
  }
  return 0;
};
