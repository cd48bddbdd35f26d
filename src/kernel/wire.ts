/**
 * The wire format between boxctl and native/launcher: the fixed parts of an encoded plan, the launcher's events, and the
 * orders to it. The calls of a plan are in calls.ts. `npm run generate` writes native/wire from both. The parts of a plan
 * of variable length are described in native/launcher/plan.h.
 */

// ---- Descriptors ----------------------------------------------------------------------------------------------------

/**
 * The launcher's descriptors after 0, 1 and 2, which are the caller's. `plan`: the sealed plan. `control`: the socket to
 * the process that started the launcher.
 */
export const LAUNCHER_FD = { plan: 3, control: 4 } as const;
/** How many the launcher has before those that are kept: those of the caller, and these. */
export const LAUNCHER_FDS = 3 + Object.keys(LAUNCHER_FD).length;
/** The imager's descriptors: the archive, the tar of extracted files, and lines of JSON for progress and result. */
export const IMAGER_FD = { archive: 0, output: 1, report: 2 } as const;

// ---- A plan ---------------------------------------------------------------------------------------------------------

/** "BXPL". */
export const PLAN_MAGIC = 0x4c505842;
/** To be raised with each change, here or in calls.ts, that an older launcher would misread. */
export const WIRE_VERSION = 10;
/** The largest plan, and the longest text in a plan, in bytes. */
export const MAX_PLAN = 64 * 2 ** 20;
export const MAX_TEXT = 2 ** 20;
/** The most arguments that a call can have. */
export const MAX_ARGS = 9;

/** The most netlink messages of one call. */
export const MAX_MESSAGES = 2 ** 16 - 1;

/** A plan's descriptors are encoded as numbers (slots). SLOT_CWD is AT_FDCWD, SLOT_NONE is no descriptor. */
export const MAX_SLOTS = 0xfff0;
export const SLOT_CWD = 0xfffe;
export const SLOT_NONE = 0xffff;

export const SIDE = { host: 0, container: 1 } as const;
export const STEP_FLAGS = {
  /** The launcher makes the step while the container's side makes its own steps before it. */
  meanwhile: 1,
  /**
   * Of the host's side: the launcher makes it before its first run alone, keeps its descriptor for the others, and undoes it
   * after the last. Of the container's side: it is made where the container has never run before.
   */
  once: 2,
  /** Left out where the step before it on the same side was left out. */
  dependent: 4,
  /** Of the host's side: it is undone after the end was told. */
  late: 8,
  /** Of the host's side: it is made again while the command runs, where what watch_tables asks for is gone. */
  mends: 16,
  /** Of the host's side, after clone3: the container's side needs the descriptor that it returns. */
  passed: 32,
} as const;
export const PLAN_FLAGS = {
  /** The launcher waits for an order before the command starts. */
  gate: 1,
  /** The caller's standard input goes to the container's terminal. */
  terminalStdin: 2,
  /** Steps that were done, undo calls that succeeded and `begun` are not told. */
  terse: 8,
  /** Up to pivot_root the container's side names no path of the host: it can be born in a mount namespace without the host's mounts. */
  lean: 16,
  /** The first of the kept descriptors has the contents of secrets and configs. */
  given: 32,
  /** The launcher waits for an order before step `outside`. */
  held: 64,
} as const;

/** When the launcher runs the plan again after the command's end. */
export const RESTART = { no: 0, onFailure: 1, always: 2 } as const;

/** The steps, the reports, the tallies and the execs follow it. */
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
  /** `$ID`, where the caller has chosen it: 48 bits. 0: the launcher chooses. */
  ['id', 'u64'],
  /**
   * Descriptors after those of LAUNCHER_FD that the launcher keeps open until it ends: locks that the caller has taken
   * (flock(2)), and that are to outlive the caller.
   */
  ['kept_fds', 'u32'],
  /** Of RESTART; and for `onFailure` the most restarts, 0: any number. */
  ['restart', 'u32'],
  ['restart_most', 'u32'],
  /** Commands that the launcher runs in the container. */
  ['execs', 'u32'],
  /**
   * How many of the kept descriptors, after that of the secrets, are sockets for the command: its descriptors FIRST_SOCKET and
   * following (pass_sockets).
   */
  ['sockets', 'u32'],
  /** The first step that changes anything outside of the container and of the launcher itself. */
  ['outside', 'u32'],
] as const;

