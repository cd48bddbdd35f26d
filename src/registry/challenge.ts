/**
 * `WWW-Authenticate` (RFC 9110, 11.6.1): several challenges in one field, each a scheme with parameters, whose values are
 * tokens or quoted strings. A comma stands between parameters as well as between challenges.
 */

export interface Challenge {
  /** In lower case: `basic`, `bearer`. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/uy;
const TOKEN68 = /[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/uy;
const SPACE = /[ \t]*/uy;
const QUOTED = /"((?:[^"\\]|\\.)*)"/suy;
/** A header is bounded by the transport, but need not be looked at to its end. */
const MAX_CHALLENGES = 16;

class Reader {
  readonly #text: string;
  at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isAtEnd(): boolean {
    return this.at >= this.#text.length;
  }

  /** What the expression matches here, which is then behind us. */
  take(expression: RegExp): RegExpExecArray | undefined {
    expression.lastIndex = this.at;
    const found = expression.exec(this.#text);
    if (found === null) return undefined;
    this.at = expression.lastIndex;
    return found;
  }

  takes(letter: string): boolean {
    if (this.#text[this.at] !== letter) return false;
    this.at += 1;
    return true;
  }

  /** Spaces, and commas with nothing between them. */
  skipSeparators(): void {
    do this.take(SPACE);
    while (this.takes(','));
  }
}

/** What can be read of it: what comes after a mistake is left out. */
export function parseChallenges(header: string): readonly Challenge[] {
  const reader = new Reader(header);
  const found: { scheme: string; parameters: Map<string, string> }[] = [];
  for (;;) {
    reader.skipSeparators();
    if (reader.isAtEnd || found.length > MAX_CHALLENGES) return found;
    const word = reader.take(TOKEN)?.[0];
    if (word === undefined) return found;
    const before = reader.at;
    reader.take(SPACE);
    if (reader.takes('=')) {
      // A parameter of the last challenge.
      reader.take(SPACE);
      const value = readValue(reader);
      const last = found.at(-1);
      if (value === undefined || last === undefined) return found;
      // The first of two of the same name counts, so that none can be replaced by what was appended.
      const name = word.toLowerCase();
      if (!last.parameters.has(name)) last.parameters.set(name, value);
      continue;
    }
    found.push({ scheme: word.toLowerCase(), parameters: new Map() });
    // `Negotiate YWJj=`: no parameters, but one word.
    if (reader.at > before) reader.take(TOKEN68);
  }
}

function readValue(reader: Reader): string | undefined {
  const quoted = reader.take(QUOTED)?.[1];
  return quoted === undefined ? reader.take(TOKEN)?.[0] : quoted.replaceAll(/\\(.)/gsu, '$1');
}
