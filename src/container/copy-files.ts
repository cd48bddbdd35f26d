/** Files into containers and out of them (`boxctl cp`), by the rules of docker's command. */
import { closeSync, constants, lstatSync, openSync, realpathSync, statSync, type Stats } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { FILES } from '../kernel/constants.ts';
import { errnoName, reasonOf } from '../kernel/errno.ts';
import { pipe } from '../native.ts';
import { planSend, planSendHost, planTake, planTakeHost, type FilesPath } from '../plan/files.ts';
import type { Report } from '../worker/json-lines.ts';
import { BadArchive, ownPlace, run, type Work } from '../worker/work.ts';
import { reachFiles, unlessGone } from './container-files.ts';
import { SILENT, type Reporter } from './reporter.ts';

export interface CopyOptions {
  /** The folder that paths of the host are relative to. */
  readonly cwd: string;
  /** Owners and set-id bits are copied, too. */
  readonly archive?: boolean;
  /** A link that is named as source is followed. */
  readonly followLink?: boolean;
  readonly reporter?: Reporter;
}

/** A container, by its name or the beginning of its id, and a path of its root. */
export interface ContainerPath {
  readonly container: string;
  readonly path: string;
}

/** Where a tar comes from or goes to: a descriptor of this process. */
export interface Stream {
  readonly fd: number;
}

/** The first name of every path in the tar between two processes: the one that takes it has its own. */
const TOP = 'boxctl';
const O_PATH = 0o10_000_000;
const FOLDER = O_PATH | constants.O_DIRECTORY;

const failure = (message: string, hint?: string, cause?: unknown): BoxctlError =>
  new BoxctlError('E_COPY', message, { ...(hint === undefined ? {} : { hint }), cause });

/** Its last name; '' for what has none: then its contents are meant. */
function nameOf(path: string): string {
  const name = path.replace(/\/+$/u, '').split('/').at(-1) ?? '';
  return name === '.' || name === '..' ? '' : name;
}

function statusOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

function openFolder(path: string, shown: string): number {
  try {
    return openSync(path, FOLDER);
  } catch (error) {
    throw failure(`${shown}: the folder cannot be opened: ${reasonOf(error)}`, undefined, error);
  }
}

interface HostPath {
  readonly folder: number;
  readonly name: string;
  readonly flags: number;
}

/** A place of the host that is copied to: a folder, and what is to lie there; '' for what comes into it. */
function hostTarget(given: string, from: string, cwd: string): HostPath {
  const path = resolve(cwd, given);
  const isFolder = /(?:^|\/)\.{0,2}$/u.test(given);
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found?.isDirectory() === true) return { folder: openFolder(path, given), name: nameOf(from), flags: 0 };
    const itself = statusOf(path);
    if (itself === undefined) {
      const flags = isFolder ? FILES.FOLDER : 0;
      return { folder: openFolder(dirname(path), dirname(given)), name: basename(path), flags };
    }
    if (isFolder) throw failure(`${given} is no folder`);
    // It would be replaced by a file.
    if (found !== undefined && !found.isFile()) {
      throw failure(`${given} is no file or folder`, 'to have a tar on standard output, write - in its place');
    }
    return { folder: openFolder(dirname(path), dirname(given)), name: basename(path), flags: FILES.NO_FOLDER };
  } catch (error) {
    if (error instanceof BoxctlError) throw error;
    throw failure(`${given}: ${reasonOf(error)}`, undefined, error);
  }
}

interface HostSource {
  readonly folder: number;
  readonly path: string;
  readonly name: string;
  readonly isFolder: boolean;
}

/** What of the host is copied: a name in a folder, or with `.` the folder itself. */
function hostSource(given: string, followLink: boolean, cwd: string): HostSource {
  const name = nameOf(given);
  try {
    const whole = resolve(cwd, given);
    const isFollowed = followLink || /(?:^|\/)\.{0,2}$/u.test(given);
    const path = isFollowed ? realpathSync(whole) : whole;
    const found = lstatSync(path);
    if (found.isSocket()) throw failure(`${given} is a socket, which cannot be copied`);
    if (found.isDirectory()) return { folder: openFolder(path, given), path: '.', name, isFolder: true };
    if (given.endsWith('/')) throw failure(`${given} is no folder`);
    return { folder: openFolder(dirname(path), given), path: basename(path), name, isFolder: false };
  } catch (error) {
    if (error instanceof BoxctlError) throw error;
    throw failure(`${given}: ${reasonOf(error)}`, undefined, error);
  }
}

const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: 'there is no room left where it is written: make some',
  EDQUOT: 'the quota is used up where it is written: make room',
  EROFS:
    'it is read-only there, or is kept in memory and gone with the container: volumes can be written, and tmpfs while it runs',
  EACCES: 'you may not do that there',
  EPERM: 'you may not do that there',
};

/** Of a path in a message, characters. */
const LONGEST_SHOWN = 200;

/** The sentence of a process that failed. `of`: what it worked on, as the person has written it. */
function explained(error: unknown, of: string): unknown {
  if (!(error instanceof BadArchive)) return error;
  const code = error.errno === 0 ? undefined : errnoName(error.errno);
  const inTar = error.entry.startsWith(`${TOP}/`) ? error.entry.slice(TOP.length + 1) : error.entry;
  const shown = inTar.length > LONGEST_SHOWN ? `…${inTar.slice(-LONGEST_SHOWN)}` : inTar;
  const entry = ['', '.', TOP].includes(inTar) ? '' : ` (${JSON.stringify(shown)})`;
  const known = code === undefined || code === 'ENOENT' || code === 'ENOTDIR';
  return failure(`${of}: ${error.message}${entry}${known ? '' : `: ${code}`}`, HINTS[code ?? ''], error);
}

