/** The commands. Those that start containers are always loaded; the others when they are asked for. */
import type { Command, OptionRow } from './command.ts';
import { run } from './commands/run.ts';
import { shell } from './commands/shell.ts';
import { up } from './commands/up.ts';
import { CONTAINER_COMMANDS } from './container-table.ts';
import { IMAGE_VERBS, PULL_OPTIONS, PULL_WHAT } from './image-table.ts';
import { RULES, SEVERITIES } from '../review/finding.ts';
import { ALLOW, EVENTS, LOCKED, PROGRESS, SHOW_VALUES, START } from './options.ts';
import { REGISTRY_COMMANDS } from './registry-table.ts';
import { VOLUME_VERBS } from './volume-table.ts';

const DETACH: Readonly<Record<string, OptionRow>> = {
  detach: { short: 'd', text: 'run it in the background, and print its name' },
  wait: { text: 'the same, and return when it is healthy' },
  'wait-timeout': { value: 'S', text: 'with --wait: how many seconds at most' },
};
const RECREATE: Readonly<Record<string, OptionRow>> = {
  'no-recreate': { text: 'with --detach: leave one that runs as it is, although the file has changed' },
  'force-recreate': { text: 'with --detach: start one that runs anew, although the file has not changed' },
  live: { text: 'with --detach: change the limits of one that runs, without starting it anew' },
};
const FILE = 'FILE is container.yaml or container.yml in this folder, unless you name another.';

