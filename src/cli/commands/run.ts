import { BoxctlError } from '../../errors.ts';
import type { Run } from '../command.ts';
import { start } from '../start.ts';

export const run: Run = (invocation) => {
  const command = invocation.args.rest;
  if (command.length === 0) {
    throw new BoxctlError('E_USAGE', 'boxctl run needs a command', { hint: 'boxctl run FILE -- COMMAND [ARGUMENT…]' });
  }
  return start(invocation, () => ({ command }));
};
