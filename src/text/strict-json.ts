/**
 * JSON in which no object has a key twice. `JSON.parse` takes the last one, and other readers the first: of a text that is
 * signed or compared, everybody has to read the same.
 */

/** The end of the string that begins at `start`, behind its quotation mark. The text is valid JSON. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; ; at += 1) {
    const character = text[at];
    if (character === '"' || character === undefined) return at + 1;
    if (character === '\\') at += 1;
  }
}

/** Of text that is valid JSON. A key is a string that a colon follows. */
function repeatedKey(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  const colon = /[ \t\r\n]*:/uy;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === '{') open.push(new Set());
    else if (character === '[') open.push(undefined);
    else if (character === '}' || character === ']') open.pop();
    else if (character === '"') {
      const end = endOfString(text, at);
      const keys = open.at(-1);
      colon.lastIndex = end;
      if (keys !== undefined && colon.test(text)) {
        const key = JSON.parse(text.slice(at, end)) as string;
        if (keys.has(key)) return key;
        keys.add(key);
      }
      at = end - 1;
    }
  }
  return undefined;
}

/** @throws SyntaxError for what is no JSON, or has a key twice */
export function parseStrictJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (repeatedKey(text) !== undefined) throw new SyntaxError('a key is there twice');
  return value;
}
