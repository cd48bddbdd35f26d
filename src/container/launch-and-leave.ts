/** Launches a plan, and leaves its container to its launcher once the command runs. */
import { closeSync, constants, openSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { BoxctlError } from '../errors.ts';
import { signalName } from '../kernel/signals.ts';
import { launch } from '../launcher/launch.ts';
import type { Plan } from '../plan/plan.ts';
import { hookHasFailed } from '../run/explain.ts';
import type { Prepared } from './prepare.ts';
import type { Reporter } from './reporter.ts';
import { endOf, type Run, type RunOptions } from './run.ts';
import { forwardSignals } from './signals.ts';

export type LeaveOptions = Pick<RunOptions, 'by' | 'showValues'> & {
  readonly reporter: Reporter;
  readonly takesSignals: boolean;
};

export interface Leaving {
  readonly id: string;
  /** Descriptors that the launcher keeps open: the container's lock, and its claims. */
  readonly locks: readonly number[];
  readonly prepared: Pick<Prepared, 'model' | 'host'>;
  readonly options: LeaveOptions;
  /** Is called when the command is about to be started, and passes signals on from then on. It must not throw. */
  readonly beforeCommand?: () => void;
}

/** Why a container ended before it was left to its launcher. */
export function notStarted(run: Run, options: Pick<LeaveOptions, 'reporter' | 'showValues'>): Error {
  const { status, message: why = `its command ended with status ${status}` } = endOf(run, options);
  const { model, outcome } = run;
  if (outcome.kind !== 'signaled') {
    return new BoxctlError('E_ENDED_EARLY', `${model.name} ended before its \`post_start\` had: ${why}`);
  }
  const message = `the start of ${model.name} was given up (${signalName(outcome.signal)})`;
  return new BoxctlError('E_INTERRUPTED', message, { signal: outcome.signal });
}

/** Resolves when the command runs and the launcher is on its own. */
export async function launchAndLeave(
  plan: Plan,
  { id, prepared, options, locks, beforeCommand }: Leaving,
): Promise<void> {
  const { reporter, takesSignals } = options;
  const progress = reporter.launching(plan);
  const nothing = openSync('/dev/null', constants.O_RDWR);
  let stop = (): void => undefined;
  let hasStarted = (): void => undefined;
  let runs = false;
  const started = new Promise<'started'>((resolve) => {
    hasStarted = () => resolve('started');
  });
  // A container has started when all of these have ended well. The launcher ends it where one has not.
  let awaited = 1 + (plan.execs ?? []).filter(({ kind }) => kind === 'post_start').length;
  const oneMore = (): void => {
    if (--awaited === 0) hasStarted();
  };
  try {
    const passGate = async (): Promise<void> => {
      await progress.finish();
      stop();
      stop = () => undefined;
      beforeCommand?.();
      launched.go();
    };
    const launched = launch(plan, {
      id,
      kept: locks,
      gate: beforeCommand !== undefined,
      contents: prepared.model.contents,
      ...(options.by === undefined ? {} : { by: options.by }),
      stdio: [nothing, nothing, nothing],
      onEvent: (event) => {
        progress.event(event);
        runs ||= event.kind === 'started';
        if (event.kind === 'started' || (event.kind === 'hook' && !hookHasFailed(event))) oneMore();
        if (event.kind === 'gate') void passGate();
      },
    });
    if (takesSignals) {
      stop = forwardSignals(
        // What is waited for then are hooks, which the command knows nothing of.
        (signal) => (runs && signal === osConstants.signals.SIGINT ? launched.stop() : launched.signal(signal)),
        (message) => reporter.notice(message, undefined),
      );
      launched.takeSignals();
    }
    const first = await Promise.race([started, launched.done]);
    if (first === 'started') return await launched.detach();
    throw notStarted({ ...prepared, plan, outcome: first }, options);
  } finally {
    stop();
    await progress.finish();
    closeSync(nothing);
  }
}
