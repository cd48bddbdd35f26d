/** What a launcher tells while it works, and what becomes of that: how a run went. */
import { HEALTH } from '../kernel/wire.ts';

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
  /** How long that was, in ms: as the plan says, or whoever stopped the command. */
  readonly graceMs: number;
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
