/**
 * Containers in the background, running and ended. Each has a folder in the store:
 *
 *   containers/<id>/container.json   what it is (KeptRecord), written before it starts
 *   containers/<id>/plan.json        its plan (kept-files.ts)
 *   containers/<id>/model.json       what it was planned from (kept-files.ts)
 *   containers/<id>/lock             locked as long as its launcher lives
 *   containers/<id>/events           what the launcher has told of the last run (src/launcher/launch.ts)
 *   containers/<id>/events.1 … .4    and of the four before it, the last one first
 *   containers/<id>/disk/            what it writes
 *   containers/lock                  held while a name is given
 *
 * Its launcher takes orders at the socket `control/<id>` of the folder of records.
 */
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from '../files/atomic-write.ts';
import { makeFolders } from '../files/folders.ts';
import { isOwn, readOwn, readOwnJson } from '../files/own.ts';
import type { HostFacts } from '../host/facts.ts';
import { outcomeOf, type Outcome } from '../launcher/launch.ts';
import { callerMaps } from '../model/ids.ts';
import type { Model } from '../model/model.ts';
import { openOwn, tryLock } from '../native.ts';
import type { Plan } from '../plan/plan.ts';
import { isRecord, isTextList } from '../text/json.ts';
import { removeTree } from '../worker/work.ts';
import { packModel, packPlan, unpackModel, unpackPlan } from './kept-files.ts';

const VERSION = 1;
const ID = /^[0-9a-f]{12}$/u;

/** container.json. */
export interface KeptRecord {
  readonly id: string;
  readonly name: string;
  /** The container file, absolute. */
  readonly file: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  /** /proc/sys/kernel/random/boot_id when it was started. */
  readonly boot: string;
  readonly command: readonly string[];
  /** What a person calls its image. */
  readonly image: string | undefined;
}

/** The command's way through one run, as far as it is known. */
export interface KeptRun {
  /** How often the launcher had started the container again by itself. */
  readonly restarts: number;
  /** Milliseconds since 1970: when it is started again. Undefined: it runs, or nobody starts it again. */
  readonly next: number | undefined;
  /** Milliseconds since 1970. */
  readonly started: number | undefined;
  readonly ended: number | undefined;
  /** The command's process, as the host numbers it. */
  readonly pid: number | undefined;
  /** Undefined as long as it runs, and where nobody could write down how it ended. */
  readonly outcome: Outcome | undefined;
}

export interface KeptContainer extends KeptRecord {
  readonly folder: string;
  /** Its launcher lives. */
  readonly isAlive: boolean;
  /** The machine was started again since. */
  readonly isOfOtherBoot: boolean;
}

const folderOf = ({ dirs }: HostFacts): string => join(dirs.store, 'containers');
export const controlSocket = ({ dirs }: HostFacts, id: string): string => join(dirs.state, 'control', id);

export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

function parseRecord(value: unknown): KeptRecord | undefined {
  if (!isRecord(value) || value['version'] !== VERSION) return undefined;
  const { id, name, file, created, boot, command, image } = value;
  const isWhole =
    typeof id === 'string' &&
    ID.test(id) &&
    typeof name === 'string' &&
    typeof file === 'string' &&
    typeof created === 'number' &&
    typeof boot === 'string' &&
    isTextList(command) &&
    (image === undefined || typeof image === 'string');
  return isWhole ? { id, name, file, created, boot, command, image } : undefined;
}

/** Whether the launcher holds the lock. */
function isLocked(folder: string): boolean {
  let fd: number;
  try {
    fd = openOwn(join(folder, 'lock'), 'file');
  } catch {
    return false;
  }
  try {
    return !tryLock(fd, false);
  } finally {
    closeSync(fd);
  }
}

/** All containers of the caller's, the oldest first. What is half made, or was written by another version, is left out. */
export function keptContainers(host: HostFacts): readonly KeptContainer[] {
  const parent = folderOf(host);
  let ids: readonly string[];
  try {
    ids = readdirSync(parent).filter((name) => ID.test(name));
  } catch {
    return [];
  }
  const boot = bootId();
  return ids
    .flatMap((id) => {
      const folder = join(parent, id);
      const record = parseRecord(readOwnJson(join(folder, 'container.json')));
      if (record?.id !== id) return [];
      return [{ ...record, folder, isAlive: isLocked(folder), isOfOtherBoot: record.boot !== boot }];
    })
    .toSorted((one, other) => one.created - other.created);
}

