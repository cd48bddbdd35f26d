/**
 * Containers in the background, running and ended. Each has a folder in the store:
 *
 *   containers/<id>/container.json   what it is (KeptRecord), written before it starts
 *   containers/<id>/plan.json        its plan (kept-files.ts)
 *   containers/<id>/model.json       what it was planned from (kept-files.ts)
 *   containers/<id>/root.json        what its root is made of (kept-root.ts)
 *   containers/<id>/document.json    what it was started from (started-from.ts)
 *   containers/<id>/lock             locked as long as its launcher lives
 *   containers/<id>/events           what the launcher has told of the last run (src/launcher/launch.ts)
 *   containers/<id>/events.1 … .4    and of the four before it, the last one first
 *   containers/<id>/log/             what it has said (log-files.ts)
 *   containers/<id>/disk/            what it writes
 *   containers/removed-<id>          what is being removed
 *   containers/lock                  held while a name is given or taken away
 *
 * Its launcher takes orders at the socket `control/<id>` of the folder of records. `names/<name>` there is locked while a container
 * of that name is brought up or down.
 */
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BoxctlError } from '../errors.ts';
import { writeWhole } from '../files/atomic-write.ts';
import { makeFolders } from '../files/folders.ts';
import { withLock } from '../files/locks.ts';
import { isOwn, readOwn, readOwnJson } from '../files/own.ts';
import type { HostFacts } from '../host/facts.ts';
import { outcomeOf, type LaunchEvent, type Outcome } from '../launcher/launch.ts';
import { callerMaps } from '../model/ids.ts';
import type { ImageFacts } from '../model/image.ts';
import type { Model } from '../model/model.ts';
import { openOwn, tryLock } from '../native.ts';
import type { Plan } from '../plan/plan.ts';
import { isRecord, isTextList, isTexts } from '../text/json.ts';
import { removeTree } from '../worker/work.ts';
import { packModel, packPlan, unpackModel, unpackPlan } from './kept-files.ts';
import { packRoot } from './kept-root.ts';

const VERSION = 1;
const ID = /^[0-9a-f]{12}$/u;

/** A published port, as far as it is known before the start. */
export interface KeptPort {
  /** Of the host; undefined: all. */
  readonly address?: string;
  /** Of the host; 0: the kernel chooses one at the start. */
  readonly host_port: number;
  /** Of the container. */
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
}

export interface KeptMount {
  readonly type: string;
  /** A path of the host, or the name of a volume; undefined: none. */
  readonly source?: string;
  readonly target: string;
  readonly read_only: boolean;
}

export interface KeptNetwork {
  readonly name: string;
  readonly ipv4?: string;
  readonly ipv6?: string;
}

/** container.json (specs/state.schema.json). No value that the file has from the environment or another file is in it. */
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
  readonly ports?: readonly KeptPort[];
  /** Those that the file asks for. */
  readonly mounts?: readonly KeptMount[];
  readonly networks?: readonly KeptNetwork[];
  readonly labels?: Readonly<Record<string, string>>;
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
  /** It belongs to a `boxctl up` that waits for it, and what is known of it goes with it (foreground.ts). */
  readonly isForeground?: boolean;
  /** Of one in the foreground: its first process. */
  readonly pid?: number;
}

/** A folder whose container.json cannot be used. */
export interface BrokenContainer {
  readonly id: string;
  readonly folder: string;
  readonly isAlive: boolean;
  /** A sentence without full stop. */
  readonly problem: string;
}

const folderOf = ({ dirs }: HostFacts): string => join(dirs.store, 'containers');
export const controlSocket = ({ dirs }: HostFacts, id: string): string => join(dirs.state, 'control', id);

export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

const isText = (value: unknown): value is string => typeof value === 'string';
const isOptionalText = (value: unknown): value is string | undefined => value === undefined || isText(value);
const isPort = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 0xffff;

function listOf<T>(value: unknown, isItem: (item: Readonly<Record<string, unknown>>) => boolean): readonly T[] {
  return Array.isArray(value) && value.every((item) => isRecord(item) && isItem(item)) ? (value as readonly T[]) : [];
}

const portsOf = (value: unknown): readonly KeptPort[] =>
  listOf<KeptPort>(
    value,
    ({ address, host_port, port, protocol }) =>
      isOptionalText(address) && isPort(host_port) && isPort(port) && (protocol === 'tcp' || protocol === 'udp'),
  );
const mountsOf = (value: unknown): readonly KeptMount[] =>
  listOf<KeptMount>(
    value,
    ({ type, source, target, read_only }) =>
      isText(type) && isOptionalText(source) && isText(target) && typeof read_only === 'boolean',
  );
