/** What launchers have told of the runs of containers in the background: the files `events` of their folders. */
import { closeSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { outcomeOf } from '../launcher/course.ts';
import type { LaunchEvent, Outcome } from '../launcher/events.ts';
import { openOwn } from '../native.ts';
import type { Plan } from '../plan/plan.ts';
import type { KeptContainer } from './containers.ts';

/** The command's way through one run, as far as it is known. */
export interface KeptRun {
  /** How often the launcher had started the container again by itself. */
  readonly restarts: number;
  /** Milliseconds since 1970: when it is started again. Undefined: it runs, or nobody starts it again. */
  readonly next: number | undefined;
  /** Milliseconds since 1970. */
  readonly started: number | undefined;
  readonly ended: number | undefined;
  /** The command's process, as the host numbers it. */
  readonly pid: number | undefined;
  /** Undefined as long as it runs, and where nobody could write down how it ended. */
  readonly outcome: Outcome | undefined;
}

/** For what can be told without the plan. */
const NO_PLAN: Pick<Plan, 'reports'> = { reports: [] };

type Counted = Pick<Plan, 'reports' | 'tallies'>;

const UNKNOWN: KeptRun = {
  restarts: 0,
  next: undefined,
  started: undefined,
  ended: undefined,
  pid: undefined,
  outcome: undefined,
};

/** What the launcher has told in a file of the container's folder; undefined where there is none. */
function readEvents(folder: string, name: string, plan: Counted): KeptRun | undefined {
  let fd: number;
  try {
    fd = openOwn(`${folder}/${name}`, 'file');
  } catch {
    return undefined;
  }
  let run = UNKNOWN;
  try {
    const note = (event: LaunchEvent): void => {
      if (event.kind === 'run') run = { ...run, restarts: event.restarts };
      if (event.kind === 'started') run = { ...run, pid: event.pid, started: event.at };
      if (event.kind === 'ended' || event.kind === 'failed') run = { ...run, ended: event.at };
      if (event.kind === 'restarting') run = { ...run, restarts: event.restarts, next: event.at + event.delayMs };
    };
    const outcome = outcomeOf(plan, readFileSync(fd), note, plan !== NO_PLAN);
    return { ...run, outcome };
  } catch (error) {
    // Damaged, or written by another version.
    if (error instanceof BoxctlError) return { ...run, outcome: undefined };
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** What the launcher has told of the last run. Without a plan, what it has counted is left out. */
export function readRun(
  { folder, isAlive }: Pick<KeptContainer, 'folder' | 'isAlive'>,
  plan: Counted = NO_PLAN,
): KeptRun {
  // A launcher that was killed between two runs may have left the last one's under its later name alone.
  const run = readEvents(folder, 'events', plan) ?? (isAlive ? undefined : readEvents(folder, 'events.1', plan));
  if (run === undefined) return UNKNOWN;
  // The launcher tells of the end before it is gone, and may still be at it.
  const waits = isAlive && run.next !== undefined;
  return { ...run, next: waits ? run.next : undefined, outcome: isAlive && !waits ? undefined : run.outcome };
}

/** Of the runs before the last one, as many are kept. */
const EARLIER_RUNS = 4;

/** Whether its command was ever started, as far back as is known. */
export function hasRun({ folder }: Pick<KeptContainer, 'folder'>): boolean {
  const names = ['events', ...Array.from({ length: EARLIER_RUNS }, (_, index) => `events.${index + 1}`)];
  return names.some((name) => readEvents(folder, name, NO_PLAN)?.started !== undefined);
}

/** Makes room for what the launcher of a container that is started again tells. */
export function shiftEvents({ folder }: Pick<KeptContainer, 'folder'>): void {
  for (let run = EARLIER_RUNS; run > 0; run--) {
    try {
      renameSync(join(folder, run === 1 ? 'events' : `events.${run - 1}`), join(folder, `events.${run}`));
    } catch {
      // It has not run so often.
    }
  }
}
