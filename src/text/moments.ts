/** Points in time, as people write them and as logs have them. */
import { parseDuration } from './units.ts';

const DATE = /^(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2})(:\d{2})?(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:?\d{2})?)?$/u;
const SECONDS = /^(\d{1,11})(?:\.(\d{1,9}))?$/u;

/** UTC with nanoseconds, so that the order of texts is that of times. */
function momentOf(ms: number, fraction: string): string | undefined {
  if (!Number.isFinite(ms) || ms < 0) return undefined;
  return `${new Date(ms).toISOString().slice(0, 19)}.${fraction.padEnd(9, '0')}Z`;
}

/**
 * The time that is `10m` before `now`, `2026-01-31`, `2026-01-31T12:00:00`, which are of this machine's time zone,
 * `2026-01-31T12:00:00.5+01:00`, or 1769857200.5 seconds after 1970; undefined where it is none.
 */
export function parseMoment(text: string, now: number): string | undefined {
  const seconds = SECONDS.exec(text);
  if (seconds !== null) return momentOf(Number(seconds[1]) * 1000, seconds[2] ?? '');
  const ago = parseDuration(text);
  if (ago !== undefined) return momentOf(now - ago, String((now - ago) % 1000).padStart(3, '0'));
  const date = DATE.exec(text);
  if (date === null) return undefined;
  const [, day = '', minutes = '00:00', rest = ':00', fraction = '', zone = ''] = date;
  const offset = zone.toUpperCase().replace(/^(.\d\d)(\d\d)$/u, '$1:$2');
  return momentOf(Date.parse(`${day}T${minutes}${rest}${offset}`), fraction);
}

/** Milliseconds since 1970. */
export const msOf = (moment: string): number => Date.parse(`${moment.slice(0, 23)}Z`);
