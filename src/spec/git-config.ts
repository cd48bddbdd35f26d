/** Reads the values of git's configuration (git-config(1)) that name other files: files that git reads or executes. */

export interface GitWords {
  /** Further configuration files (`include.path`): relative to the file that names them. */
  readonly included: readonly string[];
  /** `core.hooksPath` and `core.fsmonitor`: relative to the top of the working tree. */
  readonly hooks: readonly string[];
  readonly monitors: readonly string[];
  /** The words of all other commands that git runs: filters, drivers, pagers, aliases. Some are paths of the project. */
  readonly programs: readonly string[];
  /** `core.worktree`: the top of the working tree, relative to the git directory. */
  readonly worktree?: string;
  /** Git reads `config.worktree`, too (`extensions.worktreeConfig`). */
  readonly perWorktree: boolean;
}

/** Keys, of any section, whose values are commands. In a section that SPOKEN matches, every value is a command. */
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
  // Without a slash it is `true` or `false`: git's own monitor.
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

/** The paths of submodules in a `.gitmodules`, relative to the top of the working tree. */
export function submodulePaths(text: string): readonly string[] {
  return entriesOf(text).flatMap(([section, key, value]) => (section === 'submodule' && key === 'path' ? [value] : []));
}