/** The step's call and its undo calls follow it. */
export const STEP_HEADER = [
  ['side', 'u8'],
  ['flags', 'u8'],
  ['undos', 'u16'],
] as const;

/** The allowed errors (16 bits each) and the arguments follow it. */
export const CALL_HEADER = [
  ['op', 'u16'],
  /** The slot of the descriptor that the call returns. */
  ['returns', 'u16'],
  ['allowed', 'u8'],
  ['args', 'u8'],
] as const;

// ---- A kept plan ----------------------------------------------------------------------------------------------------

/** "BXKP". */
export const KEPT_MAGIC = 0x504b5842;
/** To be raised with each change of the format, or of what a record must have. */
export const KEPT_VERSION = 7;
/** The largest file of a kept plan, in bytes. */
export const MAX_KEPT = 2 ** 22;

/**
 * Followed by texts (length u32, bytes, NUL): the words of the command line, the folder of the program, that of records, and that of
 * writable layers; of the plan of an exec the record of the container instead of both folders, the file that has the plan, and where
 * its command is looked for. Then ranges of user ids; where `background` is not 0 the folder of containers in the background, and the
 * container's name; where `numbers` is not 0 what a claim of addresses is made by; the inputs; the places that values go to; a byte for
 * each report and each tally of the plan; the encoded plan; and for each number what is otherwise in the plan.
 * native/front/kept.h describes it.
 */
export const KEPT_HEADER = [
  ['magic', 'u32'],
  ['version', 'u32'],
  ['size', 'u32'],
  ['words', 'u32'],
  ['inputs', 'u32'],
  ['fills', 'u32'],
  ['reports', 'u32'],
  ['plan_size', 'u32'],
  /** The same number is in the file for a container that runs. */
  ['tag', 'u32'],
  /** Of the plan of an exec: where the command goes that the other words are, and how many folders it is looked for in; else 0. */
  ['command_at', 'u32'],
  ['folders', 'u32'],
  /** How many ranges of user ids the processes of the container can have; 0: they can have any. */
  ['users', 'u32'],
  /** Not 0: the container is left to its launcher once its command runs. 2: one that runs and is the same is left alone. */
  ['background', 'u32'],
  ['tallies', 'u32'],
  /** How many numbers of addresses the plan can be started with; 0: it claims none. */
  ['numbers', 'u32'],
] as const;

/** What the numbers of a tally count: packets that were refused, and datagrams; connections that were let through, and those no firewall dropped. */
export const KEPT_TALLY = { refused: 0, begun: 1, passed: 2, datagrams: 3 } as const;

/** "BXKR". */
export const KEPT_RUN_MAGIC = 0x524b5842;
/**
 * A file beside that of the plan: what is written down of the container, in the foreground of one that runs for more than a moment
 * (src/state/foreground.ts). A size (u32) for each of `files` follows it, their texts, and then the places in these that values go to. The
 * files are the first ones of RUN_FILES. In container.json, 12 letters at `id_at` are the id, and 13 at `created_at` the time.
 */
export const KEPT_RUN_HEADER = [
  ['magic', 'u32'],
  ['version', 'u32'],
  ['tag', 'u32'],
  ['id_at', 'u32'],
  ['created_at', 'u32'],
  ['files', 'u32'],
  ['fills', 'u32'],
  /** As of the plan. */
  ['numbers', 'u32'],
] as const;

/** Those from `ending.json` on are of containers in the background; a container without an image of its own has no `root.json`. */
export const RUN_FILES = [
  'container.json',
  'plan.json',
  'model.json',
  'ending.json',
  'document.json',
  'root.json',
] as const;

/** The kinds of inputs (src/inputs/record.ts). */
export const KEPT_INPUT = {
  path: 1,
  real: 2,
  access: 3,
  text: 4,
  fileSystem: 5,
  fact: 6,
  variable: 7,
  table: 8,
  setting: 9,
  addresses: 10,
} as const;

export const KEPT_FLAGS = {
  /** There is nothing: no file, no text, no variable; of an access: it is not allowed. */
  absent: 1,
  /** The path is followed. */
  follows: 2,
  /** Size and times count. */
  whole: 4,
  /** The variable is set and not empty: its value is put into the plan, and is not kept. */
  given: 8,
  /** The value must not look like a secret. */
  plain: 16,
} as const;

