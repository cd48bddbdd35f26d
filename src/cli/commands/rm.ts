import { controlOf, findContainer } from '../../container/existing.ts';
import { BoxctlError } from '../../errors.ts';
import { removePlace } from '../../state/containers.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { writeOutput } from '../output.ts';

export const rm: Run = async (invocation) => {
  const { args } = invocation;
  const host = hostFacts(invocation);
  const found = args.positionals.map((word) => findContainer(host, word));
  const running = args.flag('force') ? undefined : found.find(({ isAlive }) => isAlive);
  if (running !== undefined) {
    throw new BoxctlError('E_CONTAINER_RUNS', `the container ${running.name} runs`, {
      hint: `end it first: boxctl stop ${running.name}; or at once: boxctl rm --force ${running.name}`,
    });
  }
  for (const container of found) {
    const control = controlOf(host, container);
    control?.stop(0);
    await control?.gone;
    await removePlace(host, container);
    writeOutput(`${container.name}\n`);
  }
  return 0;
};
