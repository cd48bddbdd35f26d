/**
 * Reads of the file system for everything that a plan is made from. The functions are those of node:fs and node:os by name and
 * type; each notes what it reads (record.ts). Folders that make plans must not use the originals (test/unit/inputs).
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import { absolute, isRecording, NAMESPACES, note, noteGap, notePath, type Fact, type TablePart } from './record.ts';
import { environment } from './environment.ts';

/** A descriptor that was opened through this module, or by its path in /proc/self/fd: what it leads to is noted already. */
const DESCRIPTOR = /^\/proc\/self\/fd\/\d+$/u;
const IN_DESCRIPTOR = /^\/proc\/self\/fd\/\d+\//u;
/** Files there have times that tell nothing of their content. */
const BY_KERNEL = /^\/(?:proc|sys)\//u;

const WRITES = fs.constants.O_WRONLY | fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_TRUNC;

const text = (path: fs.PathLike): string => (typeof path === 'string' ? path : path.toString());

export const lstatSync = ((path: fs.PathLike, options?: fs.StatSyncOptions) => {
  notePath(text(path), { follows: false, isWhole: options?.bigint === true });
  return fs.lstatSync(path, options);
}) as typeof fs.lstatSync;

/** With `bigint`, the times of a folder count, too. */
export const statSync = ((path: fs.PathLike, options?: fs.StatSyncOptions) => {
  notePath(text(path), { isWhole: options?.bigint === true });
  return fs.statSync(path, options);
}) as typeof fs.statSync;

export function readlinkSync(path: string): string {
  if (DESCRIPTOR.test(path)) return fs.readlinkSync(path);
  notePath(path, { follows: false });
  return fs.readlinkSync(path);
}

/** realpath(3). */
export function realpathSync(path: string): string {
  const noted = (leads: string | undefined): void => {
    if (isRecording()) note({ kind: 'real', path: absolute(path), leads });
  };
  try {
    const leads = fs.realpathSync.native(path);
    noted(leads);
    return leads;
  } catch (error) {
    noted(undefined);
    throw error;
  }
}

export function accessSync(path: string, mode = 0): void {
  const noted = (isAllowed: boolean): void => {
    if (isRecording()) note({ kind: 'access', path: absolute(path), mode, isAllowed });
  };
  try {
    fs.accessSync(path, mode);
  } catch (error) {
    noted(false);
    throw error;
  }
  noted(true);
}

export function existsSync(path: string): boolean {
  try {
    accessSync(path);
    return true;
  } catch {
    return false;
  }
}

/** The names in a folder. */
export function readdirSync(path: string): string[] {
  notePath(path, { isWhole: true });
  return fs.readdirSync(path);
}

/** The names in a folder that is open. `folder` is its path without links. */
export function readdirIn(fd: number, folder: string): string[] {
  notePath(folder, { isWhole: true });
  return fs.readdirSync(`/proc/self/fd/${fd}`);
}

/**
 * The text of a small file. `lines`: only the lines that have one of these in them are given, and count. Throws
 * as readFileSync of node:fs does.
 */
export function readText(path: string, lines?: readonly string[]): string {
  if (!BY_KERNEL.test(path)) {
    notePath(path);
    return fs.readFileSync(path, 'utf8');
  }
  try {
    const whole = fs.readFileSync(path, 'utf8');
    const read = lines === undefined ? whole : linesOf(whole, lines);
    if (isRecording()) note({ kind: 'text', path, lines, text: read });
    return read;
  } catch (error) {
    if (isRecording()) note({ kind: 'text', path, lines, text: undefined });
    throw error;
  }
}

/** As native/front/inputs.cc does it. */
function linesOf(whole: string, parts: readonly string[]): string {
  const has = (line: string, some: readonly string[]): boolean => some.some((part) => line.includes(part));
  const headings = parts.filter((part) => part.startsWith('^')).map((part) => part.slice(1));
  const wanted = parts.filter((part) => !part.startsWith('^'));
  let kept = '';
  let heading = '';
  for (const line of whole.split('\n')) {
    if (has(line, headings)) heading = `${line}\n`;
    if (!has(line, wanted)) continue;
    kept += `${heading}${line}\n`;
    heading = '';
  }
  return kept;
}

/**
 * The lines of the mounts whose file systems have a type that begins so (proc_pid_mountinfo(5)). What is compared later: where
 * `pointsOf` gives mount points, what is there, by device and inode; else the lines, for which a table with a line for each mount
 * of the host is read.
 */
export function readMounts(type: string, pointsOf: (lines: string) => readonly string[] | undefined): string {
  const lines = linesOf(fs.readFileSync(MOUNTS, 'utf8'), [` - ${type}`]);
  const points = pointsOf(lines);
  if (points === undefined) return readText(MOUNTS, [` - ${type}`]);
  for (const point of points) notePath(point);
  return lines;
}

