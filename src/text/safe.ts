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
