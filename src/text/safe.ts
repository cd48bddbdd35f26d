/**
 * Text of foreign origin, made safe for a terminal. Names in archives, values of container files, paths and messages of
 * other programs may hold characters that steer a terminal or that are invisible. Only this file lists them.
 */

/** Most text needs no further look. */
const PLAIN = /^[\x20-\x7e]*$/u;

/**
 * Replaces control characters (C0, DEL, C1), line and paragraph separators, and all that is invisible or changes the
 * direction of what is seen (Unicode categories Cc, Cf, Zl and Zp, and Default_Ignorable_Code_Point).
 */
function replaceSteering(text: string, replacement: (character: string) => string): string {
  if (PLAIN.test(text)) return text;
  // Spelled out here: to make this expression takes V8 half a millisecond, which a start without messages saves.
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu, replacement);
}

/** One line in which each of these characters is seen as U+FFFD. */
export function safe(text: string): string {
  return replaceSteering(text, () => '\ufffd');
}

/** The same for text of several lines, whose line feeds stay. */
export function safeLines(text: string): string {
  return text.split('\n').map(safe).join('\n');
}

/** The same without a loss: each of these characters becomes what `escape` gives for it. */
export function escapeSteering(text: string, escape: (character: string) => string): string {
  return replaceSteering(text, escape);
}

/** As JSON spells it, by UTF-16 units. */
function jsonEscape(character: string): string {
  const units = Array.from({ length: character.length }, (_, index) => character.charCodeAt(index));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
}

/**
 * JSON that is safe on a terminal and means the same: `JSON.stringify` escapes C0 alone. Line feeds are left, which only
 * `indent` puts there.
 */
export function safeJson(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, undefined, indent);
  return indent === undefined
    ? escapeSteering(text, jsonEscape)
    : text
        .split('\n')
        .map((line) => escapeSteering(line, jsonEscape))
        .join('\n');
}

const ESC = '\u001b';
const STYLE = /^\[([0-9;:]{0,40})m/u;
const RESET = '\u001b[0m';
/** Numbers that each colour of more than 16 has after 38, 48 or 58, by the first of them. */
const COLOUR_NUMBERS: Readonly<Record<number, number>> = { 5: 1, 2: 3 };

/** Whether it is of colours and weights alone: not what hides text (8), or makes it blink (5, 6). */
function isStyle(codes: string): boolean {
  const numbers = codes.split(/[;:]/u).map(Number);
  for (let at = 0; at < numbers.length; at += 1) {
    const number = numbers[at] ?? 0;
    if (number === 5 || number === 6 || number === 8 || number > 107) return false;
    if (number === 38 || number === 48 || number === 58) at += 1 + (COLOUR_NUMBERS[numbers[at + 1] ?? 0] ?? 0);
  }
  return true;
}

/**
 * Output of a program for a terminal, with its tabs and line feeds. A carriage return ends a line: what is behind it would be
 * drawn over what is before it. Colours stay if they are wanted, and end with their line.
 */
export function safeOutput(text: string, colours: boolean): string {
  if (PLAIN.test(text)) return text;
  return text
    .replaceAll(/\r+(?=\n|$)/gu, '')
    .split(/[\r\n]/u)
    .map((line) => safeStyles(line, colours))
    .join('\n');
}

function safeStyles(line: string, colours: boolean): string {
  const plain = (text: string): string => text.split('\t').map(safe).join('\t');
  const [first = '', ...others] = line.split(ESC);
  let hasStyle = false;
  const rest = others.map((part) => {
    const [style, codes] = STYLE.exec(part) ?? [];
    if (style === undefined || codes === undefined) return plain(ESC + part);
    const isKept = colours && isStyle(codes);
    hasStyle ||= isKept;
    return (isKept ? ESC + style : '') + plain(part.slice(style.length));
  });
  return plain(first) + rest.join('') + (hasStyle ? RESET : '');
}
