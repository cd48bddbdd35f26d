/**
 * What the launcher has sent to systemd's journal (native/launcher/journal.cc), as `journalctl --output=export` writes it: fields
 * of a message, each `NAME=VALUE` or, where the value has other bytes than text, `NAME`, its size in 64 bits, and the bytes.
 */
import type { LogPiece } from './log-files.ts';

export const FIELDS = ['MESSAGE', 'PRIORITY', 'CONTAINER_PARTIAL_MESSAGE', '_SOURCE_REALTIME_TIMESTAMP'] as const;

export interface JournalPiece extends LogPiece {
  /** Tells the message from all others (`--after-cursor`). */
  readonly cursor: string;
}

const LINE_FEED = 10;
const EQUALS = 61;
const SIZE_OF_SIZE = 8;
const END = Buffer.of(LINE_FEED);

export class ExportReader {
  #rest = Buffer.alloc(0);
  #fields = new Map<string, Buffer>();

  /** The messages that are complete with these bytes. */
  take(bytes: Buffer): readonly JournalPiece[] {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const pieces: JournalPiece[] = [];
    let at = 0;
    for (;;) {
      const end = this.#field(all, at);
      if (end === undefined) break;
      if (end === at + 1) {
        const piece = pieceOf(this.#fields);
        if (piece !== undefined) pieces.push(piece);
        this.#fields = new Map();
      }
      at = end;
    }
    this.#rest = Buffer.from(all.subarray(at));
    return pieces;
  }

  /** Where the field that begins there ends; undefined: not in these bytes. An empty one ends a message. */
  #field(all: Buffer, at: number): number | undefined {
    const end = all.indexOf(LINE_FEED, at);
    if (end === -1) return undefined;
    const equals = all.subarray(at, end).indexOf(EQUALS);
    if (equals !== -1) {
      this.#fields.set(all.toString('latin1', at, at + equals), all.subarray(at + equals + 1, end));
      return end + 1;
    }
    // journalctl says so where there is nothing: `-- No entries --`.
    if (end === at || all[at] === '-'.charCodeAt(0)) return end + 1;
    const from = end + 1 + SIZE_OF_SIZE;
    if (all.length < from) return undefined;
    const to = from + Number(all.readBigUInt64LE(end + 1));
    if (all.length < to + 1) return undefined;
    this.#fields.set(all.toString('latin1', at, end), all.subarray(from, to));
    return to + 1;
  }
}

const MICRO = 1_000_000n;

/** Microseconds since 1970, as a log has a time. */
function timeOf(text: string): string | undefined {
  if (!/^\d{1,17}$/u.test(text)) return undefined;
  const time = BigInt(text);
  const seconds = new Date(Number(time / MICRO) * 1000).toISOString().slice(0, 'YYYY-MM-DDTHH:MM:SS'.length);
  return `${seconds}.${String(time % MICRO).padStart(6, '0')}000Z`;
}

function pieceOf(fields: ReadonlyMap<string, Buffer>): JournalPiece | undefined {
  const text = (name: string): string => fields.get(name)?.toString('latin1') ?? '';
  const message = fields.get('MESSAGE');
  const time = timeOf(text('_SOURCE_REALTIME_TIMESTAMP')) ?? timeOf(text('__REALTIME_TIMESTAMP'));
  if (message === undefined || time === undefined) return undefined;
  return {
    kind: 'piece',
    stream: text('PRIORITY') === '3' ? 'stderr' : 'stdout',
    bytes: Buffer.concat(fields.has('CONTAINER_PARTIAL_MESSAGE') ? [message] : [message, END]),
    time,
    cursor: text('__CURSOR'),
  };
}
