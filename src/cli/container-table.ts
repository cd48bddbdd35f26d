/** The commands for containers in the background. */
import type { Command } from './command.ts';
import { CONNECT, PROGRESS } from './options.ts';

const NAME = 'NAME is the name of a container, or the beginning of its id.';

export const CONTAINER_COMMANDS: readonly Command[] = [
  {
    name: 'ps',
    usage: '[OPTIONS]',
    summary: 'list the containers in the background',
    description: 'Lists your containers that run in the background: those that `boxctl up --detach` has started.',
    options: {
      all: { short: 'a', text: 'those that have ended, too' },
      quiet: { short: 'q', text: 'print the ids alone' },
      json: { text: 'print them as JSON' },
    },
    examples: [
      ['boxctl ps', 'what runs'],
      ['boxctl ps -a', 'and what has ended, and how'],
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
    description: `Sends the command its stop signal, and SIGKILL if it has not ended in time, and waits for the end. ${NAME}`,
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
];
