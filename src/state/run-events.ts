/** What happened to a container by itself, by what its launcher has told of its last runs. */
import { closeSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { signalName } from '../kernel/signals.ts';
import { outcomeOf } from '../launcher/course.ts';
import { openOwn } from '../native.ts';
import { endingOf, exitStatusOf } from '../run/ending.ts';
import { readKeptPlan, type KeptContainer } from './containers.ts';
import { append, eventOf, type Action, type JournalEvent } from './journal.ts';

/** The files of a container's folder, the oldest run first. */
const FILES = ['events.4', 'events.3', 'events.2', 'events.1', 'events'] as const;
const KILLED = 128 + 9;

type Told = readonly [time: number, action: Action, attributes?: Readonly<Record<string, string>>];

function bytesOf(path: string): Buffer | undefined {
  try {
    const fd = openOwn(path, 'file');
    try {
      return readFileSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
}

/** Of one run. Only what has a time is told. */
function eventsIn(container: KeptContainer, file: string): readonly Told[] {
  const bytes = bytesOf(join(container.folder, file));
  if (bytes === undefined) return [];
  const found: Told[] = [];
  let ended: number | undefined;
  let isRestart = false;
  try {
    const outcome = outcomeOf({ reports: [] }, bytes, (event) => {
      if (event.kind === 'run') isRestart = true;
      if (event.kind === 'started') {
        found.push([event.at, 'start']);
        if (isRestart) found.push([event.at, 'restart']);
      }
      if (event.kind === 'ended' || event.kind === 'failed') ended = event.at;
      // Of a health check, where the launcher makes any.
      const { kind, state, at } = event as { readonly kind: string; readonly state?: unknown; readonly at?: unknown };
      if (kind === 'health' && typeof at === 'number') found.push([at, 'health_status', { health: String(state) }]);
    });
    if (ended === undefined || outcome === undefined) return found;
    if (outcome.kind === 'failed') return [...found, [ended, 'die', { exitCode: '125' }]];
    const exitCode = exitStatusOf(outcome);
    const signal = outcome.kind === 'signaled' ? { signal: signalName(outcome.signal) } : {};
    const isOutOfMemory = exitCode === KILLED && reasonIn(container, bytes) === 'out_of_memory';
    return [
      ...found,
      ...(isOutOfMemory ? ([[ended, 'oom']] as const) : []),
      [ended, 'die', { exitCode: String(exitCode), ...signal }],
    ];
  } catch (error) {
    // Damaged, or written by another version.
    if (error instanceof BoxctlError) return found;
    throw error;
  }
}

/** With what the kernel has counted, which takes the plan. */
function reasonIn(container: KeptContainer, bytes: Buffer): string | undefined {
  const plan = readKeptPlan(container);
  const outcome = plan === undefined ? undefined : outcomeOf(plan, bytes);
  return plan === undefined || outcome === undefined ? undefined : endingOf(plan, outcome)?.reason;
}

/** Since it was made, as far as it is kept. */
export function runEvents(container: KeptContainer): readonly JournalEvent[] {
  const told: readonly Told[] = [[container.created, 'create'], ...FILES.flatMap((file) => eventsIn(container, file))];
  return told.map(([time, action, attributes]) => eventOf(container, action, attributes, time));
}

/** Before it is removed, what is known of it goes into the journal. */
export function noteDestroyed(container: KeptContainer): (host: Parameters<typeof append>[0]) => void {
  const events = runEvents(container);
  return (host) => append(host, [...events, eventOf(container, 'destroy')]);
}
