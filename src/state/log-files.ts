/**
 * The log of a container in the background, as its launcher writes it (native/launcher/log_line.h): `log/00000001.json` and so
 * on, the oldest first. A line of a file is one of
 *
 *   {"log": TEXT, "stream": "stdout" | "stderr", "time": RFC 3339 in UTC with nanoseconds}
 *   {"log_base64": BASE64, …}       the same where the bytes are no UTF-8
 *   {"lost": BYTES, "errno": NUMBER, "time": …}
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { openOwnFile } from '../files/own.ts';
import { isHeld } from '../files/locks.ts';
import { isRecord, parseJson } from '../text/json.ts';

export interface LogPiece {
  readonly kind: 'piece';
  readonly stream: 'stdout' | 'stderr';
  /** A line with its line feed, or a part of one. */
  readonly bytes: Buffer;
  readonly time: string;
}

/** What was written and could not be kept. */
export interface LogGap {
  readonly kind: 'lost';
  readonly bytes: number;
  readonly errno: number;
  readonly time: string;
}

export type LogEntry = LogPiece | LogGap;

const FILE = /^\d{8}\.json$/u;
const BLOCK = 1 << 18;
const LINE_FEED = 10;
/** The longest line that the launcher writes: 16 KiB of which each byte is escaped. */
const LONGEST = 1 << 17;

const folderOf = (folder: string): string => join(folder, 'log');

/** The names of the files, the oldest first. */
function filesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folderOf(folder))
      .filter((name) => FILE.test(name))
      .toSorted();
  } catch {
    return [];
  }
}

/** Undefined: a line that was cut off when its writer was killed. */
function parseEntry(line: string): LogEntry | undefined {
  const value = parseJson(line);
  if (!isRecord(value) || typeof value['time'] !== 'string') return undefined;
  const { log, log_base64: base64, stream, time, lost, errno } = value;
  if (typeof lost === 'number' && typeof errno === 'number') return { kind: 'lost', bytes: lost, errno, time };
  if (stream !== 'stdout' && stream !== 'stderr') return undefined;
  if (typeof log === 'string') return { kind: 'piece', stream, bytes: Buffer.from(log), time };
  if (typeof base64 !== 'string') return undefined;
  return { kind: 'piece', stream, bytes: Buffer.from(base64, 'base64'), time };
}

/** A place between two lines. */
export interface LogPlace {
  readonly file: string;
  readonly offset: number;
}

/** Reads a log from a place on, through all of its files, also while it is written. */
export class LogReader {
  readonly #folder: string;
  readonly #block = Buffer.allocUnsafe(BLOCK);
  #file = '';
  #fd: number | undefined;
  #offset = 0;
  /** The beginning of a line whose rest is not there yet. */
  #rest = Buffer.alloc(0);

  /** `folder`: that of the container. */
  constructor(folder: string, from?: LogPlace) {
    this.#folder = folder;
    if (from === undefined) return;
    this.#file = from.file;
    this.#fd = openOwnFile(join(folderOf(folder), from.file));
    this.#offset = from.offset;
  }

  /** The next entries; undefined at the end of what is there now. */
  next(): readonly LogEntry[] | undefined {
    for (;;) {
      // Looked for before the read: a file to which another follows gets no more.
      const next = filesOf(this.#folder).find((name) => name > this.#file);
      const size = this.#fd === undefined ? 0 : readSync(this.#fd, this.#block, 0, BLOCK, this.#offset);
      if (size > 0) {
        this.#offset += size;
        return this.#take(this.#block.subarray(0, size));
      }
      if (next === undefined) return undefined;
      this.close();
      this.#file = next;
      this.#offset = 0;
      this.#fd = openOwnFile(join(folderOf(this.#folder), next));
    }
  }

  #take(block: Buffer): readonly LogEntry[] {
    const bytes = this.#rest.length === 0 ? block : Buffer.concat([this.#rest, block]);
    const end = bytes.lastIndexOf(LINE_FEED) + 1;
    const rest = bytes.subarray(end);
    this.#rest = rest.length > LONGEST ? Buffer.alloc(0) : Buffer.from(rest);
    if (end === 0) return [];
    return bytes
      .toString('utf8', 0, end - 1)
      .split('\n')
      .flatMap((line) => parseEntry(line) ?? []);
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#rest = Buffer.alloc(0);
  }
}

const endsLine = (entry: LogEntry): boolean => entry.kind === 'lost' || entry.bytes.at(-1) === LINE_FEED;

/** Where the last `count` lines begin; undefined: at the beginning of the log. */
export function lastLines(folder: string, count: number): LogPlace | undefined {
  const files = filesOf(folder);
  if (count === 0) return endOf(folder, files.at(-1));
  let found = 0;
  for (const file of files.toReversed()) {
    const fd = openOwnFile(join(folderOf(folder), file));
    if (fd === undefined) continue;
    try {
      for (const { entry, end } of backwards(fd)) {
        // The end of the line before the first one that is wanted. What is written of a line without its end is a line.
        if (endsLine(entry) && found === count) return { file, offset: end };
        if (endsLine(entry) || found === 0) found += 1;
      }
    } finally {
      closeSync(fd);
    }
  }
  return undefined;
}

function endOf(folder: string, file: string | undefined): LogPlace | undefined {
  return file === undefined ? undefined : { file, offset: statSync(join(folderOf(folder), file)).size };
}

/** The beginning of the first file that was written to at this time, in milliseconds since 1970, or later. */
export function writtenSince(folder: string, time: number): LogPlace | undefined {
  const files = filesOf(folder);
  const file = files.find((name) => statSync(join(folderOf(folder), name)).mtimeMs >= time) ?? files.at(-1);
  return file === undefined ? undefined : { file, offset: 0 };
}

/** The entries of a file from its end, each with the place behind it. */
function* backwards(fd: number): Generator<{ readonly entry: LogEntry; readonly end: number }> {
  let start = fstatSync(fd).size;
  let rest = Buffer.alloc(0);
  while (start > 0) {
    const size = Math.min(BLOCK, start);
    start -= size;
    const block = Buffer.allocUnsafe(size);
    const bytes = Buffer.concat([block.subarray(0, readSync(fd, block, 0, size, start)), rest]);
    let end = bytes.length;
    // Of the first line of the block, the beginning may be in the block before it.
    for (;;) {
      const before = end < 2 ? -1 : bytes.lastIndexOf(LINE_FEED, end - 2);
      if (before === -1 && start > 0) break;
      const entry = end === 0 ? undefined : parseEntry(bytes.toString('utf8', before + 1, end));
      if (entry !== undefined) yield { entry, end: start + end };
      end = before + 1;
      if (before === -1) break;
    }
    rest = bytes.subarray(0, end);
    if (rest.length > LONGEST + BLOCK) rest = Buffer.alloc(0);
  }
}

/** Whether a process still writes to the log: for a moment after its launcher was killed, one may. */
export function isWritten(folder: string): boolean {
  let fd: number;
  try {
    fd = openSync(folderOf(folder), constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch {
    return false;
  }
  return isHeld(fd);
}
