import { resolve } from 'node:path';
import { BoxctlError } from '../../errors.ts';
import { existsSync } from '../../inputs/outside.ts';
import { quote } from '../../trust/refuse.ts';
import type { Run } from '../command.ts';
import { start } from '../start.ts';

export const run: Run = (invocation) => {
  const { args, cwd } = invocation;
  const { rest: command, positionals } = args;
  const [file] = positionals;
  if (file !== undefined && !/\.ya?ml$/u.test(file) && !existsSync(resolve(cwd, file))) {
    const words = [file, ...command].map(quote).join(' ');
    throw new BoxctlError('E_SPEC_NOT_FOUND', `${file}: there is no such file`, {
      hint: `a command for the file of this folder comes after --: boxctl run -- ${words}`,
    });
  }
  if (command.length === 0) {
    throw new BoxctlError('E_USAGE', 'boxctl run needs a command', { hint: 'boxctl run FILE -- COMMAND [ARGUMENT…]' });
  }
  return start(invocation, () => ({ command }));
};
