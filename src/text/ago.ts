/** Times as docker's lists have them. */

const STEPS = [
  [60, 1, 'second'],
  [3600, 60, 'minute'],
  [86_400, 3600, 'hour'],
  [14 * 86_400, 86_400, 'day'],
  [60 * 86_400, 7 * 86_400, 'week'],
  [730 * 86_400, 30 * 86_400, 'month'],
  [Number.POSITIVE_INFINITY, 365 * 86_400, 'year'],
] as const;

/** `5 minutes`; under a second `Less than a second`. */
export function roughly(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  if (seconds < 1) return 'Less than a second';
  const [, size, unit] = STEPS.find(([limit]) => seconds < limit) ?? STEPS[6];
  const count = Math.floor(seconds / size);
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}

/** `2026-11-29 00:57:04 +0000 UTC`. */
export const dateOf = (at: number): string =>
  `${new Date(at).toISOString().replace('T', ' ').replace(/\..*$/u, '')} +0000 UTC`;
