/** Why a container ended, in words and as data. */
import { COUNTED_LIMITS, type CountedLimit } from '../limits/table.ts';
import type { Because } from '../model/because.ts';
import type { Plan } from '../plan/plan.ts';
import { inUnits } from '../text/duration.ts';
import { signalName, SIGSYS } from '../kernel/signals.ts';
import type { Outcome, Refusals } from '../launcher/events.ts';
import type { Swallowed } from './swallowed.ts';

/** What timeout(1) ends with when the time is over, whether the command then ended by itself or had to be killed. */
export const EXIT_TIME_LIMIT = 124;
const SIGKILL = 9;

/** A limit that the container ran into, by the kernel's own counts or the launcher's clock. */
export interface LimitHit {
  readonly limit: CountedLimit | 'time';
  /** What was written: bytes, processes, or milliseconds; undefined where the limit is a cgroup's further above. */
  readonly value: number | undefined;
  /** Killed processes, failed forks, or 1. */
  readonly count: number;
  /** The most memory that was in use, in bytes, where the kernel knows it. */
  readonly peak?: number;
  readonly message: string;
  readonly because: Because;
}

export type EndReason =
  'exited' | 'signaled' | 'stopped' | 'time_limit' | 'out_of_memory' | 'system_call' | 'image_changed';

export interface Ending {
  readonly reason: EndReason;
  /** boxctl's exit status. */
  readonly status: number;
  /** The name of the signal that ended the command. */
  readonly signal?: string;
  /** The system call that a filter ended the command for, where that is known. */
  readonly systemCall?: string;
  /** One sentence without full stop; undefined where the command just ended. */
  readonly message?: string;
  readonly because?: Because;
  readonly limits: readonly LimitHit[];
  /** Packets of the container that its network did not let through. */
  readonly refused?: Refused;
  /** Connections of the container that a firewall of the host has dropped. */
  readonly swallowed?: Swallowed;
}

export interface Refused extends Refusals {
  /** One sentence without full stop. */
  readonly message: string;
  readonly because: Because;
}

/** What an end is told by. */
export interface EndingPlan extends Pick<Plan, 'reports' | 'tallies' | 'timeLimit' | 'stop'> {
  /** Of these, the one that sets the filter. */
  readonly steps: readonly (Pick<Plan['steps'][number], 'because'> & { readonly call: { readonly name: string } })[];
}

const THE_HOST: Because = { kind: 'default', name: 'the host' };

/** The limits that were reached by the counts of the kernel, which the launcher has read by the plan's reports. */
function countedHits(plan: EndingPlan, outcome: Outcome): readonly LimitHit[] {
  return COUNTED_LIMITS.flatMap(({ key, reached }): readonly LimitHit[] => {
    const names: readonly string[] = reached.counters.map(({ what }) => what);
    const report = plan.reports.find(({ what }) => what === names[0]);
    if (report === undefined) return [];
    const counts = Object.fromEntries(plan.reports.map(({ what }, index) => [what, outcome.reports[index]]));
    const told = reached.tell(counts, report.limit);
    if (told === undefined) return [];
    const { own, message, ...numbers } = told;
    const value = own ? report.limit : undefined;
    return [{ limit: key, ...numbers, value, message, because: own ? report.because : THE_HOST }];
  });
}

function timeHit(plan: EndingPlan, outcome: Outcome): LimitHit | undefined {
  if (!outcome.timeLimit || plan.timeLimit === undefined) return undefined;
  const { ms, because } = plan.timeLimit;
  const stopped = `the time limit of ${inUnits(ms)} was reached: ${signalName(plan.stop.signal)}`;
  const killed = outcome.graceOver ? `, and SIGKILL after ${inUnits(outcome.graceMs)} more` : '';
  return { limit: 'time', value: ms, count: 1, message: `${stopped}${killed}`, because };
}

/** Destinations that the sentence names, those with the most packets first. */
const NAMED_DESTINATIONS = 3;

