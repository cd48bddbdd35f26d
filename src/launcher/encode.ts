/**
 * A plan as bytes for the launcher. The format is described in native/launcher/plan.h, whose reader checks every byte.
 */
import { AT_FDCWD, NO_FD, rowOf, type ArgKind, type Call, type Fd, type Text } from '../kernel/calls.ts';
import { ERRNO } from '../kernel/constants.ts';
import { encodeMessages } from '../kernel/netlink/encode.ts';
import type { Message } from '../kernel/netlink/message.ts';
import { offsetOf, sizeOf, writeStruct, writeU64, type FieldsOf, type Layout } from '../kernel/layout.ts';
import {
  CALL_HEADER,
  EXEC,
  EXEC_HEADER,
  MAX_SLOTS,
  PLAN_FLAGS,
  PLAN_HEADER,
  PLAN_MAGIC,
  RESTART,
  SIDE,
  SLOT_CWD,
  SLOT_NONE,
  STEP_FLAGS,
  STEP_HEADER,
  WIRE_VERSION,
} from '../kernel/wire.ts';
import type { Plan, Step } from '../plan/plan.ts';

const EXEC_KINDS = { health: EXEC.health, post_start: EXEC.postStart, pre_stop: EXEC.preStop } as const;
const POLICIES = { 'on-failure': RESTART.onFailure, always: RESTART.always } as const;

const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;

const encoder = new TextEncoder();

/**
 * Where the fields of the two headers are that a plan has hundreds of. They are written one by one: the loop of
 * `writeStruct` would be the most often run function of a start, and V8 would optimise it on a second thread.
 */
const CALL = {
  size: sizeOf(CALL_HEADER),
  op: offsetOf(CALL_HEADER, 'op'),
  returns: offsetOf(CALL_HEADER, 'returns'),
  allowed: offsetOf(CALL_HEADER, 'allowed'),
  args: offsetOf(CALL_HEADER, 'args'),
};
const STEP = {
  size: sizeOf(STEP_HEADER),
  side: offsetOf(STEP_HEADER, 'side'),
  flags: offsetOf(STEP_HEADER, 'flags'),
  undos: offsetOf(STEP_HEADER, 'undos'),
};

/** Little-endian. Typed arrays and DataView rather than Buffer's own methods, which are slow until they are compiled. */
class Writer {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #size = 0;

  constructor(room = 65_536) {
    this.#bytes = new Uint8Array(room);
    this.#view = new DataView(this.#bytes.buffer);
  }

