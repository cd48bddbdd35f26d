/** Packs programs of this host into a root file system's archive: the same programs give the same bytes. */
import { createReadStream, createWriteStream, renameSync, rmSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { unfinishedName } from '../files/atomic-write.ts';
import { BoxctlError } from '../errors.ts';
import { reasonOf } from '../kernel/errno.ts';
import { stream, zlib } from './lazy-modules.ts';
import { collectTools } from './collect.ts';
import type { FileList, Item } from './filelist.ts';
import { endOfArchive, header, padding } from './tarwriter.ts';

export interface PackOptions {
  /** A value of PATH to look the names up in. Default: this process's own. */
  readonly path?: string;
  /** Default: when the name of the output ends in `gz`. */
  readonly gzip?: boolean;
}

export interface PackReport {
  /** Entries of the archive. */
  readonly entries: number;
  /** Of all files, uncompressed. */
  readonly bytes: number;
}

/**
 * Writes an archive with the programs `tools` (names, or absolute paths) and all that they need to the file `output`,
 * which takes its place when it is complete. Throws `E_TOOL_NOT_FOUND`, `E_TOOL_UNREADABLE`, `E_IMAGE_UNWRITABLE`.
 */
export async function packHostTools(
  tools: readonly string[],
  output: string,
  options: PackOptions = {},
): Promise<PackReport> {
  const list = collectTools(tools, options.path ?? process.env['PATH'] ?? '');
  const gzip = options.gzip ?? output.endsWith('gz');
  const unfinished = unfinishedName(output);
  try {
    const report = await packCollection(list, createWriteStream(unfinished, { flags: 'wx' }), gzip);
    renameSync(unfinished, output);
    return report;
  } catch (cause) {
    rmSync(unfinished, { force: true });
    if (cause instanceof BoxctlError) throw cause;
    const why = reasonOf(cause);
    throw new BoxctlError('E_IMAGE_UNWRITABLE', `The image ${output} cannot be written: ${why}`, { cause });
  }
}

export async function packCollection(list: FileList, output: Writable, gzip = false): Promise<PackReport> {
  // An empty chunk would stall a byte stream.
  const { Readable, promises } = stream();
  const chunks = Readable.from(filled(archiveOf(list)), { objectMode: false });
  await (gzip ? promises.pipeline(chunks, zlib().createGzip({ level: 6 }), output) : promises.pipeline(chunks, output));
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
