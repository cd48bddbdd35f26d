/** Values that several keys have: paths inside, sizes, permission bits. */
import { posix } from 'node:path';
import { clip, report, type Context } from './context.ts';
import { parseMode, parseSize } from './units.ts';

/** An absolute path inside, without `.`, `..` and doubled slashes; not the root itself. */
export const insidePath = (context: Context, text: string, path: string): string | undefined => {
  if (!text.startsWith('/')) {
    report(context, path, 'E_SPEC_PATH', `a path inside must be absolute; found "${clip(text)}"`, {
      hint: `write \`/${clip(text.replace(/^[./]+/, ''))}\``,
    });
    return undefined;
  }
  const normal = posix.normalize(text).replace(/(?<=.)\/$/, '');
  if (normal === '/' || normal.startsWith('//')) {
    report(context, path, 'E_SPEC_PATH', 'nothing can be mounted on the root itself', {
      hint: 'the root is the `image`',
    });
    return undefined;
  }
  return normal;
};

/** Bytes, or undefined with the problem reported at `path`. */
export const sizeAt = (context: Context, value: string | number | undefined, path: string): number | undefined => {
  if (value === undefined || typeof value === 'number') return value;
  const bytes = parseSize(value);
  if (bytes === undefined) {
    const number = /^\d+(\.\d+)?/.exec(value)?.[0];
    report(context, path, 'E_SPEC_SIZE', `"${clip(value)}" is not a size`, {
      hint: `units are b, k, m, g and t, 1024-based${number === undefined ? '' : `: ${number}MiB, ${number}g`}`,
    });
  }
  return bytes;
};

/** Permission bits, or undefined with the problem reported at `path`. */
export const modeAt = (context: Context, value: string | number | undefined, path: string): number | undefined => {
  if (value === undefined) return undefined;
  const text = typeof value === 'number' ? (context.paths.text(path) ?? '') : value;
  if (typeof value === 'number' && text.startsWith('0o')) return value;
  const mode = typeof value === 'number' ? undefined : parseMode(value);
  if (mode === undefined) {
    const octal = /^[0-7]{1,4}$/.test(text);
    report(context, path, 'E_SPEC_MODE', `${clip(text)} is not octal permission bits`, {
      hint: octal ? `quote it: "${text}", or write 0o${text}` : 'for example "1777"',
    });
  }
  return mode;
};
