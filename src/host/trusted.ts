/**
 * Paths that nobody else can redirect: each folder and each link on the way belongs to root or to the caller, and no other
 * user can put something else in its place. A path that was followed so may be used by its name afterwards.
 */
import { dirname, join } from 'node:path';
import type { Entry } from './read.ts';

export interface Caller {
  readonly euid: number;
  readonly egid: number;
  /** The user that stands for all who have no id here (user_namespaces(7)); undefined outside of user namespaces. */
  readonly nobody?: number | undefined;
}

export type Followed =
  /** With every link followed; what is not there keeps its name. */
  { readonly path: string; readonly problem?: undefined } | { readonly path: string; readonly problem: string };

/** The kernel's own limit for links on the way (path_resolution(7)). */
const MOST_LINKS = 40;
const STICKY = 0o1000;
const WORLD = 0o002;
const GROUP = 0o020;

/** Whether users other than root and the caller can write to it. A group of the caller's own is his. */
export function isOpenToOthers({ mode, gid }: Entry, { egid }: Caller): boolean {
  return (mode & WORLD) !== 0 || ((mode & GROUP) !== 0 && gid !== egid && gid !== 0);
}

const partsOf = (path: string): string[] => path.split('/').filter((part) => part !== '' && part !== '.');

/** Follows an absolute path. `entry` looks at what is there itself. */
export function followTrusted(path: string, caller: Caller, entry: (path: string) => Entry | undefined): Followed {
  const isTrusted = (uid: number): boolean => uid === 0 || uid === caller.euid || uid === caller.nobody;
  let links = 0;
  let at = '/';
  const rest = partsOf(path);
  for (;;) {
    const found = entry(at);
    if (found === undefined) return { path: join(at, ...rest) };
    if (!isTrusted(found.uid)) return { path: at, problem: `${at} belongs to the user ${found.uid}` };
    if (found.kind === 'link') {
      links += 1;
      if (links > MOST_LINKS) return { path: at, problem: `${at} is one of too many links` };
      rest.unshift(...partsOf(found.target ?? ''));
      at = found.target?.startsWith('/') === true ? '/' : dirname(at);
    } else {
      // In a folder such as /tmp, what belongs to somebody can be replaced by him and root alone.
      const open = found.kind === 'folder' && (found.mode & WORLD) !== 0 && (found.mode & STICKY) === 0;
      if (open && rest.length > 0) return { path: at, problem: `everybody can write to ${at}` };
    }
    const next = rest.shift();
    if (next === undefined) return { path: at };
    at = next === '..' ? dirname(at) : join(at, next);
  }
}