export function readKeptPlan({ folder }: Pick<KeptContainer, 'folder'>): Plan | undefined {
  const path = join(folder, 'plan.json');
  return isOwn(path, 'file') ? unpackPlan(readOwn(path)) : undefined;
}

export function readKeptModel({ folder }: Pick<KeptContainer, 'folder'>): Model | undefined {
  const path = join(folder, 'model.json');
  return isOwn(path, 'file') ? unpackModel(readOwn(path)) : undefined;
}

const UNKNOWN: KeptRun = {
  restarts: 0,
  next: undefined,
  started: undefined,
  ended: undefined,
  pid: undefined,
  outcome: undefined,
};

/** What the launcher has told in a file of the container's folder; undefined where there is none. */
function readEvents(folder: string, name: string, plan: Plan): KeptRun | undefined {
  let fd: number;
  try {
    fd = openOwn(join(folder, name), 'file');
  } catch {
    return undefined;
  }
  let run = UNKNOWN;
  try {
    const outcome = outcomeOf(plan, readFileSync(fd), (event) => {
      if (event.kind === 'run') run = { ...run, restarts: event.restarts };
      if (event.kind === 'started') run = { ...run, pid: event.pid, started: event.at };
      if (event.kind === 'ended' || event.kind === 'failed') run = { ...run, ended: event.at };
      if (event.kind === 'restarting') run = { ...run, restarts: event.restarts, next: event.at + event.delayMs };
    });
    return { ...run, outcome };
  } finally {
    closeSync(fd);
  }
}

/** Of the runs before the last one, as many are kept. */
const EARLIER_RUNS = 4;

/** What the launcher has told of the last run. */
export function readRun({ folder, isAlive }: Pick<KeptContainer, 'folder' | 'isAlive'>, plan: Plan): KeptRun {
  // A launcher that was killed between two runs may have left the last one's under its later name alone.
  const run = readEvents(folder, 'events', plan) ?? (isAlive ? undefined : readEvents(folder, 'events.1', plan));
  if (run === undefined) return UNKNOWN;
  // The launcher tells of the end before it is gone, and may still be at it.
  const waits = isAlive && run.next !== undefined;
  return { ...run, next: waits ? run.next : undefined, outcome: isAlive && !waits ? undefined : run.outcome };
}

/** The runs before the last one, the latest first. */
export function readEarlierRuns({ folder }: Pick<KeptContainer, 'folder'>, plan: Plan): readonly KeptRun[] {
  return Array.from({ length: EARLIER_RUNS }, (_, index) => readEvents(folder, `events.${index + 1}`, plan)).flatMap(
    (run) => run ?? [],
  );
}

/** Makes room for what the launcher of a container that is started again tells. */
export function shiftEvents({ folder }: Pick<KeptContainer, 'folder'>): void {
  for (let run = EARLIER_RUNS; run > 0; run--) {
    try {
      renameSync(join(folder, run === 1 ? 'events' : `events.${run - 1}`), join(folder, `events.${run}`));
    } catch {
      // It has not run so often.
    }
  }
}

export interface Place {
  readonly folder: string;
  /** The descriptor that holds its lock, to be kept open by the launcher. */
  readonly lock: number;
}

/** Makes the folder of a new container, locked. The caller holds `namesLock`. */
export function makePlace(host: HostFacts, record: KeptRecord, plan: Plan, model: Model): Place {
  const folder = join(folderOf(host), record.id);
  mkdirSync(folder, 0o700);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const lock = openSync(join(folder, 'lock'), flags, 0o600);
  tryLock(lock, true);
  writeFileSync(join(folder, 'plan.json'), packPlan(plan), { mode: 0o600, flag: 'wx' });
  writeFileSync(join(folder, 'model.json'), packModel(model), { mode: 0o600, flag: 'wx' });
  // The last one: what has it is a container.
  writeWhole(join(folder, 'container.json'), `${JSON.stringify({ version: VERSION, ...record })}\n`);
  return { folder, lock };
}

/** The file that is locked while a name is looked for and given. */
export function namesLock(host: HostFacts): string {
  makeFolders(folderOf(host), 0o700);
  return join(folderOf(host), 'lock');
}

/** Removes what is left of a container whose launcher does not live. */
export async function removePlace(
  host: HostFacts,
  { folder, id }: Pick<KeptContainer, 'folder' | 'id'>,
): Promise<void> {
  // First of all, so that nobody takes the rest for a container.
  rmSync(join(folder, 'container.json'), { force: true });
  rmSync(controlSocket(host, id), { force: true });
  await removeTree(folderOf(host), id, callerMaps(host), host);
}
