/** From the records that a launcher writes to typed events and, at the end, the outcome. */
import { BoxctlError } from '../errors.ts';
import { offsetOf, readU64, sizeOf } from '../kernel/layout.ts';
import { EVENT, EVENT_RECORD, UNKNOWN_SYSCALL } from '../kernel/wire.ts';
import type { Plan, Tally } from '../plan/plan.ts';
import { formatAddress } from '../text/addresses.ts';
import { healthState, type Destination, type HookEnd, type LaunchEvent, type Outcome } from './events.ts';

export const RECORD_SIZE = sizeOf(EVENT_RECORD);
const [KIND, INDEX, ERROR, VALUE, START, END] = (['kind', 'index', 'error', 'value', 'start', 'end'] as const).map(
  (field) => offsetOf(EVENT_RECORD, field),
) as [number, number, number, number, number, number];
/** Where a record has a piece of text, or an address. */
const BYTES_AT = offsetOf(EVENT_RECORD, 'start');

/** The kinds of events in what a launcher has written. */
export function kindsOf(records: Uint8Array): readonly number[] {
  const view = viewOf(records);
  const count = Math.floor(view.byteLength / RECORD_SIZE);
  return Array.from({ length: count }, (_, place) => view.getUint32(place * RECORD_SIZE + KIND, true));
}

/** What has been learned so far of how it goes; becomes the outcome. */
export class Course {
  #end: Pick<Outcome, 'kind' | 'status' | 'signal'> | undefined;
  #failed: Outcome['failed'];
  #refused: number | undefined;
  #undoing = { index: -1, call: -1 };
  #leaseBroken = false;
  #timeLimit = false;
  #graceOver = false;
  #askedBy = 0;
  #graceMs = 0;
  readonly #outputLost: { fd: number; errno: number }[] = [];
  #logLost: Outcome['logLost'];
  #pid: number | undefined;
  #launcher: number | undefined;
  #said: Buffer[] = [];
  #hookSaid: Buffer[] = [];
  readonly #hooks: HookEnd[] = [];
  #refusedPackets = 0;
  #swallowed = 0;
  readonly #destinations: { to: Destination; packets: number }[] = [];
  readonly #undoFailures: { index: number; errno: number }[] = [];
  readonly #reports: (number | undefined)[];
  readonly #syscalls = new Map<number | undefined, number>();
  readonly #tallies: readonly Tally[];
  readonly #onEvent: (event: LaunchEvent) => void;

  constructor(plan: Pick<Plan, 'reports' | 'tallies'>, onEvent: (event: LaunchEvent) => void) {
    this.#tallies = plan.tallies ?? [];
    this.#reports = plan.reports.map(() => undefined);
    this.#onEvent = onEvent;
  }

