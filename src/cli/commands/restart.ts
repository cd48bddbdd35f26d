import { restartContainer } from '../../container/restart.ts';
import { findSettled } from '../../container/existing.ts';
import type { KeptContainer } from '../../state/containers.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { graceOf } from '../grace.ts';
import { writeOutput } from '../output.ts';
import { ENDED_IN_FOREGROUND, startEach } from '../start-again.ts';

export const restart: Run = async (invocation) => {
  const { args } = invocation;
  const host = hostFacts(invocation);
  const grace = graceOf(args.value('time'), 'boxctl restart --time 30 NAME');
  const found = await Promise.all(args.positionals.map((word) => findSettled(host, word, ENDED_IN_FOREGROUND)));
  const tell = ({ name }: KeptContainer): void => writeOutput(`${name}\n`);
  const ended: KeptContainer[] = [];
  await Promise.all(
    found.map(async (container) => {
      if (await restartContainer(host, container, grace)) tell(container);
      else ended.push(container);
    }),
  );
  return startEach(invocation, ended, tell);
};
