/** Sizes and permission bits as people write them. */

const SIZE = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i;
const POWERS: Readonly<Record<string, number>> = { '': 0, k: 1, m: 2, g: 3, t: 4 };

/** Bytes of `256MiB`, `1.5g`, `64k`, `512`: all 1024-based. Undefined when it is not a size. */
export const parseSize = (text: string): number | undefined => {
  const match = SIZE.exec(text.trim());
  if (match === null) return undefined;
  const power = POWERS[(match[2] ?? '').toLowerCase()] ?? 0;
  const bytes = Number(match[1]) * 1024 ** power;
  return Number.isSafeInteger(Math.floor(bytes)) ? Math.floor(bytes) : undefined;
};

/** Permission bits of `1777`, `0755` or `0o755`: always octal, at most 0o7777. */
export const parseMode = (text: string): number | undefined =>
  /^(0o?)?[0-7]{1,4}$/.test(text) ? Number.parseInt(text.replace(/^0o/, ''), 8) : undefined;
