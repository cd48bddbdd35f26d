/** What the rest of boxctl knows of an image once it is in the store. */

import type { HealthTimes, IdMap } from '../spec/spec.ts';

/** Who owns the files of an unpacked tree: as in the archive, or shifted through these maps. */
export interface Ownership {
  readonly uidMap: readonly IdMap[];
  readonly gidMap: readonly IdMap[];
  /**
   * The store keeps the image with the archive's owners, and an id-mapped mount shifts them. The maps then only say which owners
   * can be shown. Files of other owners are changed to root's at the import: the mount would show them as nobody's.
   */
  readonly byMount?: true;
}

/** The maps under which the files of an image are unpacked; undefined: with the archive's own owners. */
export function treeOwnership(ownership: Ownership | undefined): Ownership | undefined {
  return ownership?.byMount === true ? undefined : ownership;
}

/** All paths are the host's, absolute, and in the store unless it says otherwise. */
export type Layer =
  /** Unpacked; or `named` by the file, and no folder of the store. */
  | { readonly kind: 'tree'; readonly path: string; readonly named?: true }
  /**
   * An EROFS image of the metadata alone, over an archive that holds the data. With an `identity` (identity.ts) the
   * archive is the user's own, where it lies: it must be that very file, and nobody may write to it meanwhile. `apart`: on
   * another file system than the store.
   */
  | {
      readonly kind: 'erofs';
      readonly index: string;
      readonly data: string;
      readonly identity?: string;
      readonly apart?: true;
    };

export interface ImageFacts {
  /** 64 hex digits: the archive's sha256, or an image's own id; `seen-…` until an archive's digest is known. */
  readonly digest: string;
  /** Absolute host path of the image's record. A running container holds a shared lock on it. '' for a folder. */
  readonly record: string;
  /** From the lowest to the highest. */
  readonly layers: readonly Layer[];
  /** Undefined: owners are the archive's own (unpacked by root). Otherwise the maps that they were unpacked under. */
  readonly ownership: Ownership | undefined;
  /** Contents of the image's own files, read through openat2(RESOLVE_IN_ROOT); '' where it has none. */
  readonly passwd: string;
  readonly group: string;
  /** Absolute path of a shell; '' where there is none. */
  readonly shell: string;
  /** Defaults that the archive carries; empty for a plain rootfs tarball. */
  readonly defaults: {
    readonly entrypoint?: readonly string[];
    readonly command?: readonly string[];
    readonly environment?: Readonly<Record<string, string>>;
    readonly workingDir?: string;
    readonly user?: string;
    /** As the image spells it: `SIGTERM`, `15`, `RTMIN+3`. */
    readonly stopSignal?: string;
    /** `test` as the image has it; times in milliseconds. */
    readonly healthcheck?: { readonly test: readonly string[] } & Partial<HealthTimes>;
  };
}

/** What is known of an image that has not been looked into. */
export const UNKNOWN_IMAGE: ImageFacts = {
  digest: '',
  record: '',
  layers: [],
  ownership: undefined,
  passwd: '',
  group: '',
  shell: '',
  defaults: {},
};
