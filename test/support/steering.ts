/** Every character that steers a terminal or is not seen, found by what Unicode says of it and not by boxctl's own list. */

function isSteering(code: number): boolean {
  const character = String.fromCodePoint(code);
  return /\p{Cc}|\p{Cf}|\p{Zl}|\p{Zp}|\p{Default_Ignorable_Code_Point}/u.test(character);
}

/** All of them but NUL, which no argument and no name can hold. */
export const STEERING: string = Array.from({ length: 0x11_0000 }, (_, code) => code)
  .filter((code) => code !== 0 && (code < 0xd800 || code > 0xdfff) && isSteering(code))
  .map((code) => String.fromCodePoint(code))
  .join('');

/** Those for which names of 255 bytes have room: each kind, and what really steers terminals. */
export const SOME_STEERING =
  '\u0007\b\r\u001b[31m\u001b]0;title\u0007\u007f\u009b2J\u009d0;x\u009c\u061c\u200b\u200e\u2028\u202e\u2066\u00ad\u{e0041}\ufeff\u3164\n';

/** The code points of the steering characters in a text, without line feeds. */
export function steeringIn(text: string): readonly string[] {
  const found = [...text].filter((character) => character !== '\n' && isSteering(character.codePointAt(0) ?? 0));
  return [...new Set(found)].map((character) => `U+${(character.codePointAt(0) ?? 0).toString(16)}`);
}

/** As a double-quoted word of YAML. */
export function yamlQuoted(text: string): string {
  const escaped = [...text].map((character) => {
    const code = character.codePointAt(0) ?? 0;
    return code >= 0x20 && code < 0x7f && !'"\\'.includes(character)
      ? character
      : `\\U${code.toString(16).padStart(8, '0')}`;
  });
  return `"${escaped.join('')}"`;
}
