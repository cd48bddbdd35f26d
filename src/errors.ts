/**
 * The one error family of boxctl. Every failure that a person can meet is a BoxctlError with a stable code,
 * so that scripts match the code and people read the sentence.
 */

import { exitStatusOf, type ErrorCode } from './error-codes.ts';

/** A place in a file that a person wrote. Lines and columns count from 1; `length` is in UTF-16 units, at least 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly length: number;
}

/** One problem of a file: what is wrong, where, and what to do about it. */
export interface Diagnostic {
  /** The kind of problem, for example `E_SPEC_UNKNOWN_KEY`. */
  readonly code: ErrorCode;
  readonly severity: 'error' | 'warning';
  /** One sentence without a trailing full stop: what is wrong and what was expected. */
  readonly message: string;
  /** Path of the value inside the spec, for example `limits.memory` or `volumes.0`. */
  readonly path: string;
  readonly at: Position | undefined;
  /** What to do, where something can be said: "did you mean …", a command, a key to set. */
  readonly hint?: string;
}

export interface BoxctlErrorOptions {
  readonly hint?: string;
  readonly at?: Position;
  readonly diagnostics?: readonly Diagnostic[];
  /** The signal that caused it, where the exit status tells it (`E_INTERRUPTED`). */
  readonly signal?: number | undefined;
  /** Where it is about programs of `image.host_tools`: the number of the first of them, from 0. */
  readonly item?: number;
  readonly cause?: unknown;
}

export class BoxctlError extends Error {
  override readonly name = 'BoxctlError';
  /** Stable, and documented in specs/errors.md. */
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly at: Position | undefined;
  /** All problems of a file, when the error is about a file. */
  readonly diagnostics: readonly Diagnostic[];
  readonly exitCode: number;
  readonly signal: number | undefined;
  readonly item: number | undefined;

  constructor(code: ErrorCode, message: string, options: BoxctlErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.at = options.at;
    this.diagnostics = options.diagnostics ?? [];
    this.signal = options.signal;
    this.item = options.item;
    this.exitCode = exitStatusOf(code, options.signal);
  }
}
