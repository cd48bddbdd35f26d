/** Archives that attack whoever unpacks them. Each attack is made for real; nothing outside of the target may change. */
import { spawnSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { archive, entry, paxRecords } from './archive-fixture.ts';
import type { Fixture } from './archive-fixture.ts';
import { removeTree, unpackInto, unpackMain } from './worker.ts';

// Compiled here and not in the first test, whose time limit is that of a test: on a loaded machine this takes minutes.
beforeAll(() => void unpackMain(), 300_000);

let base = '';
let target = '';
let canary = '';

/** Everything of a tree that an attack could change. */
function snapshot(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .toSorted()
    .map((name) => {
      const { mode, uid, gid, nlink, mtimeMs, size } = lstatSync(join(folder, name));
      const text = lstatSync(join(folder, name)).isFile() ? readFileSync(join(folder, name), 'utf8') : '';
      return [name, mode, uid, gid, nlink, mtimeMs, size, text].join(' ');
    });
}
let before: string[] = [];

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'boxctl-tar-'));
  target = join(base, 'target');
  canary = join(base, 'canary');
  mkdirSync(target);
  mkdirSync(join(canary, 'folder'), { recursive: true });
  writeFileSync(join(canary, 'file'), 'untouched', { mode: 0o600 });
  before = snapshot(canary);
});
afterEach(() => {
  expect(snapshot(canary)).toEqual(before);
  expect(readdirSync(base).toSorted()).toEqual(['canary', 'target']);
  rmSync(base, { recursive: true });
});

const unpack = (...fixtures: readonly Fixture[]) => unpackInto(target, archive(...fixtures));
const refused = (error: RegExp | string, name = 'evil') =>
  ({ ok: false, error: typeof error === 'string' ? error : expect.stringMatching(error), entry: name }) as const;

describe('paths', () => {
  test.each(['../evil', '../canary/file', 'a/../../canary/file', 'a/..', '..', './..', '/../canary/file'])(
    'a path with ".." is refused: %s',
    (name) => {
      expect(unpack({ name, data: 'x' })).toMatchObject(refused('the path leads outside of the archive', name));
    },
  );

  test('an absolute path stays beneath the target', () => {
    expect(unpack({ name: `${canary}/file`, data: 'inside' })).toMatchObject({ ok: true });
    expect(readFileSync(join(target, canary, 'file'), 'utf8')).toBe('inside');
  });

  test('a pax path overrides an innocent one, and is checked', () => {
    const report = unpack({ name: 'innocent', data: 'x', pax: { path: '../canary/file' } });
    expect(report).toMatchObject(refused('the path leads outside of the archive', '../canary/file'));
  });

  test('a GNU long name is checked', () => {
    const long = { name: '././@LongLink', type: 'L', data: '../canary/file\0' };
    expect(unpack(long, { name: 'innocent', data: 'x' })).toMatchObject(
      refused('the path leads outside of the archive', '../canary/file'),
    );
  });

  test('a ustar prefix is checked', () => {
    const report = unpack({ name: 'canary/file', patch: { 345: Buffer.from('..') }, data: 'x' });
    expect(report).toMatchObject(refused('the path leads outside of the archive', '../canary/file'));
  });

  test('a NUL byte in a name is refused', () => {
    expect(unpack({ name: 'a', pax: { path: 'good\0/../evil' } })).toMatchObject({
      ok: false,
      error: 'a path contains a NUL byte',
    });
    expect(unpack({ name: 'l', type: 'L', data: 'good\0evil' }, { name: 'a' })).toMatchObject({
      ok: false,
      error: 'a path contains a NUL byte',
    });
    expect(unpack({ name: 'a', type: '2', pax: { linkpath: 'good\0evil' } })).toMatchObject({
      ok: false,
      error: 'a path contains a NUL byte',
    });
  });

  test('a path of 4096 bytes is refused, a component of 256 is too', () => {
    expect(unpack({ name: 'a', pax: { path: 'd/'.repeat(2048) } })).toMatchObject({
      error: 'a path is longer than 4095 bytes',
    });
    expect(unpack({ name: 'l', type: 'L', data: 'd/'.repeat(2048) }, { name: 'a' })).toMatchObject({
      error: 'a path is longer than 4095 bytes',
    });
    expect(unpack({ name: 'a', pax: { path: 'c'.repeat(256) } })).toMatchObject({ ok: false, errno: 36 });
  });

  test('an entry without a name is refused', () => {
    expect(unpack({ name: '', data: 'x' })).toMatchObject(refused('the path is empty', ''));
    expect(unpack({ name: '.', data: 'x' })).toMatchObject(refused('the path is empty', '.'));
  });

  test('control characters are kept in the tree and escaped in the report', () => {
    expect(unpack({ name: 'bell\u0007', data: 'x' }, { name: '\u001b[2J/../x' })).toMatchObject({
      entry: '\u001b[2J/../x',
    });
    expect(readdirSync(target)).toEqual(['bell\u0007']);
  });

  test('whiteout names are plain files', () => {
    const names = ['.wh..', '.wh...', '.wh..wh..opq', '.wh.file'];
    expect(unpack({ name: 'file', data: 'stays' }, ...names.map((name) => ({ name })))).toMatchObject({ ok: true });
    expect(readdirSync(target).toSorted()).toEqual([...names, 'file'].toSorted());
  });
});

