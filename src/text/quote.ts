/**
 * Values in messages. A message quotes a value by `quoted`, so that whoever keeps the message can tell the value from the
 * words around it, and put what the file says in its place: a value may have come from the caller's environment.
 */

/** Two characters of Unicode's private use, which no value keeps. They never leave boxctl. */
const OPEN = '\u{f0001}';
const CLOSE = '\u{f0002}';
const MARKS = new RegExp(`[${OPEN}${CLOSE}]`, 'gu');
const QUOTED = new RegExp(`${OPEN}([^${CLOSE}]*)${CLOSE}`, 'gu');

/** Long values are cut. */
export const cut = (text: string): string => (text.length > 60 ? `${text.slice(0, 57)}…` : text);

export const quoted = (value: string | number): string => `${OPEN}${cut(String(value).replaceAll(MARKS, ''))}${CLOSE}`;

/** The message with each quoted value as it is, or with what the file says where a variable was put in. */
export const unquoted = (message: string, written: string | undefined): string => {
  const plain = written === undefined ? undefined : cut(written.replaceAll(MARKS, ''));
  return message.replaceAll(QUOTED, (_whole, value: string) => plain ?? value).replaceAll(MARKS, '');
};
