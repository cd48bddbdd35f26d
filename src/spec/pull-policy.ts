/** `pull_policy`, in Compose's words. */
import { addProblem, clip, type Context } from './context.ts';
import type { PullPolicy } from './spec.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

const WORDS: Readonly<Record<string, PullPolicy>> = {
  always: 'always',
  missing: 'missing',
  if_not_present: 'missing',
  never: 'never',
  daily: { every: DAY_MS },
  weekly: { every: 7 * DAY_MS },
};

const UNITS: Readonly<Record<string, number>> = {
  w: 7 * DAY_MS,
  d: DAY_MS,
  h: 60 * 60 * 1000,
  m: 60 * 1000,
  s: 1000,
};

/** Numbers with units, the longest first: `1d12h`. Undefined: it is no duration, or longer than a number of ms can be. */
function durationOf(text: string): number | undefined {
  if (!/^(?:\d+w)?(?:\d+d)?(?:\d+h)?(?:\d+m)?(?:\d+s)?$/u.test(text) || text === '') return undefined;
  const parts = [...text.matchAll(/(\d+)([wdhms])/gu)];
  const sum = parts.reduce((total, [, count, unit = '']) => total + Number(count) * (UNITS[unit] ?? 0), 0);
  return Number.isSafeInteger(sum) ? sum : undefined;
}

/** Undefined for a text that is none. */
export function parsePullPolicy(text: string): PullPolicy | undefined {
  const every = text.startsWith('every_') ? durationOf(text.slice('every_'.length)) : undefined;
  if (every !== undefined) return { every };
  return Object.hasOwn(WORDS, text) ? WORDS[text] : undefined;
}

/** Undefined where there is none, and for a problem, which is reported. */
export function normalisePullPolicy(context: Context, text: string | undefined): PullPolicy | undefined {
  if (text === undefined) return undefined;
  const policy = parsePullPolicy(text);
  if (policy !== undefined) return policy;
  const hint =
    text === 'build'
      ? 'boxctl builds no images: build it by another tool and import it, or push it to a registry'
      : 'write missing, always, never, daily, weekly, or every_ and a duration (w, d, h, m, s): every_12h';
  return addProblem(context, 'pull_policy', 'E_SPEC_VALUE', `"${clip(text)}" is no policy for pulling`, { hint });
}