describe('links', () => {
  const link: Fixture = { name: 'link', type: '2', link: '../canary' };

  test.each(['../canary', '/', 'self/..'])('nothing is written through a symbolic link to %s', (to) => {
    expect(unpack({ name: 'link', type: '2', link: to }, { name: 'link/file', data: 'x' })).toMatchObject(
      refused('the path leads through a symbolic link of the archive', 'link/file'),
    );
  });

  test('nothing is written through a link to a link, or through one that is deep', () => {
    const report = unpack({ name: 'd/deep', type: '2', link: '../../canary' }, { name: 'd/deep/folder/x', data: 'x' });
    expect(report).toMatchObject(refused(/symbolic link/, 'd/deep/folder/x'));
  });

  test('a file of the same name replaces the link and not what it leads to', () => {
    expect(unpack({ ...link, link: '../canary/file' }, { name: 'link', data: 'new' })).toMatchObject({ ok: true });
    expect(readFileSync(join(target, 'link'), 'utf8')).toBe('new');
    expect(lstatSync(join(target, 'link')).isFile()).toBe(true);
  });

  test('a folder of the same name replaces the link; its mode is not set through it', () => {
    const report = unpack(link, { name: 'link', type: '5', mode: 0o777 }, { name: 'link/x', data: 'x' });
    expect(report).toMatchObject({ ok: true });
    expect(lstatSync(join(target, 'link')).mode & 0o7777).toBe(0o777);
  });

  test('a folder that becomes a link does not pass its mode and time on', () => {
    const report = unpack({ name: 'd', type: '5', mode: 0o777, mtime: 1 }, { ...link, name: 'd' });
    expect(report).toMatchObject({ ok: true });
    expect(readlinkSync(join(target, 'd'))).toBe('../canary');
  });

  test('a folder with files that becomes a link goes with its files; the parent that was open is not used again', () => {
    const report = unpack({ name: 'd/x', data: 'x' }, { ...link, name: 'd' }, { name: 'd/y', data: 'y' });
    expect(report).toMatchObject(refused(/symbolic link/, 'd/y'));
    expect(readdirSync(target)).toEqual(['d']);
  });

  test('the target itself cannot become a link', () => {
    expect(unpack({ name: '.', type: '2', link: '../canary' })).toMatchObject(refused('the path is empty', '.'));
  });

  test('a hard link leads to nothing outside', () => {
    expect(unpack({ name: 'evil', type: '1', link: '../canary/file' })).toMatchObject(
      refused('a hard link leads outside of the archive'),
    );
    expect(unpack({ name: 'evil', type: '1', link: `${canary}/file` })).toMatchObject(
      refused('a hard link leads to nothing that came before it in the archive'),
    );
    expect(unpack({ name: 'evil', type: '1', link: 'x', pax: { linkpath: '../canary/file' } })).toMatchObject(
      refused('a hard link leads outside of the archive'),
    );
  });

  test('a hard link does not lead out through a symbolic link', () => {
    expect(unpack(link, { name: 'evil', type: '1', link: 'link/file' })).toMatchObject(
      refused('a hard link leads through a symbolic link'),
    );
  });

  test('a hard link to a symbolic link is the link, and writing to it replaces it', () => {
    const out = { ...link, link: '../canary/file' };
    const report = unpack(out, { name: 'two', type: '1', link: 'link' }, { name: 'two', data: 'x', mode: 0o777 });
    expect(report).toMatchObject({ ok: true });
    expect(readlinkSync(join(target, 'link'))).toBe('../canary/file');
    expect(lstatSync(join(target, 'two')).isFile()).toBe(true);
  });

  test('a hard link to a folder or to the target is refused, one to itself changes nothing', () => {
    expect(unpack({ name: 'd', type: '5' }, { name: 'evil', type: '1', link: 'd' })).toMatchObject(
      refused(/hard link/),
    );
    expect(unpack({ name: 'evil', type: '1', link: '.' })).toMatchObject(refused('a hard link leads to a folder'));
    expect(unpack({ name: 'f', data: 'x' }, { name: 'f', type: '1', link: './f' })).toMatchObject({ ok: true });
    expect(readFileSync(join(target, 'f'), 'utf8')).toBe('x');
  });

  test('a path through a file is refused', () => {
    expect(unpack({ name: 'f', data: 'x' }, { name: 'f/x', data: 'x' })).toMatchObject(
      refused('the path leads through something that is not a folder', 'f/x'),
    );
  });
});

