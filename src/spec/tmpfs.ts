/** File systems in memory: `tmpfs` and volumes of that type. */
import { clip, report, type Context } from './context.ts';
import { parseOptions, type OptionKind } from './mount-options.ts';
import type { TmpfsVolume } from './spec.ts';
import { insidePath, modeAt, sizeAt } from './values.ts';

const TMPFS: OptionKind = { name: 'a tmpfs', words: [], keys: ['size', 'mode', 'nr_inodes', 'uid', 'gid'] };
const MOST_INODES = Number.MAX_SAFE_INTEGER;
const LARGEST_ID = 4_294_967_294;

/** PATH[:OPTION,…] */
export const shortTmpfs = (context: Context, text: string, path: string): TmpfsVolume | undefined => {
  const colon = text.indexOf(':');
  const target = insidePath(context, colon === -1 ? text : text.slice(0, colon), path);
  const options = parseOptions(context, colon === -1 ? undefined : text.slice(colon + 1), path, TMPFS);
  if (target === undefined || options === undefined) return undefined;
  const { values, readOnly, flags } = options;
  const number = (key: string, least: number, most: number): number | undefined => {
    const value = values.get(key);
    if (value === undefined) return undefined;
    const parsed = /^(0|[1-9]\d*)$/.test(value) ? Number(value) : Number.NaN;
    if (parsed >= least && parsed <= most) return parsed;
    report(
      context,
      path,
      'E_SPEC_VALUE',
      `\`${key}\` must be a number from ${least} to ${most}; found "${clip(value)}"`,
    );
    return undefined;
  };
  const size = tmpfsSize(context, values.get('size'), path);
  const mode = modeAt(context, values.get('mode'), path);
  return tmpfsVolume(target, readOnly, flags, {
    size,
    mode,
    nrInodes: number('nr_inodes', 1, MOST_INODES),
    uid: number('uid', 0, LARGEST_ID),
    gid: number('gid', 0, LARGEST_ID),
  });
};

interface Options {
  readonly size: number | undefined;
  readonly mode: number | undefined;
  readonly nrInodes: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

/** Bytes. To the kernel, 0 is no limit at all. */
export const tmpfsSize = (context: Context, value: string | number | undefined, path: string): number | undefined => {
  const size = sizeAt(context, value, path);
  if (size === 0) {
    report(context, path, 'E_SPEC_SIZE', 'a file system of 0 bytes would be one without a limit to the kernel', {
      hint: 'give it a size, or leave the size out',
    });
  }
  return size;
};

export const tmpfsVolume = (
  target: string,
  readOnly: boolean,
  flags: TmpfsVolume['flags'],
  { size, mode, nrInodes, uid, gid }: Options,
): TmpfsVolume => ({
  type: 'tmpfs',
  target,
  readOnly,
  flags,
  ...(size === undefined ? {} : { size }),
  ...(mode === undefined ? {} : { mode }),
  ...(nrInodes === undefined ? {} : { nrInodes }),
  ...(uid === undefined ? {} : { uid }),
  ...(gid === undefined ? {} : { gid }),
});
