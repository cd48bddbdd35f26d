import { checkName } from '../../../image/names.ts';
import type { Run } from '../../command.ts';
import { hostFacts } from '../../environment.ts';
import { wantsColor } from '../../output.ts';
import { jsonMessages, textMessages } from '../../messages.ts';
import { nameImage } from './name-image.ts';
import { selectImage } from './select.ts';

export const imageTag: Run = (invocation) => {
  const host = hostFacts(invocation);
  const [image = '', ...names] = invocation.args.positionals;
  // Before anything is written, all of them are looked at.
  const full = names.map(checkName);
  const { digest } = selectImage(image, host);
  nameImage(
    host.dirs.store,
    digest,
    full,
    invocation.args.flag('json') ? jsonMessages : textMessages(wantsColor(2, invocation.env), false),
  );
  return 0;
};
