/** Users, and maps of user and group ids. */
import type { ContainerFile } from '../generated/container.ts';
import { clip, each, report, type Context } from './context.ts';
import type { IdMap, UserChoice } from './spec.ts';

/** 2^32-1 is "no id" to the kernel (user_namespaces(7), chown(2)). */
const MAX_ID = 2 ** 32 - 2;

/** Names as shadow's useradd takes them at its most lenient. */
const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?$/;

/** `user`: an id, a name, or USER:GROUP. */
export const normaliseUser = (context: Context, user: ContainerFile['user']): UserChoice | undefined => {
  if (user === undefined) return undefined;
  if (typeof user === 'number') return { user };
  const parts = user.split(':');
  if (parts.length > 2) {
    report(context, 'user', 'E_SPEC_USER', `\`user\` must be USER or USER:GROUP; found "${clip(user)}"`);
    return undefined;
  }
  const [first, second] = parts.map((part, index) => account(context, part, index === 0 ? 'user' : 'group'));
  if (first === undefined || (parts.length === 2 && second === undefined)) return undefined;
  return { user: first, ...(second === undefined ? {} : { group: second }) };
};

const account = (context: Context, text: string, what: 'user' | 'group'): number | string | undefined => {
  if (/^\d+$/.test(text)) {
    const id = Number(text);
    if (id <= MAX_ID) return id;
    report(context, 'user', 'E_SPEC_USER', `the ${what} id ${clip(text)} is not in 0…${MAX_ID}`);
    return undefined;
  }
  if (NAME.test(text)) return text;
  const found = text === '' ? 'nothing' : `"${clip(text)}"`;
  report(context, 'user', 'E_SPEC_USER', `${found} is neither an id nor a name of a ${what}`, {
    hint: 'write ids, or names that the image knows: `user: "1000:1000"`',
  });
  return undefined;
};

/** `uid_map` or `gid_map`: each entry within the ids that there are, and none overlapping another on either side. */
export const normaliseIdMaps = (
  context: Context,
  maps: ContainerFile['uid_map'],
  key: 'uid_map' | 'gid_map',
): readonly IdMap[] | undefined => {
  if (maps === undefined) return undefined;
  const done: { readonly map: IdMap; readonly path: string }[] = [];
  for (const [item, path] of each(context, maps, key)) {
    const map = typeof item === 'string' ? parseMap(context, item, path) : item;
    if (map === undefined || !fits(context, map, path)) continue;
    const clash = done.find((other) => overlap(map, other.map) !== undefined);
    if (clash !== undefined) {
      const line = context.paths.where(clash.path);
      const on = line === undefined ? '' : ` of line ${context.problems.position(line).line}`;
      const side = overlap(map, clash.map) === 'container' ? 'inside' : 'outside';
      report(
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
};

const parseMap = (context: Context, text: string, path: string): IdMap | undefined => {
  const match = /^(\d+):(\d+):(\d+)$/.exec(text);
  if (match === null) {
    report(context, path, 'E_SPEC_ID_MAP', `\`${path}\` must be CONTAINER:HOST:SIZE; found "${clip(text)}"`, {
      hint: 'for example "0:100000:65536": 65536 ids from 0 inside are 100000 and up outside',
    });
    return undefined;
  }
  const [container, host, size] = match.slice(1).map(Number);
  if (container === undefined || host === undefined || size === undefined) return undefined;
  return { container, host, size };
};

const fits = (context: Context, map: IdMap, path: string): boolean => {
  if (map.size < 1) {
    report(context, path, 'E_SPEC_ID_MAP', `\`${path}\` maps no id at all`);
    return false;
  }
  if (map.container + map.size - 1 <= MAX_ID && map.host + map.size - 1 <= MAX_ID) return true;
  report(context, path, 'E_SPEC_ID_MAP', `\`${path}\` goes beyond the last id, ${MAX_ID}`);
  return false;
};

const overlap = (a: IdMap, b: IdMap): 'container' | 'host' | undefined => {
  for (const side of ['container', 'host'] as const) {
    if (a[side] < b[side] + b.size && b[side] < a[side] + a.size) return side;
  }
  return undefined;
};
