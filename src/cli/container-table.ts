/** The commands for containers in the background. */
import type { Command } from './command.ts';
import { FILTER_NAMES } from './filter-names.ts';
import { CONNECT, PROGRESS } from './options.ts';

const NAME = 'NAME is the name of a container, or the beginning of its id.';

export const CONTAINER_COMMANDS: readonly Command[] = [
  {
    name: 'ps',
    usage: '[OPTIONS]',
    summary: 'list the containers',
    description:
      "Lists your containers that run: those in the background, which `boxctl up --detach` has started, and those of other terminals. FORMAT is `json` (a line for each container), `table`, or a template of Go's with docker's names, for example '{{.ID}} {{.Names}} {{.Status}}'. FILTER is one of name, id, status, label, ancestor, exited, volume, network or mode, with = and a value.",
    options: {
      all: { short: 'a', text: 'those that have ended, too, and why' },
      filter: {
        short: 'f',
        value: 'FILTER',
        multiple: true,
        words: FILTER_NAMES.map((name) => `${name}=`),
        text: 'those alone that fit, for example status=exited',
      },
      format: { value: 'FORMAT', words: ['json', 'table'], text: 'print them in this way' },
      last: { short: 'n', value: 'N', text: 'the N that were made last, whatever has become of them' },
      latest: { short: 'l', text: 'the one that was made last' },
      'no-trunc': { text: 'print whole commands' },
      quiet: { short: 'q', text: 'print the ids alone' },
      json: { text: 'print them as JSON' },
    },
    examples: [
      ['boxctl ps', 'what runs'],
      ['boxctl ps -a', 'and what has ended, and why'],
      ["boxctl ps --filter status=paused --format '{{.Names}}'", 'the names of those that are paused'],
    ],
    positionals: [0, 0],
    takesRest: false,
    load: async () => (await import('./commands/ps.ts')).ps,
  },
  {
    name: 'exec',
    usage: '[OPTIONS] NAME [--] COMMAND [ARGUMENT…]',
    summary: 'run a command in a container that runs',
    description: `Runs COMMAND in a container of yours, with the container's own user, environment, limits and filter, and ends with its status. Options of boxctl's come before NAME. ${NAME}`,
    options: {
      ...CONNECT,
      user: { short: 'u', value: 'USER', text: 'run it as this user: a name or number, and a group (1000:1000)' },
      workdir: { short: 'w', value: 'PATH', text: 'the folder that it begins in' },
      ...PROGRESS,
    },
    examples: [
      ['boxctl exec -it web sh', 'a shell in a terminal of its own'],
      ['boxctl exec -u 0 web -- ls -l /root', 'as root of the container'],
    ],
    positionals: [1, 1],
    takesRest: true,
    load: async () => (await import('./commands/exec.ts')).exec,
  },
  {
    name: 'stop',
    usage: '[OPTIONS] NAME…',
    summary: 'end containers',
    description: `Sends the command its stop signal, and SIGKILL if it has not ended in time, and waits for the end. One that is paused goes on for that. Also of a container in the foreground of another terminal. ${NAME}`,
    options: {
      time: { short: 't', value: 'SECONDS', text: 'how long it has until SIGKILL, in place of stop_grace_period' },
    },
    examples: [['boxctl stop web', 'and wait until it has ended']],
    positionals: [1, Number.POSITIVE_INFINITY],
    takesRest: false,
    load: async () => (await import('./commands/stop.ts')).stop,
  },
  {
    name: 'wait',
    usage: 'NAME…',
    summary: 'wait for the end of containers',
    description: `Waits until each container has ended, and prints its exit status. ${NAME}`,
    options: {},
    examples: [['boxctl wait build', 'and print its exit status']],
    positionals: [1, Number.POSITIVE_INFINITY],
    takesRest: false,
    load: async () => (await import('./commands/wait.ts')).wait,
  },
  {
    name: 'rm',
    usage: '[OPTIONS] NAME…',
    summary: 'remove containers that have ended',
    description: `Removes what is kept of containers: what they have written, and how they ended. ${NAME}`,
    options: { force: { short: 'f', text: 'end those that run first, by SIGKILL' } },
    examples: [['boxctl rm web', 'one that has ended']],
    positionals: [1, Number.POSITIVE_INFINITY],
    takesRest: false,
    load: async () => (await import('./commands/rm.ts')).rm,
  },
  {
    name: 'gc',
    usage: '[OPTIONS]',
    summary: 'remove what killed commands have left behind',
    description:
      'Removes what is left of containers whose launcher was killed: processes, cgroups, what they have written, records. Each command that starts or removes a container does so, too. What is kept of containers that have ended stays: `boxctl rm` removes that, and `boxctl image prune` unused images.',
    options: {
      'dry-run': { short: 'n', text: 'list it, and remove nothing' },
      json: { text: 'print what it was as JSON' },
    },
    examples: [['boxctl gc --dry-run', 'is there anything left?']],
    positionals: [0, 0],
    takesRest: false,
    load: async () => (await import('./commands/gc.ts')).gc,
  },
  {
    name: 'cp',
    usage: '[OPTIONS] NAME:PATH DEST | SRC NAME:PATH',
    summary: 'copy files into a container, or out of it',
    description: `Copies a file, or a folder with all that is in it, as \`docker cp\` does: into DEST where that is a folder, else as DEST; \`PATH/.\` is what is in the folder. PATH begins at the container's root, whether the container runs or has ended. With - in place of DEST or SRC, a tar is written to standard output, or read from standard input into a folder. ${NAME}`,
    options: {
      archive: { short: 'a', text: 'copy owners, set-id bits and devices, too (out of a container: as root)' },
      'follow-link': { short: 'L', text: 'where the source is a link, copy what it leads to' },
      quiet: { short: 'q', text: 'do not tell what was left out' },
    },
    examples: [
      ['boxctl cp web:/var/log/app.log .', 'a file out of a container'],
      ['boxctl cp site/. web:/srv', 'what is in a folder into one of a container'],
      ['boxctl cp web:/etc - | tar -t', 'as a tar'],
    ],
    positionals: [2, 2],
    takesRest: false,
    load: async () => (await import('./commands/cp.ts')).cp,
  },
  {
    name: 'changes',
    usage: '[OPTIONS] NAME',
    summary: 'list what a container has written',
    description: `Lists what has been added (A), changed (C) and deleted (D) in a container's own files, whether it runs or has ended: not what is in volumes, binds and tmpfs. ${NAME}`,
    options: { json: { text: 'print it as JSON' } },
    examples: [['boxctl changes build', 'what the build has left']],
    positionals: [1, 1],
    takesRest: false,
    load: async () => (await import('./commands/changes.ts')).changes,
  },
];
