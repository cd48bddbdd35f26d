/** Packs programs of this host into a root file system's archive: the same programs give the same bytes. */
import { createReadStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { BoxctlError } from '../errors.ts';
import { collectTools } from './collect.ts';
import type { FileList, Item } from './filelist.ts';
import { endOfArchive, header, padding } from './tarwriter.ts';

export interface PackOptions {
  /** A value of PATH to look the names up in. Default: this process's own. */
  readonly path?: string;
  readonly gzip?: boolean;
}

export interface PackReport {
  /** Entries of the archive. */
  readonly entries: number;
  /** Of all files, uncompressed. */
  readonly bytes: number;
}

/**
 * Writes an archive with the programs `tools` (names, or absolute paths) and all that they need into `output`, and ends
 * it. Throws `E_TOOL_NOT_FOUND` and `E_TOOL_UNREADABLE` before anything is written.
 */
export async function packHostTools(
  tools: readonly string[],
  output: Writable,
  options: PackOptions = {},
): Promise<PackReport> {
  let list: FileList;
  try {
    list = collectTools(tools, options.path ?? process.env['PATH'] ?? '');
  } catch (error) {
    output.destroy();
    throw error;
  }
  return packCollection(list, output, options.gzip);
}

export async function packCollection(list: FileList, output: Writable, gzip = false): Promise<PackReport> {
  // An empty chunk would stall a byte stream.
  const chunks = Readable.from(filled(archiveOf(list)), { objectMode: false });
  await (gzip ? pipeline(chunks, createGzip({ level: 6 }), output) : pipeline(chunks, output));
  const sizes = [...list.items.values()].map((item) => (item.type === 'copy' ? item.size : 0));
  return { entries: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

async function* archiveOf(list: FileList): AsyncGenerator<Buffer> {
  // By code units, not by the caller's language. A folder comes before what is in it.
  const sorted = [...list.items].toSorted(([a], [b]) => (a < b ? -1 : 1));
  for (const [path, item] of sorted) {
    yield header({ path: path.slice(1), ...fields(item) });
    if (item.type === 'text') {
      const data = Buffer.from(item.text);
      yield data;
      yield padding(data.length);
    } else if (item.type === 'copy') {
      yield* contents(path, item.size);
      yield padding(item.size);
    }
  }
  yield endOfArchive();
}

async function* filled(chunks: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) if (chunk.length > 0) yield chunk;
}

function fields(item: Item) {
  switch (item.type) {
    case 'directory':
      return { type: 'directory', mode: item.mode, mtime: 0, size: 0, link: '' } as const;
    case 'symlink':
      return { type: 'symlink', mode: 0o777, mtime: 0, size: 0, link: item.target } as const;
    case 'text':
      return { type: 'file', mode: 0o644, mtime: 0, size: Buffer.byteLength(item.text), link: '' } as const;
    case 'copy':
      return { type: 'file', mode: item.mode, mtime: item.mtime, size: item.size, link: '' } as const;
  }
}

/** Exactly `size` bytes: the header has promised them. */
async function* contents(path: string, size: number): AsyncGenerator<Buffer> {
  if (size === 0) return;
  let left = size;
  for await (const chunk of createReadStream(path, { end: size - 1, highWaterMark: 1 << 20 })) {
    if (!Buffer.isBuffer(chunk)) continue;
    left -= chunk.length;
    yield chunk;
  }
  if (left > 0) throw new BoxctlError('E_TOOL_UNREADABLE', `${path} was changed while it was packed`);
}
