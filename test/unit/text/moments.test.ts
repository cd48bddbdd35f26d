/** Points in time as people write them. */
import { expect, test } from 'vitest';
import { msOf, parseMoment } from '../../../src/text/moments.ts';

const NOW = Date.UTC(2026, 0, 31, 12, 0, 0, 250);
const local = (text: string): string => new Date(text).toISOString().replace('Z', '000000Z');

test.each([
  ['10m', '2026-01-31T11:50:00.250000000Z'],
  ['1.5s', '2026-01-31T11:59:58.750000000Z'],
  ['2026-01-31T12:34:56Z', '2026-01-31T12:34:56.000000000Z'],
  ['2026-01-31T12:34:56.123456789Z', '2026-01-31T12:34:56.123456789Z'],
  ['2026-01-31T12:34:56.5+01:00', '2026-01-31T11:34:56.500000000Z'],
  ['2026-01-31T12:34:56+0130', '2026-01-31T11:04:56.000000000Z'],
  ['2026-01-31t12:34z', '2026-01-31T12:34:00.000000000Z'],
  ['1769860800', '2026-01-31T12:00:00.000000000Z'],
  ['1769860800.000000001', '2026-01-31T12:00:00.000000001Z'],
  ['2026-01-31', local('2026-01-31T00:00:00')],
  ['2026-01-31T01:02:03', local('2026-01-31T01:02:03')],
])('%s is %s', (text, moment) => expect(parseMoment(text, NOW)).toBe(moment));

test.each(['', 'yesterday', '2026-13-01', '2026-01-31T25:00:00Z', '10 m', '-10m', '99999999999999'])(
  '"%s" is no time',
  (text) => expect(parseMoment(text, NOW)).toBeUndefined(),
);

test('the milliseconds of a moment are those since 1970', () =>
  expect(msOf('2026-01-31T12:00:00.250999999Z')).toBe(NOW));
