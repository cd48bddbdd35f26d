/**
 * The record of what was read of the outside while a plan was made. A plan may be used again as long as everything in its
 * record is as it was. Readers do not write records themselves: `outside.ts`, `environment.ts` and the addon's functions do.
 *
 * The identity of a file is taken before the file is read. A change during or after the reading then differs from the record.
 */
import { lstatSync, readFileSync, statSync, type BigIntStats } from 'node:fs';
import { isAbsolute, join } from 'node:path';

/** What tells a file from another, and from itself after a change. Times are nanoseconds since 1970. */
export interface Identity {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of a device. */
  readonly rdev: bigint;
  readonly size: bigint;
  readonly mtime: bigint;
  readonly ctime: bigint;
}

/** What is at a path: an identity, or the error of stat(2), such as ENOENT. */
export type Found = Identity | string;

export type Input =
  /**
   * `follows`: what the path leads to, and not a link itself. `isWhole`: size and times count, since the content was read, or
   * the names in a folder. Of a folder that was only looked at, they change without a change of the plan.
   */
  | {
      readonly kind: 'path';
      readonly path: string;
      readonly follows: boolean;
      readonly isWhole: boolean;
      readonly found: Found;
      /** When it was looked at, milliseconds since 1970. */
      readonly at: number;
    }
  /** Where a path leads with all links followed; undefined: nowhere. */
  | { readonly kind: 'real'; readonly path: string; readonly leads: string | undefined }
  /** Whether access(2) allows `mode`: 4, 2, 1 for reading, writing, executing; 0: it exists. */
  | { readonly kind: 'access'; readonly path: string; readonly mode: number; readonly isAllowed: boolean }
  /**
   * Of a file that the kernel writes, whose times tell nothing. `lines`: those that have one of these in them count. Of lines that have
   * what is after a `^` here, the last one before such a line counts, too: its heading.
   */
  | {
      readonly kind: 'text';
      readonly path: string;
      readonly lines: readonly string[] | undefined;
      readonly text: string | undefined;
    }
  /**
   * Of a table of the kernel's with words in columns: other columns than these may change, and so may lines with a word that is
   * `without` and a number.
   */
  | ({ readonly kind: 'table'; readonly path: string; readonly text: string | undefined } & TablePart)
  /**
   * What a setting of the kernel's is, or was before boxctl changed it: that is in the file `lock`. `before` is without space around
   * it; undefined: there is no such setting.
   */
  | { readonly kind: 'setting'; readonly path: string; readonly lock: string; readonly before: string | undefined }
  /** Of the interfaces, but those whose names are `without` and a number (native/shared/interface_addresses.h). */
  | { readonly kind: 'addresses'; readonly without: string; readonly text: string }
  /** The magic number of a file system (statfs(2)); undefined where there is nothing. */
  | { readonly kind: 'file_system'; readonly path: string; readonly type: number | undefined }
  /** Of this process or machine, by one of the names of `Fact`. */
  | { readonly kind: 'fact'; readonly name: Fact; readonly value: string }
  /** A variable of the environment that was looked up; undefined: it is not set. */
  | { readonly kind: 'variable'; readonly name: string; readonly value: string | undefined };

export interface TablePart {
  /** Those that count, from 0, in order; at most 32. */
  readonly columns: readonly number[];
  readonly without: string;
}

/** Of namespaces(7). */
export const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts'] as const;

/** `cpus`: the processors that this process may use. `folder`: the current one. */
export type Fact =
  'hostname' | 'release' | 'cpus' | 'folder' | 'uid' | 'euid' | 'egid' | `namespace.${(typeof NAMESPACES)[number]}`;

/**
 * A clock of the kernel's that gives files their times goes by ticks, of 10 ms at most. File systems with whole seconds, or two
 * of them, give times that have nothing below the second.
 */
const TICK_NS = 20_000_000n;
const SECONDS_NS = 3_000_000_000n;
const MS_NS = 1_000_000n;
const SECOND_NS = 1_000_000_000n;

