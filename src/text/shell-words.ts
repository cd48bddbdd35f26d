/** A command written as one text, split into words as a shell would, without running anything. */

/** The words, or why it cannot be split. Single quotes keep all, double quotes keep all but `\"` and `\\`. */
export const splitWords = (text: string): readonly string[] | { readonly problem: string } => {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let index = 0; index < text.length; index += 1) {
    const char = text[index] ?? '';
    if (quote !== '') {
      if (char === quote) quote = '';
      else if (char === '\\' && quote === '"' && ['"', '\\'].includes(text[index + 1] ?? '')) {
        index += 1;
        word = (word ?? '') + (text[index] ?? '');
      } else word = (word ?? '') + char;
    } else if (char === "'" || char === '"') {
      quote = char;
      word ??= '';
    } else if (char === '\\') {
      index += 1;
      if (index >= text.length) return { problem: 'ends in a backslash' };
      word = (word ?? '') + (text[index] ?? '');
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? '') + char;
  }
  if (quote !== '') return { problem: `has a ${quote} that is not closed` };
  if (word !== undefined) words.push(word);
  return words;
};
