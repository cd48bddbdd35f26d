/** Warnings, errors and the end of a run on standard error: as text for a person, or as JSON lines for a program. */
import { EXIT_BOXCTL } from '../error-codes.ts';
import { BoxctlError, type Position } from '../errors.ts';
import { placeOf } from '../model/because.ts';
import type { Ending } from '../run/ending.ts';
import { writeMessage } from './output.ts';
import { describeError } from './describe-error.ts';
import { explainHostFailure } from '../container/host-failure.ts';
import { safe, safeJson } from '../text/safe.ts';
import { painter, YELLOW } from '../text/style.ts';

export interface Messages {
  /** Something is other than the file says, and the container starts nevertheless. */
  warning(message: string, at: Position | undefined): void;
  /** Something about the run that the exit status alone does not tell. */
  notice(message: string, at: Position | undefined): void;
  /** Tells the error and gives the exit status. */
  failure(error: unknown): number;
  /** Why it ended, unless the command just did, and the limits that it ran into. */
  ended(ending: Ending): void;
}

export function textMessages(color: boolean, quiet: boolean): Messages {
  const paint = painter(color);
  const say = (label: string, message: string, at: Position | undefined): void => {
    const place = at === undefined ? '' : `${at.file}:${at.line}:${at.column}: `;
    writeMessage(`boxctl: ${safe(place)}${label}${safe(message)}\n`);
  };
  return {
    warning: (message, at) => {
      if (!quiet) say(`${paint(YELLOW, 'warning:')} `, message, at);
    },
    notice: (message, at) => say('', message, at),
    failure: (error) => {
      writeMessage(describeError(error, color));
      return error instanceof BoxctlError ? error.exitCode : EXIT_BOXCTL;
    },
    ended: ({ message, because, limits, refused, swallowed }) => {
      const told = limits.filter((hit) => hit.message !== message);
      if (message !== undefined) say('', message, because === undefined ? undefined : placeOf(because));
      for (const hit of told) say('', hit.message, placeOf(hit.because));
      if (refused !== undefined && !quiet) say('', refused.message, placeOf(refused.because));
      if (swallowed === undefined) return;
      say(`${paint(YELLOW, 'warning:')} `, swallowed.message, placeOf(swallowed.because));
      writeMessage(`  ${safe(swallowed.hint)}\n`);
    },
  };
}

function line(event: object): void {
  writeMessage(`${safeJson(event)}\n`);
}

export const jsonMessages: Messages = {
  warning: (message, at) => line({ event: 'warning', message, at }),
  notice: (message, at) => line({ event: 'warning', message, at }),
  failure: (given) => {
    const error = explainHostFailure(given);
    if (!(error instanceof BoxctlError)) {
      line({ event: 'error', code: 'E_UNEXPECTED', message: error instanceof Error ? error.stack : String(error) });
      return EXIT_BOXCTL;
    }
    const { code, message, hint, at, diagnostics, exitCode } = error;
    line({ event: 'error', code, message, hint, at, ...(diagnostics.length === 0 ? {} : { diagnostics }) });
    return exitCode;
  },
  ended: ({ limits, because, refused, swallowed, systemCall: system_call, ...ending }) => {
    const hits = limits.map(({ because: of, ...hit }) => ({ ...hit, at: placeOf(of) }));
    line({
      event: 'exited',
      ...ending,
      system_call,
      at: because === undefined ? undefined : placeOf(because),
      limits: hits,
      ...(refused === undefined ? {} : { refused: { packets: refused.packets, destinations: refused.destinations } }),
      ...(swallowed === undefined
        ? {}
        : { swallowed: { packets: swallowed.packets, message: swallowed.message, hint: swallowed.hint } }),
    });
  },
};
