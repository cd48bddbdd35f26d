/** Errors at the lines of a container file that they are about. */
import { BoxctlError, type Diagnostic } from '../errors.ts';
import type { SpecPath } from './spec-path.ts';
import type { SpecDocument } from './spec.ts';
import { redactor } from '../text/borrowed.ts';

export type Problem = Pick<Diagnostic, 'code' | 'message' | 'hint'>;

/** One error for all that was found: at least one problem. */
export function located(
  document: SpecDocument,
  found: readonly (readonly [path: SpecPath, problem: Problem])[],
): BoxctlError {
  const redact = redactor(document.borrowed);
  const diagnostics = found.map(([path, { code, message, hint }]): Diagnostic => ({
    code,
    severity: 'error',
    message: redact(message, path),
    path,
    at: document.where(path),
    ...(hint === undefined ? {} : { hint: redact(hint, path) }),
  }));
  const [first] = diagnostics;
  if (first === undefined) throw new Error('an error without a problem');
  const { code, message, hint, at } = first;
  return new BoxctlError(code, message, {
    diagnostics,
    ...(hint === undefined ? {} : { hint }),
    ...(at === undefined ? {} : { at }),
  });
}
