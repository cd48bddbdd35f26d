/** What a lock says: the content of the image and of the files that a container file named when it was locked. */
import type { Position } from '../errors.ts';

export const LOCK_VERSION = 1;

/** What a reference led to for one platform. Both are `sha256:` and 64 hex digits. */
export interface LockedPlatform {
  readonly manifest: string;
  readonly config: string;
}

const PLATFORM = /^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9._]+)?$/u;

/** Whether a text is OS/ARCHITECTURE[/VARIANT], as a lock has it. */
export const isPlatform = (text: string): boolean => PLATFORM.test(text);

export interface LockedReference {
  readonly kind: 'reference';
  /** As the container file says it. */
  readonly ref: string;
  /** In full: `docker.io/library/alpine:3.20`. */
  readonly name: string;
  /** The digest of what the tag pointed to, where that was an index. */
  readonly index: string | undefined;
  /** By OS/ARCHITECTURE[/VARIANT]. */
  readonly platforms: ReadonlyMap<string, LockedPlatform>;
}

export type LockedImage =
  | LockedReference
  /** An image of the store that a person gave the name to. */
  | { readonly kind: 'stored'; readonly ref: string; readonly digest: string }
  /** An archive, or an OCI image layout, of which `digest` is that of its index.json. `tar`: as keys of `files`. */
  | { readonly kind: 'tar'; readonly tar: string; readonly digest: string }
  | {
      readonly kind: 'host_tools';
      /** The names in the container file, sorted. */
      readonly tools: readonly string[];
      /** The digest of the packed archive. */
      readonly packed: string;
      /** The files of the host that were packed, by their paths. */
      readonly files: ReadonlyMap<string, string>;
    };

export interface Lock {
  readonly image: LockedImage | undefined;
  /** By path: relative to the container file (`./app.env`) if it lies below its folder, else absolute. */
  readonly files: ReadonlyMap<string, string>;
}

/** A lock that was read, and where its parts were written. */
export interface ReadLock {
  /** Its path, as messages name it. */
  readonly file: string;
  readonly lock: Lock;
  /** `image`, or a key of `files`. */
  where(part: LockPart): Position | undefined;
}

export type LockPart = { readonly kind: 'image' } | { readonly kind: 'file'; readonly path: string };

export const EMPTY_LOCK: Lock = { image: undefined, files: new Map() };
