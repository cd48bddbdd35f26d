/** How an error is told: what, where, why, and what to do. */
import { EXIT_BOXCTL } from '../error-codes.ts';
import { BoxctlError } from '../errors.ts';
import { formatDiagnostics } from '../yaml/frame.ts';
import { readSpecFile } from '../spec/load.ts';
import { safe, safeLines } from '../text/safe.ts';
import { painter, RED } from '../text/style.ts';
import { writeMessage } from './output.ts';
import { explainHostFailure } from '../container/host-failure.ts';

/** The file is read again for the lines in the frames, if it is a regular one: a pipe is empty by now, a device is endless. */
function sourceOf(file: string): string {
  try {
    const read = readSpecFile(file, { regular: true });
    return read.text ?? read.broken?.text ?? '';
  } catch {
    // Since it was read first, it was removed, or replaced by a link.
    return '';
  }
}

/** Lines after the first are indented: else a line break in a file's name could begin a line that looks like boxctl's own. */
const indented = (text: string): string => safeLines(text).replaceAll('\n', '\n  ');

/** The text for a person; ends with a newline. */
export function describeError(given: unknown, color: boolean): string {
  const error = explainHostFailure(given);
  if (!(error instanceof BoxctlError)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return `boxctl: unexpected: ${text}\n  this is a mistake of boxctl: please report it\n`;
  }
  const [first] = error.diagnostics;
  if (first !== undefined) {
    const file = first.at?.file;
    const framed = formatDiagnostics(error.diagnostics, file === undefined ? '' : sourceOf(file), { color }).trimEnd();
    const all = file === undefined ? `boxctl: ${framed}` : framed;
    // The error's own hint is for all diagnostics together.
    const { hint } = error;
    return hint === undefined || hint === first.hint ? `${all}\n` : `${all}\n\n${safeLines(hint)}\n`;
  }
  const place = error.at === undefined ? '' : `${error.at.file}:${error.at.line}:${error.at.column}: `;
  const label = painter(color)(RED, 'error:');
  const hint = error.hint === undefined ? '' : `  ${indented(error.hint)}\n`;
  return `boxctl: ${safe(place)}${label} ${indented(error.message)}\n${hint}`;
}

/** Tells the error and gives the exit status. */
export function reportError(error: unknown, color: boolean): number {
  writeMessage(describeError(error, color));
  return error instanceof BoxctlError ? error.exitCode : EXIT_BOXCTL;
}
