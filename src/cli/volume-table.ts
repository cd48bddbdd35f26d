/** The verbs of `boxctl volume`. */
import type { Command } from './command.ts';

/** Of which the words that follow are volumes. */
export const TAKES_VOLUMES: ReadonlySet<string> = new Set(['volume inspect', 'volume rm']);

const VOLUME = 'VOLUME is an id, or a name that one volume alone has, or that one of this folder has.';

export const VOLUME_VERBS: readonly Command[] = [
  {
    name: 'volume ls',
    usage: '[OPTIONS]',
    summary: 'list the volumes',
    description:
      'Lists the volumes by the names that files give them, with what they take of the disk, whether a container uses them, and the folder of the file. A size of which a part cannot be read has a + behind it.',
    options: {
      ids: { text: 'print the ids alone' },
      json: { text: 'print them as JSON' },
    },
    examples: [
      ['boxctl volume ls', 'all of them'],
      ["boxctl volume ls --json | jq -r '.[].data'", 'where their files are'],
    ],
    positionals: [0, 0],
    takesRest: false,
    load: async () => (await import('./commands/volume/ls.ts')).volumeLs,
  },
  {
    name: 'volume inspect',
    usage: 'VOLUME…',
    summary: 'tell all that is known of volumes',
    description: `Prints, as JSON, the folder that a volume belongs to, and where its files are. ${VOLUME}`,
    options: { json: { text: 'print it as JSON, as always' } },
    examples: [['boxctl volume inspect cache', 'where are its files?']],
    positionals: [1, Number.POSITIVE_INFINITY],
    takesRest: false,
    load: async () => (await import('./commands/volume/inspect.ts')).volumeInspect,
  },
  {
    name: 'volume rm',
    usage: '[OPTIONS] VOLUME…',
    summary: 'remove volumes',
    description: `Removes volumes and all that is in them; never one that a container uses. ${VOLUME}`,
    options: { json: { text: 'print what went as JSON' } },
    examples: [['boxctl volume rm cache-1f2e3d4c5b6a', 'one that is not needed any more']],
    positionals: [1, Number.POSITIVE_INFINITY],
    takesRest: false,
    load: async () => (await import('./commands/volume/rm.ts')).volumeRm,
  },
  {
    name: 'volume prune',
    usage: '[OPTIONS]',
    summary: 'remove volumes whose folder is gone',
    description: 'Removes the volumes whose folder is gone and that no container uses.',
    options: {
      all: { short: 'a', text: 'every volume that no container uses' },
      json: { text: 'print what went as JSON' },
    },
    examples: [
      ['boxctl volume prune', 'what no file can name any more'],
      ['boxctl volume prune --all', 'all that is not in use'],
    ],
    positionals: [0, 0],
    takesRest: false,
    load: async () => (await import('./commands/volume/prune.ts')).volumePrune,
  },
];
