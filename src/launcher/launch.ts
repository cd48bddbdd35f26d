/** Starts the launcher with a plan and turns its binary event stream into typed events. */
import { closeSync, writeSync } from 'node:fs';
import { BoxctlError } from '../errors.ts';
import { offsetOf, readU64, sizeOf, writeStruct } from '../kernel/layout.ts';
import {
  EVENT,
  EVENT_RECORD,
  HEALTH,
  MAX_PATCH,
  ORDER,
  ORDER_RECORD,
  PLAN_FLAGS,
  STOP_GRACE,
  UNKNOWN_SYSCALL,
} from '../kernel/wire.ts';
import { contentsFd } from './contents.ts';
import { encodePlan, PlanTemplate } from './encode.ts';
import { isLean } from '../plan/lean.ts';
import type { Plan, Tally } from '../plan/plan.ts';
import { askLauncher, hangUp, passSignals, reap, sealPlan, spawnLauncher, watch, type Interpreter } from '../native.ts';
import type { Hidden } from '../text/hidden.ts';
import { SIGSYS } from '../kernel/signals.ts';
import { formatAddress } from '../text/addresses.ts';
import { killedFor } from './kill-record.ts';

export type LaunchEvent =
  | {
      readonly kind: 'step';
      readonly index: number;
      readonly outcome: 'done' | 'skipped';
      readonly startNs: number;
      readonly endNs: number;
    }
  /** `errno` is the number; the launcher begins to undo. `at`: milliseconds since 1970. */
  | {
      readonly kind: 'failed';
      readonly index: number;
      readonly errno: number;
      readonly detail: number;
      readonly at: number;
    }
  /** The command has ended, and all is undone. */
  | { readonly kind: 'ended'; readonly at: number }
  /** The plan is run again. `restarts`: how often the launcher has done so by itself. What was told before is of the run before. */
  | { readonly kind: 'run'; readonly restarts: number }
  /** It will be, `delayMs` after `at`. */
  | { readonly kind: 'restarting'; readonly restarts: number; readonly delayMs: number; readonly at: number }
  /** A command of `plan.execs` that is a hook has ended. */
  | ({ readonly kind: 'hook' } & HookEnd)
  | { readonly kind: 'health'; readonly state: HealthState; readonly at: number }
  /** `call` is the place in the step's list of undo calls. */
  | { readonly kind: 'undo'; readonly index: number; readonly call: number; readonly errno: number }
  /** All steps but the last are done; the command starts when `go()` is called. Only with `gate`. */
  | { readonly kind: 'gate' }
  /** `at`: milliseconds since 1970. */
  | { readonly kind: 'started'; readonly pid: number; readonly at: number }
  | { readonly kind: 'report'; readonly index: number; readonly value: number }
  /** The program that `step` started has ended before the container did; `status` is 128 and more for a signal. */
  | { readonly kind: 'helper'; readonly index: number; readonly status: number; readonly said: string }
  /** A step has bound a published port to this free port of the host. */
  | { readonly kind: 'port'; readonly index: number; readonly port: number }
  /** Packets to one destination that were refused, or packets to any. `index` is the tally's. */
  | { readonly kind: 'refused'; readonly index: number; readonly count: number; readonly to?: Destination }
  /** A system call that was seen by the listener, by its number; `undefined` is all that have none of this machine. */
  | { readonly kind: 'syscall'; readonly number: number | undefined; readonly count: number };

/** How a hook ended: its status, 128 and more for a signal; or the step of its plan that failed before it was executed. */
export interface HookEnd {
  /** Of `plan.execs`. */
  readonly index: number;
  readonly status: number;
  readonly failed: { readonly index: number; readonly errno: number } | undefined;
  /** The first of what it wrote, as it wrote it. */
  readonly said: string;
}

export type HealthState = 'starting' | 'healthy' | 'unhealthy';

/** Undefined: a state of another version. */
export function healthState(number: number): HealthState | undefined {
  return (Object.entries(HEALTH) as [HealthState, number][]).find(([, state]) => state === number)?.[0];
}

/** Where packets were to go. */
export interface Destination {
  readonly address: string;
  readonly protocol: string;
  /** 0 where the protocol has no ports. */
  readonly port: number;
}

