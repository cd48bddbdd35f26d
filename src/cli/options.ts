/** Options that several commands have. */
import { DEMAND_KINDS } from '../model/demand.ts';
import { PROGRESS_MODES } from '../show/progress-interface.ts';
import type { OptionRow } from './command.ts';

export const SHOW_VALUES: Readonly<Record<string, OptionRow>> = {
  'show-values': { text: 'show values of your environment and of env_files, which are hidden otherwise' },
};
export const EVENTS: Readonly<Record<string, OptionRow>> = {
  json: { text: 'write events as JSON lines to stderr' },
};
export const PROGRESS: Readonly<Record<string, OptionRow>> = {
  progress: {
    value: 'HOW',
    words: PROGRESS_MODES,
    text: 'how the start is shown: auto, list (all steps, and they stay), verbose, quiet, json',
  },
  quiet: { short: 'q', text: 'say nothing but what went wrong' },
  verbose: { short: 'v', text: 'show each system call as it is made' },
  ...EVENTS,
  ...SHOW_VALUES,
};
export const ALLOW: Readonly<Record<string, OptionRow>> = {
  allow: {
    value: 'WHAT',
    multiple: true,
    words: ['all', ...Object.keys(DEMAND_KINDS)],
    text: 'let the file have more of this host: bind=/data, namespace=net, all',
  },
};
export const WAIT_TIMEOUT: Readonly<Record<string, OptionRow>> = {
  'wait-timeout': { value: 'S', text: 'with --wait: how many seconds at most' },
};
/** What a terminal at a container in the background does. */
export const ATTACHED: Readonly<Record<string, OptionRow>> = {
  'no-stdin': { text: 'do not pass on what is typed' },
  'detach-keys': { value: 'KEYS', text: 'the keys that leave it, in place of ctrl-p,ctrl-q' },
  'sig-proxy': { value: 'BOOL', words: ['true', 'false'], text: 'whether signals go to the command; by default true' },
};
/** What is done once a container is started again. */
export const FOLLOWED: Readonly<Record<string, OptionRow>> = {
  wait: { text: 'return when it is healthy' },
  ...WAIT_TIMEOUT,
  attach: { short: 'a', text: 'go to it as `boxctl attach` does, and end with the status of its command' },
  interactive: { short: 'i', text: 'the same as --attach' },
  ...ATTACHED,
};
export const LOCKED: Readonly<Record<string, OptionRow>> = {
  locked: { text: 'fail where the lock beside the file is missing or does not fit (specs/lock.md)' },
};
/** How a command is connected to the caller, and what is in its environment. */
export const CONNECT: Readonly<Record<string, OptionRow>> = {
  interactive: { short: 'i', text: 'let the command read what is typed at the terminal' },
  tty: { short: 't', text: 'run the command in a terminal of its own' },
  env: { short: 'e', value: 'KEY=VALUE', multiple: true, text: 'set an environment variable; KEY alone takes yours' },
};
export const START: Readonly<Record<string, OptionRow>> = { ...CONNECT, ...ALLOW, ...LOCKED, ...PROGRESS };
