/** The numbers of an import: how fast, how long, how much. */
import { describe, expect, test } from 'vitest';
import { Rate } from '../../../src/cli/rate.ts';
import { readableBytes, readableSeconds } from '../../../src/text/sizes.ts';

describe('the rate of an import', () => {
  test('says nothing before it has seen enough', () => {
    const rate = new Rate();
    expect(rate.at({ read: 10, total: 100 }, 0)).toEqual({ bytesPerSecond: undefined, secondsLeft: undefined });
    expect(rate.at({ read: 20, total: 100 }, 100)).toEqual({ bytesPerSecond: undefined, secondsLeft: undefined });
  });

  test('is that of the last seconds, and gives the remaining time', () => {
    const rate = new Rate();
    for (let second = 0; second <= 10; second++) rate.at({ read: second * 100, total: 10_000 }, second * 1000);
    for (let second = 11; second <= 13; second++)
      rate.at({ read: 1000 + (second - 10) * 10, total: 10_000 }, second * 1000);
    expect(rate.at({ read: 1040, total: 10_000 }, 14_000)).toEqual({ bytesPerSecond: 10, secondsLeft: 896 });
  });

  test('begins anew with another layer, and when an archive is read again', () => {
    const rate = new Rate();
    rate.at({ read: 0, total: 100, layer: { number: 1, of: 2 } }, 0);
    rate.at({ read: 100, total: 100, layer: { number: 1, of: 2 } }, 1000);
    expect(rate.at({ read: 100, total: 200, layer: { number: 2, of: 2 } }, 1100).bytesPerSecond).toBeUndefined();
    expect(rate.at({ read: 150, total: 200, layer: { number: 2, of: 2 } }, 2100).bytesPerSecond).toBe(50);
    expect(rate.at({ read: 10, total: 200, layer: { number: 2, of: 2 } }, 2200).bytesPerSecond).toBeUndefined();
  });

  test('gives no remaining time where the size is not known', () => {
    const rate = new Rate();
    rate.at({ read: 0, total: 0 }, 0);
    expect(rate.at({ read: 500, total: 0 }, 1000)).toEqual({ bytesPerSecond: 500, secondsLeft: undefined });
  });
});

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [9949, '9.9 kB'],
  [9950, '10 kB'],
  [171_000_000, '171 MB'],
  [1_234_000_000, '1.2 GB'],
])('%i bytes are %s', (bytes, expected) => {
  expect(readableBytes(bytes)).toBe(expected);
});

test.each([
  [0, '0 s'],
  [59.9, '59 s'],
  [60, '1 min'],
  [7300, '2 h'],
  [200_000, '2 d'],
])('%d seconds are %s', (seconds, expected) => {
  expect(readableSeconds(seconds)).toBe(expected);
});
