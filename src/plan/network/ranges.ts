/** Converts subnets to the ranges that a set of the kernel takes: sorted, and no two that touch or overlap. */
import { formatAddress, parseAddress, widthOf, addressBytes, type Subnet } from '../../text/addresses.ts';

export interface Range {
  readonly first: Uint8Array;
  /** The first address behind the range. Undefined: the range ends with the last address of the family. */
  readonly afterLast: Uint8Array | undefined;
}

/** The subnets must be of one family. */
export function rangesOf(subnets: readonly Subnet[]): readonly Range[] {
  const [{ family } = { family: 4 as const }] = subnets;
  const end = 1n << BigInt(widthOf(family));
  const all = subnets
    .map(({ address, prefix }) => {
      const start = parseAddress(address)?.value ?? 0n;
      return { start, after: start + (1n << BigInt(widthOf(family) - prefix)) };
    })
    .toSorted((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
  const merged: { start: bigint; after: bigint }[] = [];
  for (const { start, after } of all) {
    const last = merged.at(-1);
    if (last !== undefined && start <= last.after) last.after = after > last.after ? after : last.after;
    else merged.push({ start, after });
  }
  const bytes = (value: bigint): Uint8Array => addressBytes(formatAddress({ family, value }));
  return merged.map(({ start, after }) => ({
    first: bytes(start),
    afterLast: after === end ? undefined : bytes(after),
  }));
}
