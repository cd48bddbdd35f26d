/** Archives that attack, through the real workers, on both roads: contained, or refused by name; nothing else changes. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ensureImage } from '../../src/image/resolve.ts';
import type { ImageSource } from '../../src/spec/spec.ts';
import { imageHost, roads, type ImageHost } from '../support/image-host.ts';
import { mergedTree, sha256, writeLayout } from '../support/layout.ts';
import { isRoot } from '../support/user.ts';
import { archive, entry, type Fixture } from '../unit/image/archive-fixture.ts';

/** Everything of a tree that an attack could change. */
function listing(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .toSorted()
    .map((name) => {
      const path = join(folder, name);
      const { mode, uid, gid, nlink, mtimeNs, ctimeNs } = lstatSync(path, { bigint: true });
      const what = lstatSync(path).isFile()
        ? sha256(readFileSync(path))
        : lstatSync(path).isSymbolicLink()
          ? readlinkSync(path)
          : '';
      return [name, mode, uid, gid, nlink, mtimeNs, ctimeNs, what].join(' ');
    });
}

const BIG = 2 ** 31;
const binary = (bytes: readonly number[]): Buffer =>
  Buffer.from([0x80, ...Array<number>(11 - bytes.length).fill(0), ...bytes]);

/** Refused, and what is said of it. */
const REFUSED: readonly (readonly [string, readonly Fixture[], RegExp])[] = [
  [
    'a path that climbs out',
    [{ name: '../canary/file', data: 'x' }],
    /leads outside of the archive \(entry "\.\.\/canary\/file"\)/u,
  ],
  [
    'a path that climbs out later',
    [{ name: 'a/../../canary', data: 'x' }],
    /leads outside .*\(entry "a\/\.\.\/\.\.\/canary"\)/u,
  ],
  [
    'a link out that is written through',
    [
      { name: 'l', type: '2', link: '/' },
      { name: 'l/tmp/x', data: 'x' },
    ],
    /through a symbolic link of the archive \(entry "l\/tmp\/x"\)/u,
  ],
  [
    'a link beside that is written through',
    [
      { name: 'd', type: '5' },
      { name: 'd/l', type: '2', link: '../../canary' },
      { name: 'd/l/file', data: 'x' },
    ],
    /through a symbolic link of the archive \(entry "d\/l\/file"\)/u,
  ],
  [
    'a hard link to a file of the host',
    [{ name: 'p', type: '1', link: '/etc/passwd' }],
    /leads to nothing .*\(entry "p"\)/u,
  ],
  [
    'a hard link that climbs out',
    [{ name: 'p', type: '1', link: '../../canary/file' }],
    /outside of the archive \(entry "p"\)/u,
  ],
  [
    'a hard link through a link',
    [
      { name: 'l', type: '2', link: '/etc' },
      { name: 'p', type: '1', link: 'l/passwd' },
    ],
    /through a symbolic link \(entry "p"\)/u,
  ],
  ['a name with a NUL in a pax header', [{ name: 'x', pax: { path: 'a\0b' } }], /\S/u],
  ['a size of 2^63', [{ name: 'big', patch: { 124: Buffer.from([0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]) } }], /\S/u],
  ['a negative size', [{ name: 'big', patch: { 124: Buffer.alloc(12, 0xff) } }], /\S/u],
  ['a size beyond the end', [{ name: 'big', size: BIG }], /\(entry "big"\)|too early|cut short/u],
  [
    'a pax header of a gigabyte',
    [{ name: 'pax', type: 'x', patch: { 124: binary([0x40, 0, 0, 0]) } }, { name: 'a' }],
    /\S/u,
  ],
  [
    'a long name of a gigabyte',
    [{ name: 'long', type: 'L', patch: { 124: binary([0x40, 0, 0, 0]) } }, { name: 'a' }],
    /\S/u,
  ],
];

