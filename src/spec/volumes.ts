/** Volumes and tmpfs, short and long, to one list. */
import { posix } from 'node:path';
import type { ContainerFile } from '../generated/container.ts';
import { bindVolume } from './bind.ts';
import { clip, each, listOf, addProblem, type Context } from './context.ts';
import { parseOptions, type OptionKind } from './mount-options.ts';
import {
  MOUNT_FLAGS,
  PROPAGATIONS,
  type MountFlag,
  type NamedVolume,
  type PlacedVolume,
  type Volume,
  type VolumePath,
} from './spec.ts';
import { shortTmpfs, tmpfsSize, tmpfsVolume } from './tmpfs.ts';
import { idOption, insidePath, modeAt } from './values.ts';

type LongForm = Exclude<NonNullable<ContainerFile['volumes']>[number], string>;

const BIND: OptionKind = { name: 'a bind', words: [...PROPAGATIONS, 'idmap'], keys: [] };
const NAMED: OptionKind = { name: 'a volume', words: ['nocopy'], keys: ['uid', 'gid', 'mode'] };
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;

/** All mounts of the file, in its order. Two at the same target are an error. */
export function normaliseVolumes(
  context: Context,
  volumes: ContainerFile['volumes'],
  tmpfs: ContainerFile['tmpfs'],
): readonly PlacedVolume[] {
  const fromVolumes = each(context, volumes ?? [], 'volumes').map(([item, path]) =>
    place(typeof item === 'string' ? shortForm(context, item, path) : longForm(context, item, path), path),
  );
  const fromTmpfs = listOf(context, tmpfs, 'tmpfs').map(([item, path]) => place(shortTmpfs(context, item, path), path));
  const start = (key: string) => context.paths.key(key)?.start ?? 0;
  const ordered = start('tmpfs') < start('volumes') ? [...fromTmpfs, ...fromVolumes] : [...fromVolumes, ...fromTmpfs];
  const placed = ordered.filter((volume) => volume !== undefined);
  refuseDuplicates(context, placed);
  return placed;
}

function place<V extends Volume, P extends VolumePath>(volume: V | undefined, specPath: P) {
  return volume === undefined ? undefined : { ...volume, specPath };
}

function refuseDuplicates(context: Context, volumes: readonly PlacedVolume[]): void {
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
    addProblem(context, specPath, 'E_SPEC_DUPLICATE_TARGET', message);
  }
}

function shortForm(context: Context, text: string, path: string): Volume | undefined {
  const parts = text.split(':');
  const [source, target, words] = parts;
  if (source === undefined || target === undefined || source === '' || target === '' || parts.length > 3) {
    addProblem(context, path, 'E_SPEC_VOLUME', `\`${path}\` must be SRC:DST[:OPTION,…]; found "${clip(text)}"`, {
      hint:
        parts.length > 3
          ? 'paths with a colon need the long form'
          : 'the root is thrown away at the end: what should stay needs a name; a folder in memory is `tmpfs: [PATH]`',
    });
    return undefined;
  }
  const isPath = /^(~(\/|$)|\.{1,2}(\/|$)|\/)/.test(source);
  const options = parseOptions(context, words, path, isPath ? BIND : NAMED);
  const { readOnly, flags, nocopy, values } = options;
  if (!isPath) {
    const uid = idOption(context, values, 'uid', path);
    const gid = idOption(context, values, 'gid', path);
    const owner = ownerOptions(context, uid, gid, values.get('mode'), path);
    return namedVolume(context, source, target, { readOnly, flags, nocopy, ...owner }, path, path);
  }
  const propagation = options.propagation ?? 'rprivate';
  const idmap = options.idmap ? { idmap: true } : {};
  const all = {
    readOnly,
    flags,
    recursive: 'enabled',
    propagation,
    ...idmap,
    createHostPath: false,
  } as const;
  return bindVolume(context, source, target, all, { source: path, target: path, propagation: path });
}

