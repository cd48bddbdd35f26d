import { BoxctlError } from '../../../errors.ts';
import type { HostFacts } from '../../../host/facts.ts';
import { removeNamed, removeStored } from '../../../image/maintain.ts';
import { findReference } from '../../../image/names.ts';
import type { Run } from '../../command.ts';
import { hostFacts } from '../../environment.ts';
import { wantsColor, writeOutput } from '../../output.ts';
import { reportError } from '../../describe-error.ts';
import { jsonMessages } from '../../messages.ts';
import { safeJson } from '../../../text/safe.ts';
import { selectImage, shortDigest } from './select.ts';

async function remove(text: string, host: HostFacts, isJson: boolean): Promise<void> {
  const tell = (said: string, data: object): void => writeOutput(`${isJson ? safeJson(data) : said}\n`);
  const { digest, names } = selectImage(text, host);
  const name = findReference(host.dirs.store, text)?.name;
  if (name === undefined) {
    await removeStored(digest, host);
    tell(`removed ${[shortDigest(digest), ...names].join(' ')}`, { removed: digest, names });
    return;
  }
  const what = await removeNamed(name, digest, host);
  if (what === 'image') tell(`removed ${name} ${shortDigest(digest)}`, { removed: digest, names: [name] });
  else tell(`removed the name ${name}`, { names: [name] });
}

/** When one image cannot be removed, the others still are. */
export const imageRm: Run = async (invocation) => {
  const host = hostFacts(invocation);
  const isJson = invocation.args.flag('json');
  let status = 0;
  for (const text of invocation.args.positionals) {
    try {
      await remove(text, host, isJson);
    } catch (error) {
      if (!(error instanceof BoxctlError)) throw error;
      status = isJson ? jsonMessages.failure(error) : reportError(error, wantsColor(2, invocation.env));
    }
  }
  return status;
};