const S_IFMT = 0o170_000;
const S_IFREG = 0o100_000;
const S_IFLNK = 0o120_000;

export const isIdentity = (found: Found): found is Identity => typeof found !== 'string';

/** Whether what is at a path has content that size and times stand for. Devices, sockets and fifos do not. */
function hasContent(mode: number): boolean {
  return (mode & S_IFMT) === S_IFREG || (mode & S_IFMT) === S_IFLNK;
}

/** Whether the file system gives whole seconds, or those that were written into it when it was made. */
export const hasWholeSeconds = ({ ctime }: Identity): boolean => ctime % SECOND_NS === 0n;

/**
 * Where the kernel numbers the media of a block device: each that is attached to it has another number (Linux 5.15). Of a partition, the
 * second one. Undefined: the file system is on no block device.
 */
export function mediumPaths(dev: bigint): readonly string[] | undefined {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xffff_f000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffff_ff00n);
  const device = `/sys/dev/block/${major}:${minor}`;
  return major === 0n ? undefined : [`${device}/diskseq`, `${device}/../diskseq`];
}

/**
 * Whether a later change of the file is sure to change its times. A file that was changed just before it was looked at can be
 * changed once more within the same tick, and then looks the same.
 */
export function isSettled(input: Input): boolean {
  if (input.kind !== 'path' || !input.isWhole || !isIdentity(input.found)) return true;
  const { mtime, ctime } = input.found;
  const last = mtime > ctime ? mtime : ctime;
  const step = last % SECOND_NS === 0n ? SECONDS_NS : TICK_NS;
  return last + step < BigInt(input.at) * MS_NS;
}

const keyOf = (input: Input): string => {
  switch (input.kind) {
    case 'path':
      return `path ${input.follows ? 'at' : 'link'} ${input.path}`;
    case 'access':
      return `access ${input.mode} ${input.path}`;
    case 'fact':
    case 'variable':
      return `${input.kind} ${input.name}`;
    case 'text':
      return `text ${input.path} ${input.lines?.join(' ') ?? ''}`;
    case 'table':
      return `table ${input.path} ${input.without} ${input.columns.join(' ')}`;
    case 'addresses':
      return `addresses ${input.without}`;
    default:
      return `${input.kind} ${input.path}`;
  }
};

/** What of the outside it is of. */
export function nameOf(input: Input): string {
  if (input.kind === 'addresses') return 'the addresses of the host';
  return 'path' in input ? input.path : input.name;
}

const isSame = (a: Input, b: Input): boolean => {
  if (a.kind === 'path' && b.kind === 'path') return sameFound(a.found, b.found, a.isWhole && b.isWhole);
  if (a.kind === 'real' && b.kind === 'real') return a.leads === b.leads;
  if (a.kind === 'access' && b.kind === 'access') return a.isAllowed === b.isAllowed;
  if (a.kind === 'text' && b.kind === 'text') return a.text === b.text;
  if (a.kind === 'table' && b.kind === 'table') return a.text === b.text;
  if (a.kind === 'setting' && b.kind === 'setting') return a.before === b.before && a.lock === b.lock;
  if (a.kind === 'addresses' && b.kind === 'addresses') return a.text === b.text;
  if (a.kind === 'file_system' && b.kind === 'file_system') return a.type === b.type;
  if (a.kind === 'fact' && b.kind === 'fact') return a.value === b.value;
  return a.kind === 'variable' && b.kind === 'variable' && a.value === b.value;
};

function sameFound(a: Found, b: Found, isWhole: boolean): boolean {
  if (!isIdentity(a) || !isIdentity(b)) return a === b;
  const place = a.dev === b.dev && a.ino === b.ino && a.mode === b.mode && a.uid === b.uid && a.gid === b.gid;
  if (!place || a.rdev !== b.rdev) return false;
  return !isWhole || (a.size === b.size && a.mtime === b.mtime && a.ctime === b.ctime);
}

