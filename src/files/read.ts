/** Reads files that a person names: at most MAX_FILE_SIZE bytes of UTF-8, and neither folders nor endless devices. */
import { isUtf8 } from 'node:buffer';
import { closeSync, constants, fstatSync, readSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { openSync, readlinkSync, realpathSync, statSync } from '../inputs/outside.ts';
import { noteGap } from '../inputs/record.ts';
import { reasonOf } from '../kernel/errno.ts';

/** A container file is a page; a mebibyte of YAML is a mistake or an attack. */
export const MAX_FILE_SIZE = 1024 * 1024;

export type ReadResult =
  /** `hasMark`: a byte order mark was before the text. */
  | { readonly text: string; readonly hasMark?: true }
  | {
      readonly text: undefined;
      readonly missing: boolean;
      readonly kind: 'io' | 'size' | 'encoding';
      readonly problem: string;
      /** Of `encoding`: the text with U+FFFD for what is not UTF-8, and the index of the first. */
      readonly broken?: { readonly text: string; readonly at: number };
    };

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'a part of its path is not a folder',
  EACCES: 'permission denied',
  ELOOP: 'too many symbolic links, or one that was put there just now',
  ENAMETOOLONG: 'the path is too long',
};

/** Why a file could not be used, in words, and whether it is not there at all. */
export const whyNot = (error: unknown): { readonly missing: boolean; readonly problem: string } => {
  const code =
    typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : '';
  return { missing: code === 'ENOENT' || code === 'ENOTDIR', problem: REASONS[code] ?? reasonOf(error) };
};

/** Where a path leads with every link followed; what is not there keeps its name. */
export const realPath = (path: string): string => {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realPath(parent), basename(path));
  }
};

/** Whether a path without links is a folder or lies in it. */
export const isWithin = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`);

/** openat(2); Node has no name for it. The same number on x86-64 and arm64. */
const O_PATH = 0o10_000_000;

/**
 * What lies at a path that `realPath` gave, and nothing else: a link that was put there since it was judged, by a container
 * that shares the folder, say, is not followed. The descriptor only stands for it (O_PATH), so that even what such a link
 * leads to does not notice; `behind` is what it is used by.
 *
 * @throws Error as of open(2), with the code ELOOP for such a link
 */
export const openUnlinked = (path: string): number => {
  const fd = openSync(path, O_PATH);
  let leads: string;
  try {
    leads = readlinkSync(behind(fd));
  } catch {
    closeSync(fd);
    throw new Error('there is no /proc here, through which it would be opened: mount -t proc proc /proc');
  }
  if (leads === path) return fd;
  closeSync(fd);
  throw Object.assign(new Error(`a part of ${path} became a symbolic link: it is not followed`), { code: 'ELOOP' });
};

/** The path by which the kernel gives what a descriptor stands for, wherever its name leads by now. */
export const behind = (fd: number): string => `/proc/self/fd/${fd}`;

/** The same, opened for reading. A fifo does not make us wait. */
export const openUnlinkedFile = (path: string): number => {
  const place = openUnlinked(path);
  try {
    return openSync(behind(place), constants.O_RDONLY | constants.O_NONBLOCK);
  } finally {
    closeSync(place);
  }
};

/**
 * Whether every user of this host may read a file, by the permission bits of it and of the folders on the way. Of a folder
 * nobody can say so: what lies in it has bits of its own.
 */
export const readableByEveryone = (path: string): boolean => {
  const allows = (at: string, bit: number): boolean => (statSync(at).mode & bit) !== 0;
  try {
    for (let folder = dirname(path); ; folder = dirname(folder)) {
      if (!allows(folder, 0o001)) return false;
      if (folder === dirname(folder)) return statSync(path).isFile() && allows(path, 0o004);
    }
  } catch {
    return false;
  }
};

export interface ReadOptions {
  /** The specification and not the caller has chosen the path, which was resolved to be judged: it has to be what was judged then. */
  readonly judged?: boolean;
  /** It must be a file, and nothing that waits for a writer or never ends. */
  readonly regular?: boolean;
  /** The last part of the path must not be a link. */
  readonly noLink?: boolean;
}

type Failure = Extract<ReadResult, { readonly text: undefined }>;

/** Reads a whole file of at most MAX_FILE_SIZE bytes of UTF-8. */
export const readBounded = (path: string, options: ReadOptions = {}): ReadResult => {
  const read = readBoundedBytes(path, options);
  return 'bytes' in read ? decode(read.bytes) : read;
};

/** The same for a file that may hold anything. */
export const readBoundedBytes = (
  path: string,
  { judged = false, regular = judged, noLink = false }: ReadOptions = {},
): { readonly bytes: Buffer } | Failure => {
  let fd: number;
  try {
    const flags = (regular ? constants.O_NONBLOCK : 0) | (noLink ? constants.O_NOFOLLOW : 0);
    fd = judged ? openUnlinkedFile(path) : openSync(path, constants.O_RDONLY | flags);
  } catch (error) {
    return { text: undefined, kind: 'io', ...whyNot(error) };
  }
  try {
    const status = fstatSync(fd);
    const problem = status.isDirectory() ? 'it is a folder' : regular && !status.isFile() ? 'it is no file' : undefined;
    if (problem !== undefined) return { text: undefined, missing: false, kind: 'io', problem };
    // What a pipe or a device has given cannot be read a second time.
    if (!status.isFile()) noteGap(`${path} is not a file`);
    const buffer = Buffer.alloc(MAX_FILE_SIZE + 1);
    let length = 0;
    for (let got = -1; got !== 0 && length <= MAX_FILE_SIZE; length += got) {
      got = readSync(fd, buffer, length, buffer.length - length, null);
    }
    if (length > MAX_FILE_SIZE) {
      return { text: undefined, missing: false, kind: 'size', problem: `it is larger than ${MAX_FILE_SIZE} bytes` };
    }
    return { bytes: buffer.subarray(0, length) };
  } catch (error) {
    return { text: undefined, kind: 'io', ...whyNot(error) };
  } finally {
    closeSync(fd);
  }
};

const decode = (bytes: Buffer): ReadResult => {
  if (!isUtf8(bytes)) return notUtf8(bytes);
  // A byte order mark is no part of the text.
  const text = bytes.toString('utf8');
  return text.startsWith('\ufeff') ? { text: text.slice(1), hasMark: true } : { text };
};

const notUtf8 = (bytes: Buffer): Failure => {
  const failure = { text: undefined, missing: false, kind: 'encoding' } as const;
  const mark = bytes.subarray(0, 2).toString('latin1');
  if (mark === '\xff\xfe' || mark === '\xfe\xff') return { ...failure, problem: 'it is UTF-16 text, and not UTF-8' };
  const text = bytes.toString('utf8');
  // Written anew, the text differs from the bytes within the first U+FFFD that stands for others.
  const anew = Buffer.from(text);
  let differs = 0;
  while (anew[differs] === bytes[differs]) differs += 1;
  while (((anew[differs] ?? 0) & 0xc0) === 0x80) differs -= 1;
  const at = anew.subarray(0, differs).toString('utf8').length;
  const line = text.slice(0, at).split('\n').length;
  return { ...failure, problem: `line ${line} is not UTF-8 text`, broken: { text, at } };
};