describe('numbers', () => {
  const base256 = (hex: string): Buffer => Buffer.from(hex, 'hex');

  test('a size of 2^63 is refused, as is a negative one and one that is no number', () => {
    const sizes = [
      '800000008000000000000000',
      'ffffffffffffffffffffffff',
      Buffer.from('12x45678901\0').toString('hex'),
    ];
    for (const size of sizes) {
      expect(unpack({ name: 'evil', patch: { 124: base256(size) } })).toMatchObject(
        refused('the size is malformed or 2^63 and more'),
      );
    }
    expect(unpack({ name: 'evil', pax: { size: '9223372036854775808' } })).toMatchObject({
      error: 'a number in an extended header is malformed',
    });
    expect(unpack({ name: 'evil', pax: { size: '-1' } })).toMatchObject({ ok: false });
  });

  test('a size of 2^63-1 is more than an image may have', () => {
    expect(unpack({ name: 'evil', patch: { 124: base256('800000007fffffffffffffff') } })).toMatchObject(
      refused('the archive has more data than an image may have'),
    );
  });

  test('an owner of 2^32-1 and more does not wrap to 0', () => {
    for (const uid of ['4294967295', '4294967296', '18446744073709551616']) {
      expect(unpack({ name: 'evil', pax: { uid } })).toMatchObject({ ok: false });
      expect(unpack({ name: 'evil', pax: { gid: uid } })).toMatchObject({ ok: false });
    }
    expect(unpack({ name: 'evil', patch: { 108: base256('80000000ffffffff') } })).toMatchObject(
      refused("the owner's number is too large"),
    );
    expect(unpack({ name: 'evil', patch: { 108: base256('ffffffffffffffff') } })).toMatchObject(
      refused("the owner's number is malformed"),
    );
  });

  test.each([
    ['bytes after the NUL', '123\0zzzz', 83],
    ['bytes after a blank', '123 zzzz', 83],
    ['a NUL before', '\x000123\0\0\0', 83],
    ['a NUL and a blank before', '\0 0123\0\0', 83],
    ['a tab before', '\t0123\0\0\0', 83],
    ['two NULs before', '\0\x000123\0\0', 0],
    ['nothing but NULs', '\0\0\0\0\0\0\0\0', 0],
  ])('an octal field with %s is read as GNU tar reads it', (_what, field, uid) => {
    const mode = Buffer.from(field, 'latin1');
    // As a mode, which every caller may set.
    expect(unpack({ name: 'a', data: 'x', patch: { 100: mode } }, { name: 'next' })).toMatchObject({ ok: true });
    expect(lstatSync(join(target, 'a')).mode & 0o7777).toBe(uid);
  });

  const SIZED: readonly (readonly [string, Fixture])[] = [
    ['a folder', { name: 'd', type: '5' }],
    ['a folder by its slash', { name: 'd/', type: '0' }],
    ['a folder of Unix V7', { name: 'd/', type: '\0', patch: { 257: Buffer.alloc(8) } }],
    ['a contiguous file with a slash', { name: 'd/', type: '7' }],
    ['a symbolic link', { name: 'd', type: '2', link: 'x' }],
    ['a hard link', { name: 'd', type: '1', link: 'first' }],
    ['a fifo', { name: 'd', type: '6' }],
    ['a character device', { name: 'd', type: '3', major: 1, minor: 3 }],
    ['a block device', { name: 'd', type: '4', major: 1, minor: 3 }],
  ];
  test.each(SIZED)('the size of %s is nobody’s: what follows is the next member', (_what, fixture) => {
    const others = [{ name: 'next', data: 'x' }];
    for (const sized of [
      { ...fixture, size: 1 },
      { ...fixture, size: 5000 },
      { ...fixture, pax: { size: '512' } },
    ]) {
      expect(unpack({ name: 'first' }, sized, ...others)).toMatchObject({ ok: true, entries: 3 });
      expect(readFileSync(join(target, 'next'), 'utf8')).toBe('x');
      rmSync(join(target, 'd'), { recursive: true, force: true });
    }
  });

  test('what a folder of GNU’s incremental archives has as its data is skipped', () => {
    expect(unpack({ name: 'd', type: 'D', data: 'Yname\0' }, { name: 'next' })).toMatchObject({ ok: true, entries: 2 });
  });

  test('times before 1970 are kept', () => {
    expect(
      unpack(
        { name: 'pax', pax: { mtime: '-1.25' } },
        { name: 'binary', patch: { 136: base256('fffffffffffffffffffffff6') } },
      ),
    ).toMatchObject({ ok: true });
    expect(lstatSync(join(target, 'pax'), { bigint: true }).mtimeNs).toBe(-1_250_000_000n);
    expect(lstatSync(join(target, 'binary')).mtimeMs).toBe(-10_000);
  });

  test('absurd times are left out or bounded by the file system, not an overflow', () => {
    expect(unpack({ name: 'a', mtime: 100, pax: { mtime: '99999999999999999999' } })).toMatchObject({ ok: true });
    expect(lstatSync(join(target, 'a')).mtimeMs).toBe(100_000);
    expect(unpack({ name: 'b', pax: { mtime: '1000000000000000000' } })).toMatchObject({ ok: true });
  });
});

