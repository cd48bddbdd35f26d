/** What the rest of boxctl knows of an image once it is in the store. */

import type { IdMap } from '../spec/spec.ts';

/** Who owns the files of an unpacked tree: as in the archive, or shifted through these maps. */
export interface Ownership {
  readonly uidMap: readonly IdMap[];
  readonly gidMap: readonly IdMap[];
}

export interface ImageFacts {
  /** sha256 of the archive, 64 hex digits. */
  readonly digest: string;
  /** Absolute host path of the unpacked tree. */
  readonly rootfs: string;
  /** Undefined: owners are the archive's own (unpacked by root). Otherwise the maps that they were unpacked under. */
  readonly ownership: Ownership | undefined;
  /** Contents of the image's own files, read through openat2(RESOLVE_IN_ROOT); '' where it has none. */
  readonly passwd: string;
  readonly group: string;
  /** Defaults that the archive carries; empty for a plain rootfs tarball. */
  readonly defaults: {
    readonly entrypoint?: readonly string[];
    readonly command?: readonly string[];
    readonly environment?: Readonly<Record<string, string>>;
    readonly workingDir?: string;
    readonly user?: string;
  };
}
