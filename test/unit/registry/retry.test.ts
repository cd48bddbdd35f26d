/** When a request is repeated, and after how long. */
import { describe, expect, test } from 'vitest';
import { Failure } from '../../../src/registry/failure.ts';
import { delayOf, retryAfter, systemClock } from '../../../src/registry/retry.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');

describe('Retry-After', () => {
  test.each([
    ['0', 0],
    ['120', 120_000],
    [' 7 ', 7000],
    ['Thu, 01 Jan 2026 00:01:00 GMT', 60_000],
    ['Thursday, 01-Jan-26 00:01:00 GMT', 60_000],
    ['Thu Jan  1 00:01:00 2026', 60_000],
    // A moment that is over.
    ['Wed, 31 Dec 2025 23:00:00 GMT', 0],
  ])('%s is a number of seconds or a date', (value, expected) => {
    expect(retryAfter(value, NOW)).toBe(expected);
  });

  test.each([[undefined], [''], ['-1'], ['1.5'], ['soon'], ['99999999999'], ['2026-01-01'], ['Thu, 99 Foo 2026']])(
    '%s is none',
    (value) => {
      expect(retryAfter(value, NOW)).toBeUndefined();
    },
  );
});

describe('the time until the next try', () => {
  const failure = (after?: number): Failure => new Failure('E_REGISTRY_FAILED', 'x', { retry: true, after });
  const clock = (random: number): typeof systemClock => ({ ...systemClock, random: () => random });

  test('grows, and does not grow for ever', () => {
    const delays = [1, 2, 3, 4, 12].map((failures) => delayOf(failures, failure(), clock(0.5)));
    expect(delays).toEqual([500, 1000, 2000, 4000, 30_000]);
  });

  test('differs from client to client', () => {
    expect(delayOf(2, failure(), clock(0))).toBe(750);
    expect(delayOf(2, failure(), clock(1))).toBe(1250);
  });

  test('is at least what the registry asks for', () => {
    expect(delayOf(1, failure(9000), clock(1))).toBe(9000);
    expect(delayOf(1, failure(1), clock(0.5))).toBe(500);
  });
});

test('a wait ends when the caller gives up', async () => {
  const control = new AbortController();
  const reason = new Error('given up');
  const waiting = systemClock.sleep(60_000, control.signal);
  control.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  await expect(systemClock.sleep(60_000, control.signal)).rejects.toBe(reason);
  await systemClock.sleep(1, undefined);
});
