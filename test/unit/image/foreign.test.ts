/** Files that are no archive of a root file system are named for what they are. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { unpackInto } from './worker.ts';

let target = '';
beforeAll(() => {
  target = mkdtempSync(join(tmpdir(), 'boxctl-foreign-'));
  // Compiles what the tests run.
  unpackInto(target, Buffer.alloc(0));
}, 180_000);
afterAll(() => rmSync(target, { recursive: true }));

const at = (offset: number, mark: string): Buffer => {
  const file = Buffer.alloc(offset + mark.length + 100);
  file.write(mark, offset, 'latin1');
  return file;
};
const lzma = Buffer.from('5d00008000ffffffffffffffff003a', 'hex');

test.each<readonly [string, Buffer, string]>([
  ['compress', at(0, '\x1f\x9d\x90'), 'this is compressed by compress (.Z), which is not supported'],
  ['lzip', at(0, 'LZIP\x01'), 'this is compressed by lzip (.lz), which is not supported'],
  ['lzma', lzma, 'this is compressed by lzma (.lzma), which is not supported'],
  ['lz4', at(0, '\x04\x22\x4d\x18'), 'this is compressed by lz4, which is not supported'],
  ['zip', at(0, 'PK\x03\x04'), 'this is a zip archive, which is not supported'],
  ['7z', at(0, '7z\xbc\xaf\x27\x1c'), 'this is a 7z archive, which is not supported'],
  ['rar', at(0, 'Rar!\x1a\x07\x01\0'), 'this is a rar archive, which is not supported'],
  ['cpio', at(0, '070701'), 'this is a cpio archive, which is not supported'],
  ['Debian’s packages', at(0, '!<arch>\ndebian-binary'), 'this is a Debian package, which is not supported'],
  ['RPM', at(0, '\xed\xab\xee\xdb'), 'this is an RPM package, which is not supported'],
  ['squashfs', at(0, 'hsqs'), 'this is a squashfs image, which is not supported'],
  ['qcow2', at(0, 'QFI\xfb'), 'this is the image of a disk (qcow2), which is not supported'],
  ['ISO images, which begin with zeroes', at(0x8001, 'CD001'), 'this is an ISO 9660 image, which is not supported'],
  ['ext4', at(0x438, '\x53\xef'), 'this is the image of an ext4 file system, which is not supported'],
  ['a gzip file in a compressed one', at(0, '\x1f\x8b\x08'), 'this is compressed twice'],
  ['text', Buffer.from('<!DOCTYPE html>\n'), 'this is a text file, and no archive'],
  [
    'Git LFS',
    Buffer.from('version https://git-lfs.github.com/spec/v1\n'),
    'this is what Git LFS has in place of a file',
  ],
  ['what nobody knows', Buffer.alloc(600, 0x81), 'this is not a tar archive'],
])('a file of %s is named', (_what, file, error) => {
  expect(unpackInto(target, file)).toMatchObject({ ok: false, error });
});