function longForm(context: Context, item: LongForm, path: string): Volume | undefined {
  for (const other of ['bind', 'volume', 'tmpfs'] as const) {
    if (item.type === other || item[other] === undefined) continue;
    const message = `\`${other}\` options do not belong to a volume of type ${item.type}`;
    addProblem(context, `${path}.${other}`, 'E_SPEC_CONFLICT', message);
  }
  const readOnly = item.read_only ?? false;
  const flags = (item.options ?? []).filter((word): word is MountFlag => MOUNT_FLAGS.some((flag) => flag === word));
  if (item.type === 'tmpfs') return longTmpfs(context, item, path, readOnly, flags);
  if (item.source === undefined) {
    if (!context.bad.has(`${path}.source`)) {
      addProblem(context, path, 'E_SPEC_MISSING_KEY', `\`${path}\` is a ${item.type} and lacks the key \`source\``);
    }
    return undefined;
  }
  const places = { source: `${path}.source`, target: `${path}.target`, propagation: `${path}.bind.propagation` };
  if (item.type === 'volume') {
    const { nocopy = false, subpath, uid, gid, mode } = item.volume ?? {};
    const owner = ownerOptions(context, uid, gid, mode, `${path}.volume.mode`);
    const below = subpath === undefined ? undefined : belowPath(context, subpath, `${path}.volume.subpath`);
    const options = { readOnly, flags, nocopy, ...owner, ...(below === undefined ? {} : { subpath: below }) };
    return namedVolume(context, item.source, item.target, options, places.source, places.target);
  }
  const {
    recursive = 'enabled',
    propagation = 'rprivate',
    protect,
    idmap,
    create_host_path: createHostPath,
  } = item.bind ?? {};
  if ((recursive === 'writable' || recursive === 'readonly') && !readOnly) {
    const message = `\`recursive: ${recursive}\` says which mounts are read-only, and \`read_only\` is not set`;
    addProblem(context, `${path}.bind.recursive`, 'E_SPEC_CONFLICT', message, { hint: 'add `read_only: true`' });
  }
  const options = {
    readOnly,
    flags,
    recursive,
    propagation,
    ...(protect === false ? { protect } : {}),
    ...(idmap === undefined ? {} : { idmap }),
    createHostPath: createHostPath ?? false,
  };
  return bindVolume(context, item.source, item.target, options, places);
}

function longTmpfs(
  context: Context,
  item: LongForm,
  path: string,
  readOnly: boolean,
  flags: readonly MountFlag[],
): Volume | undefined {
  if (item.source !== undefined) {
    addProblem(context, `${path}.source`, 'E_SPEC_CONFLICT', 'a tmpfs has no `source`: it starts empty');
  }
  const target = insidePath(context, item.target, `${path}.target`);
  const size = tmpfsSize(context, item.tmpfs?.size, `${path}.tmpfs.size`);
  const mode = modeAt(context, item.tmpfs?.mode, `${path}.tmpfs.mode`, '1777');
  if (target === undefined) return undefined;
  const { nr_inodes: nrInodes, uid, gid } = item.tmpfs ?? {};
  return tmpfsVolume(target, readOnly, flags, { size, mode, nrInodes, uid, gid });
}

/** Owner, group and mode of a new volume. The mode 0 is refused: it marks a volume that has not been filled yet. */
function ownerOptions(
  context: Context,
  uid: number | undefined,
  gid: number | undefined,
  written: string | number | undefined,
  path: string,
): Pick<NamedVolume, 'uid' | 'gid' | 'mode'> {
  const mode = modeAt(context, written, path, '0750');
  if (mode === 0) {
    addProblem(context, path, 'E_SPEC_MODE', 'nobody could use a volume of mode 0', { hint: 'for example "0750"' });
  }
  return {
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
    ...(mode === undefined ? {} : { mode }),
  };
}

function namedVolume(
  context: Context,
  source: string,
  to: string,
  options: Omit<NamedVolume, 'type' | 'source' | 'target'>,
  sourcePath: string,
  targetPath: string,
): NamedVolume | undefined {
  const target = insidePath(context, to, targetPath);
  if (!NAME.test(source)) {
    addProblem(context, sourcePath, 'E_SPEC_VOLUME', `"${clip(source)}" is neither a path nor a volume's name`, {
      hint: `a folder beside the file is \`./${clip(source)}\`; a name has letters, digits, \`_\`, \`.\` and \`-\`, at most 63`,
    });
    return undefined;
  }
  return target === undefined ? undefined : { type: 'volume', source, target, ...options };
}

/** A relative path that does not leave its folder. */
function belowPath(context: Context, text: string, path: string): string | undefined {
  const normal = posix.normalize(text).replace(/\/$/, '');
  if (!text.startsWith('/') && normal !== '..' && !normal.startsWith('../')) return normal === '.' ? undefined : normal;
  addProblem(context, path, 'E_SPEC_PATH', `a path in a volume must be relative and stay in it; found "${clip(text)}"`);
  return undefined;
}
