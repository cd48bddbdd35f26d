/** The words of a command line, by the table of a command. */
import { BoxctlError } from '../errors.ts';
import { didYouMean } from '../spec/suggest.ts';
import type { Arguments, Command, OptionRow } from './command.ts';

function usageError(command: Command, message: string, hint?: string): BoxctlError {
  return new BoxctlError('E_USAGE', message, { hint: hint ?? `boxctl ${command.name} --help` });
}

interface Found {
  readonly name: string;
  readonly row: OptionRow;
}

/** The option that a word is, and how many words its value takes beside it; undefined for what is none. */
function wordsOfOption({ options }: Command, word: string): number | undefined {
  if (!word.startsWith('-') || word === '-') return undefined;
  if (word.startsWith('--')) {
    return word.includes('=') || options[word.slice(2)]?.value === undefined ? 0 : 1;
  }
  const letters = word.slice(1).split('');
  const rows = Object.values(options);
  const taking = letters.findIndex((letter) => rows.some((row) => row.short === letter && row.value !== undefined));
  return taking >= 0 && taking === letters.length - 1 ? 1 : 0;
}

/**
 * The command line's own words, and the command that they run: what follows `--` or, without it, what follows the last
 * positional that there can be, with all options that it has.
 */
export function splitWords(
  command: Command,
  words: readonly string[],
): { readonly own: readonly string[]; readonly rest: readonly string[]; readonly isMarked: boolean } {
  const most = command.positionals[1];
  let positionals = 0;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (word === '--') return { own: words.slice(0, at), rest: words.slice(at + 1), isMarked: true };
    const taken = wordsOfOption(command, word);
    if (taken !== undefined) at += taken;
    else if (command.takesRest && positionals++ === most) {
      return { own: words.slice(0, at), rest: words.slice(at), isMarked: false };
    }
  }
  return { own: words, rest: [], isMarked: false };
}

/** The word as a shell has to be given it. */
const shellWord = (word: string): string =>
  /^[\w./:=@%+,-]+$/u.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;

/** Parses by GNU's conventions: `--name=value`, `--name value`, `-n value`, `-nvalue`, `-it`, and `--` before the rest. */
export function parseArguments(command: Command, words: readonly string[]): Arguments {
  const values = new Map<string, string[]>();
  const positionals: string[] = [];
  const { own, rest, isMarked } = splitWords(command, words);
  if (isMarked && !command.takesRest) {
    const message = `boxctl ${command.name} takes nothing after --`;
    throw usageError(command, message, command.name === 'up' ? 'boxctl run FILE -- COMMAND' : undefined);
  }

  /** Where the first word was no file but already the command, the options are the command's. */
  const ofCommand = (): string | undefined =>
    command.takesRest && positionals.length > 0
      ? `a command with options comes after --: boxctl ${command.name} -- ${words
          .slice(words.indexOf(positionals[0] ?? ''))
          .map(shellWord)
          .join(' ')}`
      : undefined;
  const long = (name: string): Found => {
    const row = command.options[name];
    if (row !== undefined) return { name, row };
    const known = [...Object.keys(command.options), 'help'];
    const suggestion = didYouMean(name, known);
    const hint = suggestion === undefined ? undefined : `did you mean --${suggestion}?`;
    throw usageError(command, `boxctl ${command.name} has no option --${name}`, hint ?? ofCommand());
  };
  const short = (letter: string): Found => {
    const entry = Object.entries(command.options).find(([, row]) => row.short === letter);
    if (entry === undefined) throw usageError(command, `boxctl ${command.name} has no option -${letter}`, ofCommand());
    return { name: entry[0], row: entry[1] };
  };
  const store = ({ name, row }: Found, value: string): void => {
    const before = values.get(name) ?? [];
    if (before.length > 0 && row.multiple !== true && row.value !== undefined) {
      throw usageError(command, `--${name} is given twice`);
    }
    values.set(name, [...before, value]);
  };

  for (let at = 0; at < own.length; at++) {
    const word = own[at] ?? '';
    const following = (found: Found): string => {
      const next = own[++at];
      if (next === undefined) throw usageError(command, `--${found.name} needs a value: ${found.row.value ?? ''}`);
      return next;
    };
    if (word.startsWith('--')) {
      const equals = word.indexOf('=');
      const found = long(equals < 0 ? word.slice(2) : word.slice(2, equals));
      if (found.row.value === undefined) {
        if (equals >= 0) throw usageError(command, `--${found.name} takes no value`);
        store(found, '');
      } else {
        store(found, equals < 0 ? following(found) : word.slice(equals + 1));
      }
    } else if (word.startsWith('-') && word !== '-') {
      for (let letter = 1; letter < word.length; letter++) {
        const found = short(word[letter] ?? '');
        if (found.row.value === undefined) {
          store(found, '');
        } else {
          store(found, letter + 1 < word.length ? word.slice(letter + 1) : following(found));
          break;
        }
      }
    } else {
      positionals.push(word);
    }
  }

  const [least, most] = command.positionals;
  if (positionals.length < least)
    throw usageError(command, `boxctl ${command.name} needs ${command.usage.replace('[OPTIONS] ', '')}`);
  if (positionals.length > most) {
    const extra = positionals.slice(most).join(' ');
    throw usageError(command, `boxctl ${command.name} does not know what to do with: ${extra}`);
  }
  return {
    positionals,
    rest,
    flag: (name) => values.has(name),
    value: (name) => values.get(name)?.[0],
    values: (name) => values.get(name) ?? [],
  };
}
