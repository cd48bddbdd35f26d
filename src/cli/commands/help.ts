import { BoxctlError } from '../../errors.ts';
import type { Command, Run } from '../command.ts';
import { namedCommand } from '../named-command.ts';
import { commandHelp, generalHelp } from '../help.ts';
import { writeOutput } from '../output.ts';

function tell(words: readonly string[], commands: readonly Command[]): number {
  const found = namedCommand(words, commands);
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
  ({ commands }) =>
    tell([name], commands);

export const help: Run = ({ args, commands }) => {
  if (args.positionals.length > 0) return tell(args.positionals, commands);
  writeOutput(generalHelp(commands));
  return 0;
};
