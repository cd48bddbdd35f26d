/**
 * Writing to descriptors 1 and 2. Node's own streams are not touched: they would make descriptors non-blocking that are
 * shared with the container, and with whoever else has them open.
 */
import { fstatSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { BoxctlError } from '../errors.ts';
import { terminalColumns } from '../native.ts';
import type { Screen } from '../show/progress-interface.ts';
import { safeLines } from '../text/safe.ts';
import { safeButStyles } from '../text/style.ts';

/** The pipe that standard output is has no reader any more (EPIPE). */
export class ReaderGone extends Error {}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function unwritable(fd: number, error: unknown): BoxctlError {
  const name = fd === 1 ? 'standard output' : 'standard error';
  const message = `${name} cannot be written to: ${codeOf(error)}`;
  return new BoxctlError('E_OUTPUT', message, { hint: 'is it closed, or its disk full?', cause: error });
}

function writeAll(fd: number, text: string | Uint8Array): void {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      if (codeOf(error) === 'EPIPE') throw new ReaderGone();
      if (codeOf(error) !== 'EAGAIN') throw unwritable(fd, error);
      // Another process has set O_NONBLOCK on the shared open file description, and the pipe is full.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** Each replaces values of the caller's environment in a text. */
const redactions: ((text: string) => string)[] = [];

export function hideInOutput(redact: (text: string) => string): void {
  redactions.push(redact);
}

/**
 * Makes all output safe once more, in case a caller has forgotten it. Control characters of terminals are escaped, except
 * boxctl's own colours where colours are wanted. Values that must not be shown are replaced.
 */
function checked(fd: 1 | 2, given: string): string {
  const text = redactions.reduce((done, redact) => redact(done), given);
  return text.includes('\u001b') && wantsColor(fd, process.env) ? safeButStyles(text) : safeLines(text);
}

/** Writes data that was asked for to standard output. */
export function writeOutput(text: string): void {
  writeAll(1, checked(1, text));
}

/** The same for data with tabs between its columns. Values of foreign origin have none (plainRow of format.ts). */
export function writeTabbed(text: string): void {
  const parts = text.split('\t').map((part) => checked(1, part));
  writeAll(1, parts.join('\t'));
}

/** Writes the output of a container as it is. */
export function writeForeign(fd: 1 | 2, bytes: Uint8Array): void {
  writeAll(fd, bytes);
}

/** Writes everything else to standard error. A failure is ignored: the container goes on without a reader. */
export function writeMessage(text: string): void {
  try {
    writeAll(2, checked(2, text));
  } catch {
    // Standard error is where it would be reported.
  }
}

/** Goes back to the beginning of the line, and empties it and all below it. */
const CLEAR_REST = '\r\u001b[J';
const linesUp = (count: number): string => `\u001b[${count}A`;
/** Columns of a page that goes to no terminal, and the fewest that a page is laid out in. */
const USUAL_WIDTH = 100;
const LEAST_WIDTH = 40;
/** Columns of a terminal that does not tell its size. */
const USUAL_COLUMNS = 80;

/** Standard error, as what is drawn there needs it. */
export function screen(env: Environment): Screen {
  const drawn = isWatched(env);
  return {
    color: wantsColor(2, env),
    isTerminal: drawn,
    write: writeMessage,
    redraw(text, up = 0) {
      try {
        writeAll(2, `${up > 0 ? linesUp(up) : ''}${CLEAR_REST}${checked(2, text)}`);
      } catch {
        // As above.
      }
    },
    columns: () => (drawn && terminalColumns(2)) || USUAL_COLUMNS,
  };
}

/** isatty(3). node:tty is loaded only for a character device, because loading it takes time at the start. */
export function isTerminal(fd: number): boolean {
  try {
    if (!fstatSync(fd).isCharacterDevice()) return false;
  } catch {
    return false;
  }
  return (createRequire('/')('node:tty') as typeof import('node:tty')).isatty(fd);
}

/** Draws over the last `up` lines of standard output, which is a terminal. Nothing of its settings is changed. */
export function redrawOutput(text: string, up: number): void {
  writeAll(1, `${up > 0 ? linesUp(up) : ''}${CLEAR_REST}${checked(1, text)}`);
}

type Environment = Readonly<Record<string, string | undefined>>;

/** By NO_COLOR (no-color.org) and FORCE_COLOR (force-color.org); else colours go to terminals that are not `dumb`. */
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

/** Columns of the page on standard output: what the caller says, the terminal's, or 100 where neither says. */
export function widthOf(env: Environment): number {
  const said = Number(env['COLUMNS']);
  const columns = Number.isInteger(said) && said > 0 ? said : terminalColumns(1);
  return columns === 0 ? USUAL_WIDTH : Math.max(columns, LEAST_WIDTH);
}
