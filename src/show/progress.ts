/**
 * How a run is shown, by mode. A list is drawn by listr2, which is loaded for that alone. By default, a
 * start that is over soon is not drawn. A longer one has one line, which is removed when the command starts. A start that
 * fails is drawn with all its steps.
 */
import { type Progress, type ProgressOptions, undoneLine } from './progress-interface.ts';
import type { Plan } from '../plan/plan.ts';
import { shownPlan } from './redacted.ts';
import { formatCall, formatUndo } from './call-text.ts';
import { listedMessages, messageWriter, type WriteMessage } from './netlink-text.ts';
import { jsonEvents } from './json-events.ts';
import type { LaunchEvent } from '../launcher/events.ts';
import { milliseconds } from '../text/duration.ts';
import { errnoName } from '../kernel/errno.ts';
import { painter } from '../text/style.ts';

export function createProgress(options: ProgressOptions): Progress {
  const { mode, screen, showValues = false } = options;
  const write = (text: string): void => screen.write(text);
  const shown = (): Plan => (showValues ? options.plan : shownPlan(options.plan));
  if (mode === 'json' || mode === 'verbose') {
    const plan = shown();
    const words = messageWriter(options.plan, plan);
    return mode === 'json' ? jsonEvents(plan, write, words) : verbose(plan, write, words);
  }
  if (mode === 'list' || (mode === 'auto' && screen.isTerminal)) return drawn(options);
  return { draws: false, terse: true, event: () => undefined, finish: async () => undefined };
}

/** A line for each step as it is done, and below it the netlink messages that are too many for it. */
function verbose(plan: Plan, write: (text: string) => void, words: WriteMessage): Progress {
  const event = (happened: LaunchEvent): void => {
    if (happened.kind !== 'step' && happened.kind !== 'failed' && happened.kind !== 'undo') return;
    const step = plan.steps[happened.index];
    if (step === undefined) return;
    const side = step.side === 'host' ? 'host  ' : 'inside';
    const own: WriteMessage = (message) => words(message, step.because);
    if (happened.kind === 'step') {
      const took = happened.outcome === 'skipped' ? 'left out' : milliseconds(happened.endNs - happened.startNs);
      write(`${side} ${took.padStart(9)}  ${formatCall(step.call, own)}\n`);
      for (const [index, message] of listedMessages(step.call).entries()) {
        write(`${' '.repeat(20)}${words(message, step.messageReasons?.[index] ?? step.because)}\n`);
      }
    } else if (happened.kind === 'failed') {
      write(`${side} ${errnoName(happened.errno).padStart(9)}  ${formatCall(step.call, own)}\n`);
    } else {
      const result = happened.errno === 0 ? 'undone' : errnoName(happened.errno);
      write(`${side} ${result.padStart(9)}  ${formatUndo(step, happened.call, own)}\n`);
    }
  };
  return { draws: true, event, finish: async () => undefined };
}

/** A start that takes less time is not drawn. */
const MOMENT_MS = 150;

/** Events wait until listr2 is loaded, which goes on while the launcher works; often it is not needed at all. */
function drawn(options: ProgressOptions): Progress {
  const { mode, plan, screen } = options;
  const waiting: LaunchEvent[] = [];
  let list: Progress | undefined;
  let loading: Promise<Progress> | undefined;
  let isOver = false;
  const load = (): void => {
    loading ??= import('./listr.ts').then(({ drawGroups }) => {
      list = drawGroups(options);
      for (const event of waiting) list.event(event);
      return list;
    });
  };
  const timer = mode === 'list' ? undefined : setTimeout(load, MOMENT_MS);
  if (mode === 'list') load();
  return {
    draws: true,
    event(event) {
      if (list !== undefined) return list.event(event);
      if (!isOver) {
        waiting.push(event);
        if (event.kind === 'failed') load();
      } else if (event.kind === 'undo' && event.errno !== 0) {
        const step = plan.steps[event.index];
        if (step !== undefined) screen.write(undoneLine(step, event.errno, painter(screen.color)));
      }
    },
    async finish() {
      clearTimeout(timer);
      await (await loading)?.finish();
      isOver = true;
    },
  };
}
