import { resolve } from 'node:path';
import { BoxctlError } from '../../errors.ts';
import { packHostTools } from '../../image/pack.ts';
import type { Run } from '../command.ts';
import { writeMessage } from '../output.ts';

export const image: Run = async (invocation) => {
  const [verb, ...tools] = invocation.args.positionals;
  if (verb !== 'pack') {
    throw new BoxctlError('E_USAGE', `boxctl image does not know "${verb ?? ''}"`, {
      hint: 'boxctl image pack PROGRAM… -o FILE',
    });
  }
  const output = invocation.args.value('output');
  if (output === undefined || tools.length === 0) {
    throw new BoxctlError('E_USAGE', 'boxctl image pack needs programs and a file', {
      hint: 'boxctl image pack sh ls -o rootfs.tar.gz',
    });
  }
  const { entries } = await packHostTools(tools, resolve(invocation.cwd, output));
  writeMessage(`boxctl: wrote ${output} (${entries} files and folders)\n`);
  return 0;
};
