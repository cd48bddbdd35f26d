/** Problems that show only when the specification meets its image and its host: collected, and told all at once. */
import type { ErrorCode } from '../error-codes.ts';
import { BoxctlError, type Diagnostic } from '../errors.ts';
import type { SpecDocument } from '../spec/spec.ts';

export class Problems {
  readonly #document: SpecDocument;
  readonly #list: Diagnostic[] = [];

  constructor(document: SpecDocument) {
    this.#document = document;
  }

  /** `path` is the value's in the specification; a value that the file does not have is shown by its parent. */
  add(code: ErrorCode, path: string, message: string, hint?: string): void {
    this.#list.push({
      code,
      severity: 'error',
      message,
      path,
      at: this.#nearest(path),
      ...(hint === undefined ? {} : { hint }),
    });
  }

  #nearest(path: string): Diagnostic['at'] {
    for (let at = path; at !== ''; at = at.includes('.') ? at.slice(0, at.lastIndexOf('.')) : '') {
      const position = this.#document.where(at);
      if (position !== undefined) return position;
    }
    return undefined;
  }

  throwIfAny(): void {
    const [first] = this.#list;
    if (first === undefined) return;
    const more = this.#list.length > 1 ? ` (and ${this.#list.length - 1} more)` : '';
    throw new BoxctlError(first.code, `${first.message}${more}`, {
      diagnostics: this.#list,
      ...(first.hint === undefined ? {} : { hint: first.hint }),
      ...(first.at === undefined ? {} : { at: first.at }),
    });
  }
}
