import { sweepLeftovers, type Leftover } from '../../state/sweep.ts';
import { safe, safeJson } from '../../text/safe.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { writeMessage, writeOutput } from '../output.ts';

const WHAT: Readonly<Record<Leftover['kind'], string>> = {
  run: 'what a killed launcher has left',
  layer: 'what a container wrote',
  foreground: 'what was kept of a container in the foreground',
  folder: 'a container that was half made or half removed',
  socket: 'the socket of a launcher that was killed',
};

export const gc: Run = async (invocation) => {
  const { args } = invocation;
  const remove = !args.flag('dry-run');
  const found = await sweepLeftovers(hostFacts(invocation), { remove, places: true });
  if (args.flag('json')) {
    writeOutput(`${safeJson({ [remove ? 'removed' : 'found']: found }, 2)}\n`);
    return 0;
  }
  writeOutput(found.map(({ kind, path }) => `${safe(path)}: ${WHAT[kind]}\n`).join(''));
  if (found.length === 0) writeMessage('boxctl: killed commands have left nothing behind\n');
  return 0;
};
