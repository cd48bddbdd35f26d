/** What a lock has for the files that boxctl reads because a container file names them: by their paths, digests. */
import { isWithin } from '../files/read.ts';
import { isSecret } from '../model/secrets.ts';
import { sha256 } from '../native.ts';
import { parseEnvFile } from '../spec/env-file.ts';
import { pathOfFile, type SpecPath } from '../spec/spec-path.ts';
import type { FileContent, HostFile, SpecDocument } from '../spec/spec.ts';

export interface FileEntry {
  /** The key in the lock. */
  readonly path: string;
  /** Undefined: the file is not there. */
  readonly digest: string | undefined;
  /** The value that names it. */
  readonly specPath: SpecPath;
}

/** A path as a lock has it: relative to the container file's folder if it lies in there, so that a project can be moved. */
export function lockedPath(file: string, folder: string): string {
  return isWithin(file, folder) && file !== folder ? `./${file.slice(folder === '/' ? 1 : folder.length + 1)}` : file;
}

/** A variable, also in a comment: what was commented out is often an old password. */
const VARIABLE = /^\s*(?:#+\s*)?(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*[=:](.*)$/gmu;

function holdsSecret(text: string): boolean {
  return [...text.matchAll(VARIABLE)].some(([, name = '', value = '']) => value.trim() !== '' && isSecret(name, value));
}

/**
 * Whoever reads a digest can try values until one fits, which finds a short password. So of an env_file in which a variable
 * sounds secret, only the names of its variables, in their order, are digested: `names:` and the digest.
 */
function digestOf(kind: HostFile['kind'], { text, hasMark, isRaw }: FileContent): string {
  if (kind !== 'env_file' || !holdsSecret(text)) return `sha256:${sha256(hasMark ? `\ufeff${text}` : text)}`;
  const names = parseEnvFile(text, isRaw).flatMap((line) => (line.kind === 'wrong' ? [] : [line.key]));
  return `names:${sha256(JSON.stringify(names))}`;
}

/** Whoever reads the digest of a secret can try values until one fits, and a config is there to be changed. */
const isGiven = (kind: HostFile['kind']): boolean => kind === 'secret' || kind === 'config';

/** Files that the document reads, but for the image, secrets and configs. Those that must be allowed first are left out. */
export function fileEntries({ files, folder }: SpecDocument): readonly FileEntry[] {
  const entries = new Map<string, FileEntry>();
  for (const { kind, file, path, readable, content } of files) {
    if (kind === 'image' || !readable || isGiven(kind)) continue;
    const key = lockedPath(file, folder);
    const digest = content === undefined ? undefined : digestOf(kind, content());
    if (!entries.has(key)) entries.set(key, { path: key, digest, specPath: pathOfFile(path) });
  }
  return [...entries.values()];
}
