/** Where the layers of an image are read from: an archive, a folder, or a registry. */
import { closeSync, openSync } from 'node:fs';
import { WHOLE, type Part } from '../worker/work.ts';
import type { LayerSource } from './image-config.ts';
import { badImage, type Members, type Named } from './members.ts';

/** A layer that is open for a worker. */
export interface LayerInput {
  /** A file, or a pipe. */
  readonly fd: number;
  readonly part: Part;
  /** In bytes, as it is packed. */
  readonly size: number;
  /**
   * Of a layer that comes through a pipe: resolves when all of it was handed over, or when nobody reads it any more; rejects
   * with what went wrong on the way.
   */
  readonly arrived?: Promise<void>;
  /** Some of it was received before, and has not been verified. */
  readonly hadPartial?: boolean;
  /** Ends what still arrives. */
  close(): void;
}

export interface LayerReader extends Named {
  /** How many are read at once. */
  readonly atOnce: number;
  /** Of a layer that the store has: its own copy is read all the same, and must be what the image says. */
  readonly isChecked: boolean;
  open(source: LayerSource, signal: AbortSignal): LayerInput;
}

/** As many as there are processors to unpack them, on small machines. */
const ARCHIVES_AT_ONCE = 2;

export function memberLayers(members: Members): LayerReader {
  return {
    name: members.name,
    atOnce: ARCHIVES_AT_ONCE,
    isChecked: true,
    open({ path }) {
      const member = members.open(path);
      if (member === undefined) throw badImage(members, `its layer ${path} is missing`);
      if (member.size > 0) return member;
      member.close();
      return emptyLayer();
    },
  };
}

/** Some builders write a layer of 0 bytes. To the imager a size of 0 means "to the end", so such a layer is read from /dev/null. */
export function emptyLayer(): LayerInput {
  const fd = openSync('/dev/null', 'r');
  return { fd, part: WHOLE, size: 0, close: () => closeSync(fd) };
}