export const COMMANDS: readonly Command[] = [
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
  {
    name: 'down',
    usage: '[OPTIONS] [FILE]',
    summary: 'end and remove the container of a file',
    description: `Stops the containers in the background that were started from FILE, and removes what is kept of them. There may be none. ${FILE}`,
    options: {
      time: { short: 't', value: 'SECONDS', text: 'how long it has until SIGKILL, in place of stop_grace_period' },
      volumes: { text: 'remove the volumes that the file names, too' },
    },
    examples: [
      ['boxctl down', 'the counterpart of boxctl up --detach'],
      ['boxctl down --volumes', 'and what it has kept'],
    ],
    positionals: [0, 1],
    takesRest: false,
    load: async () => (await import('./commands/down.ts')).down,
  },
  ...CONTAINER_COMMANDS,
  {
    name: 'plan',
    usage: '[OPTIONS] [FILE]',
    summary: 'show the system calls that up would make',
    description: `Prints every step in order, with the line of FILE that asked for it. Needs no privileges and changes nothing. ${FILE}`,
    options: {
      ...ALLOW,
      ...LOCKED,
      ...SHOW_VALUES,
      inputs: {
        text: 'print what the plan is made from instead (specs/inputs.md)',
      },
      exec: {
        value: 'NAME',
        text: 'the plan of a command in a container that runs: boxctl plan --exec NAME -- COMMAND',
      },
      json: { text: 'print the plan as JSON (specs/plan.schema.json)' },
    },
    examples: [
      ['boxctl plan --exec web -- ls -l', 'what `boxctl exec web ls -l` would do'],
      ['boxctl plan', 'what `boxctl up` would do'],
      ['boxctl plan --json | jq ".steps[].id"', 'the same for programs'],
      ['boxctl plan --inputs', 'what was read of the host for it'],
    ],
    positionals: [0, 1],
    takesRest: true,
    load: async () => (await import('./commands/plan.ts')).plan,
  },
  {
    name: 'validate',
    usage: '[OPTIONS] [FILE…]',
    summary: 'check files and tell all that is wrong with them',
    description: `Ends with 0 when all files are right and with 1 when one is not. Changes nothing. ${FILE}`,
    options: { ...ALLOW, ...LOCKED, json: { text: 'print the problems as JSON' } },
    examples: [
      ['boxctl validate', 'the file of this folder'],
      ['boxctl validate --json *.yaml', 'many files, for an editor or a CI job'],
    ],
    positionals: [0, Number.POSITIVE_INFINITY],
    takesRest: false,
    load: async () => (await import('./commands/validate.ts')).validate,
  },
  {
    name: 'audit',
    usage: '[OPTIONS] [FILE]',
    summary: 'list what a file leaves open, worst first',
    description: `Lists what the container would have of its host and what FILE could close and does not, each with its line and the change that closes it (specs/audit.md). Ends with 0, or with 1 when --fail-on is reached. Starts nothing, and says the same on every machine. ${FILE}`,
    options: {
      'fail-on': {
        value: 'SEVERITY',
        words: SEVERITIES,
        text: 'end with 1 at low, medium, high or critical findings and worse ones',
      },
      ...ALLOW,
      ignore: { value: 'RULE', multiple: true, words: RULES, text: 'leave a rule out' },
      json: { text: 'print the findings as JSON' },
    },
    examples: [
      ['boxctl audit', 'the file of this folder'],
      ['boxctl audit --fail-on high pr/container.yaml', 'the check of a pull request'],
    ],
    positionals: [0, 1],
    takesRest: false,
    load: async () => (await import('./commands/audit.ts')).audit,
  },
  {
    name: 'diff',
    usage: '[OPTIONS] OLD NEW',
    summary: 'tell what a changed file gains and loses',
    description:
      'Compares what two files give their containers, gains first: rights, mounts, limits, and what is seen of the host; another way of writing the same is no difference. OLD and NEW are files, or REVISION:FILE of git. Ends with 0 where there is no difference and with 1 where there is one, as diff(1) does.',
    options: {
      'fail-on-gain': { text: 'end with 1 only where NEW gains something' },
      ...ALLOW,
      ...SHOW_VALUES,
      json: { text: 'print the differences as JSON' },
    },
    examples: [
      ['boxctl diff HEAD~1:container.yaml container.yaml', 'what the last change has done'],
      ['boxctl diff --fail-on-gain main:container.yaml container.yaml', 'the check of a pull request'],
    ],
    positionals: [2, 2],
    takesRest: false,
    load: async () => (await import('./commands/diff.ts')).diff,
  },
  {
    name: 'doctor',
    usage: '[OPTIONS]',
    summary: 'tell what this host can do, and what would turn the rest on',
    description:
      'Looks at this host as it is for you: the kernel, user namespaces and what blocks them, subordinate ids, limits, storage. Really starts containers of nothing, which leave nothing behind. Ends with 0 when you can start containers here, and with 1 when you cannot.',
    options: { json: { text: 'print what was found as JSON' } },
    examples: [['boxctl doctor', 'why does it not work here?']],
    positionals: [0, 0],
    takesRest: false,
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
  ...REGISTRY_COMMANDS,
  {
    name: 'allow',
    usage: '[OPTIONS] [FILE]',
    summary: 'allow a file for good what it asks of this host',
    description: `Shows what FILE asks of the host beyond its own folder, asks you once, and remembers your yes for this file: it is not asked again until it asks for more. Kept beside your policy file, for you alone. ${FILE}`,
    options: {
      yes: { short: 'y', text: 'do not ask: for scripts' },
      list: { text: 'list what is allowed, file by file' },
      revoke: { text: 'take it back' },
      json: { text: 'print the same as JSON' },
    },
    examples: [
      ['boxctl allow', 'the file of this folder'],
      ['boxctl allow --list', 'what have I said yes to?'],
      ['boxctl allow --revoke container.yaml', 'ask me again'],
    ],
    positionals: [0, 1],
    takesRest: false,
    load: async () => (await import('./commands/allow.ts')).allow,
  },
  {
    name: 'lock',
    usage: '[OPTIONS] [FILE…]',
    summary: 'write down the digests of all that a file names',
    description: `Writes container.lock beside container.yaml (ci.lock beside ci.yaml): the digests of the image and of the files that boxctl reads for FILE. up, run, shell, plan and bundle use it when it is there. Without --update, what is locked stays: only what FILE names anew is added, and what it does not name any more is taken out. ${FILE}`,
    options: {
      update: { text: 'lock all that FILE names as it is now' },
      check: { text: 'write nothing, and end with 1 where the lock does not fit' },
      platform: {
        value: 'PLATFORM',
        multiple: true,
        text: 'lock the image for this platform alone, or for it as well: linux/arm64',
      },
      offline: { text: 'ask no registry: what the lock has of a reference stays' },
      ...ALLOW,
      json: { text: 'print the changes as JSON' },
    },
    examples: [
      ['boxctl lock', 'freeze the container of this folder'],
      ['boxctl lock --update', 'and take what is there now'],
      ['boxctl lock --check && boxctl up --locked', 'in a CI job'],
    ],
    positionals: [0, Number.POSITIVE_INFINITY],
    takesRest: false,
    load: async () => (await import('./commands/lock.ts')).lock,
  },
  {
    name: 'pull',
    usage: '[OPTIONS] [FILE|REF…]',
    summary: 'bring the image of a file, or others, from a registry into the store',
    description: `${PULL_WHAT} REF is [REGISTRY/]NAME[:TAG][@sha256:DIGEST]. Without either, the image of this folder's container.yaml.`,
    options: { ...PULL_OPTIONS, ...LOCKED, ...ALLOW },
    examples: [
      ['boxctl pull', 'the image of this folder’s file'],
      ['boxctl pull alpine:3.20 ghcr.io/org/app', 'others'],
      ['boxctl pull --policy missing', 'only where the store has none'],
    ],
    positionals: [0, Number.POSITIVE_INFINITY],
    takesRest: false,
    load: async () => (await import('./commands/pull.ts')).pull,
  },
  {
    name: 'outdated',
    usage: '[OPTIONS] [FILE…]',
    summary: 'tell whether the tags of locked images have moved',
    description: `Asks the registries what the tags of the images point to now, and compares that with the locks of the files. Fetches no image and changes nothing. Ends with 0 where all is as it was locked, and with 1 where a tag points to something else or is gone. ${FILE}`,
    options: { ...ALLOW, json: { text: 'print all of them as JSON' } },
    examples: [
      ['boxctl outdated', 'is there a newer image for the file of this folder?'],
      ['boxctl outdated --json */container.yaml', 'for a program that proposes updates'],
    ],
    positionals: [0, Number.POSITIVE_INFINITY],
    takesRest: false,
    load: async () => (await import('./commands/outdated.ts')).outdated,
  },
  {
    name: 'bundle',
    usage: '[OPTIONS] FILE DIR',
    summary: 'write the container as an OCI bundle',
    description:
      'Writes config.json and the root file system to DIR, which must be empty or not there; runc and crun run it.',
    options: { ...ALLOW, ...LOCKED, ...EVENTS },
    examples: [['boxctl bundle container.yaml out && runc run -b out test', 'the same container by another runtime']],
    positionals: [2, 2],
    takesRest: false,
    load: async () => (await import('./commands/bundle.ts')).bundle,
  },
  {
    name: 'image',
    usage: 'VERB [OPTIONS]',
    summary: 'import images into the store, and look after them',
    description:
      'The store keeps images by the digest of what they hold, under names that you give them. `image: debian:12` in a file is one of its images; the archive that a file names goes there by itself.',
    options: {},
    examples: [['boxctl image import debian.tar.zst debian:12', 'then `image: debian:12` in a file']],
    positionals: [0, 0],
    takesRest: false,
    load: async () => (await import('./commands/help.ts')).helpOf('image'),
    verbs: IMAGE_VERBS,
  },
  {
    name: 'volume',
    usage: 'VERB [OPTIONS]',
    summary: 'list and remove the volumes that boxctl keeps',
    description:
      'A volume belongs to the folder of the file that names it: the same name in another folder is another volume. Its files stay until the volume is removed.',
    options: {},
    examples: [['boxctl volume ls', 'every volume, how large it is, and its folder']],
    positionals: [0, 0],
    takesRest: false,
    load: async () => (await import('./commands/help.ts')).helpOf('volume'),
    verbs: VOLUME_VERBS,
  },
  {
    name: 'completion',
    usage: 'bash|zsh|fish',
    summary: 'print a completion script for a shell',
    description: 'Prints a script that makes the shell complete the commands and options of boxctl.',
    options: {},
    examples: [['source <(boxctl completion bash)', 'for this session of bash']],
    positionals: [1, 1],
    words: ['bash', 'zsh', 'fish'],
    takesRest: false,
    load: async () => (await import('./commands/completion.ts')).completion,
  },
  {
    name: 'help',
    usage: '[COMMAND [VERB]]',
    summary: 'explain a command',
    description: 'Prints what boxctl can do, or how a command is used.',
    options: {},
    examples: [['boxctl help up', 'the same as `boxctl up --help`']],
    positionals: [0, 2],
    takesRest: false,
    load: async () => (await import('./commands/help.ts')).help,
  },
];
