import { BoxctlError } from '../../../errors.ts';
import type { HostFacts } from '../../../host/facts.ts';
import { removeNamed, removeStored } from '../../../image/maintain.ts';
import { fullName, isNamed } from '../../../image/names.ts';
import type { Run } from '../../command.ts';
import { hostFacts } from '../../environment.ts';
import { wantsColor, writeOutput } from '../../output.ts';
import { reportError } from '../../report.ts';
import { selectImage, shortDigest } from './select.ts';

async function remove(text: string, host: HostFacts): Promise<void> {
  const { digest, names } = selectImage(text, host);
  if (!isNamed(host.dirs.store, text)) {
    await removeStored(digest, host);
    writeOutput(`removed ${[shortDigest(digest), ...names].join(' ')}\n`);
    return;
  }
  const name = fullName(text);
  const what = await removeNamed(name, digest, host);
  writeOutput(what === 'image' ? `removed ${name} ${shortDigest(digest)}\n` : `removed the name ${name}\n`);
}

/** When one image cannot be removed, the others still are. */
export const imageRm: Run = async (invocation) => {
  const host = hostFacts(invocation);
  let status = 0;
  for (const text of invocation.args.positionals) {
    try {
      await remove(text, host);
    } catch (error) {
      if (!(error instanceof BoxctlError)) throw error;
      status = reportError(error, wantsColor(2, invocation.env));
    }
  }
  return status;
};
