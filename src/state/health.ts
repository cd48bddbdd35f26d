/** What the launcher of a container in the background has found out about its health: the file `health` of its folder. */
import { closeSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoName } from '../kernel/errno.ts';
import { readStruct, sizeOf } from '../kernel/layout.ts';
import { HEALTH_HEADER, HEALTH_OUTPUT, HEALTH_RESULT, HEALTH_RESULTS } from '../kernel/wire.ts';
import { healthState, type HealthState } from '../launcher/events.ts';
import { openOwn } from '../native.ts';
import type { KeptContainer } from './containers.ts';

export interface HealthResult {
  /** Milliseconds since 1970. */
  readonly start: number;
  readonly end: number;
  /** 128 and the signal where one ended it; -1: it did not end in time, or could not be run. */
  readonly status: number;
  /** The first of what it wrote; or why there is none. */
  readonly output: string;
}

export interface Health {
  readonly state: HealthState;
  /** The last failures, one after the other. */
  readonly failures: number;
  /** The oldest first. */
  readonly results: readonly HealthResult[];
}

const SLOT = sizeOf(HEALTH_RESULT) + HEALTH_OUTPUT;

function resultAt(view: DataView, at: number): HealthResult {
  const { start, end, status, size, timed_out: timedOut, error } = readStruct(view, at, HEALTH_RESULT);
  const { buffer, byteOffset } = view;
  const bytes = Buffer.from(buffer, byteOffset + at + sizeOf(HEALTH_RESULT), Math.min(size, HEALTH_OUTPUT));
  const why =
    timedOut !== 0 ? 'it did not end in time' : error !== 0 ? `it could not be run: ${errnoName(error)}` : undefined;
  const words = bytes.toString('utf8');
  const output = why === undefined ? words : `${words}${words === '' || words.endsWith('\n') ? '' : '\n'}${why}`;
  return { start: Number(start), end: Number(end), status, output };
}

/** Undefined: it has no health check, or has not run yet. */
export function readHealth({ folder }: Pick<KeptContainer, 'folder'>): Health | undefined {
  let fd: number;
  try {
    fd = openOwn(join(folder, 'health'), 'file');
  } catch {
    return undefined;
  }
  try {
    const bytes = readFileSync(fd);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (view.byteLength < sizeOf(HEALTH_HEADER)) return undefined;
    const { state: number, failures, results: count } = readStruct(view, 0, HEALTH_HEADER);
    const state = healthState(number);
    if (state === undefined) return undefined;
    const places = Array.from({ length: Math.min(Number(count), HEALTH_RESULTS) }, (_, place) => place);
    const results = places
      .map((place) => sizeOf(HEALTH_HEADER) + place * SLOT)
      .filter((at) => at + sizeOf(HEALTH_RESULT) <= view.byteLength)
      .map((at) => resultAt(view, at))
      .toSorted((one, other) => one.start - other.start);
    return { state, failures, results };
  } finally {
    closeSync(fd);
  }
}