const isBrokenPipe = (error: unknown): boolean => error instanceof BadArchive && errnoName(error.errno) === 'EPIPE';

interface Side {
  readonly work: Work;
  readonly shown: string;
}

/** Both processes at once. Where one fails, the other one fails for that reason, too. */
async function transfer(send: Side, take: Side): Promise<readonly [sent: Report, taken: Report]> {
  const [from, to] = pipe(1 << 20);
  const works = [run({ ...send.work, output: to }), run({ ...take.work, input: from })] as const;
  closeSync(from);
  closeSync(to);
  const [sent, taken] = await Promise.allSettled(works);
  if (sent.status === 'rejected' && !(taken.status === 'rejected' && isBrokenPipe(sent.reason))) {
    throw explained(sent.reason, send.shown);
  }
  if (taken.status === 'rejected') throw explained(taken.reason, take.shown);
  if (sent.status === 'rejected') throw explained(sent.reason, send.shown);
  return [sent.value, taken.value];
}

const count = (report: Report, key: string): number => Number(report[key] ?? 0);

function tell(reporter: Reporter, sent: Report | undefined, taken: Report | undefined): void {
  const skipped =
    (sent === undefined ? 0 : count(sent, 'skipped')) + (taken === undefined ? 0 : count(taken, 'skipped'));
  const say = (number: number, what: string): void => {
    if (number > 0) reporter.notice(`${number} ${what}`, undefined);
  };
  say(skipped, 'were left out: sockets, devices, attributes, or what the kernel makes up');
  say(sent === undefined ? 0 : count(sent, 'changed'), 'changed or went away while they were copied');
  say(taken === undefined ? 0 : count(taken, 'squashed'), 'have owners that there are not, and became root’s');
}

const shownOf = ({ container, path }: ContainerPath): string => `${container}:${path}`;

/**
 * Copies what a container has at a path to a path of the host, or as a tar to a descriptor.
 *
 * @throws BoxctlError `E_COPY`; as `reachFiles` does
 */
export async function copyFrom(
  host: HostFacts,
  from: ContainerPath,
  to: string | Stream,
  { cwd, archive = false, followLink = false, reporter = SILENT }: CopyOptions,
): Promise<void> {
  const target = typeof to === 'string' ? hostTarget(to, from.path, cwd) : undefined;
  try {
    const { files, id, name: container, release } = await reachFiles(host, from.container, false);
    const whole = async (): Promise<void> => {
      const flags = (followLink ? FILES.FOLLOW : 0) | (target?.flags ?? 0);
      const name = target === undefined ? nameOf(from.path) : TOP;
      const path: FilesPath = { pathname: from.path, name, flags };
      const send = { work: { plan: planSend(files, path, host), id }, shown: shownOf(from) };
      if (typeof to !== 'string') {
        const sent = await run({ ...send.work, output: to.fd }).catch((error: unknown) => {
          throw explained(error, send.shown);
        });
        tell(reporter, sent, undefined);
        return;
      }
      // Of an ordinary user, files with set-id bits would lend the rights of the user.
      const owners = archive && host.privileged;
      if (archive && !owners) reporter.notice('owners are not copied: only root can give files to others', undefined);
      const { folder = 0, name: top = '' } = target ?? {};
      const taken: FilesPath = { pathname: '.', name: top, flags: owners ? FILES.OWNERS : 0 };
      const plan = planTakeHost(taken, ownPlace('', host).ownership, host);
      tell(reporter, ...(await transfer(send, { work: { plan, output: folder }, shown: to })));
    };
    try {
      await unlessGone(host, { id, name: container }, whole());
    } finally {
      release();
    }
  } finally {
    if (target !== undefined) closeSync(target.folder);
  }
}

/**
 * Copies a file or folder of the host, or what a tar has, to a path of a container.
 *
 * @throws BoxctlError `E_COPY`; as `reachFiles` does
 */
export async function copyTo(
  host: HostFacts,
  from: string | Stream,
  to: ContainerPath,
  { cwd, archive = false, followLink = false, reporter = SILENT }: CopyOptions,
): Promise<void> {
  const source = typeof from === 'string' ? hostSource(from, followLink, cwd) : undefined;
  try {
    const { files, id, name: container, release } = await reachFiles(host, to.container, true);
    const whole = async (): Promise<void> => {
      const flags =
        (source === undefined ? FILES.TAR | FILES.OWNERS : 0) |
        (source?.isFolder === true ? FILES.FOLDER : 0) |
        (archive ? FILES.OWNERS : 0);
      const path: FilesPath = { pathname: to.path, name: source?.name ?? '', flags };
      const take = { work: { plan: planTake(files, path, host), id }, shown: shownOf(to) };
      if (source === undefined || typeof from !== 'string') {
        const input = typeof from === 'string' ? 0 : from.fd;
        const taken = await run({ ...take.work, input }).catch((error: unknown) => {
          throw explained(error, take.shown);
        });
        tell(reporter, undefined, taken);
        return;
      }
      const sent: FilesPath = { pathname: source.path, name: TOP, flags: 0 };
      const send = { work: { plan: planSendHost(sent, host), input: source.folder }, shown: from };
      tell(reporter, ...(await transfer(send, take)));
    };
    try {
      await unlessGone(host, { id, name: container }, whole());
    } finally {
      release();
    }
  } finally {
    if (source !== undefined) closeSync(source.folder);
  }
}
