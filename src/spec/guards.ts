/**
 * What a container that may write to a folder of the host must not change in it: files that programs of the host run, or
 * believe, by themselves. They are found by name; no tree is walked.
 */
import { closeSync, lstatSync, readdirSync, readFileSync, type Stats } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { parseGitConfig, submodulePaths, type GitWords } from './git-config.ts';
import { isWithin, openUnlinkedFile } from '../files/read.ts';
import type { Guard } from './spec.ts';

/** Git directories that are looked at one by one; where there are more submodules, all of them are read-only as a whole. */
const MOST_REPOSITORIES = 64;
const MOST_TEXT = 1 << 20;
/** Submodules may have names with slashes. */
const MOST_SLASHES = 6;
/** Configuration that includes itself is read once; this bounds chains that are made to be long. */
const MOST_INCLUDES = 64;

type Made = Omit<NonNullable<Guard['make']>, 'uid' | 'gid'>;

const FOLDER: Made = { what: 'folder' };
const EMPTY_FILE: Made = { what: 'file' };
/** What a `commondir` says where a git directory has its own configuration; without one, the container could make another. */
const NO_COMMON: Made = { what: 'file', text: '.\n', temporary: true };
/**
 * Without a valid `.git` (its HEAD must stay writable), git takes the folder around it for a bare repository if that has a
 * HEAD, and reads the configuration that its `commondir` leads to. One that is a folder ends git there. Git's other commands
 * do not see an empty folder. What the container has prepared counts for as long as it is there, and so this stays as long.
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

/** Of git's own files, which are small; '' where it is none, or a link. */
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
    return readFileSync(fd, 'utf8');
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

/** Made by boxctl for as long as a container runs: another one's, or what a launcher that was killed has left. */
function isLeft(path: string, kind: Kind, make: Made | undefined): boolean {
  if (make?.temporary !== true) return false;
  if (make.what === 'folder') return kind === 'folder' && isEmpty(path);
  return kind === 'file' && (statusOf(path)?.size === 0 || textOf(path) === make.text);
}

/** Neither where there is nothing to guard. */
export interface Found {
  readonly guards?: readonly Guard[];
  /** Why the source cannot be given away safely: sentences without full stop. */
  readonly exposed?: readonly string[];
}

export interface GuardedFiles {
  /** The container file, and what it names: absolute, without links. */
  readonly files: readonly string[];
  /** Where policies lie, whether or not they are there. */
  readonly policies: string;
  /** The folder of the container file. */
  readonly folder: string;
  readonly home: string;
}

/** What is to be guarded in `source`, a path without links that the container may write to. */
export function guardsOf(source: string, named: GuardedFiles): Found {
  const search = new Search(source, named.home);
  for (const file of named.files) search.cover(file);
  if (statusOf(dirname(named.policies)) !== undefined) search.cover(named.policies, FOLDER);
  // A repository around the source, those on the way from there to the container file, and the source itself.
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
  /** By path, below the source. */
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
   * Makes a path read-only. `make`: what it becomes first where it is missing, so that the container cannot make it.
   * The folders on the way to it are kept in their places: another one could be put there with another file in it.
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
      // What lies in something that is read-only as a whole is, too.
      if (this.#guards.get(below)?.writable === false) return false;
      if (kind === 'link') this.#exposed.add(`${at} is a link, which cannot be kept in its place`);
      const made = kind === 'missing' ? this.#made(at, FOLDER) : {};
      if (kind === 'folder' || kind === 'missing') this.#guards.set(below, { path: below, writable: true, ...made });
      if (kind === 'link') return false;
    }
    return true;
  }

  /** The repository whose files are in a folder. */
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

  /** A git directory (gitrepository-layout(5)), and those that it names. */
  gitDirectory(git: string, top: string): void {
    if (this.#seen.has(git) || kindOf(git) !== 'folder') return;
    this.#seen.add(git);
    if (this.#seen.size > MOST_REPOSITORIES) {
      this.cover(git);
      return;
    }
    const config = join(git, 'config');
    // Read before anything is covered: it may be a link, which is told below.
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
    // Also words of commands that are no paths.
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

  /** What a git directory's files of configuration say together, with those that they include. */
  #configuration(config: string): GitWords {
    const files = new Set([config, join(dirname(config), 'config.worktree')]);
    const all: GitWords[] = [];
    // A set gives what is added meanwhile, too.
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
