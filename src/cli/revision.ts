/** A container file as it is in a revision of git: `HEAD~1:container.yaml`. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { loadSpecText } from '../spec/load.ts';
import type { SpecDocument } from '../spec/spec.ts';
import type { Invocation } from './command.ts';
import { homeOf, loadForReview } from './environment.ts';

/** `cat-file` gives the bytes as they are: no filter, no pager and no program of the repository's settings is run. */
function textOf(revision: string, path: string, cwd: string): string {
  const name = path.startsWith('/') ? `${revision}:${path}` : `${revision}:./${path}`;
  const { status, stdout, stderr, error } = spawnSync('git', ['cat-file', 'blob', '--end-of-options', name], {
    cwd,
    encoding: 'utf8',
    maxBuffer: 1 << 24,
  });
  if (status === 0) return stdout;
  const reason = error?.message ?? stderr.trim().split('\n', 1)[0] ?? '';
  throw new BoxctlError('E_SPEC_NOT_FOUND', `git has no ${revision}:${path}: ${reason}`, {
    hint: 'REVISION:FILE, with FILE as seen from this folder',
  });
}

/** A file, or one of a revision; what it names counts from where the file is now. */
export function loadRevision(invocation: Invocation, named: string): SpecDocument {
  const { cwd, env } = invocation;
  const colon = named.indexOf(':');
  if (colon <= 0 || existsSync(resolve(cwd, named))) return loadForReview(invocation, named);
  const path = named.slice(colon + 1);
  const text = textOf(named.slice(0, colon), path, cwd);
  return loadSpecText(text, named, { env, home: homeOf(env), review: true, folder: dirname(resolve(cwd, path)) });
}
