/** What a worker of images says: lines of JSON through a pipe (native/image/report.h). */
import { closeSync, read } from 'node:fs';
import { isRecord } from '../text/json.ts';

export type Report = Readonly<Record<string, unknown>>;

/** Is told how many bytes of the archive have been read, and how many entries have been unpacked. */
export type OnRead = (done: { readonly read: number; readonly entries: number }) => void;

/** More than a worker ever writes, in characters: the members of an archive, a file, and the steps on the way. */
const MAX_REPORT = 64 * 1024 * 1024;
const PIECE = 64 * 1024;

/** The outcome, which comes last; undefined where there is none. Reads to the end and closes the descriptor. */
export async function lastReport(fd: number, onRead: OnRead | undefined): Promise<Report | undefined> {
  let text = '';
  let size = 0;
  let last: Report | undefined;
  for await (const part of pieces(fd)) {
    size += part.length;
    if (size > MAX_REPORT) continue;
    text += part;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n')) {
      const report = parse(text.slice(0, end));
      text = text.slice(end + 1);
      const done = report?.['read'];
      if (typeof done === 'number') onRead?.({ read: done, entries: Number(report?.['entries'] ?? 0) });
      else if (report !== undefined) last = report;
    }
  }
  return last;
}

/** Without Node's streams: to load them takes longer than to index an archive. */
async function* pieces(fd: number): AsyncGenerator<string, void, undefined> {
  const buffer = Buffer.allocUnsafe(PIECE);
  const decoder = new TextDecoder();
  const next = (): Promise<number> =>
    new Promise((resolve, reject) => {
      read(fd, buffer, 0, PIECE, null, (error, count) => (error === null ? resolve(count) : reject(error)));
    });
  try {
    for (let count = await next(); count > 0; count = await next()) {
      yield decoder.decode(buffer.subarray(0, count), { stream: true });
    }
  } finally {
    closeSync(fd);
  }
}

function parse(line: string): Report | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
