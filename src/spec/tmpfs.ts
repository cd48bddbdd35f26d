/** File systems in memory: `tmpfs` and volumes of that type. */
import { addProblem, type Context } from './context.ts';
import { parseOptions, type OptionKind } from './mount-options.ts';
import type { TmpfsVolume } from './spec.ts';
import { idOption, insidePath, modeAt, numberOption, sizeAt } from './values.ts';

const TMPFS: OptionKind = { name: 'a tmpfs', words: [], keys: ['size', 'mode', 'nr_inodes', 'uid', 'gid'] };
const MOST_INODES = Number.MAX_SAFE_INTEGER;

/** PATH[:OPTION,…] */
export function shortTmpfs(context: Context, text: string, path: string): TmpfsVolume | undefined {
  const colon = text.indexOf(':');
  const target = insidePath(context, colon === -1 ? text : text.slice(0, colon), path);
  const written = colon === -1 ? undefined : text.slice(colon + 1);
  const { values, readOnly, flags } = parseOptions(context, written, path, TMPFS);
  const options = {
    size: tmpfsSize(context, values.get('size'), path),
    mode: modeAt(context, values.get('mode'), path, '1777'),
    nrInodes: numberOption(context, values, 'nr_inodes', path, 1, MOST_INODES),
    uid: idOption(context, values, 'uid', path),
    gid: idOption(context, values, 'gid', path),
  };
  return target === undefined ? undefined : tmpfsVolume(target, readOnly, flags, options);
}

interface Options {
  readonly size: number | undefined;
  readonly mode: number | undefined;
  readonly nrInodes: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

/** Bytes. 0 is refused: it means no limit to the kernel. */
export function tmpfsSize(context: Context, value: string | number | undefined, path: string): number | undefined {
  const size = sizeAt(context, value, path);
  if (size === 0) {
    addProblem(context, path, 'E_SPEC_SIZE', 'a file system of 0 bytes would be one without a limit to the kernel', {
      hint: 'give it a size, or leave the size out',
    });
  }
  return size;
}

export function tmpfsVolume(
  target: string,
  readOnly: boolean,
  flags: TmpfsVolume['flags'],
  { size, mode, nrInodes, uid, gid }: Options,
): TmpfsVolume {
  return {
    type: 'tmpfs',
    target,
    readOnly,
    flags,
    ...(size === undefined ? {} : { size }),
    ...(mode === undefined ? {} : { mode }),
    ...(nrInodes === undefined ? {} : { nrInodes }),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  };
}
