/** The store: what is imported, when, how often, and what is left when it goes wrong. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { listImages, pruneImages, removeStored } from '../../src/image/maintain.ts';
import { isUnread } from '../../src/image/identity.ts';
import { findDigest, writeName } from '../../src/image/names.ts';
import { ensureImage, findImage, previewImage, type ResolveOptions } from '../../src/image/resolve.ts';
import { removeProvisionalName, computeDigest } from '../../src/image/background-digest.ts';
import type { ImageSource } from '../../src/spec/spec.ts';
import { imageHost, roads, type ImageHost } from '../support/image-host.ts';
import { isRoot } from '../support/user.ts';
import { archive } from '../unit/image/archive-fixture.ts';

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

describe.each(roads)('archives are %s', (road) => {
  let at: ImageHost;
  let path = '';
  let source: ImageSource;

  beforeEach(() => {
    at = imageHost(road);
    path = join(at.base, 'image.tar');
    source = { kind: 'tar', path };
  });
  afterEach(() => {
    // Whatever a test does, nothing may stay in the workspace.
    expect(at.unfinished()).toEqual([]);
    at.close();
  });

  const find = (from = source) => findImage(from, at.ownership, at.host);
  const ensure = (from = source, options: ResolveOptions = {}) => ensureImage(from, at.ownership, at.host, options);

  describe('importing', () => {
    test.each([
      ['a tar archive', (data: Buffer) => data],
      ['a tar.gz archive', (data: Buffer) => gzipSync(data)],
      [
        'two gzip members',
        (data: Buffer) => Buffer.concat([gzipSync(data.subarray(0, 700)), gzipSync(data.subarray(700))]),
      ],
    ])('makes an image of %s, which is found afterwards', async (kind, pack) => {
      const data = pack(image());
      writeFileSync(path, data);
      expect(find()).toBeUndefined();
      const facts = await ensure();
      expect(facts).toMatchObject({ passwd: PASSWD, group: 'me:x:8:\n', ownership: at.ownership });
      // What is mounted where it lies, or unpacked, is not read for its digest.
      const unread = road === 'unpacked' || kind === 'a tar archive';
      expect(facts.digest).toEqual(unread ? expect.stringMatching(/^seen-[0-9a-f]{32}$/u) : sha256(data));
      expect(await at.text(facts, 'hello')).toBe('hello');
      expect(find()).toEqual(facts);
      expect(await ensure()).toEqual(facts);
    });

    test('refuses a folder with other contents as the store, and leaves it as it is', async () => {
      writeFileSync(path, image());
      const { store } = at.host.dirs;
      mkdirSync(join(store, 'tmp/mine'), { recursive: true, mode: 0o755 });
      for (const names of [['tmp'], ['layers', 'other', 'tmp']]) {
        for (const name of names) mkdirSync(join(store, name), { recursive: true });
        await expect(ensure()).rejects.toMatchObject({ code: 'E_IMAGE_STORE' });
        expect(readdirSync(store).toSorted()).toEqual(names);
        expect(readdirSync(join(store, 'tmp'))).toEqual(['mine']);
      }
      for (const name of ['other', 'tmp']) rmSync(join(store, name), { recursive: true });
      // What an interrupted beginning has left.
      await ensure();
    });

    test('makes the store with mode 0700 and an empty folder mnt', async () => {
      writeFileSync(path, image());
      await ensure();
      expect(lstatSync(at.host.dirs.store).mode & 0o777).toBe(0o700);
      expect(readdirSync(join(at.host.dirs.store, 'mnt'))).toEqual([]);
    });

    test('makes one image for many callers at once', async () => {
      writeFileSync(path, gzipSync(image()));
      const all = await Promise.all(Array.from({ length: 12 }, () => ensure()));
      expect(new Set(all.map((facts) => JSON.stringify(facts))).size).toBe(1);
      expect(at.layers()).toHaveLength(1);
    });

    test('makes one image of two archives with the same content', async () => {
      writeFileSync(path, gzipSync(image()));
      const first = await ensure(source, { copy: true });
      const copy = join(at.base, 'copy');
      copyFileSync(path, copy);
      expect(await ensure({ kind: 'tar', path: copy }, { copy: true })).toEqual(first);
      expect(at.layers()).toEqual([first.digest]);
    });

    test('uses a folder as an image without copying it', async () => {
      const folder = join(at.base, 'rootfs');
      mkdirSync(join(folder, 'etc'), { recursive: true });
      writeFileSync(join(folder, 'etc/passwd'), PASSWD);
      const from: ImageSource = { kind: 'folder', path: folder };
      // A container is built in the store, and there is none yet.
      expect(find(from)).toBeUndefined();
      expect(previewImage(from, at.ownership, at.host)).toMatchObject({ passwd: PASSWD });
      const facts = await ensure(from);
      expect(facts).toMatchObject({
        digest: '',
        layers: [{ kind: 'tree', path: folder, named: true }],
        passwd: PASSWD,
      });
      expect(find(from)).toEqual(facts);
      expect(at.layers()).toEqual([]);
    });
  });

  describe('a changed archive', () => {
    test('is imported again although its size, inode and mtime are the same', async () => {
      writeFileSync(path, image('one'));
      await ensure();
      const before = join(at.base, 'times');
      execFileSync('touch', ['-r', path, before]);
      // Same size, same inode, and the times put back to the nanosecond: ctime tells.
      writeFileSync(path, image('two'));
      execFileSync('touch', ['-r', before, path]);
      expect(find()).toBeUndefined();
      expect(await at.text(await ensure(), 'hello')).toBe('two');
    });

    test('is imported again where another file has taken its name', async () => {
      writeFileSync(path, image('one'));
      writeFileSync(`${path}.new`, image('two'));
      await ensure();
      renameSync(`${path}.new`, path);
      expect(await at.text(await ensure(), 'hello')).toBe('two');
    });

    test('leaves no layers of its former content that were not named by a digest', async () => {
      writeFileSync(path, image('one'));
      const one = await ensure();
      writeFileSync(path, image('two'));
      const two = await ensure();
      const expected = one.digest.startsWith('seen-') ? [two.digest] : [one.digest, two.digest].toSorted();
      expect(at.layers()).toEqual(expected);
    });

    test('that has another mtime alone is the same image, known by its digest', async () => {
      writeFileSync(path, gzipSync(image()));
      await ensure();
      // The first time, what was unpacked has no digest yet to be known by.
      utimesSync(path, 1, 1);
      expect(find()).toBeUndefined();
      const facts = await ensure();
      expect(facts.digest).toBe(sha256(readFileSync(path)));
      utimesSync(path, 2, 2);
      expect(find()).toBeUndefined();
      expect(await ensure()).toEqual(facts);
      expect(at.layers()).toEqual([facts.digest]);
    });
  });

  describe('a pinned archive', () => {
    test('is imported when the digest matches, and found by it', async () => {
      writeFileSync(path, image());
      const pinned: ImageSource = { kind: 'tar', path, sha256: sha256(image()) };
      const facts = await ensure(pinned);
      expect(facts.digest).toBe(sha256(image()));
      expect(find(pinned)).toEqual(facts);
    });

    test('is usable from another path when the first one was removed', async () => {
      writeFileSync(path, image());
      const pin = sha256(image());
      await ensure({ kind: 'tar', path, sha256: pin });
      const moved = join(at.base, 'moved.tar');
      copyFileSync(path, moved);
      rmSync(path);
      const facts = await ensure({ kind: 'tar', path: moved, sha256: pin });
      expect(facts.digest).toBe(pin);
      expect(await at.text(facts, 'hello')).toBe('hello');
    });

    test('with another digest is refused and leaves no layers, also when its image is in the store', async () => {
      writeFileSync(path, image());
      const pinned: ImageSource = { kind: 'tar', path, sha256: sha256(image('other')) };
      await expect(ensure(pinned)).rejects.toMatchObject({ code: 'E_IMAGE_DIGEST' });
      expect(at.layers()).toEqual([]);
      await ensure();
      expect(find(pinned)).toBeUndefined();
      await expect(ensure(pinned)).rejects.toMatchObject({ code: 'E_IMAGE_DIGEST' });
    });
  });

  describe('the import fails for', () => {
    const refused = async (code: string, message: RegExp): Promise<void> => {
      await expect(ensure()).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
      expect(find()).toBeUndefined();
      expect(at.layers()).toEqual([]);
    };

    test('a file that does not exist, and a folder', async () => {
      await refused('E_IMAGE_NOT_FOUND', /does not exist/u);
      mkdirSync(path);
      await refused('E_IMAGE_BAD_ARCHIVE', /holds no image/u);
    });

    test('a fifo, without waiting for a writer', async () => {
      execFileSync('mkfifo', [path]);
      await refused('E_IMAGE_UNREADABLE', /is not a file/u);
      expect(() => previewImage(source, at.ownership, at.host)).toThrow(
        expect.objectContaining({ code: 'E_IMAGE_UNREADABLE' }),
      );
    });

    test('a store that is a file', async () => {
      writeFileSync(path, image());
      writeFileSync(at.host.dirs.store, '');
      await expect(ensure()).rejects.toMatchObject({ code: 'E_IMAGE_STORE' });
      rmSync(at.host.dirs.store);
    });

    test('an archive with a bad entry, whose name is in the message', async () => {
      writeFileSync(path, archive({ name: 'fine' }, { name: '../evil\u001b[2J' }));
      await refused('E_IMAGE_BAD_ARCHIVE', /leads outside of the archive \(entry "\.\.\/evil\\u001b\[2J"\)/u);
    });

    test('a large archive whose first entry is bad', async () => {
      writeFileSync(path, archive({ name: '../evil' }, { name: 'big', data: Buffer.alloc(4 << 20) }));
      await refused('E_IMAGE_BAD_ARCHIVE', /leads outside/u);
    });

    test('gzip data that is cut short or has a wrong checksum', async () => {
      const data = gzipSync(image());
      writeFileSync(path, data.subarray(0, data.length - 20));
      await refused('E_IMAGE_BAD_ARCHIVE', /gzip data ends too early/u);
      const checksum = Buffer.from(data);
      checksum.writeUInt32LE(1, data.length - 8);
      writeFileSync(path, checksum);
      await refused('E_IMAGE_BAD_ARCHIVE', /checksum does not match/u);
    });

    test('an archive with more bytes or entries than its limits', async () => {
      writeFileSync(path, gzipSync(archive({ name: 'big', data: Buffer.alloc(1 << 20) })));
      const small: ImageSource = { kind: 'tar', path, maxSize: 1 << 19 };
      await expect(ensure(small)).rejects.toMatchObject({ code: 'E_IMAGE_TOO_LARGE' });
      writeFileSync(path, image());
      const few: ImageSource = { kind: 'tar', path, maxEntries: 4 };
      await expect(ensure(few)).rejects.toMatchObject({ code: 'E_IMAGE_TOO_LARGE' });
      expect(at.layers()).toEqual([]);
    });
  });

  describe('an interrupted import', () => {
    test('leaves folders that the next import removes', async () => {
      writeFileSync(path, image());
      const temporary = join(at.host.dirs.store, 'tmp');
      await ensure();
      writeFileSync(path, image('another'));
      mkdirSync(join(temporary, 'dead/rootfs/etc'), { recursive: true });
      writeFileSync(join(temporary, 'dead/lock'), '');
      mkdirSync(join(temporary, 'never-locked'));
      await ensure();
    });

    test('that left an empty record is done again', async () => {
      writeFileSync(path, image());
      const facts = await ensure();
      writeFileSync(facts.record, '');
      expect(find()).toBeUndefined();
      expect(await ensure()).toEqual(facts);
    });
  });

  test('an image whose layer was removed by hand is imported anew', async () => {
    writeFileSync(path, gzipSync(image()));
    const { digest } = await ensure();
    rmSync(join(at.host.dirs.store, 'layers', digest), { recursive: true });
    expect(find()).toBeUndefined();
    expect(await at.text(await ensure(), 'hello')).toBe('hello');
  });

  test('an image whose record cannot be read is pruned', async () => {
    writeFileSync(path, gzipSync(image()));
    const facts = await ensure();
    writeFileSync(facts.record, '{"version":0}');
    rmSync(path);
    expect((await pruneImages(at.host, false)).digests).toEqual([facts.digest]);
    expect(existsSync(facts.record)).toBe(false);
    expect(at.layers()).toEqual([]);
  });

  test('a preview says where the image will be, and makes no store', async () => {
    writeFileSync(path, image());
    const preview = previewImage(source, at.ownership, at.host);
    expect(existsSync(at.host.dirs.store)).toBe(false);
    const facts = await ensure();
    if (road !== 'unpacked') expect(preview).toEqual({ ...facts, passwd: '', group: '' });
    expect(previewImage(source, at.ownership, at.host)).toEqual(facts);
  });

  describe('looking after the store', () => {
    test('an image is found by its names and by the first digits of its digest', async () => {
      writeFileSync(path, gzipSync(image()));
      const facts = await ensure();
      const { store } = at.host.dirs;
      writeName(store, 'debian:12', facts.digest);
      writeName(store, 'debian:latest', facts.digest);
      // A provisional name is no digest that a file could have.
      const digits = isUnread(facts.digest) ? [] : [`sha256:${facts.digest.slice(0, 8)}`];
      for (const name of ['debian:12', 'debian', 'library/debian:12', ...digits]) {
        expect([name, find({ kind: 'reference', name })]).toEqual([name, facts]);
      }
      expect(findDigest(store, 'debian:13')).toBeUndefined();
      // It is asked for at a registry, which no test may do.
      await expect(ensure({ kind: 'reference', name: 'debian:13' })).rejects.toMatchObject({
        code: 'E_REGISTRY_BLOCKED',
      });
      expect(listImages(at.host)).toMatchObject([{ digest: facts.digest, names: ['debian:12', 'debian:latest'] }]);
    });

    test('an archive that was used in place is copied where a copy is asked for', async () => {
      writeFileSync(path, image());
      await ensure();
      const copied = await ensure(source, { copy: true });
      expect(copied.digest).toBe(sha256(image()));
      rmSync(path);
      expect(await at.text(copied, 'hello')).toBe('hello');
      expect(at.layers()).toEqual([copied.digest]);
    });

    test('removing an image removes its layers and names', async () => {
      writeFileSync(path, gzipSync(image()));
      const { digest } = await ensure();
      writeName(at.host.dirs.store, 'debian:12', digest);
      await removeStored(digest, at.host);
      expect(at.layers()).toEqual([]);
      expect(listImages(at.host)).toEqual([]);
      expect(findDigest(at.host.dirs.store, 'debian:12')).toBeUndefined();
      expect(find()).toBeUndefined();
    });

    test('pruning keeps images that have a name or an unchanged archive, unless all are to go', async () => {
      const files = ['named', 'there', 'gone'].map((name) => join(at.base, name));
      const digests: string[] = [];
      for (const file of files) {
        writeFileSync(file, gzipSync(image(file)));
        digests.push((await ensure({ kind: 'tar', path: file })).digest);
      }
      const [named = '', there = '', gone = ''] = digests;
      writeName(at.host.dirs.store, 'named', named);
      rmSync(join(at.base, 'named'));
      rmSync(join(at.base, 'gone'));
      expect((await pruneImages(at.host, false)).digests).toEqual([gone]);
      expect(at.layers()).toEqual([named, there].toSorted());
      expect((await pruneImages(at.host, true)).digests.toSorted()).toEqual([named, there].toSorted());
      expect(at.layers()).toEqual([]);
    });
  });
});

test.skipIf(!isRoot)(
  'trees under several maps get their digest together, and stay where they are (needs root)',
  async () => {
    const at = imageHost('unpacked');
    try {
      const path = join(at.base, 'image.tar');
      writeFileSync(path, image());
      const source: ImageSource = { kind: 'tar', path };
      const maps = [{ container: 0, host: 700_000, size: 65_536 }];
      const all = [undefined, { uidMap: maps, gidMap: maps }];
      const before = await Promise.all(all.map((ownership) => ensureImage(source, ownership, at.host)));
      const [first] = before;
      if (first === undefined) throw new Error('no image');
      await computeDigest(first, at.host, new AbortController().signal);
      const after = all.map((ownership) => findImage(source, ownership, at.host));
      expect(after.map((facts) => facts?.digest)).toEqual(Array(2).fill(sha256(image())));
      expect(after.map((facts) => facts?.layers)).toEqual(before.map(({ layers }) => layers));
      await removeProvisionalName(first, at.host);
      expect(listImages(at.host).map(({ digest }) => digest)).toEqual([sha256(image())]);
      expect(all.map((ownership) => findImage(source, ownership, at.host))).toEqual(after);
      const [plain] = after;
      expect(plain === undefined ? '' : await at.text(plain, 'hello')).toBe('hello');
      await removeStored(sha256(image()), at.host);
      expect(at.layers()).toEqual([]);
    } finally {
      at.close();
    }
  },
);

test.skipIf(!isRoot)('trees are kept apart by the maps that they were unpacked under (needs root)', async () => {
  const at = imageHost('unpacked');
  try {
    const path = join(at.base, 'image.tar');
    writeFileSync(path, image());
    const maps = [{ container: 0, host: 700_000, size: 65_536 }];
    const plain = await ensureImage({ kind: 'tar', path }, undefined, at.host);
    const ownership = { uidMap: maps, gidMap: maps };
    const mapped = await ensureImage({ kind: 'tar', path }, ownership, at.host);
    expect(mapped.digest).toBe(plain.digest);
    expect(mapped.layers).not.toEqual(plain.layers);
    const [layer] = mapped.layers;
    const rootfs = layer?.kind === 'tree' ? layer.path : '';
    expect(lstatSync(join(rootfs, 'hello')).uid).toBe(700_000);
    expect(findImage({ kind: 'tar', path }, ownership, at.host)).toEqual(mapped);
    expect(findImage({ kind: 'tar', path }, { uidMap: maps, gidMap: [] }, at.host)).toBeUndefined();
    await removeStored(plain.digest, at.host);
    expect(at.layers()).toEqual([]);
  } finally {
    at.close();
  }
});
