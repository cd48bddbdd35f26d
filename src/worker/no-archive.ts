/** Recognises files that people name as an image by mistake. Used only after reading the file as an archive has failed. */
import { readSync } from 'node:fs';
import type { Part } from '../plan/image-work.ts';

export interface NoArchive {
  readonly what: string;
  readonly hint: string;
}

const START = 512;
const ARCHIVE = 'an image is an archive of a root file system, or what `docker save` writes';

const KINDS: readonly (readonly [start: RegExp, found: NoArchive])[] = [
  [
    /^version https:\/\/git-lfs\./u,
    { what: 'it is a pointer of Git LFS to the file', hint: 'fetch the file itself: git lfs pull' },
  ],
  [
    /^\s*<(?:!doctype|html|head|\?xml)/iu,
    {
      what: 'it is a page in HTML or XML, as servers send with an error',
      hint: 'look at it, and fetch the file again',
    },
  ],
  [/^\s*[{[]/u, { what: 'it is JSON', hint: 'name the archive or the folder that it belongs to' }],
  [/^#!/u, { what: 'it is a script', hint: `run it if it makes the archive; ${ARCHIVE}` }],
];

/** Undefined where the file is no text, or cannot be read from a place, as a pipe. */
export function noArchive(fd: number, { offset }: Part): NoArchive | undefined {
  const bytes = Buffer.alloc(START);
  let length: number;
  try {
    length = readSync(fd, bytes, 0, START, offset);
  } catch {
    return undefined;
  }
  if (length === 0) return { what: 'it is empty', hint: 'was it written to the end?' };
  const text = textOf(bytes.subarray(0, length));
  if (text === undefined) return undefined;
  const found = KINDS.find(([start]) => start.test(text))?.[1];
  return found ?? { what: 'it is a text file', hint: ARCHIVE };
}

/** A tar, plain or compressed, has bytes in its first block that no text has. */
function textOf(bytes: Buffer): string | undefined {
  // Characters of several bytes may be cut at the end.
  const text = new TextDecoder('utf-8').decode(bytes, { stream: true });
  // eslint-disable-next-line no-control-regex -- those that text has are tab, line feed, form feed, carriage return, escape
  return /[\u0000-\u0008\u000b\u000e-\u001a\u001c-\u001f\u007f\ufffd]/u.test(text) ? undefined : text;
}
