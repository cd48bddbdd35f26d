/** Collects what the named programs of this host need to run elsewhere. */
import { closeSync, existsSync, lstatSync, openSync, readSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { readElf } from './elf.ts';
import { FileList } from './filelist.ts';
import { identityAt } from './identity.ts';
import { librariesOf } from './libraries.ts';
import { lookUp, STANDARD_PATH } from '../files/programs.ts';
import { addSkeleton } from './skeleton.ts';

/** As deep as the kernel follows `#!` lines (BINPRM_MAX_RECURSION is 4). */
const MAX_INTERPRETERS = 5;
/** As much of a `#!` line as the kernel reads. */
const SHEBANG_SIZE = 256;

/**
 * The files of an image with the programs `tools` (names looked up in `path`, or absolute paths), their interpreters,
 * loaders and libraries. Throws `E_TOOL_NOT_FOUND` naming all that are missing, and `E_TOOL_UNREADABLE`.
 */
export function collectTools(tools: readonly string[], path: string): FileList {
  const list = new FileList();
  addSkeleton(list);
  const places = tools.map((tool) => ({ tool, found: search(list, tool, path) }));
  const missing = places.flatMap(({ tool, found }, item) => (found === undefined ? [{ tool, item }] : []));
  // What the specification names has been allowed (src/model/demands.ts).
  const asked = new Set(places.map(({ found }) => found ?? ''));
  for (const { tool, found } of places) {
    if (found === undefined) continue;
    addProgram(list, found, { path, asked, depth: 0 });
    // A container's PATH is the standard one: what was found elsewhere gets a link.
    if (!tool.includes('/') && !isStandard(found)) {
      list.link(join('/usr/local/bin', tool), found);
    }
  }
  const [first] = missing;
  if (first !== undefined) {
    throw new BoxctlError(
      'E_TOOL_NOT_FOUND',
      `this host has no program ${missing.map(({ tool }) => tool).join(', ')}`,
      {
        item: first.item,
        hint: 'install it, or name it by an absolute path; PATH was searched, and the standard folders',
      },
    );
  }
  return list;
}

/** What was searched is noted too: a program that appears earlier in PATH makes another image. */
function search(list: FileList, tool: string, path: string): string | undefined {
  const { found, searched } = lookUp(tool, path);
  for (const folder of searched) list.note(folder, identityAt(folder));
  return found;
}

interface Search {
  /** A value of PATH. */
  readonly path: string;
  readonly asked: ReadonlySet<string>;
  /** How many scripts have led here. */
  readonly depth: number;
}

function addProgram(list: FileList, program: string, from: Search): void {
  const real = list.add(program, { asked: from.asked.has(program) });
  let fd: number;
  try {
    fd = openSync(real, 'r');
  } catch (cause) {
    throw new BoxctlError('E_TOOL_UNREADABLE', `${real} may be executed, but not read`, { cause });
  }
  try {
    const start = Buffer.alloc(SHEBANG_SIZE);
    const text = start.subarray(0, readSync(fd, start, 0, SHEBANG_SIZE, 0)).toString('latin1');
    if (text.startsWith('#!')) {
      addInterpreter(list, real, text.slice(2).split('\n', 1)[0] ?? '', from);
      return;
    }
    const elf = readElf(fd);
    if (elf === undefined) {
      throw new BoxctlError('E_TOOL_UNREADABLE', `${real} is neither a script nor a program of this kind of machine`);
    }
    if (elf.kind === 'dynamic') addLibraries(list, real, elf.loader);
  } finally {
    closeSync(fd);
  }
}

function addInterpreter(list: FileList, script: string, line: string, from: Search): void {
  const { path, asked, depth } = from;
  const [interpreter, ...words] = line.trim().split(/\s+/);
  if (interpreter === undefined || !interpreter.startsWith('/') || depth >= MAX_INTERPRETERS) {
    throw new BoxctlError('E_TOOL_UNREADABLE', `The interpreter of the script ${script} cannot be told`);
  }
  const next = { path, asked, depth: depth + 1 };
  if (!isStandard(interpreter) && !asked.has(interpreter)) throw notAsked(script, interpreter);
  addProgram(list, interpreter, next);
  if (basename(interpreter) !== 'env') return;
  const name = words.find((word) => !word.startsWith('-') && !word.includes('='));
  const found = name === undefined ? undefined : search(list, name, path);
  if (found === undefined) {
    throw new BoxctlError('E_TOOL_NOT_FOUND', `The script ${script} needs ${name ?? 'a program'}, which is not here`);
  }
  if (!isStandard(found) && !asked.has(found)) throw notAsked(script, found);
  addProgram(list, found, next);
}

const isStandard = (program: string): boolean => STANDARD_PATH.some((folder) => folder === dirname(program));

/** A script decides which loader runs here when its interpreter is packed; so it may choose the host's own alone. */
function notAsked(script: string, program: string): BoxctlError {
  return new BoxctlError(
    'E_TOOL_UNREADABLE',
    `The script ${script} is run by ${program}, which is in no standard folder`,
    {
      hint: `name ${program} in \`host_tools\`, too, if it may be packed`,
    },
  );
}

const LOADER_CACHE = '/etc/ld.so.cache';

function addLibraries(list: FileList, program: string, loader: string): void {
  list.add(loader);
  const { paths, needCache } = librariesOf(program, loader);
  for (const library of paths) {
    list.add(library);
    const name = basename(library);
    if (/^lib(n?curses|tinfo)/.test(name)) addTerminals(list);
    // Before glibc 2.34, reading /etc/passwd was a library of its own, loaded by name.
    const files = join(dirname(library), 'libnss_files.so.2');
    if (name === 'libc.so.6' && existsSync(files)) list.add(files);
  }
  if (needCache && existsSync(LOADER_CACHE)) list.add(LOADER_CACHE);
}

const TERMINAL_FOLDERS = ['/etc/terminfo', '/lib/terminfo', '/usr/lib/terminfo', '/usr/share/terminfo'];
const TERMINALS = [
  'xterm',
  'xterm-256color',
  'xterm-color',
  'screen',
  'screen-256color',
  'tmux',
  'tmux-256color',
  'linux',
  'vt100',
  'vt220',
  'rxvt-unicode-256color',
  'dumb',
  'ansi',
];

/** Descriptions of the usual terminals, as far as the host has them. */
function addTerminals(list: FileList): void {
  for (const folder of TERMINAL_FOLDERS) {
    for (const terminal of TERMINALS) {
      const path = join(folder, terminal.charAt(0), terminal);
      if (lstatSync(path, { throwIfNoEntry: false }) !== undefined && existsSync(path)) list.add(path);
    }
  }
}
