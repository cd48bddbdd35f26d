/** The commands that start containers, and with them what they run: these are always loaded. */
import type { Command, OptionRow } from './command.ts';
import { run } from './commands/run.ts';
import { shell } from './commands/shell.ts';
import { up } from './commands/up.ts';
import { ALLOW, LOCKED, PROGRESS, START, WAIT_TIMEOUT } from './options.ts';

const DETACH: Readonly<Record<string, OptionRow>> = {
  detach: { short: 'd', text: 'run it in the background, and print its name' },
  wait: { text: 'the same, and return when it is healthy' },
  ...WAIT_TIMEOUT,
};
const RECREATE: Readonly<Record<string, OptionRow>> = {
  'no-recreate': { text: 'with --detach: leave one that runs as it is, although the file has changed' },
  'force-recreate': { text: 'with --detach: start one that runs anew, although the file has not changed' },
  live: { text: 'with --detach: change the limits of one that runs, without starting it anew' },
};
export const FILE = 'FILE is container.yaml or container.yml in this folder, unless you name another.';

export const START_COMMANDS: readonly Command[] = [
  {
    name: 'up',
    usage: '[OPTIONS] [FILE]',
    summary: 'start the container and wait for its end',
    description: `Starts the container that FILE describes, runs its command, and ends with the command's status. With --detach, one that runs already is left alone where FILE has not changed, and is started anew where it has. ${FILE}`,
    options: { ...DETACH, ...RECREATE, ...START },
    examples: [
      ['boxctl up', 'the container of this folder'],
      ['boxctl up -it container.yaml', 'with a terminal'],
      ['boxctl up --verbose', 'and every system call on the way'],
    ],
    positionals: [0, 1],
    takesRest: false,
    load: () => Promise.resolve(up),
  },
  {
    name: 'run',
    usage: '[OPTIONS] [FILE] [--] COMMAND [ARGUMENT…]',
    summary: 'run another command in the same environment',
    description: `Like up, with COMMAND in place of the file's own. Options of boxctl's come before it. Without a FILE, -- comes before COMMAND. ${FILE}`,
    options: { ...DETACH, ...START },
    examples: [
      ['boxctl run -- make test', 'a command in the environment of this folder'],
      ['boxctl run -it ci.yaml vi README.md', 'one that needs a terminal'],
    ],
    positionals: [0, 1],
    takesRest: true,
    load: () => Promise.resolve(run),
  },
  {
    name: 'shell',
    usage: '[OPTIONS] [FILE|NAME]',
    summary: 'open a shell in the same environment',
    description: `Starts the container with bash, or sh where the image has no bash, in place of its command. NAME, that of a container that runs, opens the shell in it. ${FILE}`,
    options: { env: START['env'] ?? { text: '' }, ...ALLOW, ...LOCKED, ...PROGRESS },
    examples: [
      ['boxctl shell', 'a shell in the environment of this folder'],
      ['boxctl shell web', 'one in a container that runs'],
    ],
    positionals: [0, 1],
    takesRest: false,
    load: () => Promise.resolve(shell),
  },
];
