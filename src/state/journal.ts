/**
 * What was done to containers, as `boxctl events` tells it: a line of JSON for each event, in the store:
 *
 *   containers/journal, and journal.1, which it becomes when it is full
 *
 * A line is appended by one write(2) of a file that is open with O_APPEND, so that lines of several processes do not mix. What a
 * launcher does by itself (start, die, restart) is in its container's folder, as long as there is one, and is added here when
 * that is removed. Nothing fails because an event cannot be written.
 */
import { closeSync, constants, fstatSync, openSync, readSync, renameSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { openOwn } from '../native.ts';
import type { HostFacts } from '../host/facts.ts';
import { isRecord, isTexts, parseJson } from '../text/json.ts';
import type { KeptContainer } from './containers.ts';

export const ACTIONS = [
  'create',
  'start',
  'health_status',
  'oom',
  'die',
  'restart',
  'kill',
  'stop',
  'pause',
  'unpause',
  'rename',
  'destroy',
] as const;
export type Action = (typeof ACTIONS)[number];

export interface JournalEvent {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly action: Action;
  readonly id: string;
  readonly name: string;
  /** Of the container and of the event: `image`, `exitCode`, `signal`. */
  readonly attributes: Readonly<Record<string, string>>;
}

type Noted = Pick<KeptContainer, 'id' | 'name'> & Partial<Pick<KeptContainer, 'image' | 'isForeground'>>;

const FULL = 1 << 20;
const LINE_END = 0x0a;

const pathOf = ({ dirs }: HostFacts): string => join(dirs.store, 'containers', 'journal');

/** Adds events; the oldest are lost when two files are full. */
export function append(host: HostFacts, events: readonly JournalEvent[]): void {
  if (events.length === 0) return;
  const path = pathOf(host);
  try {
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;
    const fd = openSync(path, flags, 0o600);
    try {
      writeSync(fd, events.map((event) => `${JSON.stringify(event)}\n`).join(''));
      // A writer that has the old one open goes on with it: a few lines more.
      const { size, ino } = fstatSync(fd);
      if (size > FULL && statSync(path).ino === ino) renameSync(path, `${path}.1`);
    } finally {
      closeSync(fd);
    }
  } catch {
    // A full disk, say.
  }
}

export function eventOf(
  container: Noted,
  action: Action,
  attributes: Readonly<Record<string, string>> = {},
  time = Date.now(),
): JournalEvent {
  const { id, name, image, isForeground } = container;
  const own = { ...(image === undefined ? {} : { image }), ...(isForeground === true ? { mode: 'foreground' } : {}) };
  return { time, action, id, name, attributes: { ...own, ...attributes } };
}

export const note = (
  host: HostFacts,
  container: Noted,
  action: Action,
  attributes: Readonly<Record<string, string>> = {},
): void => append(host, [eventOf(container, action, attributes)]);

function parseEvent(line: string): JournalEvent | undefined {
  const value = parseJson(line);
  if (!isRecord(value)) return undefined;
  const { time, action, id, name, attributes } = value;
  const known = ACTIONS.find((one) => one === action);
  if (typeof time !== 'number' || known === undefined || typeof id !== 'string' || typeof name !== 'string') {
    return undefined;
  }
  return { time, action: known, id, name, attributes: isTexts(attributes) ? attributes : {} };
}

/** Reads what has been written down, and later what has been added. */
export class JournalReader {
  readonly #paths: readonly string[];
  /** How far each file was read, by its number: it keeps that when it gets its other name. */
  readonly #read = new Map<number, number>();

  constructor(host: HostFacts) {
    this.#paths = [`${pathOf(host)}.1`, pathOf(host)];
  }

  /** What was added since the last time, as it was written. */
  next(): readonly JournalEvent[] {
    return this.#paths.flatMap((path) => this.#linesOf(path)).flatMap((line) => parseEvent(line) ?? []);
  }

  #linesOf(path: string): readonly string[] {
    let fd: number;
    try {
      fd = openOwn(path, 'file');
    } catch {
      return [];
    }
    try {
      const { ino, size } = fstatSync(fd);
      const from = Math.min(this.#read.get(ino) ?? 0, size);
      const bytes = Buffer.alloc(size - from);
      const whole = bytes.subarray(0, bytes.lastIndexOf(LINE_END, readSync(fd, bytes, 0, bytes.length, from) - 1) + 1);
      this.#read.set(ino, from + whole.length);
      return whole.toString('utf8').split('\n');
    } finally {
      closeSync(fd);
    }
  }
}
