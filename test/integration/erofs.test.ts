/** The index of an archive, mounted by the kernel, against what GNU tar and the unpacker make of the same archive. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bothRoads, bothTrees, GNU_TAR, inNamespace, kernelComplaints, makeIndex } from '../support/erofs.ts';
import { debianRootfs } from '../support/rootfs.ts';
import { archive } from '../unit/image/archive-fixture.ts';
import type { Fixture } from '../unit/image/archive-fixture.ts';

let base = '';
let complaints: string[] = [];
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'boxctl-erofs-'));
  complaints = kernelComplaints();
});
afterEach(() => {
  rmSync(base, { recursive: true });
  expect(kernelComplaints(complaints)).toEqual([]);
});

/** A sparse file with these bytes at these places. */
function sparseFile(path: string, size: number, parts: readonly (readonly [number, string])[]): void {
  const fd = openSync(path, 'w');
  ftruncateSync(fd, size);
  for (const [at, text] of parts) writeSync(fd, text, at);
  closeSync(fd);
}

/** One of everything that a file system of a container may have. */
function makeTree(tree: string): void {
  mkdirSync(join(tree, 'etc/deep/er'), { recursive: true });
  for (const size of [0, 1, 511, 512, 513, 4095, 4096, 4097, 100_000]) {
    writeFileSync(join(tree, `etc/file-${size}`), 'x'.repeat(size));
  }
  for (const name of ['-', '!', '.a', '..b', '.-', '~', 'Z', 'a', 'aa', 'ab', 'é', 'n'.repeat(255), 'sp ace', '\n']) {
    writeFileSync(join(tree, 'etc/deep', name), name);
  }
  linkSync(join(tree, 'etc/file-513'), join(tree, 'etc/deep/er/link'));
  linkSync(join(tree, 'etc/file-513'), join(tree, 'first'));
  for (const length of [1, 100, 440, 447, 448, 449, 479, 480, 481, 512, 1000, 4095]) {
    symlinkSync('t'.repeat(length), join(tree, `link-${length}`));
  }
  linkSync(join(tree, 'link-1'), join(tree, 'link-again'));
  for (const [name, ...rest] of [
    ['fifo', 'p'],
    ['null', 'c', '1', '3'],
    ['far', 'c', '4095', '1048575'],
    ['disk', 'b', '8', '300'],
  ] as const) {
    execFileSync('mknod', [join(tree, name), ...rest]);
  }
  writeFileSync(join(tree, 'su'), 'x');
  chownSync(join(tree, 'su'), 70_000, 4_294_967_294);
  chmodSync(join(tree, 'su'), 0o6751);
  mkdirSync(join(tree, 'tmp'));
  chmodSync(join(tree, 'tmp'), 0o3777);
  chownSync(join(tree, 'tmp'), 65_535, 65_536);
  for (const count of [0, 1, 15, 16, 17, 35, 300]) {
    mkdirSync(join(tree, `many-${count}`));
    for (let number = 0; number < count; number++) writeFileSync(join(tree, `many-${count}`, `f${number}`), '');
  }
  sparseFile(join(tree, 'holes'), 1 << 20, [
    [0, 'start'],
    [300_000, 'middle'.repeat(2000)],
    [900_000, 'x'],
  ]);
  sparseFile(join(tree, 'hole'), 12_345, []);
  sparseFile(join(tree, 'end'), (1 << 20) + 7, [[(1 << 20) + 1, 'end']]);
  lutimesSync(join(tree, 'etc/file-1'), 1.5, -12.25);
  lutimesSync(join(tree, 'link-100'), 1, 1_700_000_000.987654);
  lutimesSync(join(tree, 'etc'), 1, 8_589_934_592);
}

