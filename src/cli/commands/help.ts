import { BoxctlError } from '../../errors.ts';
import type { Run } from '../command.ts';
import { commandHelp, generalHelp } from '../help.ts';
import { writeOutput } from '../output.ts';
import { findCommand } from '../table.ts';

function tell(words: readonly string[]): number {
  const found = findCommand(words);
  if (found === undefined) {
    throw new BoxctlError('E_USAGE', `boxctl has no command "${words[0] ?? ''}"`, { hint: 'boxctl --help' });
  }
  const { command, rest } = found;
  if (rest.length > 0) {
    throw new BoxctlError('E_USAGE', `boxctl ${command.name} has no verb "${rest.join(' ')}"`, {
      hint: `boxctl help ${command.name}`,
    });
  }
  writeOutput(commandHelp(command));
  return 0;
}

/** Of a command that does nothing by itself. */
export const helpOf =
  (name: string): Run =>
  () =>
    tell([name]);

export const help: Run = ({ args }) => {
  if (args.positionals.length > 0) return tell(args.positionals);
  writeOutput(generalHelp());
  return 0;
};
