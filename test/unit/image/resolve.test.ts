/** The store: what is imported, when, how often, and what is left when it goes wrong. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { HostFacts } from '../../../src/host/facts.ts';
import { ensureImage, findImage, previewImage } from '../../../src/image/resolve.ts';
import type { ImageSource } from '../../../src/spec/spec.ts';
import { archive } from './archive-fixture.ts';
import { plainHooks } from './hooks.ts';
import type { CountingHooks } from './hooks.ts';
import { hostWithStore } from './host.ts';

const PASSWD = 'root:x:0:0::/root:/bin/sh\nme:x:7:8::/home/me:/bin/sh\n';
const image = (text = 'hello'): Buffer =>
  archive(
    { name: './', type: '5', mode: 0o755 },
    { name: './etc/passwd', data: PASSWD },
    { name: './etc/group', type: '2', link: 'groups' },
    { name: './etc/groups', data: 'me:x:8:\n' },
    { name: './hello', data: text },
  );
const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

let base = '';
let path = '';
let host: HostFacts;
let hooks: CountingHooks;
let source: ImageSource;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'boxctl-store-'));
  path = join(base, 'image.tar');
  host = hostWithStore(base);
  hooks = plainHooks();
  source = { kind: 'tar', path };
});
afterEach(() => {
  // Whatever a test does, nothing may stay in the workspace.
  const temporary = join(base, 'store/tmp');
  if (existsSync(temporary)) expect(readdirSync(temporary)).toEqual([]);
  rmSync(base, { recursive: true });
});

const ensure = (from = source) => ensureImage(from, undefined, host, hooks);
const trees = (): string[] => (existsSync(join(base, 'store/trees')) ? readdirSync(join(base, 'store/trees')) : []);

describe('importing', () => {
  test.each([
    ['tar', (data: Buffer) => data],
    ['tar.gz', (data: Buffer) => gzipSync(data)],
    [
      'two gzip members',
      (data: Buffer) => Buffer.concat([gzipSync(data.subarray(0, 700)), gzipSync(data.subarray(700))]),
    ],
  ])('a %s becomes a tree under its digest, and is found afterwards', async (_kind, pack) => {
    const data = pack(image());
    writeFileSync(path, data);
    expect(findImage(source, undefined, host)).toBeUndefined();
    const facts = await ensure();
    expect(facts).toMatchObject({ digest: sha256(data), passwd: PASSWD, group: 'me:x:8:\n', ownership: undefined });
    expect(readFileSync(join(facts.rootfs, 'hello'), 'utf8')).toBe('hello');
    expect(findImage(source, undefined, host)).toEqual(facts);
    expect(await ensure()).toEqual(facts);
    expect(hooks.unpacks()).toBe(1);
  });

  test('the store is closed to others, and mnt is there and empty', async () => {
    writeFileSync(path, image());
    const { rootfs } = await ensure();
    expect(lstatSync(host.dirs.store).mode & 0o777).toBe(0o700);
    expect(lstatSync(rootfs).mode & 0o777).toBe(0o755);
    expect(readdirSync(join(host.dirs.store, 'mnt'))).toEqual([]);
  });

  test('the store may be a link to a folder elsewhere', async () => {
    writeFileSync(path, image());
    mkdirSync(join(base, 'elsewhere'), { mode: 0o755 });
    symlinkSync(join(base, 'elsewhere'), host.dirs.store);
    await ensure();
    expect(lstatSync(join(base, 'elsewhere')).mode & 0o777).toBe(0o700);
  });

  test('many callers at once import once', async () => {
    writeFileSync(path, image());
    const all = await Promise.all(Array.from({ length: 12 }, () => ensure()));
    expect(new Set(all.map((facts) => facts.rootfs)).size).toBe(1);
    expect(hooks.unpacks()).toBe(1);
  });

  test('the same content under another name shares the tree', async () => {
    writeFileSync(path, image());
    const first = await ensure();
    const copy = join(base, 'copy.tar');
    copyFileSync(path, copy);
    expect(await ensure({ kind: 'tar', path: copy })).toEqual(first);
    expect(trees()).toEqual([first.digest]);
  });

  test('trees are kept apart by the maps that they were unpacked under', async () => {
    writeFileSync(path, image());
    const maps = [{ container: 0, host: process.geteuid?.() ?? 0, size: 1 }];
    const plain = await ensure();
    const mapped = await ensureImage(source, { uidMap: maps, gidMap: maps }, host, hooks);
    expect(mapped.rootfs).not.toBe(plain.rootfs);
    expect(findImage(source, { uidMap: maps, gidMap: maps }, host)).toEqual(mapped);
    expect(findImage(source, { uidMap: maps, gidMap: [] }, host)).toBeUndefined();
  });
});

describe('a changed archive', () => {
  test('is noticed, whatever was changed of it', async () => {
    writeFileSync(path, image('one'));
    const one = await ensure();
    const before = join(base, 'times');
    execFileSync('touch', ['-r', path, before]);
    // Same size, same inode, and the times put back to the nanosecond: ctime tells.
    writeFileSync(path, image('two'));
    execFileSync('touch', ['-r', before, path]);
    expect(findImage(source, undefined, host)).toBeUndefined();
    const two = await ensure();
    expect(readFileSync(join(two.rootfs, 'hello'), 'utf8')).toBe('two');
    expect(readFileSync(join(one.rootfs, 'hello'), 'utf8')).toBe('one');
  });

  test('is noticed when another file takes its name', async () => {
    writeFileSync(path, image('one'));
    writeFileSync(`${path}.new`, image('two'));
    await ensure();
    renameSync(`${path}.new`, path);
    expect(readFileSync(join((await ensure()).rootfs, 'hello'), 'utf8')).toBe('two');
  });

  test('that was only touched is read, and not unpacked again', async () => {
    writeFileSync(path, image());
    const facts = await ensure();
    utimesSync(path, 1, 1);
    expect(findImage(source, undefined, host)).toBeUndefined();
    expect(await ensure()).toEqual(facts);
    expect(hooks.unpacks()).toBe(1);
  });

  test('that grows while it is read is refused', async () => {
    writeFileSync(path, image());
    const growing: CountingHooks = {
      ...hooks,
      unpack(target, ownership) {
        appendFileSync(path, 'more');
        return hooks.unpack(target, ownership);
      },
    };
    await expect(ensureImage(source, undefined, host, growing)).rejects.toMatchObject({ code: 'E_IMAGE_CHANGED' });
    expect(trees()).toEqual([]);
  });
});

describe('a pinned archive', () => {
  test('is imported when the digest matches, and found by it', async () => {
    writeFileSync(path, image());
    const pinned: ImageSource = { kind: 'tar', path, sha256: sha256(image()) };
    const facts = await ensure(pinned);
    expect(findImage(pinned, undefined, host)).toEqual(facts);
  });

  test('is refused before anything is unpacked, also when it is in the store', async () => {
    writeFileSync(path, image());
    const pinned: ImageSource = { kind: 'tar', path, sha256: sha256(image('other')) };
    await expect(ensure(pinned)).rejects.toMatchObject({ code: 'E_IMAGE_DIGEST' });
    expect(hooks.unpacks()).toBe(0);
    await ensure();
    expect(findImage(pinned, undefined, host)).toBeUndefined();
    await expect(ensure(pinned)).rejects.toMatchObject({ code: 'E_IMAGE_DIGEST' });
    expect(() => previewImage(pinned, undefined, host)).toThrow(expect.objectContaining({ code: 'E_IMAGE_DIGEST' }));
  });
});

describe('what cannot be imported', () => {
  const refused = async (code: string, message: RegExp): Promise<void> => {
    await expect(ensure()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(findImage(source, undefined, host)).toBeUndefined();
    expect(trees()).toEqual([]);
  };

  test('a file that is not there, a folder', async () => {
    await refused('E_IMAGE_NOT_FOUND', /does not exist/);
    mkdirSync(path);
    await refused('E_IMAGE_UNREADABLE', /is not a file/);
  });

  test('a fifo, without waiting for a writer', async () => {
    execFileSync('mkfifo', [path]);
    await refused('E_IMAGE_UNREADABLE', /is not a file/);
    expect(() => previewImage(source, undefined, host)).toThrow(
      expect.objectContaining({ code: 'E_IMAGE_UNREADABLE' }),
    );
  });

  test('a store that cannot be one', async () => {
    writeFileSync(path, image());
    writeFileSync(host.dirs.store, '');
    await expect(ensure()).rejects.toMatchObject({ code: 'E_IMAGE_STORE' });
    rmSync(host.dirs.store);
  });

  test('a bad archive names its entry', async () => {
    writeFileSync(path, archive({ name: 'fine' }, { name: '../evil\u001b[2J' }));
    await refused('E_IMAGE_BAD_ARCHIVE', /leads outside of the archive \(entry "\.\.\/evil\\u001b\[2J"\)/);
  });

  test('a large archive whose first entry is bad', async () => {
    writeFileSync(path, archive({ name: '../evil' }, { name: 'big', data: Buffer.alloc(4 << 20) }));
    await refused('E_IMAGE_BAD_ARCHIVE', /leads outside/);
  });

  test('gzip that is cut short or damaged, also behind the end of the tar', async () => {
    const data = gzipSync(image());
    writeFileSync(path, data.subarray(0, data.length - 20));
    await refused('E_IMAGE_BAD_ARCHIVE', /unexpected end of file/);
    const checksum = Buffer.from(data);
    checksum.writeUInt32LE(1, data.length - 8);
    writeFileSync(path, checksum);
    await refused('E_IMAGE_BAD_ARCHIVE', /incorrect data check/);
  });

  test.each([
    ['xz', 'fd377a585a00'],
    ['zstd', '28b52ffd'],
    ['bzip2', '425a68'],
  ])('%s, with what to do', async (name, magic) => {
    writeFileSync(path, Buffer.concat([Buffer.from(magic, 'hex'), Buffer.alloc(100)]));
    await refused('E_IMAGE_COMPRESSION', new RegExp(name));
  });
});

describe('what an interruption leaves', () => {
  test('the cause of a failure is told, also when its leftovers cannot be removed; they go later', async () => {
    writeFileSync(path, archive({ name: '../evil' }));
    const stuck: CountingHooks = { ...hooks, remove: () => Promise.reject(new Error('stuck')) };
    await expect(ensureImage(source, undefined, host, stuck)).rejects.toMatchObject({ code: 'E_IMAGE_BAD_ARCHIVE' });
    expect(readdirSync(join(base, 'store/tmp'))).toHaveLength(1);
    writeFileSync(path, image());
    await ensure();
  });

  test('is swept by the next import, unless its owner lives', async () => {
    writeFileSync(path, image());
    const temporary = join(base, 'store/tmp');
    mkdirSync(join(temporary, 'dead/rootfs/etc'), { recursive: true });
    writeFileSync(join(temporary, 'dead/lock'), '');
    mkdirSync(join(temporary, 'never-locked'));
    await ensure();
  });

  test('facts that a crash has emptied are not believed', async () => {
    writeFileSync(path, image());
    const facts = await ensure();
    writeFileSync(join(facts.rootfs, '../facts.json'), '');
    expect(findImage(source, undefined, host)).toBeUndefined();
    expect(await ensure()).toEqual(facts);
    expect(hooks.unpacks()).toBe(2);
  });
});

describe('previewing', () => {
  test('tells where the tree will be, and changes nothing', async () => {
    writeFileSync(path, image());
    const preview = previewImage(source, undefined, host);
    expect(existsSync(host.dirs.store)).toBe(false);
    const facts = await ensure();
    expect(preview).toEqual({ ...facts, passwd: '', group: '' });
    expect(previewImage(source, undefined, host)).toEqual(facts);
  });

  test('fails for a file that is not there', () => {
    expect(() => previewImage(source, undefined, host)).toThrow(expect.objectContaining({ code: 'E_IMAGE_NOT_FOUND' }));
  });
});
