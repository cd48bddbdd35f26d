/**
 * The files of an archive that holds an image in layers, wherever they lie: members of a tar, or files of a folder (an
 * OCI image layout). Names come from the archive and are never followed out of it.
 */
import { closeSync, fstatSync, readSync } from 'node:fs';
import { join, posix } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { openUnlinkedFile } from '../files/read.ts';
import { MAX_DOCUMENT } from './documents.ts';
import type { Archived, Member, Part } from '../worker/work.ts';

/** What messages call an image. */
export interface Named {
  readonly name: string;
}

export interface Members extends Named {
  /** Of a regular file; undefined where there is none. The caller closes it. */
  open(path: string): { readonly fd: number; readonly part: Part; readonly size: number; close(): void } | undefined;
}

const MAX_LINKS = 8;

/** Members of a tar that is open as `fd`, which stays the caller's. */
export function tarMembers(archive: Archived, members: ReadonlyMap<string, Member>): Members {
  const find = (path: string, links = 0): Member | undefined => {
    const member = members.get(path);
    if (member?.target === undefined || links === MAX_LINKS) return member?.target === undefined ? member : undefined;
    // `docker save` of old links a layer that occurs twice: ../<digest>/layer.tar
    return find(posix.normalize(posix.join(posix.dirname(path), member.target)), links + 1);
  };
  return {
    name: archive.name,
    open(path) {
      const member = find(posix.normalize(path));
      if (member === undefined) return undefined;
      const { offset, size } = member;
      return { fd: archive.fd, part: { offset: archive.part.offset + offset, size }, size, close: () => undefined };
    },
  };
}

/** Files of a folder, whose path has no links (`realPath`): an OCI image layout has only `blobs/<algorithm>/<digest>` and two files beside it. */
export function folderMembers(folder: string): Members {
  return {
    name: folder,
    open(path) {
      if (!/^(?:oci-layout|index\.json|blobs\/[a-z0-9+._-]+\/[0-9a-zA-Z=_-]+)$/u.test(path)) return undefined;
      let fd: number;
      try {
        fd = openUnlinkedFile(join(folder, path));
      } catch {
        return undefined;
      }
      const stat = fstatSync(fd);
      if (!stat.isFile()) {
        closeSync(fd);
        return undefined;
      }
      return { fd, part: { offset: 0, size: stat.size }, size: stat.size, close: () => closeSync(fd) };
    },
  };
}

/** The bytes of a small file; undefined where there is none. Throws `E_IMAGE_BAD_ARCHIVE` for one that is not small. */
export function readMember(members: Members, path: string): Buffer | undefined {
  const file = members.open(path);
  if (file === undefined) return undefined;
  try {
    if (file.size > MAX_DOCUMENT) throw badImage(members, `${path} is larger than ${MAX_DOCUMENT} bytes`);
    const bytes = Buffer.alloc(file.size);
    let done = 0;
    while (done < bytes.length) {
      const read = readSync(file.fd, bytes, done, bytes.length - done, file.part.offset + done);
      if (read === 0) throw badImage(members, `${path} is cut short`);
      done += read;
    }
    return bytes;
  } finally {
    file.close();
  }
}

/** The same of a file that need not be what its name says; undefined also for one that is not small. */
export function tryMember(members: Members, path: string): Buffer | undefined {
  const file = members.open(path);
  file?.close();
  return file === undefined || file.size > MAX_DOCUMENT ? undefined : readMember(members, path);
}

export function badImage({ name }: Named, why: string): BoxctlError {
  return new BoxctlError('E_IMAGE_BAD_ARCHIVE', `The image ${name} cannot be read: ${why}`);
}