/** Harmless after all: what becomes of them. */
const CONTAINED: readonly (readonly [string, readonly Fixture[], readonly RegExp[]])[] = [
  ['absolute names', [{ name: '/etc/passwd', data: 'mine' }], [/^\.\/etc\/passwd 100644/u]],
  ['an absolute link', [{ name: 'l', type: '2', link: '/etc/shadow' }], [/^\.\/l 120777 .* -> \/etc\/shadow/u]],
  ['a name with a newline', [{ name: 'a\nb', data: 'x' }], [/^\.\/a\S+b 100644/u]],
  ['a time before 1970', [{ name: 'old', pax: { mtime: '-62135596800.5' } }], [/^\.\/old .*mtime=-/u]],
  [
    'names of whiteouts in a root file system',
    [
      { name: '.wh..', data: 'x' },
      { name: '.wh...', data: 'y' },
    ],
    [/^\.\/\.wh\.\. /u, /^\.\/\.wh\.\.\. /u],
  ],
];

describe.each(roads)('archives are %s', (road) => {
  let at: ImageHost;
  let path = '';
  let before: readonly string[] = [];
  const canary = (): string => join(at.base, 'canary');

  beforeEach(() => {
    at = imageHost(road);
    path = join(at.base, 'image.tar');
    mkdirSync(canary());
    writeFileSync(join(canary(), 'file'), 'alive');
    chmodSync(join(canary(), 'file'), 0o640);
    symlinkSync('file', join(canary(), 'link'));
    before = listing(canary());
  });
  afterEach(() => {
    expect(listing(canary())).toEqual(before);
    expect(at.unfinished()).toEqual([]);
    at.close();
  });

  const ensure = (more: Partial<ImageSource & { kind: 'tar' }> = {}) =>
    ensureImage({ kind: 'tar', path, ...more }, at.ownership, at.host);
  const refused = async (
    message: RegExp,
    more: Partial<ImageSource & { kind: 'tar' }> = {},
    code = 'E_IMAGE_BAD_ARCHIVE',
  ) => {
    await expect(ensure(more)).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
    expect(at.layers()).toEqual([]);
    expect(readdirSync(join(at.host.dirs.store, 'images'))).toEqual([]);
  };

  test.each(REFUSED)('%s, compressed and not', async (_, fixtures, message) => {
    writeFileSync(path, archive({ name: 'fine' }, ...fixtures));
    await refused(message);
    writeFileSync(path, gzipSync(archive({ name: 'fine' }, ...fixtures)));
    await refused(message);
  });

  test.skipIf(!isRoot).each(CONTAINED)('%s: contained (needs root)', async (_, fixtures, lines) => {
    writeFileSync(path, archive(...fixtures));
    const tree = mergedTree(await ensure(), at.base);
    for (const line of lines) expect(tree).toContainEqual(expect.stringMatching(line));
  });

  test('the contents of a device node of an image are not read', async () => {
    writeFileSync(path, archive({ name: 'disk', type: '4', major: 254, minor: 0, mode: 0o666 }));
    const { inspect } = await import('../../src/worker/work.ts');
    const { files } = await inspect(await ensure(), at.host, ['disk']);
    expect(files).toEqual(['']);
  });

  test('a small file with more entries than the limit is refused', async () => {
    const many = Buffer.alloc(512 * 200_000, entry({ name: 'x', type: '5' }));
    writeFileSync(path, gzipSync(Buffer.concat([many, Buffer.alloc(1024)]), { level: 1 }));
    await refused(/more entries/u, { maxEntries: 100_000 }, 'E_IMAGE_TOO_LARGE');
  });

  test('an archive that is compressed a thousandfold is refused at the limit of bytes', async () => {
    writeFileSync(path, gzipSync(archive({ name: 'bomb', data: Buffer.alloc(64 << 20) })));
    await refused(/more data/u, { maxSize: 32 << 20 }, 'E_IMAGE_TOO_LARGE');
  });

  test('a sparse file of 10 GB takes no room', async () => {
    const folder = join(at.base, 'sparse');
    mkdirSync(folder);
    const fd = openSync(join(folder, 'file'), 'w');
    ftruncateSync(fd, 10 * 2 ** 30);
    writeSync(fd, 'x', 5 * 2 ** 30);
    closeSync(fd);
    execFileSync('tar', ['--sparse', '-C', folder, '-cf', path, 'file']);
    const image = await ensure();
    const blocks = Number(execFileSync('du', ['-sk', at.host.dirs.store], { encoding: 'utf8' }).split('\t')[0]);
    expect(blocks).toBeLessThan(20_000);
    if (isRoot)
      expect(mergedTree(image, at.base)).toContainEqual(expect.stringMatching(/^\.\/file .* size=10737418240/u));
  });

  describe('images in layers', () => {
    const layout = (): string => join(at.base, 'layout');
    const tar = (): void => void execFileSync('tar', ['-C', layout(), '-cf', path, '.']);
    const layer = archive({ name: 'a', data: 'x' });

    test('a layer with another digest than the image names is refused', async () => {
      writeLayout(layout(), [layer], { diffIds: [sha256('another')] });
      tar();
      await refused(/is not what its image says/u, {}, 'E_IMAGE_DIGEST');
    });

    test('a blob with another digest than its name is refused', async () => {
      writeLayout(layout(), [layer]);
      const { manifests } = JSON.parse(readFileSync(join(layout(), 'index.json'), 'utf8')) as {
        manifests: { digest: string }[];
      };
      writeFileSync(join(layout(), 'blobs/sha256', manifests[0]?.digest.slice(7) ?? ''), '{}');
      tar();
      await refused(/is not what its name says/u);
    });

    test('an index that leads to itself, or through too many others, is refused', async () => {
      writeLayout(layout(), [layer]);
      let digest = sha256('{}');
      writeFileSync(join(layout(), 'blobs/sha256', digest), '{}');
      for (let depth = 0; depth < 20; depth++) {
        const index = JSON.stringify({ manifests: [{ digest: `sha256:${digest}` }] });
        digest = sha256(index);
        writeFileSync(join(layout(), 'blobs/sha256', digest), index);
      }
      writeFileSync(join(layout(), 'index.json'), JSON.stringify({ manifests: [{ digest: `sha256:${digest}` }] }));
      tar();
      await refused(/\S/u);
    });

    test.each([
      ['a layer', { Config: 'config.json', Layers: ['../../etc/passwd'] }],
      ['an absolute layer', { Config: 'config.json', Layers: ['/etc/passwd'] }],
      ['a configuration', { Config: '../../../../etc/passwd', Layers: [] }],
      ['a layer that is a link', { Config: 'config.json', Layers: ['link'] }],
    ])('%s outside of the archive', async (_, manifest) => {
      const config = JSON.stringify({ rootfs: { diff_ids: [`sha256:${sha256(readFileSync('/etc/passwd'))}`] } });
      writeFileSync(
        path,
        archive(
          { name: 'manifest.json', data: JSON.stringify([manifest]) },
          { name: 'config.json', data: config },
          { name: 'link', type: '2', link: '../../../../../etc/passwd' },
        ),
      );
      await refused(/is missing/u);
    });

    test('a manifest of many megabytes, without JSON, or that nests deeply is refused', async () => {
      for (const data of ['['.repeat(40 << 20), 'no json', '['.repeat(1 << 20)]) {
        writeFileSync(path, archive({ name: 'manifest.json', data }));
        await refused(/manifest\.json/u);
      }
    });

    test('a layer with malformed names of whiteouts is refused', async () => {
      for (const name of ['.wh.', '.wh..', '.wh...']) {
        writeLayout(layout(), [layer, archive({ name })]);
        tar();
        await refused(/whiteout names nothing/u);
      }
    });
  });
});
