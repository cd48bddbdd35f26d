import { pruneImages } from '../../../image/maintain.ts';
import { prepareStore } from '../../../image/store.ts';
import type { Run } from '../../command.ts';
import { hostFacts } from '../../environment.ts';
import { writeOutput } from '../../output.ts';
import { readableBytes } from '../../../text/sizes.ts';
import { shortDigest } from './select.ts';
import { safeJson } from '../../../text/safe.ts';

export const imagePrune: Run = async (invocation) => {
  const host = hostFacts(invocation);
  prepareStore(host.dirs.store);
  const { digests, bytes } = await pruneImages(host, invocation.args.flag('all'));
  if (invocation.args.flag('json')) {
    writeOutput(`${safeJson({ removed: digests, bytes }, 2)}\n`);
    return 0;
  }
  for (const digest of digests) writeOutput(`removed ${shortDigest(digest)}\n`);
  const images = digests.length === 1 ? '1 image' : `${digests.length} images`;
  writeOutput(`${images} removed, ${readableBytes(bytes)} freed\n`);
  return 0;
};
