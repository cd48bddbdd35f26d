import { findSettled } from '../../container/existing.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { ENDED_IN_FOREGROUND, startAll } from '../start-again.ts';

export const start: Run = async (invocation) => {
  const host = hostFacts(invocation);
  const words = invocation.args.positionals;
  const found = await Promise.all(words.map((word) => findSettled(host, word, ENDED_IN_FOREGROUND)));
  return startAll(invocation, found, { verb: 'start' });
};
