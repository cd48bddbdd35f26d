/** Users, and maps of user and group ids. */
import type { ContainerFile } from '../generated/container.ts';
import { clip, each, addProblem, type Context } from './context.ts';
import type { IdMap, UserChoice } from './spec.ts';
import { LARGEST_ID, parseAccount } from './user.ts';

/** `user`: an id, a name, or USER:GROUP. */
export function normaliseUser(context: Context, user: ContainerFile['user']): UserChoice | undefined {
  if (user === undefined) return undefined;
  const parts = asWritten(context, user, 'user').split(':');
  if (parts.length > 2) {
    addProblem(context, 'user', 'E_SPEC_USER', `\`user\` must be USER or USER:GROUP; found "${clip(String(user))}"`);
    return undefined;
  }
  const text = parts.join(':');
  if (parts.length === 2 && parts.includes('')) {
    const [name = '', group = ''] = parts;
    const what = name === '' ? 'user before' : 'group after';
    addProblem(context, 'user', 'E_SPEC_USER', `\`user\` has no ${what} the colon; found "${clip(text)}"`, {
      hint: name === '' ? `write \`user: "0:${clip(group) || '0'}"\`` : `write \`user: ${JSON.stringify(clip(name))}\``,
    });
    return undefined;
  }
  const [first, second] = parts.map((part, index) => account(context, part, index === 0 ? 'user' : 'group', 'user'));
  if (first === undefined || (parts.length === 2 && second === undefined)) return undefined;
  return { user: first, ...(second === undefined ? {} : { group: second }) };
}

/** The text of the file: YAML reads `0x1` and `01` as numbers, and the user may have meant other ids. */
function asWritten(context: Context, value: string | number, path: string): string {
  return typeof value === 'number' ? (context.paths.text(path) ?? String(value)) : value;
}

/** `group_add`: ids, or names that the image knows. */
export function normaliseGroups(
  context: Context,
  groups: ContainerFile['group_add'],
): readonly { readonly group: number | string; readonly specPath: `group_add.${number}` }[] {
  return each(context, groups ?? [], 'group_add').flatMap(([item, specPath]) => {
    const group = account(context, asWritten(context, item, specPath), 'group', specPath);
    return group === undefined ? [] : [{ group, specPath }];
  });
}

function account(context: Context, text: string, what: 'user' | 'group', path: string): number | string | undefined {
  const found = parseAccount(text);
  if (found !== undefined) return found;
  if (/^\d+$/.test(text)) {
    const large = `the ${what} id ${clip(text)} is not in 0…${LARGEST_ID}`;
    const zero = `"${clip(text)}" is no ${what} id: it begins with a zero, and could be meant as octal`;
    addProblem(context, path, 'E_SPEC_USER', text.startsWith('0') ? zero : large);
    return undefined;
  }
  const shown = text === '' ? 'nothing' : `"${clip(text)}"`;
  addProblem(context, path, 'E_SPEC_USER', `${shown} is neither an id nor a name of a ${what}`, {
    hint: 'write decimal ids, or names that the image knows: `user: "1000:1000"`',
  });
  return undefined;
}

/** The usual number of subordinate ids of one user (subuid(5)). */
const AUTO_SIZE = 65_536;

/** `auto`, or `auto:SIZE`, in `uid_map` or `gid_map`. One of the two is enough for both. */
export function normaliseAutoIds(context: Context, raw: ContainerFile): number | undefined {
  const sizes = (['uid_map', 'gid_map'] as const).flatMap((key) => {
    const text = raw[key];
    if (typeof text !== 'string') return [];
    const match = /^auto(?::([1-9]\d{0,9}))?$/.exec(text);
    const size = Number(match?.[1] ?? AUTO_SIZE);
    if (match === null || size > LARGEST_ID) {
      addProblem(context, key, 'E_SPEC_ID_MAP', `\`${key}\` must be auto, auto:SIZE or a list; found "${clip(text)}"`);
    }
    return [size];
  });
  const [size, other = size] = sizes;
  if (sizes.length > 0 && (other !== size || Array.isArray(raw.uid_map) || Array.isArray(raw.gid_map))) {
    addProblem(context, 'gid_map', 'E_SPEC_CONFLICT', 'users and groups are given the same ids: write `auto` once');
  }
  return size;
}

/** `keep_id` is a map of its own. */
export function normaliseKeepId(context: Context, raw: ContainerFile): boolean {
  const other = (['uid_map', 'gid_map'] as const).find((key) => raw[key] !== undefined);
  if (raw.keep_id === true && other !== undefined) {
    addProblem(context, 'keep_id', 'E_SPEC_CONFLICT', `\`keep_id\` and \`${other}\` both say which ids there are`, {
      hint: 'leave one of them out',
    });
  }
  return raw.keep_id ?? false;
}

/** `uid_map` or `gid_map`: each entry within the ids that there are, and none overlapping another on either side. */
export function normaliseIdMaps(
  context: Context,
  maps: ContainerFile['uid_map'],
  key: 'uid_map' | 'gid_map',
): readonly IdMap[] | undefined {
  if (maps === undefined || typeof maps === 'string') return undefined;
  const done: { readonly map: IdMap; readonly path: string }[] = [];
  for (const [item, path] of each(context, maps, key)) {
    const map = typeof item === 'string' ? parseMap(context, item, path) : item;
    if (map === undefined || !fits(context, map, path)) continue;
    const clash = done.find((other) => overlap(map, other.map) !== undefined);
    if (clash !== undefined) {
      const line = context.paths.where(clash.path);
      const on = line === undefined ? '' : ` of line ${context.problems.position(line).line}`;
      const side = overlap(map, clash.map) === 'container' ? 'inside' : 'outside';
      addProblem(
        context,
        path,
        'E_SPEC_OVERLAP',
        `\`${path}\` overlaps \`${clash.path}\`${on}: the same ids ${side} in both`,
        { hint: 'every id inside is one id outside, and the other way round' },
      );
    }
    done.push({ map: { container: map.container, host: map.host, size: map.size }, path });
  }
  return done.map((one) => one.map);
}

function parseMap(context: Context, text: string, path: string): IdMap | undefined {
  const match = /^(\d+):(\d+):(\d+)$/.exec(text);
  if (match === null || /(^|:)0\d/.test(text)) {
    addProblem(context, path, 'E_SPEC_ID_MAP', `\`${path}\` must be CONTAINER:HOST:SIZE; found "${clip(text)}"`, {
      hint: 'for example "0:100000:65536": 65536 ids from 0 inside are 100000 and up outside',
    });
    return undefined;
  }
  const [container, host, size] = match.slice(1).map(Number);
  if (container === undefined || host === undefined || size === undefined) return undefined;
  return { container, host, size };
}

function fits(context: Context, map: IdMap, path: string): boolean {
  if (map.size < 1) {
    addProblem(context, path, 'E_SPEC_ID_MAP', `\`${path}\` maps no id at all`);
    return false;
  }
  if (map.container + map.size - 1 <= LARGEST_ID && map.host + map.size - 1 <= LARGEST_ID) return true;
  addProblem(context, path, 'E_SPEC_ID_MAP', `\`${path}\` goes beyond the last id, ${LARGEST_ID}`);
  return false;
}

function overlap(a: IdMap, b: IdMap): 'container' | 'host' | undefined {
  for (const side of ['container', 'host'] as const) {
    if (a[side] < b[side] + b.size && b[side] < a[side] + a.size) return side;
  }
  return undefined;
}
