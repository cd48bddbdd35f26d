/** How a run is shown, by mode. What is drawn on a terminal is drawn by listr2, which is loaded for that alone. */
import type { Plan } from '../plan/plan.ts';
import { formatCall, formatUndo } from '../plan/format.ts';
import { jsonEvents } from './json-events.ts';
import type { LaunchEvent } from './launch.ts';
import { milliseconds } from './duration.ts';
import { errnoName } from './errno.ts';

export type ProgressMode = 'auto' | 'quiet' | 'verbose' | 'json';

export interface ProgressOptions {
  /** `auto`: groups of steps where a person is watching, else nothing. */
  readonly mode: ProgressMode;
  readonly plan: Plan;
  /** Whether what is written is seen on a terminal. */
  readonly isTerminal: boolean;
  readonly color: boolean;
  /** Synchronous, and to standard error. */
  readonly write: (text: string) => void;
}

export interface Progress {
  /** Whether the command has to wait until all of it is written. */
  readonly draws: boolean;
  event(event: LaunchEvent): void;
  /** Resolves when everything so far is on the screen and the cursor at the beginning of a line. May be called again. */
  finish(): Promise<void>;
}

export function createProgress(options: ProgressOptions): Progress {
  const { mode, plan, isTerminal, write } = options;
  if (mode === 'json') return jsonEvents(plan, write);
  if (mode === 'verbose') return verbose(plan, write);
  if (mode === 'quiet' || !isTerminal) return { draws: false, event: () => undefined, finish: async () => undefined };
  return onTerminal(options);
}

/** A line for each step as it is done. */
function verbose(plan: Plan, write: (text: string) => void): Progress {
  const event = (happened: LaunchEvent): void => {
    if (happened.kind !== 'step' && happened.kind !== 'failed' && happened.kind !== 'undo') return;
    const step = plan.steps[happened.index];
    if (step === undefined) return;
    const side = step.side === 'host' ? 'host  ' : 'inside';
    if (happened.kind === 'step') {
      const took = happened.outcome === 'skipped' ? 'left out' : milliseconds(happened.endNs - happened.startNs);
      write(`${side} ${took.padStart(9)}  ${formatCall(step.call)}\n`);
    } else if (happened.kind === 'failed') {
      write(`${side} ${errnoName(happened.errno).padStart(9)}  ${formatCall(step.call)}\n`);
    } else {
      const result = happened.errno === 0 ? 'undone' : errnoName(happened.errno);
      write(`${side} ${result.padStart(9)}  ${formatUndo(step, happened.call)}\n`);
    }
  };
  return { draws: true, event, finish: async () => undefined };
}

/** Events wait in a list until listr2 is loaded, which goes on while the launcher works. */
function onTerminal(options: ProgressOptions): Progress {
  const waiting: LaunchEvent[] = [];
  const loaded = import('./listr.ts').then(({ drawGroups }) => drawGroups(options));
  let take = (event: LaunchEvent): void => void waiting.push(event);
  const drawn = loaded.then((progress) => {
    for (const event of waiting) progress.event(event);
    take = (event) => progress.event(event);
    return progress;
  });
  return { draws: true, event: (event) => take(event), finish: async () => (await drawn).finish() };
}
