/**
 * What boxctl and native/launcher send to each other, but for the calls themselves (calls.ts): the fixed parts of a plan's
 * bytes, the launcher's events, and the orders to it. `npm run generate` writes native/wire from here. The parts of
 * variable length are described in native/launcher/plan.h.
 */

// ---- Descriptors ----------------------------------------------------------------------------------------------------

/** What the launcher is started with after 0, 1 and 2, which are the caller's: the sealed plan, and the owner's socket. */
export const LAUNCHER_FD = { plan: 3, control: 4 } as const;
/** What the imager has as 0, 1 and 2: the archive, what is extracted, and lines of JSON that say what it found. */
export const IMAGER_FD = { archive: 0, output: 1, report: 2 } as const;

// ---- A plan ---------------------------------------------------------------------------------------------------------

/** "BXPL". */
export const PLAN_MAGIC = 0x4c505842;
/** Changes with everything here, and in calls.ts, that would be read differently by a launcher of the version before. */
export const WIRE_VERSION = 3;
/** The largest plan, and the longest text in it, in bytes. */
export const MAX_PLAN = 64 * 2 ** 20;
export const MAX_TEXT = 2 ** 20;
/** The most arguments that a call can have. */
export const MAX_ARGS = 9;

/** The most netlink messages of one call. */
export const MAX_MESSAGES = 2 ** 16 - 1;

/** Descriptors go over the wire by numbers (slots). Two of these are none of the plan's own. */
export const MAX_SLOTS = 0xfff0;
export const SLOT_CWD = 0xfffe;
export const SLOT_NONE = 0xffff;

export const SIDE = { host: 0, container: 1 } as const;
export const PLAN_FLAGS = {
  /** The launcher waits for an order before the command starts. */
  gate: 1,
  /** The caller's standard input goes to the container's terminal. */
  terminalStdin: 2,
} as const;

/** Followed by the steps, the reports and the tallies. */
export const PLAN_HEADER = [
  ['magic', 'u32'],
  ['version', 'u32'],
  ['size', 'u32'],
  ['steps', 'u32'],
  ['reports', 'u32'],
  ['slots', 'u32'],
  /** The slot of the terminal's master. */
  ['terminal', 'u16'],
  ['flags', 'u16'],
  /** Milliseconds from the stop signal to SIGKILL. */
  ['grace', 'u32'],
  /** Milliseconds that the command may run; 0: no limit. */
  ['time_limit', 'u64'],
  ['stop_signal', 'u32'],
  ['tallies', 'u32'],
] as const;

/** Followed by the step's call and by its undo calls. */
export const STEP_HEADER = [
  ['side', 'u8'],
  ['reserved', 'u8'],
  ['undos', 'u16'],
] as const;

/** Followed by the allowed errors (16 bits each) and the arguments. */
export const CALL_HEADER = [
  ['op', 'u16'],
  /** The slot of the descriptor that the call returns. */
  ['returns', 'u16'],
  ['allowed', 'u8'],
  ['args', 'u8'],
] as const;

// ---- What the launcher says -----------------------------------------------------------------------------------------

/** Each event is one of these. */
export const EVENT_RECORD = [
  ['kind', 'u32'],
  ['index', 'u32'],
  ['error', 'i32'],
  ['value', 'u32'],
  ['start', 'u64'],
  ['end', 'u64'],
] as const;

/** The kinds of events. `index` is a step's, and times are monotonic and in nanoseconds, where nothing else is said. */
export const EVENT = {
  /** A step is done: start, end. */
  done: 1,
  /** A step failed with an error that it allows, or lacks a descriptor for that reason: start, end. */
  skipped: 2,
  /** A step failed: error; value is the call's own detail. The launcher begins to undo. */
  failed: 3,
  /** An undo call was made: error, 0 when it worked. */
  undo: 4,
  /** The command starts when the order `go` comes. */
  gate: 5,
  /** The command runs: value is its process. */
  started: 6,
  /** A number was read after the end: index of the report, error, start is the number. */
  report: 7,
  /** The command ended: value is its status, or the signal that ended it. */
  exited: 8,
  signaled: 9,
  /** The plan's bytes are refused, or the launcher could not begin: error. */
  refused: 10,
  /** Somebody wants to write to the archive that the container runs from. */
  leaseBroken: 11,
  /** A system call that the listener saw: index is its number, or UNKNOWN_SYSCALL; start is how often. */
  syscall: 12,
  /** The container's socket of step `index` was bound to a free port: value. */
  port: 13,
  /** Packets that were refused, all together: index of the tally, start is how many. */
  refusals: 14,
  /**
   * Packets to one destination that were refused: index of the tally; error is how many; value is the family (4 or 6), the
   * protocol and the port, in 8, 8 and 16 bits; start and end are the address, in its first 4 bytes or in all 16.
   */
  refusal: 15,
  /** The command has had its time, and is stopped. */
  timeLimit: 20,
  /** The command did not end after the signal `value`, which asked for it, and is killed. */
  graceOver: 21,
  /** What the command wrote to descriptor `index` could not be written: error. */
  outputLost: 22,
  /** Text of a program that runs beside the container: index is its step, `value` the count of its bytes, which have the place of the times. */
  helperSaid: 30,
  /** It ended before the container did: index is its step, value its exit status, or 128 and the signal that ended it. */
  helperEnded: 31,
} as const;
export const UNKNOWN_SYSCALL = 0xffff_ffff;

// ---- What the launcher is told --------------------------------------------------------------------------------------

export const ORDER_RECORD = [
  ['kind', 'u32'],
  ['value', 'u32'],
] as const;

export const ORDER = {
  /** Value is a signal for the command. */
  signal: 1,
  /** After the event `gate`: the command may start. */
  go: 2,
} as const;
