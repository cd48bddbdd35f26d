/** The files of containers in the background, and of those in the foreground as long as they run: how they are reached. */
import { closeSync, constants, existsSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { openOwn, tryLock } from '../native.ts';
import type { BuiltFiles, ContainerFiles, JoinedFiles } from '../plan/files.ts';
import { readKeptModel, type KeptContainer } from '../state/containers.ts';
import { readKeptRoot } from '../state/kept-root.ts';
import { firstProcess, type FirstProcess } from '../state/running.ts';
import { closed } from './closed.ts';
import { allContainers, findAny } from './existing.ts';

/** Files that can be reached until `release` is called. */
export interface Reached {
  readonly name: string;
  /** `$ID` of the plan. */
  readonly id: string;
  readonly files: ContainerFiles;
  release(): void;
}

const namespaceOf = (pid: number | 'self', type: 'user' | 'mnt'): number => statSync(`/proc/${pid}/ns/${type}`).ino;

/** The id inside that a process with all rights there has: 0, or the smallest that there is. */
function rootOf(pid: number, file: 'uid_map' | 'gid_map'): number {
  const ids = readFileSync(`/proc/${pid}/${file}`, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => Number(line.trim().split(/\s+/u)[0]));
  return Math.min(...ids);
}

function joined({ pid, birth }: FirstProcess, name: string): JoinedFiles {
  try {
    if (namespaceOf(pid, 'mnt') === namespaceOf('self', 'mnt')) {
      throw new BoxctlError(
        'E_CONTAINER_FILES',
        `the container ${name} has the files of the host, and none of its own`,
        {
          hint: 'copy them as any others: cp',
        },
      );
    }
    const isOwn = namespaceOf(pid, 'user') !== namespaceOf('self', 'user');
    const root = isOwn ? { uid: rootOf(pid, 'uid_map'), gid: rootOf(pid, 'gid_map') } : undefined;
    return { kind: 'joined', pid: String(pid), birth, root };
  } catch (error) {
    if (error instanceof BoxctlError) throw error;
    if (error instanceof Error && 'code' in error && error.code === 'EACCES') throw closed(name);
    throw new BoxctlError('E_CONTAINER_NOT_RUNNING', `the container ${name} has just ended`, {
      hint: 'try it again',
      cause: error,
    });
  }
}

/** As far as a container's folder tells: by version, and by what was kept. */
export function builtFiles(container: KeptContainer, isWritten: boolean): BuiltFiles {
  const { name, folder } = container;
  const model = readKeptModel(container);
  const root = readKeptRoot(container);
  if (model === undefined || root === undefined) {
    throw new BoxctlError('E_CONTAINER_RECORD', `of the container ${name} it is not known what its files are made of`, {
      hint: 'it has no files of its own, or was started by another version of boxctl',
    });
  }
  if (model.config.linux.namespaces.some(({ type, path }) => type === 'user' && path !== undefined)) {
    throw new BoxctlError('E_CONTAINER_FILES', `the container ${name} is in the user namespace of another one`, {
      hint: 'its files can be reached while it runs',
    });
  }
  const hasUpper = existsSync(join(folder, 'disk/upper'));
  // The folders that they are mounted at were made at the first start; in memory they are made for this.
  const mounts =
    hasUpper || isWritten || model.writable !== 'disk'
      ? root.mounts.filter((mount) => mount.kind === 'volume' || existsSync(mount.source))
      : [];
  return { kind: 'built', model, image: root.image, mounts, hasUpper, isWritten };
}

const LONGEST_WAIT_MS = 10_000;

/** The layer of a container that does not run, for this process alone. */
async function lockLayer({ name, folder }: KeptContainer): Promise<number> {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  const fd = openSync(join(folder, 'disk'), flags);
  const until = Date.now() + LONGEST_WAIT_MS;
  while (!tryLock(fd, true)) {
    if (Date.now() > until) {
      closeSync(fd);
      throw new BoxctlError('E_CONTAINER_FILES', `somebody else is writing to the files of the container ${name}`, {
        hint: 'try it again when that is done',
      });
    }
    await sleep(20);
  }
  return fd;
}

/**
 * As long as it is held, the container is not started. Undefined: it has just been started. Nobody takes the container for one
 * that runs, whose lock is exclusive.
 */
function holdStopped({ folder }: KeptContainer): number | undefined {
  const fd = openOwn(join(folder, 'lock'), 'file');
  if (tryLock(fd, false)) return fd;
  closeSync(fd);
  return undefined;
}

async function reach(host: HostFacts, container: KeptContainer, isWritten: boolean): Promise<Reached | undefined> {
  const { name, id } = container;
  if (container.isAlive) {
    const first = firstProcess(host, name, id);
    if (first !== undefined) return { name, id, files: joined(first, name), release: () => undefined };
    throw new BoxctlError('E_CONTAINER_NOT_RUNNING', `the container ${name} is just starting or ending`, {
      hint: 'try it again',
    });
  }
  const held = holdStopped(container);
  if (held === undefined) return undefined;
  const locks = [held];
  const release = (): void => locks.forEach((fd) => closeSync(fd));
  try {
    const files = builtFiles(container, isWritten);
    if (isWritten && files.model.writable === 'disk') locks.push(await lockLayer(container));
    return { name, id, files, release };
  } catch (error) {
    release();
    throw error;
  }
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

const WORK: ReadonlySet<string> = new Set(['E_IMAGE_WORK', 'E_CONTAINER_RECORD', 'E_LAUNCHER_DIED']);

/** Where work on a container failed because somebody has ended, started or removed it meanwhile, that is said. */
export async function unlessGone<T>(
  host: HostFacts,
  of: Pick<KeptContainer, 'id' | 'name'>,
  work: Promise<T>,
): Promise<T> {
  const find = () => allContainers(host).containers.find(({ id }) => id === of.id);
  const before = find()?.isAlive;
  try {
    return await work;
  } catch (error) {
    const now = find()?.isAlive;
    const isOfWork = error instanceof BoxctlError ? WORK.has(error.code) : isMissing(error);
    if (!isOfWork || (now !== undefined && now === before)) throw error;
    const what = now === undefined ? 'was removed' : now ? 'was started' : 'has ended';
    throw new BoxctlError('E_CONTAINER_NOT_RUNNING', `the container ${of.name} ${what} meanwhile`, { cause: error });
  }
}

/**
 * The files of the container of this name, or whose id begins so.
 *
 * @throws as `findAny` does; BoxctlError `E_CONTAINER_FILES`, `E_CONTAINER_NOT_RUNNING`, `E_CONTAINER_RECORD`
 */
export async function reachFiles(host: HostFacts, word: string, isWritten: boolean): Promise<Reached> {
  for (let tries = 0; ; tries++) {
    const container = findAny(host, word);
    const reached = await unlessGone(host, container, reach(host, container, isWritten));
    if (reached !== undefined) return reached;
    if (tries === 3)
      throw new BoxctlError('E_CONTAINER_FILES', `the container ${container.name} is started and ended all the time`);
  }
}
