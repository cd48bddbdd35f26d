import { resolve } from 'node:path';
import { BoxctlError } from '../../../errors.ts';
import { packHostTools } from '../../../image/pack.ts';
import type { Run } from '../../command.ts';
import { writeMessage } from '../../output.ts';
import { safeJson } from '../../../text/safe.ts';

export const imagePack: Run = async ({ args, cwd }) => {
  const output = args.value('output');
  if (output === undefined) {
    throw new BoxctlError('E_USAGE', 'boxctl image pack needs a file to write to', {
      hint: 'boxctl image pack sh ls -o rootfs.tar.gz',
    });
  }
  const { entries } = await packHostTools(args.positionals, resolve(cwd, output));
  if (args.flag('json')) writeMessage(`${safeJson({ event: 'packed', file: output, entries })}\n`);
  else writeMessage(`boxctl: wrote ${output} (${entries} files and folders)\n`);
  return 0;
};
