/**
 * Remembers the digest of each archive with the file's identity, so that an unchanged archive is not read again. The identity
 * is device, inode, size, mtime and ctime. A writer of the file can set mtime back, but not ctime.
 */
import type { BigIntStats } from 'node:fs';
import { join } from 'node:path';
import { lstatSync, readdirSync, statSync } from '../inputs/outside.ts';
import { writeWhole } from '../files/atomic-write.ts';
import { isRecord, isTexts } from '../text/json.ts';
import { readOwnJson } from '../files/own.ts';
import { shortHash } from './store.ts';

/** One line of text. If two identities are equal, it is the same file with the same content. */
export type Identity = string;

export function identityOf(stat: BigIntStats): Identity {
  return [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(' ');
}

/** The device of the file system that the file is on, as digits. */
export const deviceOf = (identity: Identity): string => identity.split(' ')[0] ?? '';

/** Identity of what the path leads to; with `link`, of a symbolic link itself. '' if there is no file. */
export function identityAt(path: string, link = false): Identity {
  const options = { bigint: true, throwIfNoEntry: false } as const;
  try {
    const stat = link ? lstatSync(path, options) : statSync(path, options);
    return stat === undefined ? '' : identityOf(stat);
  } catch {
    return '';
  }
}

/** What was looked at when a digest was made. */
export interface Seen {
  /** Paths, and what they led to; '' where there was nothing. */
  readonly files: Readonly<Record<string, Identity>>;
  /** Symbolic links on the way, themselves. */
  readonly links: Readonly<Record<string, Identity>>;
}

/** An archive's sha256, or `seenDigest` of import-source.ts as long as the archive has not been read as a whole. */
const isDigest = (text: string): boolean => /^(?:[0-9a-f]{64}|seen-[0-9a-f]{32})$/u.test(text);

/** Whether the archive has not been read as a whole yet. */
export const isUnread = (digest: string): boolean => digest.startsWith('seen-');

export interface Remembered extends Seen {
  readonly digest: string;
  /** The archive's sha256, where a file pinned it. */
  readonly pinned?: string;
}

const place = (store: string, name: string): string => join(store, 'ids', `${shortHash(name)}.json`);

function readRemembered(path: string): (Remembered & { readonly name: string }) | undefined {
  const value = readOwnJson(path);
  if (!isRecord(value)) return undefined;
  const { name, digest, files, links, pinned } = value;
  if (typeof name !== 'string' || typeof digest !== 'string' || !isDigest(digest)) return undefined;
  if (!isTexts(files) || !isTexts(links)) return undefined;
  return { name, digest, files, links, ...(typeof pinned === 'string' ? { pinned } : {}) };
}

/** What is remembered under a name (an archive's path, a list of tools). The files may have changed since: see `holds`. */
export function recall(store: string, name: string): Remembered | undefined {
  const remembered = readRemembered(place(store, name));
  return remembered?.name === name ? remembered : undefined;
}

/** All that is remembered, and in which file. */
export function rememberedIn(store: string): readonly { readonly path: string; readonly remembered: Remembered }[] {
  let names: readonly string[];
  try {
    names = readdirSync(join(store, 'ids'));
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    const path = join(store, 'ids', name);
    const remembered = name.endsWith('.json') ? readRemembered(path) : undefined;
    return remembered === undefined ? [] : [{ path, remembered }];
  });
}

/** Whether all files are what they were. */
export function holds(remembered: Remembered): boolean {
  return (
    Object.entries(remembered.files).every(([path, identity]) => identityAt(path) === identity) &&
    Object.entries(remembered.links).every(([path, identity]) => identityAt(path, true) === identity)
  );
}

/** The digest under a name, if it still holds. */
export function digestOf(store: string, name: string): string | undefined {
  const remembered = recall(store, name);
  return remembered !== undefined && holds(remembered) ? remembered.digest : undefined;
}

export function remember(store: string, name: string, remembered: Remembered): void {
  writeWhole(place(store, name), JSON.stringify({ name, ...remembered }));
}
