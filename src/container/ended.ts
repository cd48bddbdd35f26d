/** How a container went that was started from a kept plan, without Node: by what its launcher has told. */
import { BoxctlError } from '../errors.ts';
import { SIGSYS } from '../kernel/signals.ts';
import { offsetOf } from '../kernel/layout.ts';
import { EVENT, PLAN_HEADER } from '../kernel/wire.ts';
import { byFront, encodePlan } from '../launcher/encode.ts';
import { killedFor } from '../launcher/kill-record.ts';
import { kindsOf, launcherDied, outcomeOf } from '../launcher/course.ts';
import type { LaunchEvent, Outcome } from '../launcher/events.ts';
import type { Plan } from '../plan/plan.ts';
import { helperEnded } from '../run/explain.ts';

/** What a launcher has told of a run that had no Node beside it. */
export interface Ended {
  /** The plan as it was given to the launcher. */
  readonly plan: Uint8Array;
  readonly records: Uint8Array;
  /** The descriptor of its claim of addresses, where it had one. */
  readonly claim: number;
}

type OnEvent = (event: LaunchEvent) => void;

/** Each run has an id of its own, and native/front sets how many locks the launcher is given. */
function withoutOwn(plan: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(plan);
  const [id, kept] = [offsetOf(PLAN_HEADER, 'id'), offsetOf(PLAN_HEADER, 'kept_fds')];
  return copy.fill(0, id, id + 8).fill(0, kept, kept + 4);
}

/**
 * `onEvent` is told of what happened while it ran.
 * @throws BoxctlError E_LAUNCHER_DIED where it was killed; E_PLAN_CHANGED where the plan is another by now
 */
export async function outcomeOfEnded(
  plan: Plan,
  { plan: given, records }: Ended,
  { isBackground = false, onEvent }: { readonly isBackground?: boolean; readonly onEvent?: OnEvent } = {},
): Promise<Outcome> {
  const events: LaunchEvent[] = [];
  const outcome = await outcomeOfRecords(plan, records, (event) => void events.push(event));
  // The records have places in the plan. In another plan they would name other lines of the file.
  if (Buffer.compare(withoutOwn(encodePlan(plan, byFront(isBackground))), withoutOwn(given)) !== 0) {
    throw new BoxctlError(
      'E_PLAN_CHANGED',
      'the container has ended otherwise than by itself, and how cannot be told',
      {
        hint: 'what its plan was made from has changed since it was started: boxctl plan --inputs',
      },
    );
  }
  if (onEvent !== undefined) for (const event of events) onEvent(event);
  return outcome;
}

/**
 * Of a container that runs on: a sentence about the program of its network, which has ended. It needs no plan, and so neither names
 * the program nor the line of the file. Undefined where the container itself has ended (NodeTeller in native/front/main.cc).
 */
export function helperEndedBeside({ records }: Ended): string | undefined {
  const ofHelper: ReadonlySet<number> = new Set([EVENT.helperSaid, EVENT.helperEnded]);
  if (
    !kindsOf(records)
      .slice(0, -1)
      .every((kind) => ofHelper.has(kind))
  )
    return undefined;
  let sentence: string | undefined;
  outcomeOf({ reports: [] }, records, (event) => {
    if (event.kind === 'helper') sentence = helperEnded({ steps: [] }, event);
  });
  return sentence;
}

/** @throws BoxctlError E_LAUNCHER_DIED where it was killed */
export async function outcomeOfRecords(plan: Plan, records: Uint8Array, onEvent?: OnEvent): Promise<Outcome> {
  let started: { readonly pid: number; readonly at: number } | undefined;
  const outcome = outcomeOf(plan, records, (event) => {
    if (event.kind === 'started') started = event;
    onEvent?.(event);
  });
  if (outcome === undefined) {
    throw launcherDied(started !== undefined);
  }
  if (outcome.kind !== 'signaled' || outcome.signal !== SIGSYS || started === undefined) return outcome;
  return { ...outcome, killedFor: await killedFor(started.pid, started.at) };
}
