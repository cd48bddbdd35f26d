/** Why one request came to nothing: what a person is told of it, and whether it is worth another try. */
import type { ErrorCode } from '../error-codes.ts';
import { safe } from '../text/safe.ts';
import { withoutSecrets } from './secrets.ts';

export interface FailureOptions {
  readonly hint?: string | undefined;
  /** The same request may succeed a little later. */
  readonly retry?: boolean;
  /** The registry has said after how many milliseconds. */
  readonly after?: number | undefined;
  /** The other side does not speak TLS, or speaks nothing but TLS: the other scheme may be right. */
  readonly otherScheme?: boolean;
  /** No connection was made. */
  readonly unconnected?: boolean;
}

export type RegistryCode = Extract<ErrorCode, `E_REGISTRY_${string}`>;

/**
 * Thrown within this folder alone; a person sees the BoxctlError that is made of it. The message says what happened, without
 * the host. It holds nothing that was sent.
 */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly code: RegistryCode;
  readonly options: FailureOptions;

  constructor(code: RegistryCode, message: string, options: FailureOptions = {}) {
    super(message);
    this.code = code;
    this.options = options;
  }
}

/** Text of a server, on one line that a terminal can bear. */
export function clipped(text: string, length = 200): string {
  const line = safe(withoutSecrets(text).replaceAll(/\s+/gu, ' ').trim());
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}

/** An address without what may be secret in it: neither user part, nor query, nor fragment. */
export function shownUrl(url: URL): string {
  return clipped(`${url.protocol}//${url.host}${url.pathname}`);
}
