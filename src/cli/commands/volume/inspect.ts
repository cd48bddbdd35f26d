import { diskUsage } from '../../../state/disk-usage.ts';
import { findVolume } from '../../../state/volumes.ts';
import { safeJson } from '../../../text/safe.ts';
import type { Run } from '../../command.ts';
import { hostFacts } from '../../environment.ts';
import { writeOutput } from '../../output.ts';

export const volumeInspect: Run = (invocation) => {
  const { args, cwd } = invocation;
  const host = hostFacts(invocation);
  const found = args.positionals.map((word) => {
    const volume = findVolume(host, word, cwd);
    const { bytes, complete } = diskUsage(volume.data);
    return { ...volume, size: bytes, ...(complete ? {} : { sizeIsPartial: true }) };
  });
  writeOutput(`${safeJson(found, 2)}\n`);
  return 0;
};
