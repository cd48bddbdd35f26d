/**
 * Finds the files below a writable bind that the container must not change: the container file, policies, and the files
 * that git on the host executes or reads as configuration. They are looked up by name; no tree is walked.
 */
import { closeSync, type Stats } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { lstatSync, readdirSync, readOpened } from '../inputs/outside.ts';
import { parseGitConfig, submodulePaths, type GitWords } from './git-config.ts';
import { isWithin, openUnlinkedFile } from '../files/read.ts';
import type { Guard } from './spec.ts';

/** At most so many git directories are examined. Beyond that, a git directory or `modules` is read-only as a whole. */
const MOST_REPOSITORIES = 64;
/** Bytes. A larger file is not read. */
const MOST_TEXT = 1 << 20;
/** A submodule's name may have slashes: its git directory then lies that many folders deeper in `modules`. */
const MOST_SLASHES = 6;
/** Each file of configuration is read once. This limits how many files a hostile repository can make boxctl read. */
const MOST_INCLUDES = 64;

type Made = Omit<NonNullable<Guard['make']>, 'uid' | 'gid'>;

const FOLDER: Made = { what: 'folder' };
const EMPTY_FILE: Made = { what: 'file' };
/** `commondir` that names the git directory itself. Without it, the container could make one that names its own folder. */
const NO_COMMON: Made = { what: 'file', text: '.\n', temporary: true };
/**
 * An empty folder named `commondir` beside `.git`. The container can delete `.git/HEAD`, which must be writable. Git then
 * takes the folder around `.git` for a bare repository if a HEAD is in it, and reads the configuration that `commondir`
 * names. Git fails when `commondir` is a folder. `git status` does not show an empty folder. As long as the container has
 * left a HEAD there, the folder stays.
 */
const NO_BARE: Made = { what: 'folder', temporary: true, unless: 'HEAD' };
type Kind = 'file' | 'folder' | 'link' | 'other' | 'missing';

function statusOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function kindOf(path: string): Kind {
  const status = statusOf(path);
  if (status === undefined) return 'missing';
  if (status.isSymbolicLink()) return 'link';
  if (status.isDirectory()) return 'folder';
  return status.isFile() ? 'file' : 'other';
}

/** The text of a small regular file; '' for a link, a larger file, or one that cannot be read. */
function textOf(path: string): string {
  const status = statusOf(path);
  if (status?.isFile() !== true || status.size > MOST_TEXT) return '';
  let fd: number;
  try {
    fd = openUnlinkedFile(path);
  } catch {
    return '';
  }
  try {
    return readOpened(fd).toString('utf8');
  } catch {
    return '';
  } finally {
    closeSync(fd);
  }
}

function isEmpty(folder: string): boolean {
  try {
    return readdirSync(folder).length === 0;
  } catch {
    return false;
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).toSorted();
  } catch {
    return [];
  }
}

/** Whether the temporary file or folder is there already: of another container, or left by a launcher that was killed. */
function isLeft(path: string, kind: Kind, make: Made | undefined): boolean {
  if (make?.temporary !== true) return false;
  if (make.what === 'folder') return kind === 'folder' && isEmpty(path);
  return kind === 'file' && (statusOf(path)?.size === 0 || textOf(path) === make.text);
}

/** Both are absent where there is nothing to guard. */
export interface Found {
  readonly guards?: readonly Guard[];
  /** Why a file below the source cannot be guarded: sentences without full stop. */
  readonly exposed?: readonly string[];
}

export interface GuardedFiles {
  /** The container file, and the files that it names: absolute, without links. */
  readonly files: readonly string[];
  /** The folder of policies. It need not exist. */
  readonly policies: string;
  /** The folder of the container file. */
  readonly folder: string;
  readonly home: string;
}

