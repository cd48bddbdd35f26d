/** The folders of containers in the background, as they are made, renamed and removed, whatever other commands do at the same time. */
import { closeSync, constants, existsSync, linkSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BoxctlError } from '../errors.ts';
import { writeWhole } from '../files/atomic-write.ts';
import { makeFolders } from '../files/folders.ts';
import { withLock } from '../files/locks.ts';
import { readOwnJson } from '../files/own.ts';
import type { HostFacts } from '../host/facts.ts';
import { callerMaps } from '../model/ids.ts';
import type { ImageFacts } from '../model/image.ts';
import type { Model } from '../model/model.ts';
import { tryLock } from '../native.ts';
import type { Plan } from '../plan/plan.ts';
import { isRecord } from '../text/json.ts';
import { removeTree } from '../worker/work.ts';
import { recordText, type KeptRecord } from './container-record.ts';
import { controlSocket, folderOf, keptContainers, type KeptContainer } from './containers.ts';
import { packEnding, packModel, packPlan } from './kept-files.ts';
import { shiftEvents } from './container-runs.ts';
import { useNextLimits } from './kept-limits.ts';
import { packRoot } from './kept-root.ts';
import { writeStartedFrom, type StartedFrom } from './started-from.ts';

export interface Place {
  readonly folder: string;
  /** The descriptor that holds its lock, to be kept open by the launcher. */
  readonly lock: number;
}

/** What a container is made from. */
export interface MadeFrom {
  readonly plan: Plan;
  readonly model: Model;
  readonly image: ImageFacts | undefined;
}

function writeMade(folder: string, { plan, model, image }: MadeFrom): void {
  writeWhole(join(folder, 'plan.json'), packPlan(plan));
  writeWhole(join(folder, 'ending.json'), packEnding(plan));
  writeWhole(join(folder, 'model.json'), packModel(model));
  if (image !== undefined) writeWhole(join(folder, 'root.json'), packRoot(model, image));
}

/** Makes the folder of a new container, locked. The caller holds `namesLock`. */
export function makePlace(host: HostFacts, record: KeptRecord, made: MadeFrom, from: StartedFrom): Place {
  const folder = join(folderOf(host), record.id);
  mkdirSync(folder, 0o700);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const lock = openSync(join(folder, 'lock'), flags, 0o600);
  try {
    tryLock(lock, true);
    writeMade(folder, made);
    writeStartedFrom(folder, from);
    // The last one: what has it is a container.
    writeWhole(join(folder, 'container.json'), recordText(record));
    return { folder, lock };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    closeSync(lock);
    throw error;
  }
}

/**
 * Takes the lock of a container that has ended, to start it again; undefined where it was removed meanwhile.
 *
 * @throws BoxctlError E_CONTAINER_FILES where somebody copies files into it, or out of it
 */