describe('headers', () => {
  test('many large headers do not hold up the file before them', () => {
    const comment = 'x'.repeat(2 ** 20 - 100);
    const headers = Array.from({ length: 7 }, () => ({ name: 'pax', type: 'g', data: paxRecords({ comment }) }));
    const found = unpack({ name: 'one', data: '1' }, ...headers, { name: 'two', data: '2' });
    expect(found).toMatchObject({ ok: true, entries: 2 });
  });

  test('a pax header of more than a MiB is refused', () => {
    const report = unpack({ name: 'evil', pax: { comment: 'x'.repeat(1 << 20) } });
    expect(report).toMatchObject({ ok: false, error: 'a header of the archive is too long' });
  });

  test('a pax header of 2^60 bytes is refused without reading it', () => {
    const report = unpack({ name: 'pax', type: 'x', patch: { 124: Buffer.from('800000001000000000000000', 'hex') } });
    expect(report).toMatchObject({ ok: false, error: 'a header of the archive is too long' });
  });

  test.each(['5 a=b\n', '6 a=b', '0 a=b\n', '99 a=b\n', '6 =b\n\n', ' 6 a=b\n', '6 ab_\n', '6xa=b\n', '\0', '6\n'])(
    'a malformed pax record is refused: %j',
    (data) => {
      expect(unpack({ name: 'pax', type: 'x', data }, { name: 'evil' })).toMatchObject({
        ok: false,
        error: 'an extended header of the archive is malformed',
      });
    },
  );

  test('a chain of headers without an entry is refused', () => {
    const headers = Array.from({ length: 200 }, () => ({ name: 'l', type: 'L', data: 'name\0' }));
    expect(unpack(...headers, { name: 'evil' })).toMatchObject({ error: 'too many headers describe one entry' });
  });

  test('a global header cannot rename entries, nor move what follows', () => {
    const names = paxRecords({ path: 'evil', linkpath: 'evil', 'GNU.sparse.name': 'evil', 'SCHILY.xattr.user.a': 'b' });
    expect(unpack({ name: 'g', type: 'g', data: names }, { name: 'a', data: 'x' })).toMatchObject({ ok: true });
    expect(readdirSync(target)).toEqual(['a']);
    expect(unpack({ name: 'g', type: 'g', data: paxRecords({ size: '512' }) }, { name: 'a' })).toMatchObject({
      error: 'a global header of the archive sets the size of all its entries',
    });
  });

  test('headers at the end that describe no entry, and several before one, are as GNU tar takes them', () => {
    const pax = (records: Readonly<Record<string, string>>, type = 'x'): Fixture => ({
      name: 'pax',
      type,
      data: paxRecords(records),
    });
    const long = { name: '././@LongLink', type: 'L', data: 'long\0' };
    expect(unpack({ name: 'a', data: 'x' }, pax({ path: 'gone' }), long)).toMatchObject({ ok: true, entries: 1 });
    expect(unpack(pax({ path: 'b' }), pax({ mtime: '7' }), { name: 'c' })).toMatchObject({ ok: true });
    expect(unpack(pax({ path: 'd' }), pax({ comment: 'x' }, 'g'), { name: 'e' })).toMatchObject({ ok: true });
    expect(unpack(pax({ path: 'f' }), long, { name: 'g' })).toMatchObject({ ok: true });
    expect(unpack(long, pax({ path: 'h' }), pax({ mtime: '7' }), { name: 'i' })).toMatchObject({ ok: true });
    expect(readdirSync(target).toSorted()).toEqual(['a', 'c', 'd', 'f', 'long']);
    expect(lstatSync(join(target, 'c')).mtimeMs).toBe(7000);
  });

  test('the attributes of an entry survive a global header between them and it', () => {
    const own: Fixture = { name: 'p', type: 'x', data: paxRecords({ path: 'own', 'SCHILY.xattr.user.a': 'mine' }) };
    const all: Fixture = { name: 'g', type: 'g', data: paxRecords({ comment: 'y'.repeat(5000) }) };
    expect(unpack(own, all, { name: 'x' })).toMatchObject({ ok: true, skipped: 0 });
    expect(readdirSync(target)).toEqual(['own']);
  });

  test.each([
    ['abc', 100],
    ['', 100],
    [' 12', 100],
    ['-', 100],
    ['.5', 100],
    ['12x', 12],
    ['1e9', 1],
    ['12 ', 12],
    ['1.5.7', 1.5],
    ['12.', 12],
  ])('a malformed time, %j, is read as far as it goes, and else the header has it', (mtime, seconds) => {
    expect(unpack({ name: 'a', mtime: 100, pax: { mtime } })).toMatchObject({ ok: true });
    expect(lstatSync(join(target, 'a')).mtimeMs).toBe(seconds * 1000);
  });

  test('a damaged, a cut and an empty archive are refused', () => {
    const good = archive({ name: 'a', data: 'x' }, { name: 'b', data: 'y'.repeat(2000) });
    const damaged = Buffer.from(good);
    damaged.write('z', 1024);
    expect(unpackInto(target, damaged)).toMatchObject({ ok: false, error: expect.stringMatching(/checksum/) });
    for (const size of [700, 1100, 1536, 2000]) {
      expect(unpackInto(target, good.subarray(0, size))).toMatchObject({ error: 'the archive is cut short' });
    }
    expect(unpackInto(target, Buffer.alloc(0))).toMatchObject({ error: 'the archive has no entries' });
    expect(unpackInto(target, Buffer.alloc(10240))).toMatchObject({ error: 'the archive has no entries' });
    expect(unpackInto(target, Buffer.from('\x01P'.repeat(512)))).toMatchObject({ error: 'this is not a tar archive' });
  });

  test('what comes after the end mark is ignored, and read to its end', () => {
    const both = Buffer.concat([archive({ name: 'a' }), Buffer.alloc(1 << 20), archive({ name: '../evil' })]);
    expect(unpackInto(target, both)).toMatchObject({ ok: true, entries: 1 });
  });

  test('the limits of entries and bytes hold', () => {
    const three = archive({ name: 'a', data: 'xx' }, { name: 'b', data: 'xx' }, { name: 'c', data: 'xx' });
    expect(unpackInto(target, three, '3', '6')).toMatchObject({ ok: true });
    expect(unpackInto(target, three, '2', '6')).toMatchObject({ ok: false, error: expect.stringMatching(/entries/) });
    expect(unpackInto(target, three, '3', '5')).toMatchObject({ ok: false, error: expect.stringMatching(/data/) });
  });

  test.each([
    ['a part beyond the end', '10', '5,10'],
    ['parts that overlap', '100', '0,5,3,5'],
    ['less than is stored', '100', '0,5'],
    ['half a pair', '100', '0'],
    ['no number', '100', 'a,b'],
  ])('a false map of a sparse file is refused: %s', (_what, size, map) => {
    const pax = { 'GNU.sparse.size': size, 'GNU.sparse.map': map, 'GNU.sparse.name': 'evil' };
    expect(unpack({ name: 'x', data: '0123456789', pax })).toMatchObject({
      error: 'the map of a sparse file is malformed',
    });
  });
});

