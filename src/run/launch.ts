/** Starts the launcher with a plan and turns its binary event stream into typed events. */
import type { Plan } from '../plan/plan.ts';

export type LaunchEvent =
  | {
      readonly kind: 'step';
      readonly index: number;
      readonly outcome: 'done' | 'skipped';
      readonly startNs: number;
      readonly endNs: number;
    }
  /** `errno` is the number; the launcher begins to undo. */
  | { readonly kind: 'failed'; readonly index: number; readonly errno: number; readonly detail: number }
  | { readonly kind: 'undo'; readonly index: number; readonly errno: number }
  /** All steps but the last are done; the command starts when `go()` is called. Only with `gate`. */
  | { readonly kind: 'gate' }
  | { readonly kind: 'started'; readonly pid: number }
  | { readonly kind: 'report'; readonly index: number; readonly value: number };

export interface LaunchOptions {
  /** Descriptors of this process that become the container's 0, 1, 2. Default [0, 1, 2]. */
  readonly stdio?: readonly [number, number, number];
  /** Wait for `go()` before the command starts, so that the terminal can be tidied first. */
  readonly gate?: boolean;
  readonly onEvent?: (event: LaunchEvent) => void;
}

export interface Outcome {
  /** How it ended: the command's own status, a signal, or a step that failed before the command ran. */
  readonly kind: 'exited' | 'signaled' | 'failed';
  readonly status: number;
  readonly signal: number;
  readonly failed: { readonly index: number; readonly errno: number; readonly detail: number } | undefined;
  /** Steps whose undo failed, with the errno. */
  readonly undoFailures: readonly { readonly index: number; readonly errno: number }[];
  /** One number for each of `plan.reports`; undefined where it could not be read. */
  readonly reports: readonly (number | undefined)[];
}

export interface Launch {
  go(): void;
  /** Sends a signal to the container's first process. */
  signal(signal: number): void;
  readonly done: Promise<Outcome>;
}

export type LaunchFunction = (plan: Plan, options?: LaunchOptions) => Launch;
