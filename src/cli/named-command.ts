/** The command of boxctl that the words name. */
import { BoxctlError } from '../errors.ts';
import { didYouMean } from '../spec/suggest.ts';
import type { Command } from './command.ts';

export interface FoundCommand {
  readonly command: Command;
  /** The words after its name. */
  readonly rest: readonly string[];
}

/** The command that words begin with, and with it its verb. Throws `E_USAGE` for a verb that there is not. */
export function namedCommand(words: readonly string[], commands: readonly Command[]): FoundCommand | undefined {
  const [name, ...rest] = words;
  const command = commands.find((row) => row.name === name);
  if (command === undefined) return undefined;
  const [verb] = rest;
  if (command.verbs === undefined || verb === undefined || verb.startsWith('-')) return { command, rest };
  const found = command.verbs.find((row) => row.name === `${command.name} ${verb}`);
  if (found !== undefined) return { command: found, rest: rest.slice(1) };
  const known = command.verbs.map((row) => row.name.slice(command.name.length + 1));
  const meant = didYouMean(verb, known);
  throw new BoxctlError('E_USAGE', `boxctl ${command.name} has no verb "${verb}"`, {
    hint: meant === undefined ? `it has ${known.join(', ')}` : `did you mean \`boxctl ${command.name} ${meant}\`?`,
  });
}
