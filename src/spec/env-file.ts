/** Parses an env_file as Compose does. Problems name the line but do not quote it: it may be secret. */

export type EnvLine =
  /** `expand`: `$VAR` in it is replaced. */
  | {
      readonly kind: 'value';
      readonly line: number;
      readonly key: string;
      readonly text: string;
      readonly expand: boolean;
    }
  /** KEY alone: the caller's value. */
  | { readonly kind: 'inherited'; readonly line: number; readonly key: string }
  | { readonly kind: 'wrong'; readonly line: number; readonly problem: string };

const KEY = /^[A-Za-z0-9_.[\]-]+$/u;
const NO_PAIR = 'is not KEY=VALUE';

/** `raw`: everything after the first `=` is the value (Docker's own format, `format: raw`). */
export function parseEnvFile(source: string, raw: boolean): readonly EnvLine[] {
  const text = (source.startsWith('\ufeff') ? source.slice(1) : source).replaceAll('\r\n', '\n');
  return raw ? text.split('\n').flatMap(rawLine) : new Reader(text).lines();
}

function rawLine(text: string, index: number): readonly EnvLine[] {
  const line = index + 1;
  const start = text.trimStart();
  if (start === '' || start.startsWith('#')) return [];
  const equals = start.indexOf('=');
  const key = equals === -1 ? start.trimEnd() : start.slice(0, equals);
  if (!KEY.test(key)) return [{ kind: 'wrong', line, problem: NO_PAIR }];
  if (equals === -1) return [{ kind: 'inherited', line, key }];
  return [checked({ kind: 'value', line, key, text: start.slice(equals + 1), expand: false })];
}

function checked(line: EnvLine): EnvLine {
  return line.kind === 'value' && line.text.includes('\0')
    ? { kind: 'wrong', line: line.line, problem: 'holds a NUL character, which cannot be passed to any program' }
    : line;
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '"': '"',
  '\\': '\\',
  // `$$` becomes one dollar sign when variables are replaced.
  $: '$$',
};

/** The escapes of double quotes; an unknown one stays as it is. `\0` is followed by up to three octal digits. */
function unescape(text: string): string {
  return text.replaceAll(/\\(0[0-7]{0,3}|[abfnrtv"\\$])/gu, (_whole, code: string) =>
    code.startsWith('0') ? String.fromCodePoint(Number.parseInt(code, 8)) : (ESCAPES[code] ?? code),
  );
}

class Reader {
  readonly #text: string;
  #at = 0;
  #line = 1;

  constructor(text: string) {
    this.#text = text;
  }

  lines(): readonly EnvLine[] {
    const found: EnvLine[] = [];
    while (this.#at < this.#text.length) {
      const start = this.#line;
      const rest = this.#restOfLine();
      const trimmed = rest.trim();
      if (trimmed === '' || trimmed.startsWith('#')) this.#skipLine();
      else found.push(checked(this.#statement(rest, start)));
    }
    return found;
  }

  #statement(rest: string, line: number): EnvLine {
    const match = /^(\s*(?:export\s+)?)([^=:\s]+)\s*(?:([=:])[^\S\n]*|$)/u.exec(rest);
    const key = match?.[2] ?? '';
    if (match === null || !KEY.test(key)) {
      this.#skipLine();
      return { kind: 'wrong', line, problem: NO_PAIR };
    }
    if (match[3] === undefined) {
      this.#skipLine();
      return { kind: 'inherited', line, key };
    }
    this.#at += match[0].length;
    const quote = this.#text[this.#at];
    if (quote === '"' || quote === "'") return this.#quoted(key, quote, line);
    const text = (this.#restOfLine().split(/\s#/u, 1)[0] ?? '').trimEnd();
    this.#skipLine();
    return { kind: 'value', line, key, text, expand: true };
  }

  /** To the closing quote, over as many lines as that takes. */
  #quoted(key: string, quote: '"' | "'", line: number): EnvLine {
    let end = this.#at + 1;
    while (end < this.#text.length && this.#text[end] !== quote) end += this.#text[end] === '\\' ? 2 : 1;
    if (end >= this.#text.length) {
      // The rest of the file is skipped: its lines could be parts of this value.
      this.#at = this.#text.length;
      return { kind: 'wrong', line, problem: `has a ${quote} that is not closed` };
    }
    const inner = this.#text.slice(this.#at + 1, end);
    this.#line += inner.split('\n').length - 1;
    this.#at = end + 1;
    const after = this.#restOfLine().trim();
    this.#skipLine();
    if (after !== '' && !after.startsWith('#')) {
      return { kind: 'wrong', line, problem: 'goes on after the closing quote' };
    }
    const text = quote === '"' ? unescape(inner) : inner.replaceAll("\\'", "'");
    return { kind: 'value', line, key, text, expand: quote === '"' };
  }

  #restOfLine(): string {
    const end = this.#text.indexOf('\n', this.#at);
    return this.#text.slice(this.#at, end === -1 ? this.#text.length : end);
  }

  #skipLine(): void {
    this.#at += this.#restOfLine().length + 1;
    this.#line += 1;
  }
}
