/** Problems as a person reads them: the sentence, the line of the file with the place underlined, and what to do. */
import type { Diagnostic } from '../errors.ts';
import { safe } from '../text/safe.ts';
import { BLUE, BOLD, CYAN, painter, RED, YELLOW } from '../text/style.ts';
import { characterWidth } from '../text/width.ts';

export interface FrameOptions {
  readonly color: boolean;
}

/** Columns of the file's line that are shown; a longer one is cut around the place. */
const WIDTH = 100;
const TAB = 4;

interface Cell {
  readonly text: string;
  readonly width: number;
  /** UTF-16 offset in the line. */
  readonly at: number;
}

/** Each character as it is shown. Control characters are shown by name, so that a file cannot steer the terminal. */
const cellsOf = (line: string): readonly Cell[] => {
  const cells: Cell[] = [];
  let at = 0;
  let column = 0;
  for (const char of line) {
    let cell = { text: char, width: 1, at };
    if (char === '\t') {
      const width = TAB - (column % TAB);
      cell = { text: ' '.repeat(width), width, at };
    } else {
      const text = safe(char);
      cell = { text, width: characterWidth(text), at };
    }
    cells.push(cell);
    at += char.length;
    column += cell.width;
  }
  return cells;
};

const widthOf = (cells: readonly Cell[]): number => cells.reduce((sum, cell) => sum + cell.width, 0);
const textOf = (cells: readonly Cell[]): string => cells.map((cell) => cell.text).join('');

/** All diagnostics, one after the other with an empty line between; ends with a line feed unless there are none. */
export const formatDiagnostics = (
  diagnostics: readonly Diagnostic[],
  source: string,
  options: FrameOptions,
): string => {
  const lines = source.split(/\r?\n/);
  return diagnostics.map((diagnostic) => formatOne(diagnostic, lines, options.color)).join('\n');
};

const formatOne = (diagnostic: Diagnostic, lines: readonly string[], color: boolean): string => {
  const paint = painter(color);
  const { at, severity } = diagnostic;
  const place = at === undefined ? '' : `${safe(at.file)}:${at.line}:${at.column}: `;
  const out = [
    `${paint(BOLD, place)}${paint(severity === 'error' ? RED : YELLOW, `${severity}:`)} ${paint(BOLD, safe(diagnostic.message))}`,
  ];
  const number = at === undefined ? '' : String(at.line);
  const gutter = ' '.repeat(number.length);
  const line = at === undefined ? undefined : lines[at.line - 1];
  if (at !== undefined && line !== undefined) {
    const frame = frameOf(line, at.column - 1, at.length);
    out.push(paint(BLUE, ` ${gutter} |`));
    out.push(`${paint(BLUE, ` ${number} |`)} ${frame.text}`.trimEnd());
    const mark = paint(severity === 'error' ? RED : YELLOW, '^'.repeat(frame.width));
    out.push(`${paint(BLUE, ` ${gutter} |`)} ${' '.repeat(frame.indent)}${mark}`);
  }
  const [help, ...more] = diagnostic.hint?.split('\n') ?? [];
  if (help !== undefined) out.push(` ${gutter} ${paint(CYAN, '= help:')} ${safe(help)}`);
  for (const next of more) out.push(` ${gutter}         ${safe(next)}`);
  return `${out.join('\n')}\n`;
};

/** The line as it is shown, and where in it the mark goes, in columns of the terminal. */
const frameOf = (line: string, column: number, length: number) => {
  const cells = cellsOf(line);
  const before = cells.filter((cell) => cell.at < column);
  const marked = cells.filter((cell) => cell.at >= column && cell.at < column + length);
  const after = cells.slice(before.length + marked.length);
  let cutLeft = 0;
  if (widthOf(cells) > WIDTH) {
    while (widthOf(before.slice(cutLeft)) > WIDTH / 2) cutLeft += Math.max(1, before.length - cutLeft - WIDTH / 2);
  }
  const left = before.slice(cutLeft);
  const head = cutLeft > 0 ? '…' : '';
  const indent = widthOf(left) + head.length;
  const room = Math.max(1, WIDTH - indent);
  const rest = [...marked, ...after];
  let shown = 0;
  let used = 0;
  for (; shown < rest.length && shown < room; shown += 1) {
    used += rest[shown]?.width ?? 0;
    if (used > room) break;
  }
  const tail = shown < rest.length ? '…' : '';
  const width = Math.max(1, Math.min(widthOf(marked.slice(0, Math.max(1, shown))), room));
  return { text: `${head}${textOf(left)}${textOf(rest.slice(0, shown))}${tail}`, indent, width };
};