/** What follows the path of an input of the kind `path` that is there. Times in nanoseconds since 1970. */
export const KEPT_IDENTITY = [
  ['dev', 'u64'],
  ['ino', 'u64'],
  ['rdev', 'u64'],
  ['file_size', 'u64'],
  ['mtime', 'u64'],
  ['ctime', 'u64'],
  ['mode', 'u32'],
  ['uid', 'u32'],
  ['gid', 'u32'],
  ['reserved', 'u32'],
] as const;

/** A command that the launcher runs in the container, by a plan of its own, whose bytes follow it. */
export const EXEC_HEADER = [
  /** Of EXEC. */
  ['kind', 'u32'],
  ['size', 'u32'],
  /** Of a health check, in milliseconds. */
  ['interval', 'u32'],
  ['start_interval', 'u32'],
  ['start_period', 'u32'],
  /** How many failures, one after the other, make it unhealthy. */
  ['retries', 'u32'],
] as const;
export const EXEC = { health: 0, postStart: 1, preStop: 2 } as const;

// ---- The file `health` of a container's folder ------------------------------------------------------------------------

export const HEALTH = { starting: 1, healthy: 2, unhealthy: 3 } as const;
/** How many results are kept, and how much of what each command wrote, in bytes. */
export const HEALTH_RESULTS = 5;
export const HEALTH_OUTPUT = 4096;
/** At the beginning. Places for HEALTH_RESULTS results follow it; result number n is in the place n modulo their number. */
export const HEALTH_HEADER = [
  /** Of HEALTH. */
  ['state', 'u32'],
  /** The last failures, one after the other. */
  ['failures', 'u32'],
  /** How many results there were. */
  ['results', 'u64'],
] as const;
/** A result. HEALTH_OUTPUT bytes follow it, of which `size` were written by the command. Times: milliseconds since 1970. */
export const HEALTH_RESULT = [
  ['start', 'u64'],
  ['end', 'u64'],
  /** The exit status, 128 and the signal, or -1. */
  ['status', 'i32'],
  ['size', 'u32'],
  /** 1: it did not end in time. */
  ['timed_out', 'u32'],
  /** The step that failed before it was executed, and the error, where it is not 0. */
  ['step', 'u32'],
  ['error', 'i32'],
  ['reserved', 'u32'],
] as const;

// ---- Events of the launcher -----------------------------------------------------------------------------------------

/** One event. */
export const EVENT_RECORD = [
  ['kind', 'u32'],
  ['index', 'u32'],
  ['error', 'i32'],
  ['value', 'u32'],
  ['start', 'u64'],
  ['end', 'u64'],
] as const;

/**
 * The kinds of events, each with the fields that it has. Unless stated otherwise, `index` is that of a step; `start` and
 * `end` are times of the monotonic clock in nanoseconds. A time of the clock is in milliseconds since 1970.
 */