const networksOf = (value: unknown): readonly KeptNetwork[] =>
  listOf<KeptNetwork>(value, ({ name, ipv4, ipv6 }) => isText(name) && isOptionalText(ipv4) && isOptionalText(ipv6));

export function parseRecord(value: unknown): KeptRecord | undefined {
  if (!isRecord(value) || value['version'] !== VERSION) return undefined;
  const { id, name, file, created, boot, command, image, ports, mounts, networks, labels } = value;
  const isWhole =
    isText(id) &&
    ID.test(id) &&
    isText(name) &&
    isText(file) &&
    Number.isFinite(created) &&
    isText(boot) &&
    isTextList(command) &&
    isOptionalText(image);
  return isWhole
    ? {
        id,
        name,
        file,
        created: Number(created),
        boot,
        command,
        image,
        ports: portsOf(ports),
        mounts: mountsOf(mounts),
        networks: networksOf(networks),
        labels: isTexts(labels) ? labels : {},
      }
    : undefined;
}

/** The text of container.json. */
export const recordText = (record: KeptRecord): string => `${JSON.stringify({ version: VERSION, ...record })}\n`;

/** Why container.json gives nothing. */
function problemOf(value: unknown): string {
  if (!isRecord(value)) return 'its container.json is damaged';
  const { version } = value;
  if (version === VERSION || typeof version !== 'number') return 'its container.json is damaged';
  return `its container.json was written by another version of boxctl (format ${version})`;
}

/** Whether the launcher holds the lock, as it does until it ends. */
export function isLocked(folder: string): boolean {
  let fd: number;
  try {
    fd = openOwn(`${folder}/lock`, 'file');
  } catch {
    return false;
  }
  try {
    return !tryLock(fd, false);
  } finally {
    closeSync(fd);
  }
}

interface Places {
  readonly kept: readonly KeptContainer[];
  readonly broken: readonly BrokenContainer[];
}

function readPlace(parent: string, id: string, boot: string): KeptContainer | BrokenContainer | undefined {
  const folder = `${parent}/${id}`;
  const path = `${folder}/container.json`;
  let problem: string;
  try {
    const value = readOwnJson(path);
    const record = parseRecord(value);
    if (record?.id === id) return { ...record, folder, isAlive: isLocked(folder), isOfOtherBoot: record.boot !== boot };
    // Half made, or half removed: what is without it is no container.
    if (value === undefined && !isOwn(path, 'file')) return undefined;
    problem = record === undefined ? problemOf(value) : 'its container.json is that of another container';
  } catch (error) {
    if (!(error instanceof BoxctlError)) throw error;
    problem = error.message;
  }
  return { id, folder, isAlive: isLocked(folder), problem };
}

/** All folders of containers in the background, the oldest container first. */
export function readPlaces(host: HostFacts): Places {
  const parent = folderOf(host);
  let ids: readonly string[];
  try {
    ids = readdirSync(parent).filter((name) => ID.test(name));
  } catch {
    return { kept: [], broken: [] };
  }
  const boot = bootId();
  const kept: KeptContainer[] = [];
  const broken: BrokenContainer[] = [];
  for (const id of ids) {
    const found = readPlace(parent, id, boot);
    if (found === undefined) continue;
    if ('problem' in found) broken.push(found);
    else kept.push(found);
  }
  return { kept: kept.toSorted((one, other) => one.created - other.created), broken };
}

/** All containers of the caller's in the background, the oldest first. What is half made or damaged is left out. */
export const keptContainers = (host: HostFacts): readonly KeptContainer[] => readPlaces(host).kept;

export function readKeptPlan({ folder }: Pick<KeptContainer, 'folder'>): Plan | undefined {
  const path = join(folder, 'plan.json');
  return isOwn(path, 'file') ? unpackPlan(readOwn(path)) : undefined;
}

export function readKeptModel({ folder }: Pick<KeptContainer, 'folder'>): Model | undefined {
  const path = join(folder, 'model.json');
  return isOwn(path, 'file') ? unpackModel(readOwn(path)) : undefined;
}

/** For what can be told without the plan. */
const NO_PLAN: Pick<Plan, 'reports'> = { reports: [] };

type Counted = Pick<Plan, 'reports' | 'tallies'>;

const UNKNOWN: KeptRun = {
  restarts: 0,
  next: undefined,
  started: undefined,
  ended: undefined,
  pid: undefined,
  outcome: undefined,
};

