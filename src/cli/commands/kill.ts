import { findRunning } from '../../container/existing.ts';
import { killContainer } from '../../container/kill.ts';
import { BoxctlError } from '../../errors.ts';
import { didYouMean } from '../../spec/suggest.ts';
import { parseSignal } from '../../text/units.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { writeOutput } from '../output.ts';

const COMMON = ['KILL', 'TERM', 'INT', 'HUP', 'QUIT', 'USR1', 'USR2', 'STOP', 'CONT'];

function signalOf(word: string): number {
  const signal = parseSignal(word);
  if (signal !== undefined) return signal;
  const meant = didYouMean(word.toUpperCase().replace(/^SIG/u, ''), COMMON);
  throw new BoxctlError('E_USAGE', `--signal ${word}: there is no such signal`, {
    hint: meant === undefined ? 'see `kill -l`' : `did you mean SIG${meant}?`,
  });
}

export const kill: Run = async (invocation) => {
  const { args } = invocation;
  const host = hostFacts(invocation);
  const signal = signalOf(args.value('signal') ?? 'SIGKILL');
  const found = args.positionals.map((word) => findRunning(host, word));
  for (const container of found) {
    if (await killContainer(host, container, signal)) writeOutput(`${container.name}\n`);
    else throw new BoxctlError('E_CONTAINER_NOT_RUNNING', `the container ${container.name} has ended meanwhile`);
  }
  return 0;
};