/** What was read from its start until `stop`. */
export class Recording {
  readonly #inputs = new Map<string, Input>();
  readonly #gaps = new Set<string>();

  get inputs(): readonly Input[] {
    return [...this.#inputs.values()];
  }

  /** What the plan depends on and the record does not have: sentences without full stop. */
  get gaps(): readonly string[] {
    return [...this.#gaps];
  }

  /** Input that was changed so shortly before it was read that a later change might not be seen. */
  get unsettled(): readonly Input[] {
    return this.inputs.filter((input) => !isSettled(input));
  }

  has(input: Input): boolean {
    const known = this.#inputs.get(keyOf(input));
    return known !== undefined && (known.kind !== 'path' || input.kind !== 'path' || known.isWhole || !input.isWhole);
  }

  add(input: Input): void {
    const key = keyOf(input);
    const known = this.#inputs.get(key);
    if (known !== undefined && !isSame(known, input)) {
      this.addGap(`${nameOf(input)} changed while the plan was made`);
    }
    // Of two identities of one file the older one counts.
    if (known === undefined || (known.kind === 'path' && input.kind === 'path' && !known.isWhole && input.isWhole)) {
      this.#inputs.set(key, input);
    }
  }

  addGap(what: string): void {
    this.#gaps.add(what);
  }

  stop(): void {
    recordings.delete(this);
  }
}

/** Of one process, there may be several at once. Each has all that is read meanwhile, which is more than it needs at worst. */
const recordings = new Set<Recording>();

export function startRecording(): Recording {
  const recording = new Recording();
  recordings.add(recording);
  return recording;
}

export const isRecording = (): boolean => recordings.size > 0;

export function note(input: Input): void {
  for (const recording of recordings) recording.add(input);
}

/** The plan depends on something that no record can have, such as a claim or an answer of the network. */
export function noteGap(what: string): void {
  for (const recording of recordings) recording.addGap(what);
}

/** The code of a system call's error, such as ENOENT. */
export const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'EIO';

export const absolute = (path: string): string => (isAbsolute(path) ? path : join(process.cwd(), path));

function identityOf(status: BigIntStats): Identity {
  return {
    dev: status.dev,
    ino: status.ino,
    mode: Number(status.mode),
    uid: Number(status.uid),
    gid: Number(status.gid),
    rdev: status.rdev,
    size: status.size,
    mtime: status.mtimeNs,
    ctime: status.ctimeNs,
  };
}

/**
 * Notes what is at a path now; to be called before it is used. `isWhole`: the names in a folder count, too. The content of a
 * file counts always.
 */
export function notePath(given: string, { follows = true, isWhole = false } = {}): void {
  if (!isRecording()) return;
  const path = absolute(given);
  const wanted: Input = { kind: 'path', path, follows, isWhole, found: '', at: Date.now() };
  if ([...recordings].every((recording) => recording.has(wanted))) return;
  let found: Found;
  try {
    found = identityOf(follows ? statSync(path, { bigint: true }) : lstatSync(path, { bigint: true }));
  } catch (error) {
    found = codeOf(error);
  }
  const counts = !isIdentity(found) || hasContent(found.mode) || isWhole;
  note({
    ...wanted,
    isWhole: counts,
    found: counts || !isIdentity(found) ? found : { ...found, size: 0n, mtime: 0n, ctime: 0n },
  });
  if (counts && isIdentity(found) && hasWholeSeconds(found)) noteMedium(found);
}

/**
 * Two images of a file system whose times are all the same, as tools set them for images that can be made again, can be mounted one after
 * the other at the same place, on the same device. A file of the one then looks like that of the other.
 */
function noteMedium({ dev }: Identity): void {
  for (const path of mediumPaths(dev) ?? []) {
    let text: string | undefined;
    try {
      text = readFileSync(path, 'utf8');
    } catch {
      // The kernel is older, this is a partition, or there is no /sys.
    }
    note({ kind: 'text', path, lines: undefined, text });
    if (text !== undefined) return;
  }
}
