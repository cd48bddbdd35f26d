import { findContainer } from '../../container/existing.ts';
import { BoxctlError } from '../../errors.ts';
import { renameContainer } from '../../state/container-folders.ts';
import { note } from '../../state/journal.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';

/** As specs/container.schema.json has it for `name`. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/u;

export const rename: Run = async (invocation) => {
  const host = hostFacts(invocation);
  const [word = '', name = ''] = invocation.args.positionals;
  if (!NAME.test(name)) {
    throw new BoxctlError('E_USAGE', `"${name}" cannot be the name of a container`, {
      hint: 'a letter or digit, then letters, digits, `_`, `.` or `-`, at most 63 in all',
    });
  }
  const container = findContainer(host, word);
  await renameContainer(host, container, name);
  note(host, { ...container, name }, 'rename', { oldName: container.name });
  return 0;
};
