/**
 * How deep a YAML text nests, told from its tokens alone. The parser recurses, and input that nests by the thousand
 * ends the whole process instead of throwing, so this runs before it.
 */
import { Lexer } from 'yaml';

export const MAX_DEPTH = 64;

/** Each level of nesting takes one of these. */
const INDICATORS = /[[{:?-]/g;
/** A longer text is not searched for them: it has too many. */
const SHORT = 4096;

/** Whether the text has too few characters to nest too deep: most files are told by that alone. */
const isPlainlyShallow = (text: string): boolean =>
  text.length < SHORT && (text.match(INDICATORS)?.length ?? 0) < MAX_DEPTH;

/** The offset at which the text nests deeper than MAX_DEPTH, or undefined. Errs to the deep side by a small factor. */
export const tooDeepAt = (text: string): number | undefined => {
  if (isPlainlyShallow(text)) return undefined;
  /** Columns at which block collections may have begun. */
  const columns: number[] = [];
  let flow = 0;
  let colons = 0;
  let offset = 0;
  let lineStart = 0;
  let opens = true;
  let scalarNext = false;
  for (const token of new Lexer().lex(text)) {
    if (token === '\x02' || token === '\x18') continue;
    if (token === '\x1f') {
      scalarNext = true;
      continue;
    }
    const scalar = scalarNext;
    scalarNext = false;
    const first = token[0];
    if (!scalar && first === '\n') {
      lineStart = offset + token.length;
      opens = true;
      colons = 0;
    } else if (!scalar && (token === '{' || token === '[')) flow += 1;
    else if (!scalar && (token === '}' || token === ']')) flow = Math.max(0, flow - 1);
    else if (flow === 0 && first !== ' ' && first !== '\t' && first !== '#' && first !== '\r') {
      if (!scalar && token === ':') colons += 1;
      if (opens) {
        const column = offset - lineStart;
        while ((columns.at(-1) ?? -1) > column) columns.pop();
        if (columns.at(-1) !== column) columns.push(column);
        opens = !scalar && (token === '-' || token === '?' || token === ':');
      }
      const lastBreak = scalar ? token.lastIndexOf('\n') : -1;
      if (lastBreak !== -1) {
        lineStart = offset + lastBreak + 1;
        opens = true;
        colons = 0;
      }
    }
    if (columns.length + flow + Math.max(0, colons - 1) > MAX_DEPTH) return offset;
    offset += token.length;
  }
  return undefined;
};
