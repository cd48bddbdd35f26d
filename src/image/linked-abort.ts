/** An AbortController of one's own that another signal aborts as well. AbortSignal.any is not in all versions of Node 20. */

export interface LinkedAbort {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
  /** Lets go of the outer signal. */
  release(): void;
}

export function linkedAbort(outer: AbortSignal | undefined): LinkedAbort {
  const controller = new AbortController();
  const pass = (): void => controller.abort(outer?.reason);
  if (outer?.aborted === true) pass();
  outer?.addEventListener('abort', pass, { once: true });
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    release: () => outer?.removeEventListener('abort', pass),
  };
}
