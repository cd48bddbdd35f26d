import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { allContainers } from '../../container/existing.ts';
import { BoxctlError } from '../../errors.ts';
import type { HostFacts } from '../../host/facts.ts';
import { didYouMean } from '../../spec/suggest.ts';
import type { KeptContainer } from '../../state/containers.ts';
import { ACTIONS, JournalReader, type JournalEvent } from '../../state/journal.ts';
import { runEvents } from '../../state/run-events.ts';
import { safe } from '../../text/safe.ts';
import { msOf, parseMoment } from '../../text/moments.ts';
import type { Arguments, Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { formatOf, type Format } from '../format.ts';
import { writeOutput, writeTabbed } from '../output.ts';

const INTERVAL_MS = 250;
/** A launcher tells of an end when all is undone: the time is that of the end, the line comes later. */
const LATE_MS = 10_000;

/** As docker names the parts of an event. */
function rowOf({ time, action, id, name, attributes }: JournalEvent): object {
  return {
    Type: 'container',
    Action: action,
    ID: id,
    Actor: { ID: id, Attributes: new Map(Object.entries({ ...attributes, name })) },
    Scope: 'local',
    Time: Math.floor(time / 1000),
    TimeNano: Math.round(time) * 1e6,
  };
}

const EXAMPLE: JournalEvent = { time: 0, action: 'start', id: '', name: '', attributes: {} };

/** `2026-11-29T01:02:03.456Z container die 0123456789ab (exitCode=3, name=web)`. */
const lineOf = ({ time, action, id, name, attributes }: JournalEvent): string => {
  const pairs = Object.entries({ ...attributes, name }).map(([key, value]) => `${key}=${value}`);
  return `${new Date(time).toISOString()} container ${action} ${id} (${safe(pairs.join(', '))})\n`;
};

function whenOf(args: Arguments, name: 'since' | 'until', now: number): number | undefined {
  const text = args.value(name);
  if (text === undefined) return undefined;
  const moment = parseMoment(text, now);
  if (moment !== undefined) return msOf(moment);
  throw new BoxctlError('E_USAGE', `--${name} ${text} is no time`, {
    hint: 'for example 10m, 2026-11-29T12:00:00Z, or seconds since 1970',
  });
}

type Test = (event: JournalEvent) => boolean;

const FILTERS: Readonly<Record<string, (event: JournalEvent, value: string) => boolean>> = {
  event: ({ action }, value) => action === value,
  container: ({ id, name }, value) => name === value || id.startsWith(value),
  image: ({ attributes }, value) => attributes['image'] === value,
  type: (_, value) => value === 'container',
};

/** Of the same name, one has to fit; of different names, all. */
function filterOf(words: readonly string[]): Test {
  const wanted = new Map<string, string[]>();
  for (const word of words) {
    const equals = word.indexOf('=');
    const [name, value] = equals < 0 ? [word, ''] : [word.slice(0, equals), word.slice(equals + 1)];
    const fail = (message: string, near: string | undefined, known: readonly string[]): BoxctlError =>
      new BoxctlError('E_USAGE', `--filter ${word}: ${message}`, {
        hint: near === undefined ? `there are ${known.join(', ')}` : `did you mean ${near}?`,
      });
    const names = Object.keys(FILTERS);
    if (!names.includes(name)) throw fail(`there is no filter ${name}`, didYouMean(name, names), names);
    if (value === '') throw fail('it has no value', undefined, [`${name}=VALUE`]);
    if (name === 'event' && !ACTIONS.some((action) => action === value)) {
      throw fail(`there is no event ${value}`, didYouMean(value, ACTIONS), ACTIONS);
    }
    wanted.set(name, [...(wanted.get(name) ?? []), value]);
  }
  return (event) =>
    [...wanted].every(([name, values]) => values.some((value) => FILTERS[name]?.(event, value) === true));
}

const keyOf = ({ time, action, id, attributes }: JournalEvent): string =>
  `${time} ${action} ${id} ${action === 'health_status' ? (attributes['health'] ?? '') : ''}`;

/** What was told of the runs of a container, by which it is known whether there is more. */
function stampOf({ folder, name }: KeptContainer): string {
  const status = statSync(join(folder, 'events'), { throwIfNoEntry: false });
  return `${name} ${status === undefined ? '' : `${status.ino} ${status.size} ${status.mtimeMs}`}`;
}

class Told {
  readonly #host: HostFacts;
  readonly #since: number;
  readonly #journal: JournalReader;
  readonly #keys = new Set<string>();
  readonly #stamps = new Map<string, string>();

  constructor(host: HostFacts, since: number) {
    this.#host = host;
    this.#since = since;
    this.#journal = new JournalReader(host);
  }

  /**
   * All that passes the test and was not given yet, in the order in which it happened. What a launcher has told has the name that
   * the container has now: after a rename it may pass a test that it has not passed before.
   */
  fresh(test: (event: JournalEvent) => boolean): readonly JournalEvent[] {
    const all = [...this.#journal.next(), ...allContainers(this.#host).containers.flatMap((one) => this.#of(one))];
    return all
      .filter((event) => {
        const key = keyOf(event);
        if (event.time < this.#since || this.#keys.has(key) || !test(event)) return false;
        this.#keys.add(key);
        return true;
      })
      .toSorted((one, other) => one.time - other.time);
  }

  #of(container: KeptContainer): readonly JournalEvent[] {
    const stamp = stampOf(container);
    if (this.#stamps.get(container.id) === stamp) return [];
    this.#stamps.set(container.id, stamp);
    return runEvents(container);
  }
}

function write(events: readonly JournalEvent[], format: Format | undefined): void {
  if (events.length === 0) return;
  if (format !== undefined) writeTabbed(format(events.map(rowOf)));
  else writeOutput(events.map(lineOf).join(''));
}

export const events: Run = async (invocation) => {
  const { args } = invocation;
  const now = Date.now();
  const host = hostFacts(invocation);
  const since = whenOf(args, 'since', now);
  const until = whenOf(args, 'until', now) ?? Number.POSITIVE_INFINITY;
  const test = filterOf(args.values('filter'));
  const source = args.flag('json') ? 'json' : args.value('format');
  const format = source === undefined ? undefined : formatOf(source, rowOf(EXAMPLE));
  const told = new Told(host, since ?? now - LATE_MS);
  // Without --since, what was known before is not told.
  if (since === undefined) told.fresh(() => true);
  for (;;) {
    write(
      told.fresh((event) => event.time <= until && test(event)),
      format,
    );
    if (Date.now() >= until) return 0;
    await sleep(Math.min(INTERVAL_MS, Math.max(0, until - Date.now())));
  }
};
