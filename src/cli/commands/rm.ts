import { controlOf, findRemovable } from '../../container/existing.ts';
import { BoxctlError } from '../../errors.ts';
import { removeContainer } from '../../state/container-folders.ts';
import { noteDestroyed } from '../../state/run-events.ts';
import { sweepLeftovers } from '../../state/sweep.ts';
import { endBy } from '../../container/end.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { writeOutput } from '../output.ts';

function isRunning(name: string): BoxctlError {
  return new BoxctlError('E_CONTAINER_RUNS', `the container ${name} runs`, {
    hint: `end it first: boxctl stop ${name}; or at once: boxctl rm --force ${name}`,
  });
}

export const rm: Run = async (invocation) => {
  const { args } = invocation;
  const host = hostFacts(invocation);
  // All are found before one is removed.
  const found = new Map(args.positionals.map((word) => findRemovable(host, word)).map((one) => [one.id, one]));
  const running = args.flag('force') ? undefined : [...found.values()].find(({ isAlive }) => isAlive);
  if (running !== undefined) throw isRunning(running.name);
  for (const container of found.values()) {
    const control = controlOf(host, container);
    if (control !== undefined) await endBy(container, control, () => control.stop(0));
    const noted = 'created' in container ? noteDestroyed(container) : undefined;
    const result = await removeContainer(host, container, args.flag('force'));
    // Another command has started it in the meantime.
    if (result === 'runs') throw isRunning(container.name);
    if (result === 'removed') noted?.(host);
    writeOutput(`${container.name}\n`);
  }
  // What a killed launcher has left besides goes with it.
  await sweepLeftovers(host, { places: true });
  return 0;
};
