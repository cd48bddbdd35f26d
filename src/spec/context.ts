/** What every part of the normalisation needs: the problems, the file's folder, and the files that it may read. */
import { resolve } from 'node:path';
import type { ErrorCode } from '../error-codes.ts';
import { homedir } from '../inputs/outside.ts';
import type { Paths } from '../yaml/paths.ts';
import type { ProblemOptions, TextProblems } from '../yaml/problems.ts';
import type { Borrowed } from '../text/borrowed.ts';
import type { HostFile, HostTool, Taken } from './spec.ts';
import { isWithin, readableByEveryone, readBounded, realPath, type ReadResult } from '../files/read.ts';

/** Is called before a file outside of the folder is opened, or a bind's source there is searched for files to guard. */
export type AllowsFile = (kind: HostFile['kind'] | 'bind', file: string, folder: string) => boolean;

export interface Context {
  readonly problems: TextProblems;
  readonly paths: Paths;
  /** Paths of values that have their problem already, and of all that is around them. */
  readonly bad: ReadonlySet<string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** Files that the specification names need not exist. */
  readonly review: boolean;
  /** Absolute folder of the file. */
  readonly folder: string;
  /** What the file takes of the caller's environment, and which files of the host it names: collected on the way. */
  readonly taken: Taken[];
  readonly files: HostFile[];
  readonly tools: HostTool[];
  /** The values that came from there, which are not printed. */
  readonly borrowed: Borrowed[];
  /** Whether the person who runs the file lets it have a file that lies outside of its folder. */
  readonly allows: AllowsFile;
}

/** Adds a problem of the value at `path`. Returns undefined, so that a parser can return the call in place of its value. */
export const addProblem = (
  context: Context,
  path: string,
  code: ErrorCode,
  message: string,
  options: Omit<ProblemOptions, 'path' | 'at'> = {},
): undefined => void context.problems.add(code, message, { ...options, path, at: context.paths.where(path) });

/** The items of a list that have no problem yet, with their paths. */
export function each<T, P extends string>(
  context: Context,
  list: readonly T[],
  path: P,
): readonly (readonly [T, `${P}.${number}`])[] {
  return list.map((item, index) => [item, `${path}.${index}`] as const).filter(([, full]) => !context.bad.has(full));
}

/** One value or a list of them, each with its path. */
export function listOf<T extends string, P extends string>(
  context: Context,
  value: T | readonly T[] | undefined,
  path: P,
): readonly (readonly [T, P | `${P}.${number}`])[] {
  if (value === undefined) return [];
  return typeof value === 'string' ? [[value, path]] : each(context, value, path);
}

/** A host path: `~` is the caller's home, relative ones count from the file's folder. */
export function hostPath(context: Context, path: string): string {
  const home = context.home === '' ? homedir() : context.home;
  if (path === '~') return home;
  return path.startsWith('~/') ? resolve(home, path.slice(2)) : resolve(context.folder, path);
}

/**
 * Decides whether boxctl may read a file of the host for the value at `path`, before the file is opened. Returns its path
 * without links, which must be used to open it (`openUnlinked`); undefined if it must not be read.
 */
export function noteFile(context: Context, kind: HostFile['kind'], file: string, path: string): string | undefined {
  const real = realPath(file);
  const everyone = readableByEveryone(real);
  // What every user may read is no secret. An image is unpacked by a confined process; nothing is printed of a public key.
  const isFree = everyone && (kind === 'image' || kind === 'public_key');
  const free = isWithin(real, context.folder) || isFree;
  const readable = free || context.allows(kind, real, context.folder);
  context.files.push({ kind, file: real, path, everyone, readable });
  return readable ? real : undefined;
}

/** Reads the file that `noteFile` gave last, and keeps in the document what was read. */
export function readNoted(context: Context, file: string, { isRaw = false } = {}): ReadResult {
  const read = readBounded(file, { judged: true });
  const noted = context.files.pop();
  if (noted === undefined) return read;
  const { text } = read;
  const kept = text === undefined ? {} : { content: () => ({ text, hasMark: read.hasMark === true, isRaw }) };
  context.files.push({ ...noted, ...kept });
  return read;
}

/** For messages: a value of the file. */
export { quoted as clip } from '../text/quote.ts';

/** For messages: a key, into which no variable is put. */
export { cut as clipKey } from '../text/quote.ts';
