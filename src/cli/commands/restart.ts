import { restartContainer } from '../../container/restart.ts';
import { findSettled } from '../../container/existing.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { graceOf } from '../grace.ts';
import { ENDED_IN_FOREGROUND, startAll } from '../start-again.ts';

export const restart: Run = async (invocation) => {
  const { args } = invocation;
  const host = hostFacts(invocation);
  const grace = graceOf(args.value('time'), 'boxctl restart --time 30 NAME');
  const found = await Promise.all(args.positionals.map((word) => findSettled(host, word, ENDED_IN_FOREGROUND)));
  return startAll(invocation, found, {
    verb: 'restart',
    restart: (container) => restartContainer(host, container, grace),
  });
};