export interface LaunchOptions {
  /** Descriptors of this process that become the container's 0, 1, 2. Default [0, 1, 2]. */
  readonly stdio?: readonly [number, number, number];
  /** Wait for `go()` before the command starts, so that the terminal can be tidied first. */
  readonly gate?: boolean;
  /** The container's id, 12 hex digits; by default the launcher chooses one. */
  readonly id?: string;
  /** The container has run before: what it wrote is there. */
  readonly again?: boolean;
  /** What the secrets and configs of the plan hold (`Model.contents`). */
  readonly contents?: readonly (Hidden | undefined)[];
  /** Descriptors of this process that the launcher keeps open until it ends: locks that outlive this process. */
  readonly kept?: readonly number[];
  /** Default: the launcher. */
  readonly interpreter?: Interpreter;
  readonly onEvent?: (event: LaunchEvent) => void;
  /**
   * By whom it is started: a launcher of its own, or the one of this process that is already there. Default: its own, unless
   * BOXCTL_LAUNCHER is `shared` in this process's environment.
   */
  readonly by?: 'own' | 'shared';
  /** Steps that were done, and undo calls that succeeded, are not told. */
  readonly terse?: boolean;
  /** The plan, encoded already; its command is replaced by that of the plan where it is another one. Only with `shared`. */
  readonly template?: LaunchTemplate;
  /** The launcher has the descriptors now: they can be closed here. With `shared` this may be a moment after `launch` returns. */
  readonly onTaken?: (id: string) => void;
}

/** A plan that was handed to the kernel once, for many starts. */
export class LaunchTemplate {
  readonly encoded: PlanTemplate;
  readonly isLean: boolean;
  #fd: number | undefined;

  constructor(plan: Plan) {
    this.encoded = new PlanTemplate(plan);
    this.isLean = isLean(plan);
    this.#fd = sealPlan(this.encoded.bytes);
  }

