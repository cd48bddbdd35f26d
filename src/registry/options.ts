/** What a client of registries is told by its caller: where, as whom, and how long. */
import type { Reference } from './reference.ts';

/** One place that is asked for a repository: a mirror, or the registry itself, which comes last. */
export interface Location {
  /** Host, with a port where there is one, as the configuration writes it. */
  readonly host: string;
  /** The path there. */
  readonly repository: string;
  /** Also without a certificate that can be verified, and over plain HTTP. */
  readonly insecure: boolean;
  readonly isMirror: boolean;
}

export type Credentials =
  | { readonly username: string; readonly password: string }
  /** An OAuth 2 refresh token. */
  | { readonly identityToken: string };

/** What `certs.d` has for a host. All of it is PEM. */
export interface TlsFiles {
  /** Authorities beside those of the system. */
  readonly authorities: readonly string[];
  /** What the client proves itself with. */
  readonly pairs: readonly { readonly cert: string; readonly key: string }[];
}

/** Time and chance, so that tests need not wait. */
export interface Clock {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Ends early, with the reason of the signal, when that is aborted. */
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
  /** From 0 to 1. */
  readonly random: () => number;
}

export interface ClientOptions {
  /**
   * Where a reference is asked for, in this order.
   *
   * @throws BoxctlError where the configuration blocks the registry
   */
  readonly locationsOf: (reference: Reference) => readonly Location[];
  /** Where a repository is pushed to; by default, the last of `locationsOf`. */
  readonly pushLocationOf?: (reference: Reference) => Location;
  /** What the person has stored for a host and, where it says so, for a repository of it. */
  readonly credentialsFor: (host: string, repository: string) => Promise<Credentials | undefined>;
  readonly tlsFor: (host: string) => TlsFiles | undefined;
  /** Of the caller: `HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE` and their like. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly userAgent?: string;
  /** Milliseconds until a connection must be there. */
  readonly connectWithin?: number;
  /** Milliseconds within which the next byte of an answer must come. */
  readonly patience?: number;
  readonly clock?: Clock;
}
