/**
 * The contents of secrets and configs, for a launcher: one descriptor of memory that nobody can write to. The launcher keeps it,
 * so that a container that is started again has them without a disk. A number of them, then place and size of each (all 32
 * bits), then the bytes (native/launcher/given.h).
 */
import { sealPlan } from '../native.ts';
import type { Hidden } from '../text/hidden.ts';

const WORD = 4;

/** The caller closes the descriptor. */
export function contentsFd(contents: readonly (Hidden | undefined)[]): number {
  const all = contents.map((content) => content?.reveal() ?? new Uint8Array());
  const head = WORD + all.length * 2 * WORD;
  const bytes = Buffer.alloc(head + all.reduce((sum, { length }) => sum + length, 0));
  bytes.writeUInt32LE(all.length, 0);
  let at = head;
  for (const [index, content] of all.entries()) {
    bytes.writeUInt32LE(at, WORD + index * 2 * WORD);
    bytes.writeUInt32LE(content.length, WORD + index * 2 * WORD + WORD);
    bytes.set(content, at);
    at += content.length;
  }
  try {
    return sealPlan(bytes);
  } finally {
    bytes.fill(0);
  }
}
