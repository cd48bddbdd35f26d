/** Who the command runs as: numbers as they are, names by the image's own files and nobody else's (passwd(5), group(5)). */
import type { ImageFacts } from '../image/image.ts';
import type { IdMap, UserChoice } from '../spec/spec.ts';
import type { Problems } from './problems.ts';

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  readonly home: string;
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}
interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

const LARGEST_ID = 4_294_967_294;

/** Decimal, without sign, leading zero or blank, 0 … 2^32-2; a field that is anything else is no id and never 0. */
export function parseId(text: string | undefined): number | undefined {
  if (text === undefined || !/^(?:0|[1-9]\d{0,9})$/u.test(text)) return undefined;
  const value = Number(text);
  return value <= LARGEST_ID ? value : undefined;
}

/** A name that could be meant as a number is none: `+1`, `0x1`, `01`, `1 ` would be read as one id or another. */
const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,254}\$?$/u;

/** `USER` or `USER:GROUP`, each an id or a name; anything else, an empty part too, is no user (CVE-2026-30892). */
export function parseUser(text: string): UserChoice | undefined {
  const parts = text.split(':').map((part) => parseId(part) ?? (NAME.test(part) ? part : undefined));
  const [user, group] = parts;
  if (user === undefined || parts.length > 2 || (parts.length === 2 && group === undefined)) return undefined;
  return { user, ...(group === undefined ? {} : { group }) };
}

export function parsePasswd(text: string): readonly PasswdEntry[] {
  return text.split('\n').flatMap((line) => {
    const [name, , uidText, gidText, , home] = line.split(':');
    const uid = parseId(uidText);
    const gid = parseId(gidText);
    if (name === undefined || name === '' || uid === undefined || gid === undefined) return [];
    return [{ name, uid, gid, home: home ?? '' }];
  });
}

export function parseGroup(text: string): readonly GroupEntry[] {
  return text.split('\n').flatMap((line) => {
    const [name, , gidText, members] = line.split(':');
    const gid = parseId(gidText);
    if (name === undefined || name === '' || gid === undefined) return [];
    return [{ name, gid, members: (members ?? '').split(',').filter(Boolean) }];
  });
}

function names(entries: readonly { readonly name: string }[]): string {
  const shown = entries.slice(0, 8).map((entry) => entry.name);
  return shown.length === 0 ? 'it has none' : `it has ${shown.join(', ')}${entries.length > shown.length ? ', …' : ''}`;
}

/** Looks names up; one that the image does not know is a problem at `user`. */
export function resolveUser(
  choice: UserChoice | undefined,
  image: ImageFacts | undefined,
  problems: Problems,
): ResolvedUser {
  const passwd = parsePasswd(image?.passwd ?? '');
  const groups = parseGroup(image?.group ?? '');
  const wanted = choice?.user ?? 0;
  const entry =
    typeof wanted === 'number'
      ? passwd.find((candidate) => candidate.uid === wanted)
      : passwd.find((candidate) => candidate.name === wanted);
  if (typeof wanted === 'string' && entry === undefined) {
    problems.add(
      'E_USER_UNKNOWN',
      'user',
      `the image's /etc/passwd has no user "${wanted}"`,
      `${names(passwd)}; a number needs no entry`,
    );
  }
  const group = choice?.group;
  const groupEntry = typeof group === 'string' ? groups.find((candidate) => candidate.name === group) : undefined;
  if (typeof group === 'string' && groupEntry === undefined) {
    problems.add(
      'E_GROUP_UNKNOWN',
      'user',
      `the image's /etc/group has no group "${group}"`,
      `${names(groups)}; a number needs no entry`,
    );
  }
  const gid = typeof group === 'number' ? group : (groupEntry?.gid ?? entry?.gid ?? 0);
  // With a group that was asked for, the image's list of further groups is not what was meant.
  const additionalGids =
    group !== undefined || entry === undefined
      ? []
      : groups.filter(({ members }) => members.includes(entry.name)).map((candidate) => candidate.gid);
  return {
    uid: typeof wanted === 'number' ? wanted : (entry?.uid ?? 0),
    gid,
    additionalGids: [...new Set(additionalGids)].filter((id) => id !== gid),
    home: entry?.home.startsWith('/') === true ? entry.home : '/',
  };
}

export function isMapped(maps: readonly IdMap[] | undefined, id: number): boolean {
  return maps === undefined || maps.some((map) => id >= map.container && id < map.container + map.size);
}