/** The guards of a writable bind. `source` is its path without links. */
export function guardsOf(source: string, named: GuardedFiles): Found {
  const search = new Search(source, named.home);
  for (const file of named.files) search.cover(file);
  if (statusOf(dirname(named.policies)) !== undefined) search.cover(named.policies, FOLDER);
  // Repositories around the source, the source itself, and repositories between it and the container file.
  const folders = new Set<string>();
  for (let at = source; ; at = dirname(at)) {
    folders.add(at);
    if (at === dirname(at)) break;
  }
  for (let at = named.folder; isWithin(at, source); at = dirname(at)) {
    folders.add(at);
    if (at === dirname(at)) break;
  }
  for (const folder of folders) search.repository(folder);
  if (isBare(source)) search.gitDirectory(source, source);
  return search.found();
}

function isBare(folder: string): boolean {
  return ['HEAD', 'config', 'objects', 'refs'].every((name) => statusOf(join(folder, name)) !== undefined);
}

class Search {
  readonly #source: string;
  readonly #home: string;
  /** By path relative to the source. */
  readonly #guards = new Map<string, Guard>();
  readonly #exposed = new Set<string>();
  readonly #seen = new Set<string>();

  constructor(source: string, home: string) {
    this.#source = source;
    this.#home = home;
  }

