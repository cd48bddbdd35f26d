/** Collects the problems of a file, so that all of them are reported together. */
import type { ErrorCode } from '../error-codes.ts';
import type { Diagnostic, Position } from '../errors.ts';
import { redactor, type Borrowed, type Redact } from '../text/borrowed.ts';
import { unquoted } from '../text/quote.ts';

/** A stretch of the text, in UTF-16 units from its start. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface ProblemOptions {
  readonly path?: string;
  /** The path of the value that the message quotes, where that is another. */
  readonly about?: string;
  readonly at?: Span | undefined;
  readonly hint?: string | undefined;
  readonly severity?: 'error' | 'warning';
}

/** The most problems that are printed. A file with more is probably not a container file. */
const MAX_PROBLEMS = 100;

const tooMany: Diagnostic = {
  code: 'E_SPEC_TOO_MANY_PROBLEMS',
  severity: 'error',
  message: `there are more problems than these ${MAX_PROBLEMS}`,
  path: '',
  at: undefined,
};

export class TextProblems {
  readonly #file: string;
  readonly #text: string;
  /** Offsets at which the lines start; found when first asked for. */
  #lines: readonly number[] | undefined;
  readonly #found: Diagnostic[] = [];
  readonly #seen = new Set<string>();
  /** Names that the file has for keys, by the path of the key. */
  #names: ReadonlyMap<string, string> = new Map();
  readonly #written = new Map<string, string>();

  constructor(file: string, source: string) {
    this.#file = file;
    this.#text = source;
  }

  /** Of a value that a variable was put into: the text with the variable, which is what messages quote. */
  written(path: string, text: string | undefined): void {
    if (text !== undefined) this.#written.set(path, text);
  }

  /** What the file says at a path, or in a part of it, where a variable was put in. */
  source(path: string): string | undefined {
    const own = this.#written.get(path);
    if (own !== undefined || path === '') return own;
    const related = [...this.#written].find(([other]) => other.startsWith(`${path}.`) || path.startsWith(`${other}.`));
    return related?.[1];
  }

  /** Lets messages speak of keys by the names that the file has for them. */
  sayAs(names: ReadonlyMap<string, string>): void {
    this.#names = names;
  }

  #inWordsOfFile(message: string): string {
    if (this.#names.size === 0) return message;
    return message.replaceAll(/`([\w.-]+)`/g, (whole, path: string) => {
      for (let end = path.length; end > 0; end = path.lastIndexOf('.', end - 1)) {
        const name = this.#names.get(path.slice(0, end));
        if (name !== undefined) return `\`${name}${path.slice(end)}\``;
      }
      return whole;
    });
  }

  /** Adds a problem; the same sentence at the same place (through an alias, say) counts once. */
  add(code: ErrorCode, text: string, options: ProblemOptions = {}): void {
    const written = this.source(options.about ?? options.path ?? '');
    const message = unquoted(this.#inWordsOfFile(text), written);
    const hint = options.hint === undefined ? undefined : unquoted(options.hint, written);
    const at = options.at === undefined ? undefined : this.position(options.at);
    const key = `${code} ${at?.line}:${at?.column} ${message}`;
    if (this.#seen.has(key) || this.#found.length > MAX_PROBLEMS) return;
    this.#seen.add(key);
    if (this.#found.length === MAX_PROBLEMS) {
      this.#found.push(tooMany);
      return;
    }
    this.#found.push({
      code,
      severity: options.severity ?? 'error',
      message,
      path: options.path ?? '',
      at,
      ...(hint === undefined ? {} : { hint }),
    });
  }

  /** A span's line and column, and its length on its first line. */
  position(span: Span): Position {
    this.#lines ??= lineStarts(this.#text);
    const lines = this.#lines;
    const start = Math.min(span.start, this.#text.length);
    let low = 0;
    let high = lines.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((lines[middle] ?? 0) <= start) low = middle;
      else high = middle - 1;
    }
    const lineEnd = (lines[low + 1] ?? this.#text.length + 1) - 1;
    return {
      file: this.#file,
      line: low + 1,
      column: start - (lines[low] ?? 0) + 1,
      length: Math.max(1, Math.min(span.end, lineEnd) - start),
    };
  }

  get failed(): boolean {
    return this.#found.some((problem) => problem.severity === 'error');
  }

  /** All that was found, in the order of the file, without a borrowed value that was not quoted. */
  sorted(borrowed: readonly Borrowed[] = []): readonly Diagnostic[] {
    const redact = redactor(borrowed);
    const line = (problem: Diagnostic) => problem.at?.line ?? Number.MAX_SAFE_INTEGER;
    const column = (problem: Diagnostic) => problem.at?.column ?? 0;
    return this.#found
      .map((found) => redactDiagnostic(found, redact))
      .sort((a, b) => line(a) - line(b) || column(a) - column(b));
  }
}

/** A diagnostic as it may be printed. */
export const redactDiagnostic = (found: Diagnostic, redact: Redact): Diagnostic => ({
  ...found,
  message: redact(found.message, found.path),
  path: redact(found.path),
  ...(found.hint === undefined ? {} : { hint: redact(found.hint, found.path) }),
});

const lineStarts = (text: string): readonly number[] => {
  const starts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
};
