/** Values that several keys have: paths inside, sizes, permission bits. */
import { posix } from 'node:path';
import { clip, addProblem, type Context } from './context.ts';
import { parseMode, parseSize } from '../text/units.ts';

/** An absolute path inside, without `.`, `..` and doubled slashes; not the root itself. */
export function insidePath(context: Context, text: string, path: string): string | undefined {
  if (!text.startsWith('/')) {
    addProblem(context, path, 'E_SPEC_PATH', `a path inside must be absolute; found "${clip(text)}"`, {
      hint: `write \`/${clip(text.replace(/^[./]+/, ''))}\``,
    });
    return undefined;
  }
  const normal = posix.normalize(text).replace(/(?<=.)\/$/, '');
  if (normal === '/' || normal.startsWith('//')) {
    addProblem(context, path, 'E_SPEC_PATH', 'nothing can be mounted on the root itself', {
      hint: 'the root is the `image`',
    });
    return undefined;
  }
  return normal;
}

/** Bytes, or undefined with the problem reported at `path`. */
export function sizeAt(context: Context, value: string | number | undefined, path: string): number | undefined {
  if (value === undefined || typeof value === 'number') return value;
  const bytes = parseSize(value);
  if (bytes === undefined) {
    const number = /^\d+(\.\d+)?/.exec(value)?.[0];
    addProblem(context, path, 'E_SPEC_SIZE', `"${clip(value)}" is not a size`, {
      hint: `units are b, k, m, g and t, 1024-based${number === undefined ? '' : `: ${clip(`${number}MiB`)}, ${clip(`${number}g`)}`}`,
    });
  }
  return bytes;
}

/** Permission bits, or undefined with the problem reported at `path`; `example` is for its hint. */
export function modeAt(
  context: Context,
  value: string | number | undefined,
  path: string,
  example: string,
): number | undefined {
  if (value === undefined) return undefined;
  const text = typeof value === 'number' ? (context.paths.text(path) ?? '') : value;
  if (typeof value === 'number' && text.startsWith('0o')) return value;
  const mode = typeof value === 'number' ? undefined : parseMode(value);
  if (mode === undefined) {
    const octal = /^[0-7]{1,4}$/.test(text);
    addProblem(context, path, 'E_SPEC_MODE', `${clip(text)} is not octal permission bits`, {
      hint: octal ? `quote it: "${clip(text)}", or write ${clip(`0o${text}`)}` : `for example "${example}"`,
    });
  }
  return mode;
}

const LARGEST_ID = 4_294_967_294;

/** A whole number of a mount's options, or undefined with the problem reported at `path`. */
export function numberOption(
  context: Context,
  values: ReadonlyMap<string, string>,
  key: string,
  path: string,
  least: number,
  most: number,
): number | undefined {
  const value = values.get(key);
  if (value === undefined) return undefined;
  const parsed = /^(0|[1-9]\d*)$/.test(value) ? Number(value) : Number.NaN;
  if (parsed >= least && parsed <= most) return parsed;
  const message = `\`${key}\` must be a number from ${least} to ${most}; found "${clip(value)}"`;
  addProblem(context, path, 'E_SPEC_VALUE', message);
  return undefined;
}

/** The same for a user's or a group's id. */
export const idOption = (
  context: Context,
  values: ReadonlyMap<string, string>,
  key: string,
  path: string,
): number | undefined => numberOption(context, values, key, path, 0, LARGEST_ID);
