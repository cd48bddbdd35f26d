/** What every part of the normalisation needs: where it reports, what it may look at, and where the file lies. */
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import type { ErrorCode } from '../error-codes.ts';
import type { Paths } from './paths.ts';
import type { ProblemOptions, Problems } from './problems.ts';
import type { HostFile, HostTool, Taken } from './spec.ts';
import { readableByEveryone, realPath } from './read.ts';

export interface Context {
  readonly problems: Problems;
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
}

/** Reports a problem of the value at `path`. */
export const report = (
  context: Context,
  path: string,
  code: ErrorCode,
  message: string,
  options: Omit<ProblemOptions, 'path' | 'at'> = {},
): void => context.problems.add(code, message, { ...options, path, at: context.paths.where(path) });

/** The items of a list that have no problem yet, with their paths. */
export const each = <T>(context: Context, list: readonly T[], path: string): readonly (readonly [T, string])[] =>
  list.map((item, index) => [item, `${path}.${index}`] as const).filter(([, full]) => !context.bad.has(full));

/** One value or a list of them, each with its path. */
export const listOf = <T extends string>(
  context: Context,
  value: T | readonly T[] | undefined,
  path: string,
): readonly (readonly [T, string])[] => {
  if (value === undefined) return [];
  return typeof value === 'string' ? [[value, path]] : each(context, value, path);
};

/** A host path: `~` is the caller's home, relative ones count from the file's folder. */
export const hostPath = (context: Context, path: string): string => {
  const home = context.home === '' ? homedir() : context.home;
  if (path === '~') return home;
  return path.startsWith('~/') ? resolve(home, path.slice(2)) : resolve(context.folder, path);
};

/**
 * Notes that boxctl reads a file of the host for the value at `path`. Gives where it really lies: what is judged, and so
 * what has to be used, by `openUnlinked`.
 */
export const noteFile = (context: Context, kind: HostFile['kind'], file: string, path: string): string => {
  const real = realPath(file);
  context.files.push({ kind, file: real, path, everyone: readableByEveryone(real) });
  return real;
};

/** For messages: long values are cut. */
export const clip = (text: string): string => (text.length > 60 ? `${text.slice(0, 57)}…` : text);