  #reserve(size: number): number {
    const at = this.#size;
    this.#size += size;
    if (this.#size > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#size, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }

  u8(value: number): void {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
  }
  u16(value: number): void {
    const at = this.#reserve(2);
    this.#view.setUint16(at, value, true);
  }
  u32(value: number, at = this.#reserve(4)): void {
    this.#view.setUint32(at, value, true);
  }
  /** A whole number of either sign. */
  u64(value: bigint | number): void {
    const at = this.#reserve(8);
    if (typeof value === 'number' && value >= 0) writeU64(this.#view, at, value);
    else this.#view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true);
  }
  struct<const L extends Layout>(layout: L, fields: FieldsOf<L>): void {
    const at = this.#reserve(sizeOf(layout));
    writeStruct(this.#view, at, layout, fields);
  }
  stepHeader(side: number, flags: number, undos: number): void {
    const at = this.#reserve(STEP.size);
    this.#bytes[at + STEP.side] = side;
    this.#bytes[at + STEP.flags] = flags;
    this.#view.setUint16(at + STEP.undos, undos, true);
  }
  callHeader(op: number, returns: number, allowed: number, args: number): void {
    const at = this.#reserve(CALL.size);
    this.#view.setUint16(at + CALL.op, op, true);
    this.#view.setUint16(at + CALL.returns, returns, true);
    this.#bytes[at + CALL.allowed] = allowed;
    this.#bytes[at + CALL.args] = args;
  }
  text(value: Text, slots: Slots): void {
    const string = typeof value === 'string' ? value : slots.complete(value.template);
    if (string.includes('\0')) throw new Error(`a NUL character in ${JSON.stringify(string)}`);
    this.u8(typeof value === 'string' ? 0 : 1);
    const sizeAt = this.#reserve(4);
    // UTF-8 is at most three bytes for each unit of UTF-16.
    const at = this.#reserve(string.length * 3 + 1);
    const { written } = encoder.encodeInto(string, this.#bytes.subarray(at));
    this.u32(written, sizeAt);
    this.#bytes[at + written] = 0;
    this.#size = at + written + 1;
  }
  bytes(value: Uint8Array): void {
    this.u32(value.length);
    const at = this.#reserve(value.length);
    this.#bytes.set(value, at);
  }
  /** Without their number. */
  raw(value: Uint8Array): void {
    const at = this.#reserve(value.length);
    this.#bytes.set(value, at);
  }
  messages(value: readonly Message[]): void {
    const { bytes, places } = encodeMessages(value);
    this.bytes(bytes);
    this.u32(places.length);
    for (const place of places) this.u32(place);
  }
  done(): Uint8Array {
    return this.#bytes.subarray(0, this.#size);
  }
  get size(): number {
    return this.#size;
  }
}

type Values = Readonly<Record<string, unknown>>;

/** A word of a template for a descriptor, its name, or `$$`. */
const FD_WORDS = /\$\$|\$(FD|PID|BIRTH)\(([^)]*)\)/gu;

/** The descriptors that templates of the call name. */
function namedIn(call: Call): readonly Fd[] {
  const values: Values = call.args;
  return rowOf(call.name).args.flatMap(({ name, kind }) => {
    const value = values[name];
    const text = kind === 'text' && value !== undefined ? asText(value) : '';
    if (typeof text === 'string') return [];
    return Array.from(text.template.matchAll(FD_WORDS), ([, , fd]) => fd).filter((fd) => fd !== undefined);
  });
}

function forEachFd(call: Call, use: (fd: Fd, call: Call) => void): void {
  const values: Values = call.args;
  for (const { name, kind } of rowOf(call.name).args) {
    const value = values[name];
    if (kind === 'fd' && typeof value === 'string') use(value, call);
  }
}

/** The plan's names of descriptors as numbers, and the calls after which a descriptor is not needed any more. */
class Slots {
  readonly #numbers = new Map<Fd, number>();
  readonly #lastUse = new Map<Fd, Call>();
  /** Descriptors that the launcher has after the container's side was made, and that are used there. */
  readonly #passed = new Set<Fd>();

  constructor(plan: Plan) {
    this.#findPassed(plan);
    const use = (fd: Fd, call: Call): void => void this.#lastUse.set(fd, call);
    const keep = (fd: Fd): void => void this.#lastUse.delete(fd);
    for (const { call, undo } of plan.steps) {
      forEachFd(call, use);
      this.#addReturned(call);
      if (typeof undo !== 'string') undo.forEach((one) => this.#addReturned(one));
    }
    for (const { undo } of plan.steps) if (typeof undo !== 'string') for (const call of undo) forEachFd(call, keep);
    for (const { once, call } of plan.steps) if (once === true && call.returns !== undefined) keep(call.returns);
    for (const { dirfd } of plan.reports) keep(dirfd);
    for (const { socket } of plan.tallies ?? []) keep(socket);
    if (plan.terminal !== undefined) keep(plan.terminal.master);
    if (this.size > MAX_SLOTS) throw new RangeError(`a plan can hold ${MAX_SLOTS} descriptors, not ${this.size}`);
  }

  #findPassed({ steps }: Plan): void {
    const late = new Set<Fd>();
    let cloned = false;
    for (const { side, call } of steps) {
      if (side === 'host' && cloned && call.returns !== undefined) late.add(call.returns);
      const use = (fd: Fd): void => void (late.has(fd) && this.#passed.add(fd));
      if (side === 'container' && late.size > 0) {
        forEachFd(call, use);
        namedIn(call).forEach(use);
      }
      cloned ||= call.name === 'clone3';
    }
  }

  isPassed({ side, call }: Step): boolean {
    return side === 'host' && call.returns !== undefined && this.#passed.has(call.returns);
  }

  #addReturned({ returns }: Call): void {
    if (returns === undefined) return;
    if (this.#numbers.has(returns)) throw new Error(`two descriptors are named ${returns}`);
    this.#numbers.set(returns, this.#numbers.size);
  }

  get size(): number {
    return this.#numbers.size;
  }
  number(fd: Fd): number {
    if (fd === AT_FDCWD) return SLOT_CWD;
    if (fd === NO_FD) return SLOT_NONE;
    const number = this.#numbers.get(fd);
    if (number === undefined) throw new Error(`no step returns the descriptor ${fd}`);
    return number;
  }
  /** `$FD(name)` and its like: the launcher knows descriptors by their numbers. What a text names must be kept by an undo. */
  complete(template: string): string {
    return template.replaceAll(FD_WORDS, (found, word: string | undefined, fd: string | undefined) =>
      word === undefined || fd === undefined ? found : `$${word}(${this.number(fd)})`,
    );
  }
  isLastUse(fd: Fd, call: Call): boolean {
    return this.#lastUse.get(fd) === call;
  }
}

function writeArg(out: Writer, slots: Slots, call: Call, kind: ArgKind, value: unknown): void {
  if (kind === 'fd' && typeof value === 'string') {
    out.u16(slots.number(value));
    out.u8(slots.isLastUse(value, call) ? 1 : 0);
  } else if (kind === 'text') {
    out.text(asText(value), slots);
  } else if (kind === 'limit' && value === 'unlimited') {
    out.u64(RLIM_INFINITY);
  } else if ((kind === 'int' || kind === 'mode' || kind === 'flags' || kind === 'limit') && typeof value === 'number') {
    out.u64(value);
  } else if (kind === 'caps' && typeof value === 'bigint') {
    out.u64(value);
  } else if (kind === 'texts' && Array.isArray(value)) {
    out.u32(value.length);
    for (const text of value) out.text(asText(text), slots);
  } else if (kind === 'ids' && Array.isArray(value)) {
    out.u32(value.length);
    for (const id of value) out.u32(Number(id));
  } else if (kind === 'bytes' && value instanceof Uint8Array) {
    out.bytes(value);
  } else if (kind === 'messages' && Array.isArray(value)) {
    // The call's type says what is in the list; here only its kind is known.
    out.messages(value as readonly Message[]);
  } else {
    throw new TypeError(`${call.name}: an argument of kind ${kind} cannot be ${String(value)}`);
  }
}

function asText(value: unknown): Text {
  if (typeof value === 'string') return value;
  if (typeof value === 'object' && value !== null && 'template' in value && typeof value.template === 'string') {
    return { template: value.template };
  }
  throw new TypeError(`${String(value)} is no text`);
}

function writeCall(out: Writer, slots: Slots, call: Call): void {
  const { op, args } = rowOf(call.name);
  const values: Values = call.args;
  const allowed = call.allow ?? [];
  const returns = call.returns === undefined ? SLOT_NONE : slots.number(call.returns);
  out.callHeader(op, returns, allowed.length, args.length);
  for (const name of allowed) {
    const number = ERRNO[name];
    if (number === undefined) throw new Error(`unknown error name ${name}`);
    out.u16(number);
  }
  for (const { name, kind } of args) writeArg(out, slots, call, kind, values[name]);
}

export interface EncodeOptions {
  /** The launcher waits for a word before the last step. */
  readonly gate?: boolean;
  /** `$ID`, 12 hex digits; by default the launcher chooses it. */
  readonly id?: string;
  /** How many descriptors the launcher is given to keep. */
  readonly keptFds?: number;
  /** The first of them has the contents of secrets and configs. */
  readonly hasGiven?: boolean;
  /** Steps that were done, and undo calls that succeeded, are not told. */
  readonly terse?: boolean;
  /** The launcher waits for a word before it changes anything outside of the container and of itself. */
  readonly held?: boolean;
}

/**
 * The plan in the launcher's wire format.
 * Throws when the plan contradicts itself, which is a mistake of the planner and not of its user.
 */
export function encodePlan(plan: Plan, options: EncodeOptions = {}): Uint8Array {
  return encodeParts(plan, options).bytes;
}

/**
 * As native/front gives a plan to the launcher, but for the number of locks, which it sets itself. In the background the launcher writes
 * all that it tells into the container's folder; in the foreground nothing is shown of steps, and the front compares what the plan
 * was made from while the launcher begins.
 */
export const byFront = (isBackground: boolean): EncodeOptions => (isBackground ? {} : { terse: true, held: true });

/** The same, and where its command is. */
export function encodeParts(plan: Plan, options: EncodeOptions = {}): Encoded {
  return encode(plan, new Slots(plan), options);
}

/** A list of a command: where it begins and ends, and of each of its texts where the number is that says how long it is, and its bytes. */
interface CommandList {
  readonly start: number;
  readonly end: number;
  readonly texts: readonly { readonly sizeAt: number; readonly at: number }[];
}

/** Those of an encoded plan's command: pathname, argv and envp. */
export function listsOfCommand({ bytes, commandAt }: Encoded): readonly CommandList[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = commandAt + CALL.size;
  return [0, 1, 2].map(() => {
    const start = at;
    const count = view.getUint32(at, true);
    at += 4;
    const texts = Array.from({ length: count }, () => {
      const text = { sizeAt: at + 1, at: at + 5 };
      at = text.at + view.getUint32(text.sizeAt, true) + 1;
      return text;
    });
    return { start, end: at, texts };
  });
}

export interface Encoded {
  readonly bytes: Uint8Array;
  /** Where the call of the last step is, which is the command's. */
  readonly commandAt: number;
  readonly commandSize: number;
}

/** A plan that is encoded once, and started many times with other commands (START_REQUEST of wire.ts). */
export class PlanTemplate implements Encoded {
  readonly plan: Plan;
  readonly bytes: Uint8Array;
  readonly commandAt: number;
  readonly commandSize: number;
  readonly #slots: Slots;

  constructor(plan: Plan) {
    this.plan = plan;
    this.#slots = new Slots(plan);
    const { bytes, commandAt, commandSize } = encode(plan, this.#slots, {});
    this.bytes = bytes;
    this.commandAt = commandAt;
    this.commandSize = commandSize;
  }

  /** What takes the place of the command's call. */
  encodeCommand(call: Call): Uint8Array {
    const out = new Writer(1024);
    writeCall(out, this.#slots, call);
    return out.done();
  }
}

function encode(plan: Plan, slots: Slots, options: EncodeOptions): Encoded {
  const out = new Writer();
  let commandAt = 0;
  let commandSize = 0;
  out.struct(PLAN_HEADER, {
    magic: PLAN_MAGIC,
    version: WIRE_VERSION,
    size: 0,
    steps: plan.steps.length,
    reports: plan.reports.length,
    slots: slots.size,
    terminal: plan.terminal === undefined ? SLOT_NONE : slots.number(plan.terminal.master),
    flags:
      (options.gate === true ? PLAN_FLAGS.gate : 0) |
      (plan.terminal?.stdin === true ? PLAN_FLAGS.terminalStdin : 0) |
      (options.hasGiven === true ? PLAN_FLAGS.given : 0) |
      (options.terse === true ? PLAN_FLAGS.terse : 0) |
      (options.held === true ? PLAN_FLAGS.held : 0),
    grace: plan.stop.graceMs,
    time_limit: plan.timeLimit?.ms ?? 0,
    stop_signal: plan.stop.signal,
    tallies: plan.tallies?.length ?? 0,
    id: Number.parseInt(options.id ?? '0', 16),
    kept_fds: options.keptFds ?? 0,
    restart: plan.restart === undefined ? RESTART.no : POLICIES[plan.restart.when],
    restart_most: plan.restart?.most ?? 0,
    execs: plan.execs?.length ?? 0,
    sockets: plan.sockets ?? 0,
    outside: Math.max(
      0,
      plan.steps.findIndex(({ id }) => id === plan.outside),
    ),
  });
  for (const step of plan.steps) {
    const undo = typeof step.undo === 'string' ? [] : step.undo;
    const flags =
      (step.meanwhile === true ? STEP_FLAGS.meanwhile : 0) |
      (step.once === true ? STEP_FLAGS.once : 0) |
      (step.dependent === true ? STEP_FLAGS.dependent : 0) |
      (step.late === true ? STEP_FLAGS.late : 0) |
      (step.mends === true ? STEP_FLAGS.mends : 0) |
      (slots.isPassed(step) ? STEP_FLAGS.passed : 0);
    out.stepHeader(SIDE[step.side], flags, undo.length);
    commandAt = out.size;
    writeCall(out, slots, step.call);
    commandSize = out.size - commandAt;
    for (const call of undo) writeCall(out, slots, call);
  }
  for (const report of plan.reports) {
    out.u16(slots.number(report.dirfd));
    out.text(report.file, slots);
    out.text(report.key, slots);
  }
  for (const { socket, question } of plan.tallies ?? []) {
    out.u16(slots.number(socket));
    out.messages([question]);
  }
  for (const { kind, plan: own, times } of plan.execs ?? []) {
    // `$ID` is that of the container (native/launcher/run.h, Target).
    const bytes = encodePlan(own);
    out.struct(EXEC_HEADER, {
      kind: EXEC_KINDS[kind],
      size: bytes.length,
      interval: times?.interval ?? 0,
      start_interval: times?.startInterval ?? 0,
      start_period: times?.startPeriod ?? 0,
      retries: times?.retries ?? 0,
    });
    out.raw(bytes);
  }
  out.u32(out.size, offsetOf(PLAN_HEADER, 'size'));
  return { bytes: out.done(), commandAt, commandSize };
}
