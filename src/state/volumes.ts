/** The volumes that boxctl keeps: listed, and removed unless they are in use (src/model/volume-id.ts says where they lie). */
import { closeSync, openSync, readdirSync, readlinkSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolders } from '../files/folders.ts';
import { unfinishedName } from '../files/atomic-write.ts';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { removeTree } from '../worker/work.ts';
import { callerMaps } from '../model/ids.ts';
import { volumesFolder } from '../model/volume-id.ts';
import { tryLock } from '../native.ts';
import { realPath } from '../files/read.ts';

const ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}-[0-9a-f]{12}$/u;

const HASH = /-[0-9a-f]{12}$/u;

export interface KeptVolume {
  readonly id: string;
  /** What the specification calls it. */
  readonly name: string;
  /** The folder of the specification that it belongs to, and whether that is still there. */
  readonly folder: string;
  readonly folderExists: boolean;
  readonly inUse: boolean;
  /** Where its files are. */
  readonly data: string;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Runs `work` with the volume's lock, which every container that uses it shares; undefined where one does. */
function ifUnused<T>(host: HostFacts, id: string, work: () => T): T | undefined {
  const fd = openSync(join(volumesFolder(host), '.locks', id), 'a', 0o600);
  try {
    return tryLock(fd, true) ? work() : undefined;
  } finally {
    closeSync(fd);
  }
}

function entriesOf(folder: string): readonly string[] {
  return isFolder(folder) ? readdirSync(folder) : [];
}

function describe(host: HostFacts, id: string): KeptVolume {
  const place = join(volumesFolder(host), id);
  let folder = '';
  try {
    folder = readlinkSync(join(place, 'folder'));
  } catch {
    // The launcher was killed while it made the volume.
  }
  const inUse = ifUnused(host, id, () => true) === undefined;
  return { id, name: id.replace(HASH, ''), folder, folderExists: isFolder(folder), inUse, data: join(place, 'data') };
}

/** All volumes of the caller's, by name. */
export function listVolumes(host: HostFacts): readonly KeptVolume[] {
  return entriesOf(volumesFolder(host))
    .filter((id) => ID.test(id))
    .toSorted()
    .map((id) => describe(host, id));
}

/**
 * The volume that a person means: by its id, or by a name that one volume alone has, or that one of the folder `from` has.
 * Throws `E_VOLUME_UNKNOWN`, `E_VOLUME_AMBIGUOUS`.
 */
export function findVolume(host: HostFacts, word: string, from: string): KeptVolume {
  if (ID.test(word) && isFolder(join(volumesFolder(host), word))) return describe(host, word);
  const named = listVolumes(host).filter(({ name }) => name === word);
  const here = realPath(from);
  const found = named.length > 1 ? named.filter(({ folder }) => folder === here) : named;
  if (found[0] !== undefined && found.length === 1) return found[0];
  if (named.length > 1) {
    throw new BoxctlError('E_VOLUME_AMBIGUOUS', `${named.length} volumes are called ${word}`, {
      hint: `say which, by its id: ${named.map(({ id }) => id).join(', ')}`,
    });
  }
  throw new BoxctlError('E_VOLUME_UNKNOWN', `there is no volume ${JSON.stringify(word)}`, {
    hint: '`boxctl volume ls` lists them, each with its folder',
  });
}

/**
 * Removes a volume and all in it. Under its lock it is only renamed, so that no container has to wait for more; what a
 * killed removal has left is removed by the next. Throws `E_VOLUME_UNKNOWN`, or `E_VOLUME_IN_USE`.
 */
export async function removeVolume(host: HostFacts, id: string): Promise<void> {
  findVolume(host, id, '/');
  const trash = join(volumesFolder(host), '.trash');
  makeFolders(trash, 0o700);
  const name = unfinishedName(id);
  const moved = ifUnused(host, id, () => {
    renameSync(join(volumesFolder(host), id), join(trash, name));
    return true;
  });
  if (moved === undefined) {
    throw new BoxctlError('E_VOLUME_IN_USE', `the volume ${id} is in use`, { hint: 'end its container first' });
  }
  for (const left of entriesOf(trash)) await removeTree(trash, left, callerMaps(host), host);
}

/** Removes what is not in use and, unless `all` is asked for, belongs to a folder that is gone. Gives what was removed. */
export async function pruneVolumes(host: HostFacts, all: boolean): Promise<readonly string[]> {
  const wanted = listVolumes(host).filter(({ inUse, folderExists }) => !inUse && (all || !folderExists));
  for (const { id } of wanted) await removeVolume(host, id);
  return wanted.map(({ id }) => id);
}