  /** Its descriptor; undefined once it is closed. */
  get fd(): number | undefined {
    return this.#fd;
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

export interface Outcome {
  /** How it ended: the command's own status, a signal, or a step that failed before the command ran. */
  readonly kind: 'exited' | 'signaled' | 'failed';
  readonly status: number;
  readonly signal: number;
  readonly failed: { readonly index: number; readonly errno: number; readonly detail: number } | undefined;
  /** Somebody wanted to write to the archive that the container was running from, so it was ended. */
  readonly leaseBroken: boolean;
  /** The last of what the program of a failed step (spawn_helper) wrote, as it wrote it. */
  readonly said: string;
  /** Hooks that have ended. */
  readonly hooks: readonly HookEnd[];
  /** Steps whose undo failed, with the errno. */
  readonly undoFailures: readonly { readonly index: number; readonly errno: number }[];
  /** The command had its time and was stopped; it did not end after its stop signal and was killed. */
  readonly timeLimit: boolean;
  readonly graceOver: boolean;
  /** The signal that began its grace period: the stop signal, or SIGHUP or SIGQUIT. */
  readonly askedBy: number;
  /** What the command wrote and the caller's descriptor (1 or 2) did not take, with the errno. */
  readonly outputLost: readonly { readonly fd: number; readonly errno: number }[];
  /** Bytes of a container in the background that are not in its log at the end, with the errno. */
  readonly logLost?: { readonly bytes: number; readonly errno: number };
  /** One number for each of `plan.reports`; undefined where it could not be read. */
  readonly reports: readonly (number | undefined)[];
  /** The system call that a filter ended the command for, by name, where the kernel told; by number if it has none here. */
  readonly killedFor: string | undefined;
  /** Packets of the container that were refused, and to how many of what destinations, as far as they were counted. */
  readonly refused: Refusals;
  /** Packets that began connections of the container, and were dropped by a firewall of the host. */
  readonly swallowed: number;
  /** What was seen by the listener, where the plan has one: how often each number was called. */
  readonly syscalls: ReadonlyMap<number | undefined, number>;
}

export interface Refusals {
  readonly packets: number;
  readonly destinations: readonly { readonly to: Destination; readonly packets: number }[];
}

export interface Launch {
  go(): void;
  /** Sends a signal to the container's first process. */
  signal(signal: number): void;
  /** Stops the command as `boxctl stop` does: by its stop signal, and SIGKILL after `graceMs`; by default those of the plan. */
  stop(graceMs?: number): void;
  /** Passes on what `catchSignals` catches. */
  takeSignals(): void;
  readonly done: Promise<Outcome>;
  /**
   * Leaves the container to its launcher: it no longer ends with this process, and `done` is never settled. To be called once
   * the command runs.
   */
  detach(): Promise<void>;
}

export type LaunchFunction = (plan: Plan, options?: LaunchOptions) => Launch;

const RECORD_SIZE = sizeOf(EVENT_RECORD);
const [KIND, INDEX, ERROR, VALUE, START, END] = (['kind', 'index', 'error', 'value', 'start', 'end'] as const).map(
  (field) => offsetOf(EVENT_RECORD, field),
) as [number, number, number, number, number, number];
/** Where a record has a piece of text, or an address. */
const BYTES_AT = offsetOf(EVENT_RECORD, 'start');

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
    throw new BoxctlError('E_LAUNCHER_DIED', 'the launcher ended before the container did', {
      hint: 'it was killed from outside, or ran out of memory; what it left running is ended now, or by the next command',
    });
  }
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

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

/** A message to a launcher. */
export function order(kind: number, value: number): Uint8Array {
  const bytes = new Uint8Array(sizeOf(ORDER_RECORD));
  writeStruct(viewOf(bytes), 0, ORDER_RECORD, { kind, value });
  return bytes;
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

/** A launcher that has a plan. */
interface Launcher {
  readonly socket: number;
  /** Undefined: it tells by itself. */
  readonly pid: number | undefined;
  /** After the end of the socket: the launcher has ended, or is about to. */
  end(): void;
  /** After the end of the socket: the launcher goes on. */
  detach(): void;
}

const NO_BYTES = new Uint8Array();
/** When a request is made again that the shared launcher had no room for. */
const AGAIN_MS = 1;

function startOwn(plan: Plan, { stdio = [0, 1, 2], interpreter = 'launcher', ...options }: LaunchOptions): Launcher {
  const { gate = false, again = false, terse = false, id } = options;
  const given = contentsFor(plan, options);
  const kept = [...given.fds, ...(options.kept ?? [])];
  const known = id === undefined ? {} : { id };
  const { socket, pidfd, pid } = closing(given, () => {
    const flags = { gate, again, terse, hasGiven: given.fds.length > 0 };
    const bytes = encodePlan(plan, { ...flags, keptFds: kept.length, ...known });
    return spawnLauncher(bytes, stdio, interpreter, { kept, userIds: plan.userIds });
  });
  options.onTaken?.(id ?? '');
  return {
    socket,
    pid,
    end: () => {
      closeSync(socket);
      reap(pidfd);
    },
    detach: () => {
      closeSync(socket);
      closeSync(pidfd);
    },
  };
}

/** What becomes of a request to the launcher that is already there. Only one of the two is called. */
interface Asking {
  readonly use: (launcher: Launcher) => void;
  readonly fail: (error: unknown) => void;
}

/** Calls `use` once the launcher that is already there has the plan: at once, unless very many others wait. */
function startShared(plan: Plan, options: LaunchOptions, { use, fail }: Asking): void {
  const { stdio = [0, 1, 2], gate = false, again = false, terse = false, id = '0' } = options;
  const template = options.template;
  const encoded = template?.encoded ?? new PlanTemplate(plan);
  const lean = template?.isLean ?? isLean(plan);
  const command = plan.steps.at(-1)?.call;
  const isSame = command === undefined || command === encoded.plan.steps.at(-1)?.call;
  const patch = isSame ? NO_BYTES : encoded.encodeCommand(command);
  const isPatch = patch.length <= MAX_PATCH;
  const bytes = isPatch ? (template?.fd ?? encoded.bytes) : encodePlan(plan);
  const given = contentsFor(plan, options);
  const kept = [...given.fds, ...(options.kept ?? [])];
  const flags =
    (gate ? PLAN_FLAGS.gate : 0) |
    (again ? PLAN_FLAGS.again : 0) |
    (terse ? PLAN_FLAGS.terse : 0) |
    (lean ? PLAN_FLAGS.lean : 0) |
    (given.fds.length > 0 ? PLAN_FLAGS.given : 0);
  const request = {
    flags,
    id,
    patchAt: isPatch ? encoded.commandAt : 0,
    patchOld: isSame || !isPatch ? 0 : encoded.commandSize,
    patch: isPatch ? patch : NO_BYTES,
  };
  const ask = (): void => {
    try {
      const asked = askLauncher(bytes, request, stdio, kept);
      if (asked === undefined) return void setTimeout(ask, AGAIN_MS);
      given.close();
      options.onTaken?.(asked.id);
      const close = (): void => closeSync(asked.socket);
      use({ socket: asked.socket, pid: undefined, end: close, detach: close });
    } catch (error) {
      given.close();
      // Not thrown: where it was asked again, the caller of a timer would get it, which ends the process.
      fail(error);
    }
  };
  ask();
}

/** What the launcher is given of secrets and configs; to be closed once it has that. */
interface GivenFds {
  readonly fds: readonly number[];
  /** May be called again. */
  close(): void;
}

function contentsFor({ steps }: Plan, { contents = [] }: LaunchOptions): GivenFds {
  const needed = steps.filter(({ call }) => call.name === 'write_given').length;
  if (needed === 0) return { fds: [], close: () => undefined };
  if (needed !== contents.length) {
    throw new Error(`a plan with ${needed} files of content, and ${contents.length} contents`);
  }
  const fd = contentsFd(contents);
  let isOpen = true;
  return {
    fds: [fd],
    close: () => {
      if (isOpen) closeSync(fd);
      isOpen = false;
    },
  };
}

function closing<T>(given: GivenFds, work: () => T): T {
  try {
    return work();
  } finally {
    given.close();
  }
}

/**
 * Starts the launcher with the plan. The container dies with this process, however that ends. `done` rejects with
 * `E_LAUNCHER_…` when the launcher itself failed; a failing step and a failing command are outcomes.
 */
export const launch: LaunchFunction = (plan, options = {}) => {
  // A plan that was made without an env_file, a filter or an image is incomplete: it may be printed, and not run.
  if (plan.demands.some(({ unread }) => unread === true)) {
    throw new BoxctlError('E_NOT_ALLOWED', 'the plan is made without files that were not allowed to be read', {
      hint: 'allow them when the file is loaded: loadSpec(file, {allows})',
    });
  }
  const { interpreter = 'launcher', by = process.env['BOXCTL_LAUNCHER'] === 'shared' ? 'shared' : 'own' } = options;
  const isShared = by === 'shared' && interpreter === 'launcher';
  const began = Date.now();
  const course = new Course(plan, options.onEvent ?? (() => undefined));
  let launcher: Launcher | undefined;
  let broken: { readonly error: unknown } | undefined;
  let detached = false;
  let takesSignals = false;
  /** Orders from before the shared launcher had the plan. */
  const early: Uint8Array[] = [];
  const passOn = (): void => {
    const pid = launcher?.pid ?? course.launcher;
    if (!takesSignals || launcher === undefined || pid === undefined) return;
    takesSignals = false;
    passSignals(launcher.socket, pid);
  };
  const take = (records: Buffer): void => {
    try {
      const view = viewOf(records);
      for (let at = 0; at < view.byteLength; at += RECORD_SIZE) course.take(view, at);
      passOn();
    } catch (error) {
      broken = { error };
      if (launcher !== undefined) hangUp(launcher.socket);
    }
  };
  const tell = (kind: number, value: number): void => {
    const message = order(kind, value);
    if (launcher === undefined) return void early.push(message);
    send(launcher.socket, message);
  };
  let isOpen = true;
  const send = (socket: number, message: Uint8Array): void => {
    if (!isOpen) return;
    try {
      writeSync(socket, message);
    } catch {
      // Writing to a launcher that is just ending is no error: its events say how it ended.
    }
  };
  const ended = new Promise<void>((resolve, reject) => {
    const follow = (made: Launcher): void => {
      launcher = made;
      watch(made.socket, (records) => {
        if (records === undefined) resolve();
        else if (broken === undefined) take(records);
      });
      for (const message of early.splice(0)) send(made.socket, message);
      passOn();
    };
    if (isShared) startShared(plan, options, { use: follow, fail: reject });
    else follow(startOwn(plan, options));
  });
  const done = ended.then(async (): Promise<Outcome> => {
    if (detached) return new Promise(() => undefined);
    isOpen = false;
    launcher?.end();
    if (broken !== undefined) throw broken.error;
    const outcome = course.outcome();
    if (outcome.kind !== 'signaled' || outcome.signal !== SIGSYS || course.pid === undefined) return outcome;
    return { ...outcome, killedFor: await killedFor(course.pid, began) };
  });
  return {
    go: () => tell(ORDER.go, 0),
    signal: (signal) => tell(ORDER.signal, signal),
    stop: (graceMs) => tell(ORDER.stop, graceMs ?? STOP_GRACE),
    takeSignals: () => {
      takesSignals = true;
      passOn();
    },
    done,
    detach: async () => {
      tell(ORDER.detach, 0);
      detached = true;
      // What was told before is still read by the launcher.
      if (launcher !== undefined) hangUp(launcher.socket);
      await ended;
      isOpen = false;
      launcher?.detach();
    },
  };
};
