import { BoxctlError } from '../../errors.ts';
import type { Run } from '../command.ts';
import { commandHelp, generalHelp } from '../help.ts';
import { writeOutput } from '../output.ts';
import { findCommand } from '../table.ts';

export const help: Run = ({ args }) => {
  const [name] = args.positionals;
  if (name === undefined) {
    writeOutput(generalHelp());
    return 0;
  }
  const command = findCommand(name);
  if (command === undefined) {
    throw new BoxctlError('E_USAGE', `boxctl has no command "${name}"`, { hint: 'boxctl --help' });
  }
  writeOutput(commandHelp(command));
  return 0;
};
