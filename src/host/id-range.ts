/** Arithmetic of ranges of ids. */
import type { IdRange } from './facts.ts';

export function overlaps(a: IdRange, b: IdRange): boolean {
  return a.start < b.start + b.size && b.start < a.start + a.size;
}

export function contains(outer: IdRange, inner: IdRange): boolean {
  return inner.start >= outer.start && inner.start + inner.size <= outer.start + outer.size;
}

/** The ranges without one id. */
export function without(ranges: readonly IdRange[], id: number): readonly IdRange[] {
  return ranges
    .flatMap((range) => {
      if (!contains(range, { start: id, size: 1 })) return [range];
      const { start, size } = range;
      return [
        { start, size: id - start },
        { start: id + 1, size: start + size - id - 1 },
      ];
    })
    .filter(({ size }) => size > 0);
}
