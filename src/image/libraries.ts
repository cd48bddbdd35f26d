/** Asks a program's own loader which libraries it would load. The program itself is not run. */
import { realpathSync } from 'node:fs';
import { basename } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { childProcess } from './lazy-modules.ts';

export interface Libraries {
  /** Absolute paths, as the loader would open them. */
  readonly paths: readonly string[];
  /** Some are found by /etc/ld.so.cache alone. */
  readonly needCache: boolean;
}

/** Where systems keep loaders: a program names its own, which is run, so that one from anywhere else could be a trap. */
const LOADER_FOLDERS = /^\/(?:usr\/)?lib(?:32|64|x32|exec)?\/|^\/(?:nix|gnu)\/store\//u;

function isSystemLoader(loader: string): boolean {
  try {
    return LOADER_FOLDERS.test(realpathSync(loader));
  } catch {
    return false;
  }
}

/** Throws `E_TOOL_UNREADABLE` when a library is missing on this host, or the loader is none of its own. */
export function librariesOf(program: string, loader: string): Libraries {
  if (!isSystemLoader(loader)) {
    throw new BoxctlError('E_TOOL_UNREADABLE', `${program} wants the loader ${loader}, which is none of this system's`);
  }
  // glibc's loader can leave its cache aside, which tells whether the image needs one.
  if (basename(loader).startsWith('ld-linux')) {
    const plain = list(loader, ['--inhibit-cache', '--list', program]);
    if (plain.ok) return { paths: plain.paths, needCache: false };
  }
  const listed = list(loader, ['--list', program]);
  if (!listed.ok) {
    throw new BoxctlError('E_TOOL_UNREADABLE', `The libraries of ${program} cannot be found: ${listed.why}`);
  }
  return { paths: listed.paths, needCache: true };
}

function list(
  loader: string,
  args: readonly string[],
): { readonly ok: true; readonly paths: readonly string[] } | { readonly ok: false; readonly why: string } {
  // An empty environment: the image will have no LD_LIBRARY_PATH either.
  const result = childProcess().spawnSync(loader, args, {
    env: { LC_ALL: 'C' },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (result.error !== undefined) return { ok: false, why: result.error.message };
  const missing = /^\s*(\S+) => not found/m.exec(result.stdout)?.[1];
  if (missing !== undefined) return { ok: false, why: `${missing} is missing` };
  if (result.status !== 0) return { ok: false, why: result.stderr.trim() || `${loader} refuses it` };
  // "\tlibc.so.6 => /lib/libc.so.6 (0x…)" or "\t/lib64/ld-linux-x86-64.so.2 (0x…)"; the vdso has no path.
  const lines = result.stdout.matchAll(/^\s*(?:\S+ => )?(\/.*?) \(0x[0-9a-f]+\)$/gm);
  return { ok: true, paths: [...lines].flatMap(([, path]) => (path === undefined ? [] : [path])) };
}
