/** What every part of the normalisation needs: where it reports, what it may look at, and where the file lies. */
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import type { ErrorCode } from '../error-codes.ts';
import type { Paths } from '../yaml/paths.ts';
import type { ProblemOptions, TextProblems } from '../yaml/problems.ts';
import type { Borrowed } from '../text/borrowed.ts';
import type { HostFile, HostTool, Taken } from './spec.ts';
import { isWithin, readableByEveryone, realPath } from '../files/read.ts';

/** Asked before a file outside of the folder is opened, or a folder that a bind gives away is looked into. */
export type AllowsFile = (kind: HostFile['kind'] | 'bind', file: string, folder: string) => boolean;

export interface Context {
  readonly problems: TextProblems;
  readonly paths: Paths;
  /** Paths of values that have their problem already, and of all that is around them. */
  readonly bad: ReadonlySet<string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** What is named need not be there. */
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
 * Judges a file of the host that boxctl is to read for the value at `path`, before it is opened. Gives where it really lies,
 * which is what has to be used, by `openUnlinked`; undefined where it must not be read.
 */
export function noteFile(context: Context, kind: HostFile['kind'], file: string, path: string): string | undefined {
  const real = realPath(file);
  const everyone = readableByEveryone(real);
  // An image that everybody may read is no secret of the host; it is unpacked where it can do no harm.
  const free = isWithin(real, context.folder) || (kind === 'image' && everyone);
  const readable = free || context.allows(kind, real, context.folder);
  context.files.push({ kind, file: real, path, everyone, readable });
  return readable ? real : undefined;
}

/** For messages: a value of the file. */
export { quoted as clip } from '../text/quote.ts';

/** For messages: a key, into which no variable is put. */
export { cut as clipKey } from '../text/quote.ts';
