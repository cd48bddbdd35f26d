/** `limits.network`: rates in bits per second. */
import { parseRate } from '../../text/units.ts';
import { clip, addProblem, type Context } from '../context.ts';

/** Bits per second; undefined for no rate, or for a wrong one, which is reported at `path`. */
export function rateAt(context: Context, text: string | undefined, path: string): number | undefined {
  if (text === undefined) return undefined;
  const bits = parseRate(text);
  if (bits === undefined) {
    const number = /^\d+(?:\.\d+)?/u.exec(text)?.[0];
    const example = number === undefined ? '' : `: ${clip(`${number}mbit`)}`;
    addProblem(context, path, 'E_SPEC_RATE', `"${clip(text)}" is not a rate`, {
      hint: `units are bit, kbit, mbit and gbit, 1000-based, in a second${example}`,
    });
  }
  return bits;
}

export function checkRate(context: Context, bits: number, least: number, path: string): void {
  if (bits >= least) return;
  addProblem(
    context,
    path,
    'E_SPEC_RANGE',
    `at ${clip(bits)} bits in a second, one full packet takes longer than that`,
    {
      hint: `the least is ${least / 1000}kbit; for no network at all, write \`network_mode: none\``,
    },
  );
}
