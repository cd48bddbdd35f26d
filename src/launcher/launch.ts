/** Starts the launcher with a plan and turns its binary event stream into typed events. */
import { writeSync } from 'node:fs';
import { BoxctlError } from '../errors.ts';
import { sizeOf, writeStruct } from '../kernel/layout.ts';
import { SIGSYS } from '../kernel/signals.ts';
import { ORDER, ORDER_RECORD, STOP_GRACE } from '../kernel/wire.ts';
import { hangUp, passSignals, watch } from '../native.ts';
import type { Plan } from '../plan/plan.ts';
import { Course, RECORD_SIZE, viewOf } from './course.ts';
import type { Outcome } from './events.ts';
import { killedFor } from './kill-record.ts';
import { startOwn, startShared, type Launcher, type LaunchOptions } from './start-launcher.ts';

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

/** A message to a launcher. */
export function order(kind: number, value: number): Uint8Array {
  const bytes = new Uint8Array(sizeOf(ORDER_RECORD));
  writeStruct(viewOf(bytes), 0, ORDER_RECORD, { kind, value });
  return bytes;
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
