/** How fast an import is, and when it will be over. */
import type { ImportProgress } from '../image/import-job.ts';

/** The rate is measured over this time. With less, the number jumps; with more, a disk that becomes slow shows late. */
const WINDOW_MS = 3000;
/** No rate is shown before this time has passed. */
const LEAST_MS = 150;

export interface Speed {
  readonly bytesPerSecond: number | undefined;
  readonly secondsLeft: number | undefined;
}

export class Rate {
  #seen: { readonly read: number; readonly ms: number }[] = [];
  #layer = 0;

  /** `ms`: the time of the measurement, by a monotonic clock. */
  at({ read, total, layer }: ImportProgress, ms: number = performance.now()): Speed {
    // Another layer, or another reading of the same archive.
    if ((layer?.number ?? 0) !== this.#layer || read < (this.#seen.at(-1)?.read ?? 0)) this.#seen = [];
    this.#layer = layer?.number ?? 0;
    this.#seen.push({ read, ms });
    this.#seen = this.#seen.filter((each) => ms - each.ms <= WINDOW_MS);
    const first = this.#seen[0];
    if (first === undefined || ms - first.ms < LEAST_MS) return { bytesPerSecond: undefined, secondsLeft: undefined };
    const bytesPerSecond = ((read - first.read) * 1000) / (ms - first.ms);
    const isKnown = total > 0 && bytesPerSecond > 0;
    return { bytesPerSecond, secondsLeft: isKnown ? Math.max(0, total - read) / bytesPerSecond : undefined };
  }
}
