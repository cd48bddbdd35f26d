import { findVolume, removeVolume } from '../../../state/volumes.ts';
import { safeJson } from '../../../text/safe.ts';
import type { Run } from '../../command.ts';
import { hostFacts } from '../../environment.ts';
import { writeOutput } from '../../output.ts';

export const volumeRm: Run = async (invocation) => {
  const { args, cwd } = invocation;
  const host = hostFacts(invocation);
  // All are found before one is removed.
  const ids = [...new Set(args.positionals.map((word) => findVolume(host, word, cwd).id))];
  for (const id of ids) {
    await removeVolume(host, id);
    if (!args.flag('json')) writeOutput(`${id}\n`);
  }
  if (args.flag('json')) writeOutput(`${safeJson({ removed: ids }, 2)}\n`);
  return 0;
};
