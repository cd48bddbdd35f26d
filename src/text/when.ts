/** A time as `--since` and `--until` take it: a span before now, a date, or seconds since 1970. */
import { parseDuration } from './units.ts';

const DATE = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?$/u;

/** Milliseconds since 1970; undefined where it is none. A date without a zone is of the local one. */
export function parseWhen(text: string, now: number): number | undefined {
  if (/^\d+(?:\.\d+)?$/u.test(text)) return Number(text) * 1000;
  const span = parseDuration(text);
  if (span !== undefined) return now - span;
  if (!DATE.test(text)) return undefined;
  // Without a time, Date takes it for midnight in UTC.
  const at = Date.parse(/^\d{4}-\d{2}-\d{2}$/u.test(text) ? `${text}T00:00:00` : text.replace(' ', 'T'));
  return Number.isNaN(at) ? undefined : at;
}
