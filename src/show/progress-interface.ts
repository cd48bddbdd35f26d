/** What shows a run: its interface, and what it is given. */
import type { Plan, Step } from '../plan/plan.ts';
import type { LaunchEvent } from '../launcher/events.ts';
import { errnoName } from '../kernel/errno.ts';
import { YELLOW, type Paint } from '../text/style.ts';

export const PROGRESS_MODES = ['auto', 'list', 'verbose', 'quiet', 'json'] as const;
export type ProgressMode = (typeof PROGRESS_MODES)[number];

/** Where things are drawn. */
export interface Screen {
  readonly color: boolean;
  /** Whether lines that were written can be written over. */
  readonly isTerminal: boolean;
  /** Synchronous, as all of it is. */
  write(text: string): void;
  /**
   * Writes over the line that the cursor is in, and over `up` lines above it. Only where `isTerminal`; no line of the text
   * must be wider than the screen.
   */
  redraw(text: string, up?: number): void;
  columns(): number;
}

export interface ProgressOptions {
  /** `auto`: one line, for as long as it takes, where a person is watching, else nothing. `list`: a line for each group. */
  readonly mode: ProgressMode;
  readonly plan: Plan;
  readonly screen: Screen;
  /** Show values of the caller's environment and of env_files, too. */
  readonly showValues?: boolean;
}

export interface Progress {
  /** Whether the command has to wait until all of it is written. */
  readonly draws: boolean;
  /** Steps that were done need not be told to it. */
  readonly terse?: boolean;
  event(event: LaunchEvent): void;
  /** Resolves when everything so far is on the screen and the cursor at the beginning of a line. May be called again. */
  finish(): Promise<void>;
}

/** What could not be undone after the command's end, when nothing is drawn any more. */
export function undoneLine(step: Step, errno: number, paint: Paint): string {
  const result = errno === 0 ? 'undone' : `not undone (${errnoName(errno)})`;
  return `  ${paint(YELLOW, '↶')} ${result}: ${step.id}\n`;
}
