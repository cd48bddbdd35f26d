/** What importing an image needs from outside of Node: a confined unpacker, locks, and reading inside a foreign root. */
import type { Writable } from 'node:stream';
import type { Ownership } from './image.ts';

/** What the unpacker says at its end; `squashed` and `skipped` are explained in native/image/unpack.h. */
export type UnpackReport =
  | {
      readonly ok: true;
      readonly entries: number;
      readonly bytes: number;
      readonly squashed: number;
      readonly skipped: number;
    }
  | { readonly ok: false; readonly error: string; readonly entry: string; readonly errno: number };

export interface UnpackJob {
  /** Takes the uncompressed tar stream. It fails with EPIPE when the unpacker gives up. */
  readonly input: Writable;
  /** Rejects with a BoxctlError when the unpacker could not be started at all. */
  readonly done: Promise<UnpackReport>;
}

export interface ImageHooks {
  /** Starts to unpack into the existing, empty directory `target`, with the owners that the maps give. */
  unpack(target: string, ownership: Ownership | undefined): UnpackJob;
  /** Removes the directory `name` in `folder` and all in it, also when its files belong to mapped ids. */
  remove(folder: string, name: string, ownership: Ownership | undefined): Promise<void>;
  /** flock(2), exclusive: false when someone else holds it. */
  tryLock(fd: number): boolean;
  /** A regular file's text through openat2(RESOLVE_IN_ROOT); '' when there is none that can be read in `maxBytes`. */
  readText(rootfs: string, path: string, maxBytes: number): string;
  /** How much of the archive has been read, in bytes, from time to time. */
  readonly onProgress?: (read: number, total: number) => void;
}
