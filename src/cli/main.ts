/** The command line's way in. */
import { BoxctlError } from '../errors.ts';
import { environment } from '../inputs/environment.ts';
import { currentFolder } from '../inputs/outside.ts';
import { startedWithFiles } from '../native.ts';
import { didYouMean } from '../spec/suggest.ts';
import type { Invocation } from './command.ts';
import { commandHelp, generalHelp } from './help.ts';
import { ReaderGone, wantsColor, writeOutput } from './output.ts';
import { parseArguments, splitWords } from './parse.ts';
import { reportError } from './describe-error.ts';
import { namedCommand } from './named-command.ts';
import { START_COMMANDS } from './start-table.ts';
import { COMMANDS } from './table.ts';
import { VERSION } from './version.ts';
import { jsonMessages } from './messages.ts';

/** Commands of docker and podman, and what they are called here. */
const OF_DOCKER: ReadonlyMap<string, string> = new Map([
  ['images', 'image ls'],
  ['rmi', 'image rm'],
  ['load', 'image import'],
  ['save', 'image save'],
  ['push', 'image push'],
  ['tag', 'image tag'],
]);

function unknownCommand(name: string): BoxctlError {
  if (name.startsWith('-')) {
    const message = `boxctl itself has no option ${name}`;
    return new BoxctlError('E_USAGE', message, { hint: `options come after the command: boxctl up ${name}` });
  }
  const suggestion =
    OF_DOCKER.get(name) ??
    didYouMean(
      name,
      COMMANDS.map((command) => command.name),
    );
  const hint = suggestion === undefined ? 'boxctl --help' : `did you mean \`boxctl ${suggestion}\`?`;
  return new BoxctlError('E_USAGE', `boxctl has no command "${name}"`, { hint });
}

async function dispatch(words: readonly string[], front: Invocation['front']): Promise<number> {
  const [name] = words;
  if (name === undefined || name === '--help' || name === '-h') {
    writeOutput(generalHelp(COMMANDS));
    return 0;
  }
  if (name === '--version' || name === '-V') {
    writeOutput(`boxctl ${VERSION}\n`);
    return 0;
  }
  // The table of all commands is not loaded by a start.
  const found = namedCommand(words, START_COMMANDS) ?? namedCommand(words, COMMANDS);
  if (found === undefined) throw unknownCommand(name);
  const { command, rest } = found;
  const { own } = splitWords(command, rest);
  if (own.includes('--help') || own.includes('-h')) {
    writeOutput(commandHelp(command));
    return 0;
  }
  const args = parseArguments(command, rest);
  const run = await command.load();
  return run({
    args,
    env: environment,
    cwd: currentFolder(),
    get commands() {
      return COMMANDS;
    },
    ...(front === undefined ? {} : { front }),
  });
}

/** Whether a program reads what goes wrong, also where the words are no command. */
function wantsJson(words: readonly string[]): boolean {
  const end = words.indexOf('--');
  return (end < 0 ? words : words.slice(0, end)).some((word) => word === '--json' || word === '--progress=json');
}

/**
 * Words by which native/front executes Node: to do what it does not know how to do, or to tell how a container has ended. With the id of a
 * container in the background that did not start.
 */
const BY_FRONT = /^--(from-front|ended)(?:=([0-9a-f]{12}))?$/u;

/** The soft limit of open files that native/front was started with. */
const FILES = /^--files=(\d+)$/u;

/** Runs boxctl with the words of a command line and gives the exit status; never throws. */
export async function main(all: readonly string[]): Promise<number> {
  const [, files] = FILES.exec(all[0] ?? '') ?? [];
  if (files !== undefined) startedWithFiles(Number(files));
  const given = files === undefined ? all : all.slice(1);
  const [first] = given;
  const [, by, givenUp] = BY_FRONT.exec(first ?? '') ?? [];
  const words = by === undefined ? given : given.slice(1);
  try {
    const told = { words, hasEnded: by === 'ended', ...(givenUp === undefined ? {} : { givenUp }) };
    return await dispatch(words, by === undefined ? undefined : told);
  } catch (error) {
    // Like other programs whose reader has closed the pipe.
    if (error instanceof ReaderGone) return 141;
    return wantsJson(words) ? jsonMessages.failure(error) : reportError(error, wantsColor(2, environment));
  }
}
