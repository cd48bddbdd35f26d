/** How the host is looked at; tests give files of other hosts. */
import { constants } from 'node:fs';
import { dirname } from 'node:path';
import {
  accessSync,
  fileSystemOf,
  lstatSync,
  namespace,
  readlinkSync,
  readMounts,
  readSetting,
  readTable,
  readText,
} from '../inputs/outside.ts';
import type { TablePart } from '../inputs/record.ts';

export interface Entry {
  readonly kind: 'folder' | 'link' | 'other';
  readonly uid: number;
  readonly gid: number;
  /** Permission bits. */
  readonly mode: number;
  /** Of a link. */
  readonly target?: string;
}

export interface HostReader {
  /** The text of a small file, or undefined when it cannot be read. `lines`: those that have one of these in them. */
  text(path: string, lines?: readonly string[]): string | undefined;
  /** Lines of mountinfo (readMounts of src/inputs/outside.ts); undefined when it cannot be read. */
  mounts(type: string, pointsOf: (lines: string) => readonly string[] | undefined): string | undefined;
  /** Of a table of the kernel's, the columns and lines that are wanted. */
  table(path: string, part: TablePart): string | undefined;
  /** A setting of the kernel's, and what it was before boxctl changed it, by the text of its lock. */
  setting(
    path: string,
    lock: string,
  ): { readonly now: string; readonly before: string; readonly isLocked: boolean } | undefined;
  writable(path: string): boolean;
  exists(path: string): boolean;
  /** Owner and permission bits; undefined when there is nothing, null when it is a link or anything else but a folder. */
  folder(path: string): { readonly uid: number; readonly mode: number } | null | undefined;
  /** What is at a path itself, with links not followed; undefined when there is nothing. */
  entry(path: string): Entry | undefined;
  /** The number of this process's network namespace. */
  networkNamespace(): string | undefined;
  /** The magic number (statfs(2)) of the file system that a path is on, or would be when it is made. */
  fileSystem(path: string): number | undefined;
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

export const realHost: HostReader = {
  text: (path, lines) => attempt(() => readText(path, lines)),
  mounts: (type, pointsOf) => attempt(() => readMounts(type, pointsOf)),
  table: readTable,
  setting: readSetting,
  writable: (path) => attempt(() => accessSync(path, constants.W_OK) ?? true) ?? false,
  exists: (path) => attempt(() => accessSync(path, constants.F_OK) ?? true) ?? false,
  folder: (path) => {
    const status = lstatSync(path, { throwIfNoEntry: false });
    if (status === undefined) return undefined;
    return status.isDirectory() ? { uid: status.uid, mode: status.mode & 0o7777 } : null;
  },
  entry: (path) => {
    const status = attempt(() => lstatSync(path, { throwIfNoEntry: false }));
    if (status === undefined) return undefined;
    const { uid, gid } = status;
    const mode = status.mode & 0o7777;
    if (!status.isSymbolicLink()) return { kind: status.isDirectory() ? 'folder' : 'other', uid, gid, mode };
    return { kind: 'link', uid, gid, mode, target: attempt(() => readlinkSync(path)) ?? '' };
  },
  networkNamespace: () => /\d+/u.exec(attempt(() => namespace('net')) ?? '')?.[0],
  fileSystem: (path) => {
    for (let at = path; ; at = dirname(at)) {
      const found = attempt(() => fileSystemOf(at));
      if (found !== undefined || at === dirname(at)) return found;
    }
  },
};
