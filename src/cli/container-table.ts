/** The commands for containers in the background. */
import type { Command } from './command.ts';

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
