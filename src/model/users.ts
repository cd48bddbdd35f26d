/** Who the command runs as: numbers as they are, names by the image's own files and nobody else's (passwd(5), group(5)). */
import type { ImageFacts } from './image.ts';
import type { IdMap, Spec, UserChoice } from '../spec/spec.ts';
import type { SpecPath } from '../spec/spec-path.ts';
import { quoted } from '../text/quote.ts';
import { parseId } from '../spec/user.ts';
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
  image: Pick<ImageFacts, 'passwd' | 'group'> | undefined,
  problems: Pick<Problems, 'add'>,
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
      `the image's /etc/passwd has no user "${quoted(wanted)}"`,
      `${names(passwd)}; a number needs no entry`,
    );
  }
  const group = choice?.group;
  const groupEntry = typeof group === 'string' ? groups.find((candidate) => candidate.name === group) : undefined;
  if (typeof group === 'string' && groupEntry === undefined) {
    problems.add(
      'E_GROUP_UNKNOWN',
      'user',
      `the image's /etc/group has no group "${quoted(group)}"`,
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

/** Ids of groups that the file adds; one that the image does not know is a problem at its place. */
export function resolveGroups(
  wanted: Spec['groupAdd'],
  image: ImageFacts | undefined,
  problems: Problems,
): readonly { readonly gid: number; readonly specPath: SpecPath }[] {
  const groups = parseGroup(image?.group ?? '');
  return wanted.flatMap(({ group, specPath }) => {
    const gid = typeof group === 'number' ? group : groups.find(({ name }) => name === group)?.gid;
    if (gid !== undefined) return [{ gid, specPath }];
    const message = `the image's /etc/group has no group "${quoted(group)}"`;
    problems.add('E_GROUP_UNKNOWN', specPath, message, `${names(groups)}; a number needs no entry`);
    return [];
  });
}

export function isMapped(maps: readonly IdMap[] | undefined, id: number): boolean {
  return maps === undefined || maps.some((map) => id >= map.container && id < map.container + map.size);
}
