/** The few words of git's configuration (git-config(1)) by which it reads, or runs, other files of a project. */

export interface GitWords {
  /** Other files of configuration: relative to the one that names them. */
  readonly included: readonly string[];
  /** Folders of hooks, and programs that tell what has changed: relative to the top of the project. */
  readonly hooks: readonly string[];
  readonly monitors: readonly string[];
  /** Words of other commands that git runs: filters, drivers, pagers, aliases. Some are paths of the project. */
  readonly programs: readonly string[];
  /** The project's top, relative to the git directory. */
  readonly worktree?: string;
  /** `config.worktree` counts. */
  readonly perWorktree: boolean;
}

/** Keys, of any section, whose values are commands or programs. Those of the sections in SPOKEN have names of their own. */
const RUN =
  /^(?:pager|editor|sshcommand|askpass|gitproxy|alternaterefscommand|external|textconv|command|clean|smudge|process|driver|program|helper|difffilter|cmd|path|defaultkeycommand|packobjectshook)$/u;
const SPOKEN = /^(?:alias|pager)$/u;

type Entry = readonly [section: string, key: string, value: string];

const unquoted = (value: string): string => value.replaceAll(/"((?:[^"\\]|\\.)*)"/gu, '$1').replaceAll(/\\(.)/gu, '$1');

function entriesOf(text: string): readonly Entry[] {
  let section = '';
  return text.split('\n').flatMap((line): readonly Entry[] => {
    const header = /^\s*\[\s*([\w.-]+)(?:\s+"(?:[^"\\]|\\.)*")?\s*\]/u.exec(line);
    if (header !== null) section = (header[1] ?? '').toLowerCase();
    const rest = header === null ? line : line.slice(header[0].length);
    const pair = /^\s*([A-Za-z][\w-]*)\s*(?:=\s*(.*?))?\s*$/u.exec(rest);
    if (pair === null) return [];
    const value = (pair[2] ?? 'true').replace(/\s*[#;][^"]*$/u, '');
    return [[section, (pair[1] ?? '').toLowerCase(), unquoted(value)]];
  });
}

export function parseGitConfig(text: string): GitWords {
  const entries = entriesOf(text);
  const all = (section: RegExp, key: string): readonly string[] =>
    entries.filter(([of, name, value]) => section.test(of) && name === key && value !== '').map(([, , value]) => value);
  const worktree = all(/^core$/u, 'worktree').at(-1);
  const commands = entries.filter(([of, name]) => SPOKEN.test(of) || RUN.test(name)).map(([, , value]) => value);
  // A monitor is a program, or a word for git's own.
  const monitors = all(/^core$/u, 'fsmonitor').filter((value) => value.includes('/'));
  return {
    included: all(/^include(?:if)?$/u, 'path'),
    hooks: all(/^core$/u, 'hookspath'),
    monitors,
    programs: commands.flatMap((value) => value.split(/[\s!;&|()'"=]+/u)).filter(Boolean),
    ...(worktree === undefined ? {} : { worktree }),
    perWorktree: all(/^extensions$/u, 'worktreeconfig').some((value) => /^(?:true|yes|on|1)$/iu.test(value)),
  };
}

/** Where a `.gitmodules` says that submodules lie, relative to the top of the project. */
export function submodulePaths(text: string): readonly string[] {
  return entriesOf(text).flatMap(([section, key, value]) => (section === 'submodule' && key === 'path' ? [value] : []));
}
