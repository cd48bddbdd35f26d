/** `restart`, in Compose's words. */
import { didYouMean } from './suggest.ts';
import { addProblem, clip, type Context } from './context.ts';
import type { Restart } from './spec.ts';

const WORDS: Readonly<Record<string, Restart['when']>> = {
  'on-failure': 'on-failure',
  always: 'always',
  'unless-stopped': 'always',
};

/** Undefined for a text that is none. */
export function parseRestart(text: string): Restart | undefined {
  const counted = /^on-failure:(\d{1,6})$/u.exec(text);
  // As Docker takes it: 0 is no limit.
  if (counted !== null) return { when: 'on-failure', most: Number(counted[1]) || undefined };
  const when = Object.hasOwn(WORDS, text) ? WORDS[text] : undefined;
  return when === undefined ? undefined : { when, most: undefined };
}

/** Undefined where there is none, and for a problem, which is reported. */
export function normaliseRestart(context: Context, text: string | undefined): Restart | undefined {
  if (text === undefined || text === 'no') return undefined;
  const choice = parseRestart(text);
  if (choice !== undefined) return choice;
  const meant = text.includes(':') ? undefined : didYouMean(text, ['no', ...Object.keys(WORDS)]);
  return addProblem(context, 'restart', 'E_SPEC_VALUE', `"${clip(text)}" does not say when to restart`, {
    hint:
      meant === undefined
        ? 'write no, on-failure, on-failure:3, always or unless-stopped'
        : `did you mean \`${meant}\`?`,
  });
}
