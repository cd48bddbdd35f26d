/** A container file as it is in a revision of git: `HEAD~1:container.yaml`. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { lookUp } from '../files/programs.ts';
import { loadSpecText } from '../spec/load.ts';
import { isWithin, realPath } from '../files/read.ts';
import type { ReadLock } from '../lock/lock.ts';
import { parseLock } from '../lock/parse.ts';
import { lockOf } from '../lock/place.ts';
import { readLock } from '../lock/read.ts';
import type { SpecDocument } from '../spec/spec.ts';
import type { Invocation } from './command.ts';
import { hiding, loadForReview, loadOptions } from './environment.ts';

/**
 * The nearest folder above that has a `.git`. Git itself would also take a folder that looks like a bare repository, which a
 * commit can contain, and believe its configuration.
 */
function repositoryOf(folder: string): string | undefined {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, '.git'))) return at;
    if (at === dirname(at)) return undefined;
  }
}

/** A program named git that the repository brings along, as by `node_modules/.bin` in PATH, is not run. */
function gitProgram(path: string, root: string): string {
  const own = (folder: string): boolean => isWithin(realPath(folder), root);
  const kept = path.split(':').filter((folder) => folder.startsWith('/') && !own(folder));
  const { found } = lookUp('git', kept.join(':'));
  if (found !== undefined) return found;
  throw new BoxctlError('E_NO_GIT', 'REVISION:FILE needs git, and it is not installed', {
    hint: 'apt-get install git',
  });
}

/** Each of these is a word of a repository's own configuration that git would act by. */
const OVERRIDES = [
  'safe.bareRepository=explicit',
  'protocol.allow=never',
  'core.fsmonitor=false',
  'core.hooksPath=/dev/null',
  'core.sshCommand=false',
  'core.askPass=',
  'credential.helper=',
].flatMap((word) => ['-c', word]);

/** Git's own variables can name another repository, programs and settings. The last ones: what is missing is not fetched. */
function gitEnvironment(env: Invocation['env']): Record<string, string | undefined> {
  const kept = Object.entries(env).filter(([name]) => !name.startsWith('GIT_'));
  return {
    ...Object.fromEntries(kept),
    LC_ALL: 'C',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_TERMINAL_PROMPT: '0',
    GIT_NO_LAZY_FETCH: '1',
    // Git before 2.39.4 does not know the variable above. It fetches, and no protocol is allowed.
    GIT_ALLOW_PROTOCOL: 'none',
  };
}

/** `cat-file` gives the bytes as they are: no filter and no program of the repository's settings is run. */
function textOf({ cwd, env }: Invocation, revision: string, path: string): Text {
  const root = repositoryOf(cwd);
  if (root === undefined) {
    throw new BoxctlError('E_SPEC_NOT_FOUND', `${revision}:${path}: ${cwd} is in no git repository`, {
      hint: 'REVISION:FILE is looked up in the repository of this folder',
    });
  }
  const name = `${revision}:${relative(root, resolve(cwd, path))}`;
  const { status, stdout, stderr, error } = spawnSync(
    gitProgram(env['PATH'] ?? '', root),
    ['--no-pager', '--no-replace-objects', ...OVERRIDES, 'cat-file', 'blob', '--end-of-options', name],
    { cwd: root, env: gitEnvironment(env), encoding: 'utf8', maxBuffer: 1 << 24 },
  );
  if (status === 0) return { text: stdout };
  // Of a text that is too large, or where git cannot be run, there is an error.
  return { missing: error === undefined, reason: error?.message ?? stderr.trim().split('\n', 1)[0] ?? '' };
}

type Text = { readonly text: string } | { readonly missing: boolean; readonly reason: string };

function noText(named: string, reason: string): BoxctlError {
  return new BoxctlError('E_SPEC_NOT_FOUND', `git has no ${named}: ${reason}`, {
    hint: 'REVISION:FILE, with FILE as seen from this folder',
  });
}

/** The lock of the same revision. That it is not there is no error. */
function lockOfRevision(invocation: Invocation, revision: string, path: string): ReadLock | undefined {
  const lock = lockOf(path);
  const found = lock === undefined ? undefined : textOf(invocation, revision, lock);
  if (found === undefined) return undefined;
  if ('text' in found) return parseLock(found.text, `${revision}:${lock}`);
  if (found.missing) return undefined;
  throw noText(`${revision}:${lock}`, found.reason);
}

export interface Revision {
  readonly document: SpecDocument;
  /** Undefined where there is none. */
  readonly lock: ReadLock | undefined;
}

/** A file, or one of a revision, with its lock; what it names counts from where the file is now. */
export function loadRevision(invocation: Invocation, named: string): Revision {
  const { cwd } = invocation;
  const colon = named.indexOf(':');
  if (colon <= 0 || existsSync(resolve(cwd, named))) {
    return { document: loadForReview(invocation, named), lock: readLock(named) };
  }
  const [revision, path] = [named.slice(0, colon), named.slice(colon + 1)];
  const found = textOf(invocation, revision, path);
  if (!('text' in found)) throw noText(named, found.reason);
  const folder = dirname(resolve(cwd, path));
  const options = { ...loadOptions(invocation, path), review: true, folder };
  return {
    document: hiding(invocation, loadSpecText(found.text, named, options)),
    lock: lockOfRevision(invocation, revision, path),
  };
}