describe.skipIf(process.geteuid?.() !== 0)('as root (skipped without: it mounts)', () => {
  test('an index of a Debian userland shows the same files as GNU tar unpacks', { timeout: 120_000 }, () => {
    const { report, mounted, unpacked } = bothTrees(debianRootfs(), base, GNU_TAR);
    expect(report).toMatchObject({ ok: true, skipped: 0, implied: [] });
    expect(mounted).toEqual(unpacked);
    expect(mounted.length).toBeGreaterThan(5000);
  });

  test.each([
    ['--format=gnu'],
    ['--format=posix'],
    ['--format=gnu', '--sparse'],
    ['--format=gnu', '--sparse', '--hole-detection=raw'],
    ['--format=posix', '--sparse', '--sparse-version=0.0'],
    ['--format=posix', '--sparse', '--sparse-version=0.1'],
    ['--format=posix', '--sparse', '--sparse-version=1.0'],
  ])('a tree with one of everything: %s %s %s', (...options) => {
    const tree = join(base, 'tree');
    makeTree(tree);
    const tar = join(base, 'tree.tar');
    execFileSync('tar', [...options, '-C', tree, '-cf', tar, '.']);
    const { report, mounted, unpacked } = bothTrees(tar, base, GNU_TAR);
    expect(report).toMatchObject({ ok: true, skipped: 0, implied: [] });
    expect(mounted).toEqual(unpacked);
    expect(mounted.length).toBeGreaterThan(400);
  });

  test('every file of a folder of 100,000 is found', { timeout: 120_000 }, () => {
    const files = Array.from({ length: 100_000 }, (_, number) => ({ name: `d/file-${(number * 7919) % 100_000}` }));
    writeFileSync(join(base, 'a.tar'), archive(...files));
    expect(makeIndex(join(base, 'a.tar'), join(base, 'index'))).toMatchObject({ ok: true, entries: 100_000 });
    const script = `mkdir m; "$ERO" mount "$PWD/index" "$PWD/a.tar" m; cd m/d; ls -U | wc -l
      seq -f 'file-%.0f' 0 99999 | xargs -n 5000 stat -c %s | sort | uniq -c
      ls file-100000 2>&1 || true`;
    expect(
      inNamespace(script, base)
        .split('\n')
        .map((line) => line.trim()),
    ).toEqual(['100000', '100000 0', "ls: cannot access 'file-100000': No such file or directory", '']);
  });

  test('a tree 2,000 folders deep can be read', () => {
    const { report, mounted } = bothTrees(archive({ name: 'x', pax: { path: `${'d/'.repeat(2000)}f` } }), base, 'true');
    expect(report).toMatchObject({ ok: true, entries: 1 });
    expect(report.ok && report.implied.length).toBe(2001);
    expect(report.ok && report.implied.slice(0, 3)).toEqual(['', 'd', 'd/d']);
    expect(mounted.length).toBe(2002);
    expect(mounted.at(-1)).toMatch(/^(?:\.\/)(?:d\/){2000}f 100644 /u);
  });

  test('an archive inside another file can be mounted', () => {
    const inner = archive({ name: 'a', data: 'inner'.repeat(1000) }, { name: 'b', type: '1', link: 'a' });
    const outer = join(base, 'outer');
    const before = Buffer.alloc(512 * 77, 'b');
    writeFileSync(outer, Buffer.concat([before, inner, Buffer.alloc(100, 'a')]));
    const place = { offset: before.length, size: inner.length };
    expect(makeIndex(outer, join(base, 'index'), place)).toMatchObject({ ok: true, entries: 2, bytes: 5000 });
    const script = 'mkdir m; "$ERO" mount "$PWD/index" "$PWD/outer" m; cat m/b';
    expect(inNamespace(script, base)).toBe('inner'.repeat(1000));
    expect(makeIndex(outer, join(base, 'index'), { ...place, size: 512 * 3 })).toMatchObject({
      ok: false,
      error: 'the archive is cut short',
    });
    expect(makeIndex(outer, join(base, 'index'), { ...place, offset: before.length + 256 })).toMatchObject({
      ok: false,
      unsuitable: true,
    });
  });

  test('a sparse file of 10 GiB is neither slow nor large, wherever its parts lie', () => {
    const sparse = (name: string, size: string, map: readonly (readonly [number, string])[]): Fixture => ({
      name: 'x',
      data: map.map(([, text]) => text).join(''),
      pax: {
        'GNU.sparse.name': name,
        'GNU.sparse.size': size,
        'GNU.sparse.map': map.map(([at, text]) => `${at},${text.length}`).join(','),
      },
    });
    const block = 'b'.repeat(512);
    const archives = [
      sparse('aligned', '10737418240', [
        [0, block],
        [512 * 1000, block],
        [10_737_418_240 - 512, block],
      ]),
      sparse('crooked', '10737418240', [
        [1, 'one'],
        [5_000_000_001, 'a'.repeat(1000)],
        [10_737_418_239, 'z'],
      ]),
      sparse('none', '10737418240', []),
      sparse('joined', '1536', [
        [0, block],
        [512, block],
        [1024, block],
      ]),
      sparse('small', '100', [
        [0, 'start'],
        [50, 'later'],
      ]),
      sparse(
        'mixed',
        '5000000',
        Array.from({ length: 100 }, (_, at) => [at * 50_000, 'm'.repeat(((at * 512) % 4100) + 1)] as const),
      ),
    ].map((file) => archive(file));
    const roads = bothRoads(archives, base);
    for (const { index, mounted, unpacked } of roads) {
      expect(index).toMatchObject({ ok: true });
      expect(mounted).toEqual(unpacked);
    }
    archives.forEach((_, number) => expect(statSync(join(base, `${number}.index`)).size).toBeLessThan(4 << 20));
  });

  test('the same archive gives the same index, and another archive has another fingerprint', () => {
    const make = (name: string, data: string): Buffer => {
      writeFileSync(join(base, name), archive({ name: 'a', data }, { name: 'b', type: '5' }));
      expect(makeIndex(join(base, name), join(base, `${name}.index`))).toMatchObject({ ok: true });
      return readFileSync(join(base, `${name}.index`));
    };
    const [one, two, three] = [make('1', 'x'), make('2', 'x'), make('3', 'xy')];
    expect(one).toEqual(two);
    const uuid = (index: Buffer): string => index.toString('hex', 1024 + 48, 1024 + 64);
    expect(uuid(one)).not.toBe(uuid(three));
    expect(one.length).toBe(4096);
  });

  describe('the kernel mounts an index and its archive', () => {
    const half = 1 << 20;
    const twoFiles = archive({ name: 'a', data: 'a'.repeat(half) }, { name: 'b', data: 'b'.repeat(half) });
    beforeEach(() => {
      writeFileSync(join(base, 'a.tar'), twoFiles);
      expect(makeIndex(join(base, 'a.tar'), join(base, 'index'))).toMatchObject({ ok: true });
    });
    const run = (script: string): string[] => inNamespace(`mkdir -p m\n${script}`, base).trimEnd().split('\n');

    test('through loop devices of 512-byte blocks where it cannot mount files, and the devices are free after the unmount', () => {
      const found = run(`index=$(losetup --find --show --read-only --sector-size 512 index)
        tar=$(losetup --find --show --read-only --sector-size 512 a.tar)
        "$ERO" mount $index $tar m
        losetup --detach $index $tar
        cat m/a m/b | md5sum
        umount m
        losetup --noheadings --output BACK-FILE | grep "$PWD" || echo none`);
      expect(found).toEqual(run('"$ERO" mount $PWD/index $PWD/a.tar m; cat m/a m/b | md5sum; echo none'));
    });

    test('by descriptors, also after the files are removed', () => {
      expect(
        run('exec 8<index 9<a.tar; rm index a.tar; "$ERO" mount /proc/self/fd/8 /proc/self/fd/9 m; head -c 3 m/b'),
      ).toEqual(['bbb']);
    });

    test('and reads errors where the archive is cut off, and new bytes where it is written to', () => {
      expect(
        run(`"$ERO" mount $PWD/index $PWD/a.tar m
        printf changed | dd of=a.tar bs=1 seek=$((512 + ${half} + 512)) conv=notrunc status=none
        head -c 8 m/b; echo
        truncate -s ${half} a.tar
        head -c 3 m/b; echo
        tail -c 3 m/b 2>&1 || true`),
      ).toEqual(['changedb', 'cha', "tail: error reading 'm/b': Input/output error"]);
    });

    test('where the archive lies on a tmpfs or an overlay, also below another overlay', () => {
      const found = run(`mount -t tmpfs none m
        mkdir m/upper m/work m/merged m/low m/upper2 m/work2 n top
        cp a.tar m/low
        mount -t overlay -o lowerdir=m/low,upperdir=m/upper,workdir=m/work none m/merged
        for folder in $PWD/m/low $PWD/m/merged; do
          "$ERO" mount $PWD/index $folder/a.tar n
          mount -t overlay -o userxattr,lowerdir=n,upperdir=m/upper2,workdir=m/work2 none top
          head -c 3 top/b
          echo
          umount top n
        done`);
      expect(found).toEqual(['bbb', 'bbb']);
    });
  });
});