describe('attributes', () => {
  test('set-id bits are kept where the owner is; the tree lies in a folder that is closed to others', () => {
    expect(unpack({ name: 'su', mode: 0o4755, data: 'x' })).toMatchObject({ ok: true, squashed: 0 });
    expect(statSync(join(target, 'su')).mode & 0o7777).toBe(0o4755);
  });

  test("overlay's attributes and security labels are dropped", () => {
    const names = ['trusted.overlay.redirect', 'user.overlay.opaque', 'security.selinux', 'security.ima'];
    const pax = Object.fromEntries(names.map((name) => [`SCHILY.xattr.${name}`, 'y']));
    expect(unpack({ name: 'd', type: '5', pax })).toMatchObject({ ok: true, skipped: names.length });
  });

  test('more attributes than a file can have are refused', () => {
    const pax = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`SCHILY.xattr.user.n${index}`, 'y']));
    expect(unpack({ name: 'evil', pax })).toMatchObject({ error: 'an entry has too many extended attributes' });
  });

  test("overlay's mark of a deleted file is not made", () => {
    expect(unpack({ name: 'etc', type: '3' }, { name: 'pipe', type: '6' })).toMatchObject({ ok: true, skipped: 1 });
    expect(readdirSync(target)).toEqual(['pipe']);
  });
});

