/** The little that packing needs to know of an ELF file: which loader it asks for (elf(5), PT_INTERP). */
import { readSync } from 'node:fs';

const PT_INTERP = 3;
const MAX_HEADERS = 1024;
const MAX_PATH = 4096;

export type ElfFile = { readonly kind: 'static' } | { readonly kind: 'dynamic'; readonly loader: string };

/** Undefined for a file that is not a well-formed ELF file of the host's byte order (little). */
export function readElf(fd: number): ElfFile | undefined {
  const header = read(fd, 0, 64);
  if (header.length < 52 || header.readUInt32BE(0) !== 0x7f454c46 || header[5] !== 1) return undefined;
  const wide = header[4] === 2;
  if (!wide && header[4] !== 1) return undefined;
  if (wide && header.length < 64) return undefined;
  const offset = wide ? Number(header.readBigUInt64LE(32)) : header.readUInt32LE(28);
  const size = header.readUInt16LE(wide ? 54 : 42);
  const count = header.readUInt16LE(wide ? 56 : 44);
  if (count > MAX_HEADERS || size < (wide ? 56 : 32) || !Number.isSafeInteger(offset)) {
    return count === 0 ? { kind: 'static' } : undefined;
  }
  const table = read(fd, offset, size * count);
  for (let at = 0; at + size <= table.length; at += size) {
    if (table.readUInt32LE(at) !== PT_INTERP) continue;
    const start = wide ? Number(table.readBigUInt64LE(at + 8)) : table.readUInt32LE(at + 4);
    const length = wide ? Number(table.readBigUInt64LE(at + 32)) : table.readUInt32LE(at + 16);
    if (!Number.isSafeInteger(start) || length < 2 || length > MAX_PATH) return undefined;
    const loader = read(fd, start, length).toString('utf8').replace(/\0.*$/s, '');
    return loader.startsWith('/') ? { kind: 'dynamic', loader } : undefined;
  }
  return { kind: 'static' };
}

function read(fd: number, position: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  return buffer.subarray(0, readSync(fd, buffer, 0, length, position));
}