export function takePlace(host: HostFacts, { folder, name }: KeptContainer): Promise<Place | undefined> {
  return withLock(namesLock(host), async () => {
    let lock: number | undefined;
    try {
      lock = await takeLock(folder, PATIENCE_MS);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
    if (lock === undefined) {
      throw new BoxctlError('E_CONTAINER_FILES', `somebody else uses the files of the container ${name}`, {
        hint: 'try it again when that is done',
      });
    }
    // It may have been given another name, to be removed, while its lock was awaited.
    if (existsSync(join(folder, 'container.json'))) return { folder, lock };
    closeSync(lock);
    return undefined;
  });
}

/** By which commands tell how a run has ended. */
const OF_RUN = ['events', 'container.json', 'plan.json', 'ending.json', 'limits.json'];

/**
 * Keeps what the last run was made from beside the run's own events, until a launcher tells of another run. Whatever is killed
 * until then, the end of that run is told by its own plan (`folderOfRun`).
 */
function setAside(folder: string): void {
  // A start that was broken off has done so: the last run stays the last one.
  if (!existsSync(join(folder, 'events'))) return;
  removeBefore(folder);
  const before = join(folder, 'before');
  mkdirSync(before, 0o700);
  for (const name of OF_RUN) {
    if (existsSync(join(folder, name))) linkSync(join(folder, name), join(before, name));
  }
  shiftEvents({ folder });
}

/** Once a launcher tells of another run, nobody reads it: that it cannot be removed is no error. */
export function forgetBefore({ folder }: Place): void {
  try {
    removeBefore(folder);
  } catch {
    // The next start removes it.
  }
}

const removeBefore = (folder: string): void => rmSync(join(folder, 'before'), { recursive: true, force: true });

/** Makes the folder ready for another launcher. The caller holds its lock, so nobody uses what the last one has left there. */
export function remakePlace(host: HostFacts, { folder }: Place, record: KeptRecord, made: MadeFrom): void {
  setAside(folder);
  writeMade(folder, made);
  useNextLimits({ folder });
  // Changed limits are in the plan now, by the paths that cgroups have today.
  for (const name of ['limits', 'health', 'paused']) rmSync(join(folder, name), { force: true });
  rmSync(controlSocket(host, record.id), { force: true });
  writeWhole(join(folder, 'container.json'), recordText(record));
}

/**
 * Gives a container another name. Its cgroups, its record and its host name keep the old one.
 *
 * @throws BoxctlError E_CONTAINER_NAME_TAKEN, E_CONTAINER_NOT_FOUND
 */
export async function renameContainer(host: HostFacts, { id }: KeptContainer, name: string): Promise<void> {
  await withLock(namesLock(host), () => {
    const all = keptContainers(host);
    const container = all.find((one) => one.id === id);
    if (container === undefined) {
      throw new BoxctlError('E_CONTAINER_NOT_FOUND', `the container ${id} has been removed meanwhile`);
    }
    const other = all.find((one) => one.name === name && one.id !== id);
    if (other !== undefined) {
      throw new BoxctlError('E_CONTAINER_NAME_TAKEN', `another container is called ${name} (${other.id})`, {
        hint: `remove it first: boxctl rm ${name}`,
      });
    }
    const path = join(container.folder, 'container.json');
    const value = readOwnJson(path);
    // As it is there: with what another part of boxctl has added to it.
    if (isRecord(value)) writeWhole(path, `${JSON.stringify({ ...value, name })}\n`);
    return Promise.resolve();
  });
}

/** The file that is locked while a name is looked for and given. */
export function namesLock(host: HostFacts): string {
  makeFolders(folderOf(host), 0o700);
  return join(folderOf(host), 'lock');
}

/** The file that is locked while a container of this name is brought up or down. */
export function nameLock(host: HostFacts, name: string): string {
  // Not in the store, which may not be there yet.
  const folder = namesFolder(host);
  makeFolders(folder, 0o700);
  return join(folder, name);
}

const namesFolder = (host: HostFacts): string => join(host.dirs.state, 'names');

/** Whether a container of this name was ever brought up since the machine was started. */
export const hasNameLock = (host: HostFacts, word: string): boolean =>
  !word.includes('/') && word !== '.' && word !== '..' && existsSync(join(namesFolder(host), word));

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

/** What the folder is called while it is removed: nobody takes it for a container, and the next command removes the rest. */
export const REMOVED = /^removed-[0-9a-f]{12}$/u;
export const removedName = (id: string): string => `removed-${id}`;

/** Gives the folder the name under which it is removed. False: somebody else has done so. */
function takeAway({ folder, id }: Pick<KeptContainer, 'folder' | 'id'>): boolean {
  try {
    renameSync(folder, join(dirname(folder), removedName(id)));
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** Another command may be removing the same folder. */
export async function removeAway(host: HostFacts, name: string): Promise<void> {
  try {
    await removeTree(folderOf(host), name, callerMaps(host), host);
  } catch (error) {
    if (existsSync(join(folderOf(host), name))) throw error;
  }
}

/**
 * Removes what is left of a container whose launcher does not live, or is not to be started any more. The caller holds
 * `namesLock`, or has the container's own lock.
 */
export async function removePlace(host: HostFacts, container: Pick<KeptContainer, 'folder' | 'id'>): Promise<void> {
  if (!takeAway(container)) return;
  rmSync(controlSocket(host, container.id), { force: true });
  await removeAway(host, removedName(container.id));
}

/** As long as a killed launcher's descriptors are being closed. */
const PATIENCE_MS = 2000;
const INTERVAL_MS = 5;

/** Takes a container's lock; undefined where a launcher has it, also a moment later. */
async function takeLock(folder: string, patience: number): Promise<number | undefined> {
  for (let waited = 0; ; waited += INTERVAL_MS) {
    // Without a lock it is no container that could run.
    const fd = openSync(join(folder, 'lock'), constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    if (tryLock(fd, true)) return fd;
    closeSync(fd);
    if (waited >= patience) return undefined;
    await sleep(INTERVAL_MS);
  }
}

/**
 * Removes a container that has ended, whatever other commands do with it at the same time. `justEnded`: its launcher has hung
 * up, and may still be seen for a moment.
 */
export async function removeContainer(
  host: HostFacts,
  container: Pick<KeptContainer, 'folder' | 'id'>,
  justEnded: boolean,
): Promise<'removed' | 'gone' | 'runs'> {
  const { folder, id } = container;
  // Held until all is removed, so that no other command takes the folder for a leftover.
  let lock: number | undefined;
  try {
    const result = await withLock(namesLock(host), async () => {
      try {
        lock = await takeLock(folder, justEnded ? PATIENCE_MS : 0);
      } catch (error) {
        if (isMissing(error)) return 'gone';
        throw error;
      }
      if (lock === undefined) return 'runs';
      return takeAway(container) ? 'removed' : 'gone';
    });
    if (result !== 'removed') return result;
    rmSync(controlSocket(host, id), { force: true });
    await removeAway(host, removedName(id));
    return result;
  } finally {
    if (lock !== undefined) closeSync(lock);
  }
}