describe('removing a tree', () => {
  test('follows no link', () => {
    unpack({ name: 'd/link', type: '2', link: '../../canary' }, { name: 'd/e/file', type: '2', link: '/etc/passwd' });
    expect(removeTree(target, 'd')).toBe(0);
    unpack({ name: 'link', type: '2', link: '../canary' });
    expect(removeTree(target, 'link')).toBe(0);
    expect(readdirSync(target)).toEqual([]);
  });

  test('takes names and no paths', () => {
    for (const name of ['', '.', '..', '../canary', 'a/b']) expect(removeTree(target, name)).toBe(22);
    expect(removeTree(target, 'missing')).toBe(2);
  });

  test.skipIf(process.geteuid?.() !== 0)('never leaves the file system (skipped without root: it mounts one)', () => {
    mkdirSync(join(target, 'd/mount'), { recursive: true });
    mkdirSync(join(target, 'outside'));
    writeFileSync(join(target, 'outside/file'), 'stays');
    const script = `mount --bind ${target}/outside ${target}/d/mount && exec ${unpackMain()} rmtree ${target} d`;
    expect(spawnSync('unshare', ['-m', 'sh', '-c', script]).status).toBe(18);
    expect(readFileSync(join(target, 'outside/file'), 'utf8')).toBe('stays');
  });

  test('goes deeper than a path can be, and through folders that are closed', () => {
    unpack({ name: 'd', type: '5', mode: 0o311 }, { name: 'd/x', type: '5', mode: 0 }, { name: 'd/x/y', data: 'x' });
    unpack({ name: 'p', pax: { path: `d/${'e/'.repeat(2000)}f` } });
    expect(removeTree(target, 'd')).toBe(0);
    expect(readdirSync(target)).toEqual([]);
  });
});

test('every prefix of an archive is refused or unpacked, never a crash', () => {
  const whole = Buffer.concat([
    entry({ name: 'd', type: '5', mode: 0o755 }),
    entry({ name: 'd/f', data: 'x'.repeat(600), pax: { mtime: '1.5', 'SCHILY.xattr.user.a': 'b' } }),
    entry({ name: 'd/l', type: '1', link: 'd/f' }),
  ]);
  for (let size = 0; size <= whole.length; size += 256) {
    const report = unpackInto(target, whole.subarray(0, size));
    expect(report.ok).toBe([512, 3072, 3584].includes(size));
  }
});
