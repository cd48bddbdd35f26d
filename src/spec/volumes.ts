/** Volumes and tmpfs, short and long, to one list. */
import { statSync } from 'node:fs';
import { posix } from 'node:path';
import type { ContainerFile } from '../generated/container.ts';
import { clip, each, hostPath, listOf, report, type Context } from './context.ts';
import { realPath, whyNot } from './read.ts';
import type { TmpfsVolume, Volume } from './spec.ts';
import { didYouMean } from './suggest.ts';
import { parseMode, parseSize } from './units.ts';

type Placed = Volume & { readonly specPath: string };
type LongForm = Exclude<NonNullable<ContainerFile['volumes']>[number], string>;

/** All mounts that the file asks for, in the order in which it says them; no two at the same target. */
export const normaliseVolumes = (
  context: Context,
  volumes: ContainerFile['volumes'],
  tmpfs: ContainerFile['tmpfs'],
): readonly Placed[] => {
  const fromVolumes = each(context, volumes ?? [], 'volumes').map(([item, path]) =>
    place(typeof item === 'string' ? shortForm(context, item, path) : longForm(context, item, path), path),
  );
  const fromTmpfs = listOf(context, tmpfs, 'tmpfs').map(([item, path]) => place(shortTmpfs(context, item, path), path));
  const start = (key: string) => context.paths.key(key)?.start ?? 0;
  const ordered = start('tmpfs') < start('volumes') ? [...fromTmpfs, ...fromVolumes] : [...fromVolumes, ...fromTmpfs];
  const placed = ordered.filter((volume) => volume !== undefined);
  refuseDuplicates(context, placed);
  return placed;
};

const place = (volume: Volume | undefined, specPath: string): Placed | undefined =>
  volume === undefined ? undefined : { ...volume, specPath };

const refuseDuplicates = (context: Context, volumes: readonly Placed[]): void => {
  const seen = new Map<string, string>();
  for (const { target, specPath } of volumes) {
    const first = seen.get(target);
    if (first === undefined) {
      seen.set(target, specPath);
      continue;
    }
    const at = context.paths.where(first);
    const line = at === undefined ? '' : ` of line ${context.problems.position(at).line}`;
    const message = `\`${specPath}\` is mounted at ${clip(target)}, as \`${first}\`${line} is already`;
    report(context, specPath, 'E_SPEC_DUPLICATE_TARGET', message);
  }
};

const shortForm = (context: Context, text: string, path: string): Volume | undefined => {
  const parts = text.split(':');
  const [source, target, options] = parts;
  if (source === undefined || target === undefined || source === '' || target === '' || parts.length > 3) {
    report(context, path, 'E_SPEC_VOLUME', `\`${path}\` must be SRC:DST[:ro|rw]; found "${clip(text)}"`, {
      hint: parts.length > 3 ? 'paths with a colon need the long form' : 'a folder in memory is `tmpfs: [PATH]`',
    });
    return undefined;
  }
  if (!/^(~(\/|$)|\.{1,2}(\/|$)|\/)/.test(source)) {
    report(context, path, 'E_SPEC_PATH', `"${clip(source)}" would be a named volume, and there are none`, {
      hint: `a folder beside the file is \`./${clip(source)}\``,
    });
    return undefined;
  }
  let readOnly = false;
  for (const option of options?.split(',') ?? []) {
    if (option === 'ro') readOnly = true;
    else if (option !== 'rw') {
      report(context, path, 'E_SPEC_VOLUME', `a volume's option must be ro or rw; found "${clip(option)}"`, {
        hint: /^z$/i.test(option) ? 'SELinux labels are not set; leave it out' : undefined,
      });
      return undefined;
    }
  }
  return bind(context, source, target, { readOnly, createHostPath: false }, path, path);
};

const longForm = (context: Context, item: LongForm, path: string): Volume | undefined => {
  const readOnly = item.read_only ?? false;
  const other = item.type === 'bind' ? 'tmpfs' : 'bind';
  if (item[other] !== undefined) {
    const message = `\`${other}\` options do not belong to a volume of type ${item.type}`;
    report(context, `${path}.${other}`, 'E_SPEC_CONFLICT', message);
  }
  if (item.type === 'bind') {
    if (item.source === undefined) {
      if (!context.bad.has(`${path}.source`)) {
        report(context, path, 'E_SPEC_MISSING_KEY', `\`${path}\` is a bind and lacks the key \`source\``);
      }
      return undefined;
    }
    const createHostPath = item.bind?.create_host_path ?? false;
    return bind(context, item.source, item.target, { readOnly, createHostPath }, `${path}.source`, `${path}.target`);
  }
  if (item.source !== undefined) {
    report(context, `${path}.source`, 'E_SPEC_CONFLICT', 'a tmpfs has no `source`: it starts empty');
  }
  const target = insidePath(context, item.target, `${path}.target`);
  const size = sizeAt(context, item.tmpfs?.size, `${path}.tmpfs.size`);
  const mode = modeAt(context, item.tmpfs?.mode, `${path}.tmpfs.mode`);
  return target === undefined ? undefined : tmpfsVolume(target, size, mode, readOnly);
};

const shortTmpfs = (context: Context, text: string, path: string): TmpfsVolume | undefined => {
  const colon = text.indexOf(':');
  const target = insidePath(context, colon === -1 ? text : text.slice(0, colon), path);
  let size: number | undefined;
  let mode: number | undefined;
  let readOnly = false;
  for (const option of colon === -1 ? [] : text.slice(colon + 1).split(',')) {
    const equals = option.indexOf('=');
    const key = equals === -1 ? option : option.slice(0, equals);
    const value = equals === -1 ? '' : option.slice(equals + 1);
    if (key === 'size') size = sizeAt(context, value, path);
    else if (key === 'mode') mode = modeAt(context, value, path);
    else if (option === 'ro') readOnly = true;
    else if (option !== 'rw') {
      const meant = didYouMean(key, ['size', 'mode', 'ro', 'rw']);
      const message = `a tmpfs's option must be size=, mode=, ro or rw; found "${clip(option)}"`;
      report(context, path, 'E_SPEC_VOLUME', message, {
        hint: meant === undefined ? undefined : `did you mean \`${meant}\`?`,
      });
    }
  }
  return target === undefined ? undefined : tmpfsVolume(target, size, mode, readOnly);
};

const tmpfsVolume = (
  target: string,
  size: number | undefined,
  mode: number | undefined,
  readOnly: boolean,
): TmpfsVolume => ({
  type: 'tmpfs',
  target,
  ...(size === undefined ? {} : { size }),
  ...(mode === undefined ? {} : { mode }),
  readOnly,
});

const bind = (
  context: Context,
  from: string,
  to: string,
  options: { readonly readOnly: boolean; readonly createHostPath: boolean },
  sourcePath: string,
  targetPath: string,
): Volume | undefined => {
  const target = insidePath(context, to, targetPath);
  const named = hostPath(context, from);
  const source = realPath(named);
  let isFile = false;
  try {
    isFile = !statSync(source).isDirectory();
  } catch (error) {
    const { missing, problem } = whyNot(error);
    if (!context.review && (!missing || !options.createHostPath)) {
      report(context, sourcePath, 'E_SPEC_MISSING_FILE', `the source "${clip(from)}" cannot be used: ${problem}`, {
        hint: `looked for ${named}${missing ? '; to have it made, use the long form with `bind: {create_host_path: true}`' : ''}`,
      });
    }
  }
  return target === undefined ? undefined : { type: 'bind', source, target, ...options, isFile };
};

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

const modeAt = (context: Context, value: string | number | undefined, path: string): number | undefined => {
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
