/**
 * What of the host the containers of one test file could leave behind. Nothing else is looked at: other containers may
 * start and end at the same time.
 */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isInTempFolder } from './temp.ts';

/** The name of each container of this test file; records and cgroups are named after it. */
export const CONTAINER_NAME = `test-${randomBytes(4).toString('hex')}`;

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** As the launcher names records, writable layers, and, after `boxctl-`, cgroups. */
const isNamed = (entry: string, name: string): boolean => entry.startsWith(`${name}-`);

/** The folders of a cgroup file system. Others' groups may be removed at any moment. */
function folders(within: string): readonly string[] {
  let entries;
  try {
    entries = readdirSync(within, { withFileTypes: true });
  } catch {
    return [];
  }
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(within, entry.name))
    .flatMap((path) => [path, ...folders(path)]);
}

/** The cgroups of containers of that name, however deep they lie. */
export function cgroups(name = CONTAINER_NAME): readonly string[] {
  return folders('/sys/fs/cgroup').filter((path) => isNamed(basename(path), `boxctl-${name}`));
}

function parentOf(pid: string): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')')).split(' ')[2]);
}

/** The launchers that this test file's containers have: started by this process, or by a boxctl in one of its folders. */
export function ownLaunchers(): readonly number[] {
  const own = list('/proc').filter((pid) => {
    if (!/^\d+$/u.test(pid)) return false;
    try {
      if (!readlinkSync(`/proc/${pid}/exe`).includes('boxctl-launcher')) return false;
      return parentOf(pid) === process.pid || isInTempFolder(readlinkSync(`/proc/${pid}/cwd`));
    } catch {
      // It has ended, or this user may not look at it.
      return false;
    }
  });
  return own.map(Number);
}

export interface Place {
  readonly stateFolder: string;
  readonly store?: string;
  /** Default: that of this test file. */
  readonly name?: string;
}

/** The names of records of containers of this test file. */
export function records({ stateFolder, name = CONTAINER_NAME }: Place): readonly string[] {
  return list(stateFolder).filter((entry) => isNamed(entry, name));
}

/** Mounts, cgroups, records, and launchers, in a form that can be compared. */
export function hostState(place: Place): object {
  const { store, stateFolder, name = CONTAINER_NAME } = place;
  const places = store === undefined ? [stateFolder] : [stateFolder, store];
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return {
    mounts: mounts.filter((line) => {
      const target = line.split(' ')[4] ?? '';
      return isInTempFolder(target) || places.some((folder) => target.startsWith(`${folder}/`));
    }),
    cgroups: cgroups(name),
    records: records(place),
    launchers: ownLaunchers(),
    upper: store === undefined ? [] : list(join(store, 'upper')).filter((entry) => isNamed(entry, name)),
  };
}
