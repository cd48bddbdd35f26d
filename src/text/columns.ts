/** A table for people: columns under a heading, each as wide as its widest cell. */
import { safe } from './safe.ts';
import { padTo, textWidth } from './width.ts';

/** Rows of the same length, the heading first. Cells may be of foreign origin. Ends with a line feed. */
export function columns(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(safe));
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => textWidth(row[column] ?? ''))));
  return cells
    .map((row) => row.map((cell, column) => padTo(cell, widths[column] ?? 0)).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}