const MOUNTS = '/proc/self/mountinfo';

const attempt = (path: string): string | undefined => {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
};

/** A table of the kernel's; columns that do not count are `-`. Undefined where it cannot be read. */
export function readTable(path: string, part: TablePart): string | undefined {
  const whole = attempt(path);
  const read = whole === undefined ? undefined : tableOf(whole, part);
  if (isRecording()) note({ kind: 'table', path, ...part, text: read });
  return read;
}

/** As native/front/inputs.cc does it. */
function tableOf(whole: string, { columns, without }: TablePart): string {
  const isLeftOut = (word: string): boolean => word.startsWith(without) && /^\d+$/u.test(word.slice(without.length));
  return whole
    .split('\n')
    .map((line) => line.split(/[ \t]+/u).filter((word) => word !== ''))
    .filter((words) => words.length > 0 && !words.some(isLeftOut))
    .map((words) => `${words.map((word, column) => (columns.includes(column) ? word : '-')).join(' ')}\n`)
    .join('');
}

/** A setting of the kernel's. `before` is what it was before boxctl changed it, where the file `lock` says so. */
export function readSetting(
  path: string,
  lock: string,
): { readonly now: string; readonly before: string; readonly isLocked: boolean } | undefined {
  const now = attempt(path)?.trim();
  const locked = attempt(lock)?.trim();
  const before = now === undefined ? undefined : locked || now;
  if (isRecording()) note({ kind: 'setting', path, lock, before });
  return now === undefined || before === undefined ? undefined : { now, before, isLocked: locked !== undefined };
}

/** What is left to read of a descriptor that `openSync` gave. */
export const readOpened = (fd: number): Buffer => fs.readFileSync(fd);

/** Opens for reading, or as a place (O_PATH); for writing, nothing is noted. */
export function openSync(path: string, flags: number, mode?: number): number {
  if ((flags & WRITES) === 0 && !DESCRIPTOR.test(path)) {
    if (IN_DESCRIPTOR.test(path)) throw new Error(`${path}: use openIn, which notes the real path`);
    notePath(path, { follows: (flags & fs.constants.O_NOFOLLOW) === 0 });
  }
  return fs.openSync(path, flags, mode);
}

/** Opens a name in a folder that is open. `folder` is its path without links. */
export function openIn(fd: number, folder: string, name: string, flags: number): number {
  notePath(folder === '/' ? `/${name}` : `${folder}/${name}`, { follows: (flags & fs.constants.O_NOFOLLOW) === 0 });
  return fs.openSync(`/proc/self/fd/${fd}/${name}`, flags);
}

/** The magic number of the file system that a path is on. Throws as statfsSync of node:fs does. */
export function fileSystemOf(path: string): number {
  const noted = (type: number | undefined): void => {
    if (isRecording()) note({ kind: 'file_system', path: absolute(path), type });
  };
  try {
    const { type } = fs.statfsSync(path);
    noted(type);
    return type;
  } catch (error) {
    noted(undefined);
    throw error;
  }
}

function fact(name: Fact, value: string): string {
  if (isRecording()) note({ kind: 'fact', name, value });
  return value;
}

/**
 * Notes what every plan depends on without reading it: numbers of files and namespaces are of one boot and of one set of
 * namespaces. `files` are those of boxctl itself.
 */
export function noteProcess(files: readonly string[]): void {
  if (!isRecording()) return;
  readText('/proc/sys/kernel/random/boot_id');
  for (const name of NAMESPACES) namespace(name);
  currentFolder();
  notePath('/');
  for (const file of files) notePath(file);
}

/** That of this process, such as `net:[4026531840]`. */
export const namespace = (name: (typeof NAMESPACES)[number]): string =>
  fact(`namespace.${name}`, fs.readlinkSync(`/proc/self/ns/${name}`));
export const hostname = (): string => fact('hostname', os.hostname());
export const release = (): string => fact('release', os.release());
export const availableParallelism = (): number => Number(fact('cpus', String(os.availableParallelism())));
export const currentFolder = (): string => fact('folder', process.cwd());
export const realUser = (): number => Number(fact('uid', String(process.getuid?.() ?? 0)));
export const effectiveUser = (): number => Number(fact('euid', String(process.geteuid?.() ?? 0)));
export const effectiveGroup = (): number => Number(fact('egid', String(process.getegid?.() ?? 0)));

/** Whether a descriptor that this process was started with is a socket; undefined: there is none of this number. */
export function isSocket(fd: number): boolean | undefined {
  noteGap('descriptors that boxctl was started with were looked at');
  try {
    return fs.fstatSync(fd).isSocket();
  } catch {
    return undefined;
  }
}

/** HOME, or what the user database says, which is not always a file: then the record has a gap. */
export function homedir(): string {
  if (environment['HOME'] === undefined) noteGap('HOME is not set: the home folder is asked from the user database');
  return os.homedir();
}
