/** What the indexer refuses, and what it hands on to the unpacker. No index is mounted here. */
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { erofsMain, makeIndex } from '../../support/erofs.ts';
import type { IndexOptions, IndexReport } from '../../support/erofs.ts';
import { tempFolder } from '../../support/temp.ts';
import { archive } from './archive-fixture.ts';
import type { Fixture } from './archive-fixture.ts';

// Compiled here and not in the first test, whose time limit is that of a test: on a loaded machine this takes minutes.
beforeAll(() => void erofsMain(), 300_000);

function index(fixtures: readonly Fixture[], options: IndexOptions = {}): IndexReport {
  const folder = tempFolder();
  writeFileSync(join(folder, 'a.tar'), archive(...fixtures));
  const report = makeIndex(join(folder, 'a.tar'), join(folder, 'index'), options);
  // What is refused leaves nothing behind that could be mounted.
  if (!report.ok) expect(statSync(join(folder, 'index')).size).toBe(0);
  return report;
}

const marks = { whiteouts: 'marks' } as const;

test('the limits of entries, of bytes and of the index hold', () => {
  const three = ['a', 'b', 'c'].map((name) => ({ name, data: 'xx' }));
  expect(index(three, { limits: [3, 6, 4096] })).toMatchObject({ ok: true, entries: 3, bytes: 6 });
  expect(index(three, { limits: [2, 6, 4096] })).toMatchObject({
    ok: false,
    unsuitable: false,
    error: 'the archive has more entries than an image may have',
    entry: 'c',
  });
  expect(index(three, { limits: [3, 5, 4096] })).toMatchObject({
    ok: false,
    unsuitable: false,
    error: 'the archive has more data than an image may have',
    entry: 'c',
  });
  expect(index(three, { limits: [3, 6, 200] })).toMatchObject({
    ok: false,
    unsuitable: true,
    error: 'the index of the archive would be too large',
  });
});

test('a file that says it is 2^63-1 bytes long is refused', () => {
  const size = { 124: Buffer.from('800000007fffffffffffffff', 'hex') };
  expect(index([{ name: 'evil', patch: size }])).toMatchObject({ ok: false, unsuitable: false, entry: 'evil' });
});

test('a sparse file of 2^50 bytes needs little; one of 2^63-1 needs 64 MiB of marks of holes', () => {
  const sparse = (size: string, map: string, data: string): Fixture => ({
    name: 'x',
    data,
    pax: { 'GNU.sparse.size': size, 'GNU.sparse.map': map },
  });
  const large = 2n ** 63n - 1n;
  expect(index([sparse(String(large), '', '')], { limits: [9, 9, 64 << 20] })).toMatchObject({ unsuitable: true });
  expect(index([sparse(String(2n ** 50n), '0,1', 'x')])).toMatchObject({ ok: true, bytes: 1 });
});

test('paths inside of implied folders cannot make the index grow beyond its limit', () => {
  const deep = Array.from({ length: 50 }, (_, at) => ({ name: 'x', pax: { path: `${at}/${'d/'.repeat(2000)}f` } }));
  expect(index(deep, { limits: [100, 100, 1 << 20] })).toMatchObject({ ok: false, unsuitable: true });
});

test.each(['.wh.', '.wh..', '.wh...', 'd/.wh.'])('a whiteout of nothing is refused: %s', (name) => {
  expect(index([{ name }], marks)).toMatchObject({
    ok: false,
    unsuitable: false,
    error: 'a whiteout names nothing that could be deleted',
    entry: name,
  });
  expect(index([{ name }])).toMatchObject({ ok: true, entries: 1 });
});

test('an entry below a whiteout is refused', () => {
  expect(index([{ name: '.wh.d/file' }], marks)).toMatchObject({ error: 'the path leads through a whiteout' });
  expect(index([{ name: 'a/.wh..wh..opq/file' }], marks)).toMatchObject({ error: 'the path leads through a whiteout' });
  expect(index([{ name: '.wh..wh.plnk/file' }, { name: 'a' }], marks)).toMatchObject({ ok: true, skipped: 1 });
});

test('where hard links of a layer lead that have no target in it is told; elsewhere they are refused', () => {
  const link = { name: 'link', type: '1', link: 'below' };
  const error = 'a hard link leads to nothing that came before it in the archive';
  expect(index([link, { name: 'd/link', type: '1', link: './d//e' }], marks)).toMatchObject({
    ok: true,
    entries: 2,
    wanted: ['below', 'd/e'],
  });
  expect(index([link])).toMatchObject({ ok: false, unsuitable: false, error, entry: 'link' });
  expect(index([link], { whiteouts: 'dropped' })).toMatchObject({ ok: false, unsuitable: false, error });
});

test('more attributes than EROFS can keep with a file are refused', () => {
  const pax = Object.fromEntries(
    Array.from({ length: 15 }, (_, at) => [`SCHILY.xattr.user.n${at}`, 'v'.repeat(at < 4 ? 60_000 : 2000)]),
  );
  expect(index([{ name: 'a', pax }])).toMatchObject({
    ok: false,
    errno: 28,
    error: 'an extended attribute cannot be set',
  });
  expect(index([{ name: 'a', pax: { 'SCHILY.xattr.user.a': 'v'.repeat(65_536) } }])).toMatchObject({ skipped: 1 });
});