  /** An event: the record at `at`. Field by field, since a start has hundreds of them and `readStruct` is a loop. */
  take(records: DataView, at: number): void {
    const kind = records.getUint32(at + KIND, true);
    const index = records.getUint32(at + INDEX, true);
    const errno = records.getInt32(at + ERROR, true);
    const value = records.getUint32(at + VALUE, true);
    const start = readU64(records, at + START);
    const end = readU64(records, at + END);
    switch (kind) {
      case EVENT.done:
      case EVENT.skipped:
        this.#onEvent({
          kind: 'step',
          index,
          outcome: kind === EVENT.done ? 'done' : 'skipped',
          startNs: start,
          endNs: end,
        });
        break;
      case EVENT.failed:
        this.#failed = { index, errno, detail: value };
        this.#onEvent({ kind: 'failed', index, errno, detail: value, at: end });
        break;
      case EVENT.undo:
        if (errno !== 0) this.#undoFailures.push({ index, errno });
        this.#undoing = { index, call: this.#undoing.index === index ? this.#undoing.call + 1 : 0 };
        this.#onEvent({ kind: 'undo', ...this.#undoing, errno });
        break;
      case EVENT.gate:
        this.#onEvent({ kind: 'gate' });
        break;
      case EVENT.started:
        this.#pid = value;
        this.#onEvent({ kind: 'started', pid: value, at: end });
        break;
      case EVENT.report:
        if (errno !== 0) break;
        this.#reports[index] = start;
        this.#onEvent({ kind: 'report', index, value: start });
        break;
      case EVENT.syscall: {
        const number = index === UNKNOWN_SYSCALL ? undefined : index;
        this.#syscalls.set(number, start);
        this.#onEvent({ kind: 'syscall', number, count: start });
        break;
      }
      case EVENT.port:
        this.#onEvent({ kind: 'port', index, port: value });
        break;
      case EVENT.refusals:
        this.#refusedPackets += start;
        this.#onEvent({ kind: 'refused', index, count: start });
        break;
      case EVENT.refusal: {
        const of = this.#tallies[index]?.of;
        if (of === 'begun' || of === 'passed') {
          this.#swallowed += of === 'begun' ? errno : -errno;
          break;
        }
        if (of === 'datagrams') {
          this.#refusedPackets += errno;
          this.#onEvent({ kind: 'refused', index, count: errno });
          break;
        }
        const to = destinationOf(records, at, value);
        this.#destinations.push({ to, packets: errno });
        this.#onEvent({ kind: 'refused', index, count: errno, to });
        break;
      }
      case EVENT.exited:
        this.#end = { kind: 'exited', status: value, signal: 0 };
        this.#onEvent({ kind: 'ended', at: end });
        break;
      case EVENT.signaled:
        this.#end = { kind: 'signaled', status: 0, signal: value };
        this.#onEvent({ kind: 'ended', at: end });
        break;
      case EVENT.run:
        this.#onEvent({ kind: 'run', restarts: index });
        break;
      case EVENT.restarting:
        this.#onEvent({ kind: 'restarting', restarts: index, delayMs: value, at: end });
        break;
      case EVENT.hookSaid:
        this.#hookSaid.push(Buffer.from(bytesOf(records, at, value)));
        break;
      case EVENT.hook: {
        const said = Buffer.concat(this.#hookSaid.splice(0)).toString('utf8').trim();
        const hook = { index, status: value, failed: errno === 0 ? undefined : { index: start, errno }, said };
        this.#hooks.push(hook);
        this.#onEvent({ kind: 'hook', ...hook });
        break;
      }
      case EVENT.health: {
        const state = healthState(value);
        if (state !== undefined) this.#onEvent({ kind: 'health', state, at: end });
        break;
      }
      case EVENT.leaseBroken:
        this.#leaseBroken = true;
        break;
      case EVENT.timeLimit:
        this.#timeLimit = true;
        break;
      case EVENT.graceOver:
        this.#graceOver = true;
        this.#askedBy = value;
        this.#graceMs = start;
        break;
      case EVENT.outputLost:
        if (index === 0) this.#logLost = { bytes: start, errno };
        else this.#outputLost.push({ fd: index, errno });
        break;
      case EVENT.helperSaid:
        // A copy: the record's memory is used again.
        this.#said.push(Buffer.from(bytesOf(records, at, value)));
        break;
      case EVENT.helperEnded: {
        const said = this.#takeSaid();
        this.#onEvent({ kind: 'helper', index, status: value, said });
        break;
      }
      case EVENT.begun:
        this.#launcher = value;
        break;
      case EVENT.refused:
        this.#refused = errno;
        break;
      default:
        throw new BoxctlError('E_LAUNCHER_PROTOCOL', `the launcher sent an event of the unknown kind ${kind}`);
    }
  }

  /** A character of several bytes may have come in two pieces. */
  #takeSaid(): string {
    return Buffer.concat(this.#said.splice(0)).toString('utf8').trim();
  }

  /** The command's process, as the launcher numbers it, once it runs. */
  get pid(): number | undefined {
    return this.#pid;
  }

  /** The launcher's own process, once it has told of it. */
  get launcher(): number | undefined {
    return this.#launcher;
  }

  get hasEnded(): boolean {
    return this.#end !== undefined || this.#failed !== undefined;
  }

  outcome(): Outcome {
    const rest = {
      killedFor: undefined,
      said: this.#takeSaid(),
      hooks: this.#hooks,
      undoFailures: this.#undoFailures,
      reports: this.#reports,
      leaseBroken: this.#leaseBroken,
      timeLimit: this.#timeLimit,
      graceOver: this.#graceOver,
      askedBy: this.#askedBy,
      graceMs: this.#graceMs,
      outputLost: this.#outputLost,
      ...(this.#logLost === undefined ? {} : { logLost: this.#logLost }),
      syscalls: this.#syscalls,
      refused: { packets: this.#refusedPackets, destinations: this.#destinations },
      swallowed: Math.max(0, this.#swallowed),
    };
    if (this.#failed !== undefined) return { kind: 'failed', status: 0, signal: 0, failed: this.#failed, ...rest };
    if (this.#end !== undefined) return { ...this.#end, failed: undefined, ...rest };
    if (this.#refused !== undefined) {
      throw new BoxctlError('E_LAUNCHER_REFUSED', `the launcher refused the plan (errno ${this.#refused})`, {
        hint: 'this is a mistake of boxctl and not of the specification: please report it with the output of `boxctl plan --json`',
      });
    }
    throw launcherDied(this.#pid !== undefined);
  }
}

/** `hasStarted`: whether it is known that the container's command ran. */
export function launcherDied(hasStarted: boolean): BoxctlError {
  const why = 'it was killed from outside, or ran out of memory';
  if (hasStarted) {
    return new BoxctlError('E_LAUNCHER_DIED', 'the launcher ended before the container did', {
      hint: `${why}; what it left running is ended now, or by the next command`,
    });
  }
  return new BoxctlError('E_LAUNCHER_DIED', 'the launcher ended while it started the container', {
    hint: `${why}: start the container again; there is another launcher then, and what this one left is removed`,
  });
}

const PROTOCOLS: Readonly<Record<number, string>> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'icmpv6' };

function destinationOf(records: DataView, at: number, value: number): Destination {
  const family = value >>> 24 === 4 ? 4 : 6;
  const bytes = Buffer.from(bytesOf(records, at, family === 4 ? 4 : 16));
  const protocol = (value >>> 16) & 0xff;
  return {
    address: formatAddress({ family, value: BigInt(`0x${bytes.toString('hex')}`) }),
    protocol: PROTOCOLS[protocol] ?? String(protocol),
    port: value & 0xffff,
  };
}

function bytesOf({ buffer, byteOffset }: DataView, at: number, length: number): Uint8Array {
  return new Uint8Array(buffer, byteOffset + at + BYTES_AT, Math.min(length, RECORD_SIZE - BYTES_AT));
}

export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

/** Nearly all events of a run, and the ones that its end does not depend on. */
const OF_STEPS: ReadonlySet<number> = new Set([EVENT.done, EVENT.skipped, EVENT.undo]);

/**
 * The outcome of a run by what its launcher has written to a file (record_events); undefined where it has not ended, or where
 * the launcher was killed. `withSteps`: false leaves out what was told of each step, which is faster.
 */
export function outcomeOf(
  plan: Pick<Plan, 'reports' | 'tallies'>,
  records: Uint8Array,
  onEvent: (event: LaunchEvent) => void = () => undefined,
  withSteps = true,
): Outcome | undefined {
  const course = new Course(plan, onEvent);
  const view = viewOf(records);
  const last = view.byteLength - (view.byteLength % RECORD_SIZE);
  let first = last;
  // A file may hold several runs, where there was no room for another file.
  while (first > 0 && (first === last || view.getUint32(first + KIND, true) !== EVENT.run)) first -= RECORD_SIZE;
  for (let at = first; at < last; at += RECORD_SIZE) {
    if (withSteps || !OF_STEPS.has(view.getUint32(at + KIND, true))) course.take(view, at);
  }
  return course.hasEnded ? course.outcome() : undefined;
}