  found(): Found {
    const depth = (path: string): number => path.split('/').length;
    const guards = [...this.#guards.values()].toSorted((a, b) => depth(a.path) - depth(b.path));
    return {
      ...(guards.length === 0 ? {} : { guards }),
      ...(this.#exposed.size === 0 ? {} : { exposed: [...this.#exposed] }),
    };
  }

  /**
   * Makes a path read-only. `make`: what is created there first if the path is missing, since the container could create
   * it otherwise. The folders above it are pinned: the container could rename one and put its own in the place.
   */
  cover(path: string, make?: Made): void {
    if (isWithin(this.#source, path)) {
      this.#guards.set('', { path: '', writable: false });
      return;
    }
    if (!isWithin(path, this.#source)) return;
    const kind = kindOf(path);
    if ((kind === 'missing' && make === undefined) || !this.#pinAbove(path)) return;
    if (kind === 'link' || kind === 'other') {
      this.#exposed.add(`${path} is ${kind === 'link' ? 'a link' : 'no file'}, which cannot be made read-only`);
      return;
    }
    const below = relative(this.#source, path);
    const made = kind === 'missing' || isLeft(path, kind, make) ? this.#made(path, make) : {};
    this.#guards.set(below, { path: below, writable: false, ...made });
  }

  #made(path: string, make: Made | undefined): Pick<Guard, 'make'> {
    let above = dirname(path);
    while (statusOf(above) === undefined && above !== this.#source) above = dirname(above);
    const { uid = 0, gid = 0 } = statusOf(above) ?? {};
    return make === undefined ? {} : { make: { ...make, uid, gid } };
  }

  #pinAbove(path: string): boolean {
    const above: string[] = [];
    for (let at = dirname(path); at !== this.#source; at = dirname(at)) above.unshift(at);
    for (const at of above) {
      const kind = kindOf(at);
      const below = relative(this.#source, at);
      // The folder is read-only as a whole, and so is the path in it.
      if (this.#guards.get(below)?.writable === false) return false;
      if (kind === 'link') this.#exposed.add(`${at} is a link, which cannot be kept in its place`);
      const made = kind === 'missing' ? this.#made(at, FOLDER) : {};
      if (kind === 'folder' || kind === 'missing') this.#guards.set(below, { path: below, writable: true, ...made });
      if (kind === 'link') return false;
    }
    return true;
  }

  /** Guards the repository whose working tree is `top`. */
  repository(top: string): void {
    const git = join(top, '.git');
    const kind = kindOf(git);
    if (kind === 'folder') {
      this.gitDirectory(git, top);
      this.cover(join(top, 'commondir'), NO_BARE);
    }
    if (kind === 'link') this.cover(git);
    if (kind !== 'file') return;
    this.cover(git);
    const [, target] = /^gitdir: (.*)$/mu.exec(textOf(git)) ?? [];
    if (target !== undefined) this.gitDirectory(resolve(top, target), top);
  }

  /** Guards a git directory (gitrepository-layout(5)), and the files and git directories that it names. */
  gitDirectory(git: string, top: string): void {
    if (this.#seen.has(git) || kindOf(git) !== 'folder') return;
    this.#seen.add(git);
    if (this.#seen.size > MOST_REPOSITORIES) {
      this.cover(git);
      return;
    }
    const config = join(git, 'config');
    // Read before it is covered: `cover` reports a configuration that is a link.
    const words = this.#configuration(config);
    const common = this.#commonOf(git);
    this.cover(config);
    this.cover(join(git, 'hooks'), common === undefined ? FOLDER : undefined);
    this.cover(join(git, 'info'), common === undefined ? FOLDER : undefined);
    this.cover(join(git, 'config.worktree'), words.perWorktree ? EMPTY_FILE : undefined);
    this.cover(join(git, 'commondir'), kindOf(join(git, 'HEAD')) === 'missing' ? undefined : NO_COMMON);
    this.cover(join(git, 'gitdir'));
    if (common !== undefined) this.gitDirectory(common, top);
    for (const path of words.included) this.cover(path, EMPTY_FILE);
    for (const path of words.hooks) this.cover(this.#path(path, top), FOLDER);
    for (const path of words.monitors) this.cover(this.#path(path, top), EMPTY_FILE);
    // These are all words of the commands, options too: only a word that is a file's path is covered.
    for (const path of words.programs.map((word) => this.#path(word, top))) {
      if (kindOf(path) === 'file') this.cover(path);
    }
    if (words.worktree !== undefined) this.repository(resolve(git, words.worktree));
    this.#worktrees(join(git, 'worktrees'));
    this.#submodules(join(git, 'modules'), 0);
    for (const path of submodulePaths(textOf(join(top, '.gitmodules')))) {
      const at = resolve(top, path);
      if (isWithin(at, top) && at !== top) this.repository(at);
    }
  }

  /** The values of a git directory's configuration files, and of all files that they include. */
  #configuration(config: string): GitWords {
    const files = new Set([config, join(dirname(config), 'config.worktree')]);
    const all: GitWords[] = [];
    // The loop also visits files that are added to the set while it runs.
    for (const file of files) {
      const words = parseGitConfig(textOf(file));
      all.push(words);
      for (const path of words.included) {
        if (files.size < MOST_INCLUDES) files.add(this.#path(path, dirname(file)));
      }
    }
    const worktree = all.findLast((words) => words.worktree !== undefined)?.worktree;
    return {
      included: [...files].slice(2),
      hooks: all.flatMap(({ hooks }) => hooks),
      monitors: all.flatMap(({ monitors }) => monitors),
      programs: all.flatMap(({ programs }) => programs),
      ...(worktree === undefined ? {} : { worktree }),
      perWorktree: all.some(({ perWorktree }) => perWorktree),
    };
  }

  #path(path: string, base: string): string {
    return path.startsWith('~/') ? resolve(this.#home, path.slice(2)) : resolve(base, path);
  }

  #commonOf(git: string): string | undefined {
    const text = textOf(join(git, 'commondir')).trim();
    const common = text === '' ? git : resolve(git, text);
    return common === git ? undefined : common;
  }

  #worktrees(folder: string): void {
    for (const name of namesIn(folder)) {
      const git = join(folder, name);
      const link = textOf(join(git, 'gitdir')).trim();
      this.gitDirectory(git, link === '' ? git : dirname(link));
      if (link !== '') this.repository(dirname(link));
    }
  }

  #submodules(folder: string, slashes: number): void {
    const names = namesIn(folder);
    if (names.length > MOST_REPOSITORIES || slashes > MOST_SLASHES) {
      this.cover(folder);
      return;
    }
    for (const name of names) {
      const git = join(folder, name);
      if (kindOf(join(git, 'HEAD')) === 'missing') this.#submodules(git, slashes + 1);
      else this.gitDirectory(git, git);
    }
  }
}
