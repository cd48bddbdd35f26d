import { pruneVolumes } from '../../../state/volumes.ts';
import { safeJson } from '../../../text/safe.ts';
import type { Run } from '../../command.ts';
import { hostFacts } from '../../environment.ts';
import { writeOutput } from '../../output.ts';

export const volumePrune: Run = async (invocation) => {
  const { args } = invocation;
  const removed = await pruneVolumes(hostFacts(invocation), args.flag('all'));
  writeOutput(args.flag('json') ? `${safeJson({ removed }, 2)}\n` : removed.map((id) => `${id}\n`).join(''));
  return 0;
};
