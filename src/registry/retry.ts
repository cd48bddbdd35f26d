/** When a request is repeated. */
import type { Failure } from './failure.ts';
import type { Clock } from './options.ts';

/** Requests in a row that came to nothing, until it is given up. */
export const MAX_TRIES = 5;
const FIRST_DELAY = 500;
const LONGEST_DELAY = 30_000;
/** A registry that asks for more is not waited for: the person is told when to come back. */
export const LONGEST_WAIT = 60_000;

/** `Retry-After` (RFC 9110, 10.2.3) in milliseconds: seconds, or a date. */
export function retryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (/^\d{1,9}$/u.test(text)) return Number(text) * 1000;
  // Only the forms of RFC 9110, 5.6.7: Date.parse takes far more.
  if (!/^[A-Z][a-z]{2,8},? /u.test(text)) return undefined;
  const date = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Growing, and different for each of many clients that failed at the same moment. */
export function delayOf(failures: number, failure: Failure, { random }: Clock): number {
  const grown = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** (failures - 1));
  return Math.max(failure.options.after ?? 0, Math.round(grown * (0.75 + random() / 2)));
}

export interface Retrying {
  readonly clock: Clock;
  readonly signal: AbortSignal | undefined;
  readonly onRetry: ((why: string, delay: number) => void) | undefined;
}

/** Waits before the next try, or throws the failure where there is none. `failures`: how many there were in a row. */
export async function waitAfter(failure: Failure, failures: number, tries: number, retrying: Retrying): Promise<void> {
  if (failure.options.retry !== true || failures >= tries) throw failure;
  const delay = delayOf(failures, failure, retrying.clock);
  if (delay > LONGEST_WAIT) throw failure;
  retrying.onRetry?.(failure.message, delay);
  await retrying.clock.sleep(delay, retrying.signal);
}

export const systemClock: Clock = {
  now: () => Date.now(),
  random: () => Math.random(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const give = (): void => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', give);
        resolve();
      }, ms);
      signal?.addEventListener('abort', give, { once: true });
    }),
};
