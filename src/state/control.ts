/** Orders to the launcher of a container in the background. */
import { closeSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { HostFacts } from '../host/facts.ts';
import { readStruct, sizeOf } from '../kernel/layout.ts';
import { EVENT, EVENT_RECORD, ORDER, STOP_GRACE } from '../kernel/wire.ts';
import { healthState, type HealthState } from '../launcher/events.ts';
import { order } from '../launcher/launch.ts';
import { connectTo, hangUp, watch } from '../native.ts';
import { controlSocket } from './containers.ts';

export interface Control {
  /** Sends the command a signal, as `boxctl up` would pass it on. */
  signal(signal: number): void;
  /** Its stop signal, and SIGKILL after `graceMs`; by default after the time that the file says. */
  stop(graceMs?: number): void;
  /** As `stop`, and starts it again; one that waits for its restart at once. */
  restart(graceMs?: number): void;
  /** Resolves when the launcher is gone, and with it the container. */
  readonly gone: Promise<void>;
  /** Hangs up. */
  close(): Promise<void>;
}

const IS_GONE: ReadonlySet<unknown> = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE']);
const isGone = (error: unknown): boolean => error instanceof Error && 'code' in error && IS_GONE.has(error.code);

/** What a launcher tells everybody who is connected (native/launcher/events.cc, is_turning_point). */
export type Told =
  | { readonly kind: 'started' | 'ended' | 'failed' | 'restarting' | 'hook' }
  | { readonly kind: 'health'; readonly state: HealthState };

function toldAt(records: DataView, at: number): Told | undefined {
  const { kind, value } = readStruct(records, at, EVENT_RECORD);
  if (kind === EVENT.started) return { kind: 'started' };
  if (kind === EVENT.exited || kind === EVENT.signaled) return { kind: 'ended' };
  if (kind === EVENT.failed) return { kind: 'failed' };
  if (kind === EVENT.restarting) return { kind: 'restarting' };
  if (kind === EVENT.hook) return { kind: 'hook' };
  const state = kind === EVENT.health ? healthState(value) : undefined;
  return state === undefined ? undefined : { kind: 'health', state };
}

/** Undefined: its launcher does not run any more. `onTold` must not throw. */
export function connect(
  host: HostFacts,
  id: string,
  onTold: (told: Told) => void = () => undefined,
): Control | undefined {
  let socket: number;
  try {
    socket = connectTo(dirname(controlSocket(host, id)), id);
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
  const gone = new Promise<void>((resolve) => {
    watch(socket, (records) => {
      if (records === undefined) {
        closeSync(socket);
        resolve();
        return;
      }
      const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
      for (let at = 0; at + sizeOf(EVENT_RECORD) <= view.byteLength; at += sizeOf(EVENT_RECORD)) {
        const told = toldAt(view, at);
        if (told !== undefined) onTold(told);
      }
    });
  });
  let isOpen = true;
  void gone.then(() => (isOpen = false));
  const tell = (kind: number, value: number): void => {
    if (!isOpen) return;
    try {
      writeSync(socket, order(kind, value));
    } catch (error) {
      // It has just ended: `gone` tells.
      if (!isGone(error)) throw error;
    }
  };
  return {
    signal: (signal) => tell(ORDER.signal, signal),
    stop: (graceMs = STOP_GRACE) => tell(ORDER.stop, graceMs),
    restart: (graceMs = STOP_GRACE) => tell(ORDER.restart, graceMs),
    gone,
    close: async () => {
      if (isOpen) hangUp(socket);
      await gone;
    },
  };
}
