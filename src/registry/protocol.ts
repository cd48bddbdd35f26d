/** What a registry offers (OCI distribution specification 1.1; Docker's registry API v2), without how it is had. */
import type { Reference } from './reference.ts';

/** Content of a registry (OCI image specification, "Content Descriptors"). */
export interface Descriptor {
  readonly mediaType: string;
  /** `sha256:` and 64 hex digits. */
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly artifactType?: string;
  /** Where a foreign layer would be. Nothing is fetched from there. */
  readonly urls?: readonly string[];
}

/** A manifest or an index, as it came. */
export interface Document {
  readonly mediaType: string;
  /** Computed from the bytes, and equal to what was asked for. */
  readonly digest: string;
  readonly bytes: Buffer;
}

/** A repository: which one, of which registry. */
export type Repository = Pick<Reference, 'registry' | 'repository'>;

export interface Events {
  /** Gives everything up that has not ended. */
  readonly signal?: AbortSignal;
  /** A request failed and is repeated after so many milliseconds. */
  readonly onRetry?: (why: string, delay: number) => void;
}

/**
 * Every function throws BoxctlError with a code `E_REGISTRY_…` which names the reference and the host, and no credential.
 * Mirrors are asked first, in the order of the configuration.
 */
export interface RegistryClient {
  /** By digest or else by tag; at most 4 MiB. `accept`: the media types that are asked for; all of images by default. */
  manifest(reference: Reference, events?: Events & { readonly accept?: readonly string[] }): Promise<Document>;
  /** What a tag points to now, without its content. Undefined: the registry has no such tag. */
  resolve(reference: Reference, events?: Events): Promise<Descriptor | undefined>;
  /** A small blob, whole and verified; at most `maxBytes`. */
  document(of: Repository, blob: Descriptor, maxBytes: number, events?: Events): Promise<Buffer>;
  /**
   * The bytes of a blob from `offset` on. A connection that breaks is made anew from where it was. Ends after exactly
   * `blob.size - offset` bytes, else it throws. The digest is for the reader to check.
   */
  blob(of: Repository, blob: Descriptor, offset: number, events?: Events): AsyncIterable<Uint8Array>;
  /** What refers to a manifest (distribution specification, "Listing Referrers"), by the tag scheme where there is no such call. */
  referrers(reference: Repository & { readonly digest: string }, events?: Events): Promise<readonly Descriptor[]>;

  /** Whether the repository has a blob. */
  hasBlob(of: Repository, digest: string, events?: Events): Promise<boolean>;
  /** Has a blob of another repository of the same registry mounted. False: the registry does not do it, so upload it. */
  mountBlob(of: Repository, digest: string, from: string, events?: Events): Promise<boolean>;
  /** Uploads a blob in pieces. `open` gives its bytes from an offset on, and is called again after a break. */
  putBlob(
    of: Repository,
    blob: Pick<Descriptor, 'digest' | 'size'>,
    open: (offset: number) => AsyncIterable<Uint8Array>,
    events?: Events,
  ): Promise<void>;
  /** By the reference's tag, or by its digest where it has no tag. Returns the digest. */
  putManifest(reference: Reference, document: Omit<Document, 'digest'>, events?: Events): Promise<string>;
  /** Closes all connections. */
  close(): Promise<void>;
}

/** The half of a client that changes nothing there. */
export type RegistryReader = Omit<RegistryClient, 'hasBlob' | 'mountBlob' | 'putBlob' | 'putManifest'>;
