/** The time that a command has until SIGKILL, as options say it. */
import { BoxctlError } from '../errors.ts';

/** Milliseconds. `example`: what to type. */
export function graceOf(text: string | undefined, example: string): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,6}$/u.test(text)) return Number(text) * 1000;
  throw new BoxctlError('E_USAGE', `--time ${text} is no number of seconds`, { hint: example });
}
