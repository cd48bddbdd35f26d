/** Colours of boxctl's own text (SGR). Not util.styleText: newer versions of Node ask stdout there, and some goes to stderr. */
import { safe, safeLines } from './safe.ts';

export const BOLD = 1;
export const DIM = 2;
export const RED = 31;
export const GREEN = 32;
export const YELLOW = 33;
export const BLUE = 34;
export const MAGENTA = 35;
export const CYAN = 36;
export const ON_RED = 41;

const ESC = '\u001b';

export type Paint = (code: number, text: string) => string;

/** Paints one line of text where colours are wanted; the text may be of foreign origin. */
export function painter(color: boolean): Paint {
  return (code, text) => (color && text !== '' ? `${ESC}[${code}m${safe(text)}${ESC}[0m` : safe(text));
}

const OWN = /^\[(?:0|1|2|31|32|33|34|35|36|41)m/u;

/** Text of several lines in which nothing steers a terminal but the colours that `painter` knows. */
export function safeButStyles(text: string): string {
  const [first = '', ...others] = text.split(ESC);
  const rest = others.map((part) => {
    const style = OWN.exec(part)?.[0];
    return style === undefined ? safeLines(ESC + part) : ESC + style + safeLines(part.slice(style.length));
  });
  return [safeLines(first), ...rest].join('');
}