export const EVENT = {
  /** A step is done: start, end. */
  done: 1,
  /** A step failed with an error that it allows, or needs a descriptor of such a step: start, end. */
  skipped: 2,
  /** A step failed: error; value is the call's own detail; end is a time of the clock. The launcher begins to undo. */
  failed: 3,
  /** An undo call was made: error, 0 if it succeeded. */
  undo: 4,
  /** The command waits for the order `go`. */
  gate: 5,
  /** The command was started: value is its pid; start; end is a time of the clock. */
  started: 6,
  /** A number was read after the command's end: index of the report, error; start is the number. */
  report: 7,
  /** The command exited: value is its exit status; end is a time of the clock. */
  exited: 8,
  /** A signal ended the command: value is its number; end is a time of the clock. */
  signaled: 9,
  /** The plan is not valid, or the launcher could not begin: error. */
  refused: 10,
  /** Another process has opened the archive that the container runs from for writing. */
  leaseBroken: 11,
  /** A system call that the seccomp listener saw: index is its number, or UNKNOWN_SYSCALL; start is the count. */
  syscall: 12,
  /** The socket of step `index` was bound to a free port: value. */
  port: 13,
  /** The count of all packets that were refused: index of the tally; start is the count. */
  refusals: 14,
  /**
   * The count of refused packets to one destination: index of the tally; error is the count; value is the family (4 or 6),
   * the protocol and the port, in 8, 8 and 16 bits; start and end are the address, in its first 4 bytes or in all 16.
   */
  refusal: 15,
  /**
   * The plan is run again: index is how often the launcher has done so by itself. All events before it are of the run before.
   */
  run: 16,
  /** It will be, `value` milliseconds after `end`, a time of the clock; index is as for `run`. */
  restarting: 17,
  /** The command has run for `time_limit`, and is stopped. */
  timeLimit: 20,
  /** The command did not end within `start` milliseconds of the stop signal, `value`, and is killed. */
  graceOver: 21,
  /**
   * The command's output to descriptor `index` could not be passed on: error. 0: of a container in the background, so many
   * bytes are not in its log: start.
   */
  outputLost: 22,
  /**
   * Output of a program that runs beside the container: index of the step that started it; value is the number of bytes;
   * the bytes are in the place of start and end.
   */
  helperSaid: 30,
  /**
   * That program ended before the container: index of the step that started it; value is its exit status, or 128 plus the
   * signal that ended it.
   */
  helperEnded: 31,
  /**
   * To those who are attached, in a message of another form: after kind and index, which is the command's descriptor (1 or
   * 2), come the bytes that it has written.
   */
  output: 40,
  /** To who is attached: the command's input has taken the order `input`. */
  inputTaken: 41,
  /** The first event of a launcher that was asked to start a plan (START_REQUEST): value is its pid. */
  begun: 42,
  /**
   * A hook has ended: index of the exec; value is its exit status, or 128 plus the signal that ended it; or it was not
   * started: error, start is the step of its plan; end is a time of the clock.
   */
  hook: 50,
  /** What it wrote, in pieces, before that event: index of the exec; value is the number of bytes; as for `helperSaid`. */
  hookSaid: 51,
  /** The health has changed: value is of HEALTH; end is a time of the clock. */
  health: 52,
} as const;
export const UNKNOWN_SYSCALL = 0xffff_ffff;

// ---- Orders to the launcher -----------------------------------------------------------------------------------------

export const ORDER_RECORD = [
  ['kind', 'u32'],
  ['value', 'u32'],
] as const;

export const ORDER = {
  /** Sends the command the signal `value`. */
  signal: 1,
  /** Starts the command. It is sent after the event `gate`. */
  go: 2,
  /** From now on the container does not end with the process that started the launcher. From that process alone. */
  detach: 3,
  /** Sends the command its stop signal, and SIGKILL after `value` milliseconds; STOP_GRACE: after those of the plan. */
  stop: 4,
  /** The same, and runs the plan again. Before the command has started, nothing. */
  restart: 5,
  /** From now on the sender gets what the command writes, as messages `output`; `value` is 1 if it sends input. */
  attach: 6,
  /** `value` bytes follow, at most 4096: input for the command. The next one waits for the event `inputTaken`. */
  input: 7,
  /** The size of the command's terminal: columns and rows, 16 bits each. */
  resize: 8,
} as const;

export const STOP_GRACE = 0xffff_ffff;

// ---- A launcher that serves -----------------------------------------------------------------------------------------

/**
 * Where the launcher finds a socket of type SOCK_SEQPACKET in place of its plan, it serves: each message is a request to start a
 * plan, and `patch_new` bytes after it. Its descriptors (SCM_RIGHTS) are the plan, the control socket, `kept_fds` more, and
 * those that become the container's 0, 1 and 2. In the plan the bytes from `patch_at` on, `patch_old` of them, are replaced by
 * those of the message; id and kept_fds take the place of the header's, and the flags are added to its.
 */
export const START_REQUEST = [
  ['flags', 'u32'],
  ['kept_fds', 'u32'],
  ['id', 'u64'],
  ['patch_at', 'u32'],
  ['patch_old', 'u32'],
  ['patch_new', 'u32'],
  ['reserved', 'u32'],
] as const;
/** The most bytes of a patch. A larger one makes a plan of its own. */
export const MAX_PATCH = 2 ** 15;
/** The most descriptors that a launcher keeps for its caller. */
export const MAX_KEPT_FDS = 48;
/** The first descriptor that sd_listen_fds(3) looks at, and the most of them. */
export const FIRST_SOCKET = 3;
export const MAX_SOCKETS = 32;
