/** Problems that show only when the specification meets its image and its host: collected, and told all at once. */
import type { ErrorCode } from '../error-codes.ts';
import { BoxctlError, type Diagnostic } from '../errors.ts';
import { redactor } from '../text/borrowed.ts';
import { redactDiagnostic } from '../yaml/problems.ts';
import { unquoted } from '../text/quote.ts';
import { outward, type SpecPath } from '../spec/spec-path.ts';
import type { SpecDocument } from '../spec/spec.ts';

export class Problems {
  readonly #document: SpecDocument;
  readonly #list: Diagnostic[] = [];

  constructor(document: SpecDocument) {
    this.#document = document;
  }

  /** `path` is the value's in the specification; a value that the file does not have is shown by its parent. */
  add(code: ErrorCode, path: SpecPath, message: string, hint?: string): void {
    this.#list.push({
      code,
      severity: 'error',
      message: unquoted(message, this.#document.written?.(path)),
      path,
      at: this.#nearest(path),
      ...(hint === undefined ? {} : { hint: unquoted(hint, this.#document.written?.(path)) }),
    });
  }

  #nearest(path: SpecPath): Diagnostic['at'] {
    for (const at of outward(path)) {
      const position = this.#document.where(at);
      if (position !== undefined) return position;
    }
    return undefined;
  }

  throwIfAny(): void {
    if (this.#list.length === 0) return;
    const redact = redactor(this.#document.borrowed);
    const diagnostics = this.#list.map((found) => redactDiagnostic(found, redact));
    const [first] = diagnostics;
    if (first === undefined) return;
    const more = diagnostics.length > 1 ? ` (and ${diagnostics.length - 1} more)` : '';
    throw new BoxctlError(first.code, `${first.message}${more}`, {
      diagnostics,
      ...(first.hint === undefined ? {} : { hint: first.hint }),
      ...(first.at === undefined ? {} : { at: first.at }),
    });
  }
}
