/**
 * The number of a container's addresses is in many places of its plan: addresses, names, marks and tables. A kept plan is good for some
 * numbers, so that a start needs no Node while an earlier container has one of them. For each the bytes are listed that are other ones.
 */
import { LAST_INDEX } from '../model/network-defaults.ts';
import type { Writer } from './kept-bytes.ts';

/** How many a plan is kept for. The kernel takes the time of one or two starts to remove an interface. */
const NUMBERS = 4;
/** Pieces with fewer bytes than this between them become one: each has its own place and size. */
const NEAR = 8;

/** Those that are tried after the first, which the container has. */
export const furtherNumbers = (first: number): readonly number[] =>
  Array.from({ length: NUMBERS - 1 }, (_, index) => first + 1 + index).filter((number) => number <= LAST_INDEX);

/** What differs in bytes of the same size. */
export type Pieces = readonly { readonly at: number; readonly bytes: Uint8Array }[];

/** What is looked at byte by byte only where it differs. */
const CHUNK = 256;

/** Undefined where they are not of one size. */
export function differencesOf(base: Buffer, other: Buffer): Pieces | undefined {
  if (base.length !== other.length) return undefined;
  const ranges: { from: number; to: number }[] = [];
  for (let start = 0; start < base.length; start += CHUNK) {
    const end = Math.min(start + CHUNK, base.length);
    if (base.compare(other, start, end, start, end) === 0) continue;
    for (let at = start; at < end; at++) {
      if (base[at] === other[at]) continue;
      const last = ranges.at(-1);
      if (last !== undefined && at - last.to < NEAR) last.to = at + 1;
      else ranges.push({ from: at, to: at + 1 });
    }
  }
  return ranges.map(({ from, to }) => ({ at: from, bytes: other.subarray(from, to) }));
}

/** As native/front/fill.cc reads them. */
export function writePieces(out: Writer, pieces: Pieces): void {
  out.u32(pieces.length);
  for (const { at, bytes } of pieces) {
    out.u32(at);
    out.u32(bytes.length);
    out.bytes(bytes);
  }
}
