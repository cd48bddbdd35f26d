/** What a tree takes of the disk. Nothing in it is followed: each folder is opened through the one above it. */
import { closeSync, constants, lstatSync, openSync, readdirSync, type Stats } from 'node:fs';
import { behind } from '../files/read.ts';

export interface DiskUsage {
  readonly bytes: number;
  /** Whether all of it could be looked at: ids of a container's may have folders that the caller cannot read. */
  readonly complete: boolean;
}

const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** As many folders are open at a time, one in the other. */
const MAX_DEPTH = 200;
/** st_blocks counts in these, whatever the file system's own blocks are (inode(7)). */
const BLOCK = 512;

export function diskUsage(path: string): DiskUsage {
  const seen = new Set<string>();
  let bytes = 0;
  let complete = true;
  const add = (status: Stats): void => {
    const { nlink, dev, ino, blocks } = status;
    const name = `${dev}:${ino}`;
    if (nlink > 1 && !status.isDirectory()) {
      if (seen.has(name)) return;
      seen.add(name);
    }
    bytes += blocks * BLOCK;
  };
  const open = (at: string | Buffer): number | undefined => {
    try {
      return openSync(at, FOLDER);
    } catch {
      complete = false;
      return undefined;
    }
  };
  const walk = (fd: number, depth: number): void => {
    for (const name of readdirSync(Buffer.from(behind(fd)), { encoding: 'buffer' })) {
      const at = Buffer.concat([Buffer.from(`${behind(fd)}/`), name]);
      // It was removed since the folder was read.
      const status = lstatSync(at, { throwIfNoEntry: false });
      if (status === undefined) continue;
      add(status);
      if (!status.isDirectory()) continue;
      if (depth === MAX_DEPTH) complete = false;
      else enter(open(at), depth + 1);
    }
  };
  const enter = (fd: number | undefined, depth: number): void => {
    if (fd === undefined) return;
    try {
      walk(fd, depth);
    } catch {
      complete = false;
    } finally {
      closeSync(fd);
    }
  };
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status !== undefined) {
    add(status);
    enter(open(path), 0);
  }
  return { bytes, complete };
}