/** What the launcher has told in a file of the container's folder; undefined where there is none. */
function readEvents(folder: string, name: string, plan: Counted): KeptRun | undefined {
  let fd: number;
  try {
    fd = openOwn(`${folder}/${name}`, 'file');
  } catch {
    return undefined;
  }
  let run = UNKNOWN;
  try {
    const note = (event: LaunchEvent): void => {
      if (event.kind === 'run') run = { ...run, restarts: event.restarts };
      if (event.kind === 'started') run = { ...run, pid: event.pid, started: event.at };
      if (event.kind === 'ended' || event.kind === 'failed') run = { ...run, ended: event.at };
      if (event.kind === 'restarting') run = { ...run, restarts: event.restarts, next: event.at + event.delayMs };
    };
    const outcome = outcomeOf(plan, readFileSync(fd), note, plan !== NO_PLAN);
    return { ...run, outcome };
  } catch (error) {
    // Damaged, or written by another version.
    if (error instanceof BoxctlError) return { ...run, outcome: undefined };
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** Of the runs before the last one, as many are kept. */
const EARLIER_RUNS = 4;

/** What the launcher has told of the last run. Without a plan, what it has counted is left out. */
export function readRun(
  { folder, isAlive }: Pick<KeptContainer, 'folder' | 'isAlive'>,
  plan: Counted = NO_PLAN,
): KeptRun {
  // A launcher that was killed between two runs may have left the last one's under its later name alone.
  const run = readEvents(folder, 'events', plan) ?? (isAlive ? undefined : readEvents(folder, 'events.1', plan));
  if (run === undefined) return UNKNOWN;
  // The launcher tells of the end before it is gone, and may still be at it.
  const waits = isAlive && run.next !== undefined;
  return { ...run, next: waits ? run.next : undefined, outcome: isAlive && !waits ? undefined : run.outcome };
}

/** The runs before the last one, the latest first. */
export function readEarlierRuns(
  { folder }: Pick<KeptContainer, 'folder'>,
  plan: Counted = NO_PLAN,
): readonly KeptRun[] {
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
export function makePlace(
  host: HostFacts,
  record: KeptRecord,
  { plan, model, image }: { readonly plan: Plan; readonly model: Model; readonly image: ImageFacts | undefined },
): Place {
  const folder = join(folderOf(host), record.id);
  mkdirSync(folder, 0o700);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const lock = openSync(join(folder, 'lock'), flags, 0o600);
  tryLock(lock, true);
  writeFileSync(join(folder, 'plan.json'), packPlan(plan), { mode: 0o600, flag: 'wx' });
  writeFileSync(join(folder, 'model.json'), packModel(model), { mode: 0o600, flag: 'wx' });
  if (image !== undefined)
    writeFileSync(join(folder, 'root.json'), packRoot(model, image), { mode: 0o600, flag: 'wx' });
  // The last one: what has it is a container.
  writeWhole(join(folder, 'container.json'), recordText(record));
  return { folder, lock };
}

/**
 * Gives a container another name. Its cgroups, its record and its host name keep the old one until it is started anew.
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
  const folder = join(host.dirs.state, 'names');
  makeFolders(folder, 0o700);
  return join(folder, name);
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

/** What the folder is called while it is removed: nobody takes it for a container, and the next command removes the rest. */
const REMOVED = /^removed-[0-9a-f]{12}$/u;

/** Gives the folder the name under which it is removed. False: somebody else has done so. */
function takeAway({ folder, id }: Pick<KeptContainer, 'folder' | 'id'>): boolean {
  try {
    renameSync(folder, join(dirname(folder), `removed-${id}`));
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** Another command may be removing the same folder. */
async function removeAway(host: HostFacts, name: string): Promise<void> {
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
  await removeAway(host, `removed-${container.id}`);
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
    await removeAway(host, `removed-${id}`);
    return result;
  } finally {
    if (lock !== undefined) closeSync(lock);
  }
}

/** Folders that a killed command has left half made or half removed. The caller holds `namesLock`. */
export function halfPlaces(host: HostFacts): readonly string[] {
  const parent = folderOf(host);
  let names: readonly string[];
  try {
    names = readdirSync(parent);
  } catch {
    return [];
  }
  return names
    .filter((name) => {
      if (!(REMOVED.test(name) || ID.test(name)) || isLocked(join(parent, name))) return false;
      if (REMOVED.test(name)) return true;
      try {
        return !isOwn(join(parent, name, 'container.json'), 'file');
      } catch {
        return false;
      }
    })
    .map((name) => join(parent, name));
}

/** Removes one of them. */
export const removeHalf = (host: HostFacts, folder: string): Promise<void> => removeAway(host, basename(folder));