function refusedPackets(plan: EndingPlan, { refused: { packets, destinations } }: Outcome): Refused | undefined {
  const because = plan.tallies?.[0]?.because;
  if (packets === 0 || because === undefined) return undefined;
  const sorted = destinations.toSorted((a, b) => b.packets - a.packets);
  const named = sorted.slice(0, NAMED_DESTINATIONS).map(({ to: { address, protocol, port } }) => {
    const host = address.includes(':') && port !== 0 ? `[${address}]` : address;
    return `${host}${port === 0 ? '' : `:${port}`}/${protocol}`;
  });
  const more = sorted.length > named.length ? ' and others' : '';
  const where = named.length === 0 ? '' : `, to ${named.join(', ')}${more}`;
  const what = packets === 1 ? 'a packet of the container was' : `${packets} packets of the container were`;
  const message = `${what} refused by the rules of its network${where}`;
  return { packets, destinations: sorted, message, because };
}

/** What SIGSYS ended: a filter of the plan's, for a system call that the kernel's log may have named. */
function filterEnding(
  plan: EndingPlan,
  { killedFor }: Outcome,
): Pick<Ending, 'reason' | 'systemCall' | 'message' | 'because'> {
  const filter = plan.steps.find(({ call }) => call.name === 'seccomp');
  const call = killedFor === undefined ? 'a system call that' : `the system call ${killedFor}, which`;
  return {
    reason: 'system_call',
    ...(killedFor === undefined ? {} : { systemCall: killedFor }),
    message: `the command was ended by SIGSYS: it made ${call} its filter ends it for`,
    ...(filter === undefined ? {} : { because: filter.because }),
  };
}

/** The exit status that boxctl has for it. */
export function exitStatusOf({
  kind,
  status,
  signal,
  timeLimit,
}: Pick<Outcome, 'kind' | 'status' | 'signal' | 'timeLimit'>): number {
  if (timeLimit) return EXIT_TIME_LIMIT;
  return kind === 'signaled' ? 128 + signal : status;
}

/**
 * The end of a command that ran; undefined where it did not get that far. What the launcher or the
 * kernel did to the command is tried as the reason before how the command itself ended, since the one led to the other.
 */
export function endingOf(plan: EndingPlan, outcome: Outcome): Ending | undefined {
  if (outcome.kind === 'failed') return undefined;
  const time = timeHit(plan, outcome);
  const counted = countedHits(plan, outcome);
  const limits = time === undefined ? counted : [time, ...counted];
  const signaled = outcome.kind === 'signaled';
  const status = signaled ? 128 + outcome.signal : outcome.status;
  const signal = signaled ? { signal: signalName(outcome.signal) } : {};
  const refused = refusedPackets(plan, outcome);
  const base = { status, ...signal, limits, ...(refused === undefined ? {} : { refused }) };
  if (outcome.leaseBroken) {
    const message = 'the archive of the image was opened for writing, which the container ran from: it was killed';
    return { ...base, reason: 'image_changed', message };
  }
  if (time !== undefined) {
    return { ...base, reason: 'time_limit', status: EXIT_TIME_LIMIT, message: time.message, because: time.because };
  }
  // A shell, or the container's own init, ends with this status when a process of its was killed.
  const memory = status === 128 + SIGKILL ? counted.find(({ limit }) => limit === 'memory') : undefined;
  if (memory !== undefined) {
    return { ...base, reason: 'out_of_memory', message: memory.message, because: memory.because };
  }
  if (outcome.graceOver) {
    const asked = `${signalName(outcome.askedBy)} did not end the command within ${inUnits(outcome.graceMs)}`;
    return { ...base, reason: 'stopped', message: `${asked}: SIGKILL` };
  }
  if (!signaled) return { ...base, reason: 'exited' };
  if (outcome.signal === SIGSYS) return { ...base, ...filterEnding(plan, outcome) };
  return { ...base, reason: 'signaled', message: `the command was ended by ${signalName(outcome.signal)}` };
}
