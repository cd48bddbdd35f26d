import { checkName, writeName } from '../../../image/names.ts';
import type { Run } from '../../command.ts';
import { hostFacts } from '../../environment.ts';
import { selectImage } from './select.ts';

export const imageTag: Run = (invocation) => {
  const host = hostFacts(invocation);
  const [image = '', ...names] = invocation.args.positionals;
  // Before anything is written, all of them are looked at.
  const full = names.map(checkName);
  const { digest } = selectImage(image, host);
  for (const name of full) writeName(host.dirs.store, name, digest);
  return 0;
};
