/**
 * Writing to descriptors 1 and 2. Node's own streams are not touched: they would make descriptors non-blocking that are
 * shared with the container, and with whoever else has them open.
 */
import { fstatSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';

/** Thrown where nobody reads what is written any more. */
export class ReaderGone extends Error {}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      if (codeOf(error) === 'EPIPE') throw new ReaderGone();
      // Somebody else made the shared description non-blocking, and its reader is slow.
      if (codeOf(error) !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** Data that was asked for. */
export function writeOutput(text: string): void {
  writeAll(1, text);
}

/** Everything else. A reader that has gone is no reason to stop. */
export function writeMessage(text: string): void {
  try {
    writeAll(2, text);
  } catch {
    // There is nowhere to say it.
  }
}

/** isatty(3), without loading what Node has for terminals where there can be none. */
export function isTerminal(fd: number): boolean {
  try {
    if (!fstatSync(fd).isCharacterDevice()) return false;
  } catch {
    return false;
  }
  return (createRequire('/')('node:tty') as typeof import('node:tty')).isatty(fd);
}

type Environment = Readonly<Record<string, string | undefined>>;

/** no-color.org, force-color.org, and terminals that cannot. */
export function wantsColor(fd: 1 | 2, env: Environment): boolean {
  if ((env['NO_COLOR'] ?? '') !== '') return false;
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined) return forced !== '0' && forced !== 'false';
  return isTerminal(fd) && env['TERM'] !== 'dumb';
}

/** Whether somebody watches what is drawn on standard error: not where a CI job keeps a log, nor without a cursor. */
export function isWatched(env: Environment): boolean {
  const ci = env['CI'] ?? '';
  return isTerminal(2) && env['TERM'] !== 'dumb' && (ci === '' || ci === 'false');
}

/** Columns of a terminal; 100 where it has none, or says that it has none. */
export function widthOf(env: Environment): number {
  const columns = Number(env['COLUMNS']);
  return Number.isInteger(columns) && columns >= 40 ? columns : 100;
}
