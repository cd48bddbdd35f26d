/** Layers as a container sees them, on both roads, beside what `umoci unpack` makes of the same image. */
import { execFileSync, spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ensureImage } from '../../src/image/resolve.ts';
import { gatherHostFacts } from '../../src/host/gather.ts';
import { inspect } from '../../src/worker/work.ts';
import type { ImageFacts } from '../../src/model/image.ts';
import { imageHost, roads, type ImageHost } from '../support/image-host.ts';
import { comparable, mergedTree, treeOf, writeLayout } from '../support/layout.ts';
import { isRoot } from '../support/user.ts';
import { archive, type Fixture } from '../unit/image/archive-fixture.ts';

const thisHost = gatherHostFacts(process.env);
const hasUmoci = spawnSync('umoci', ['--version'], { stdio: 'ignore' }).status === 0;

const file = (name: string, data = name, more: Partial<Fixture> = {}): Fixture => ({
  name,
  data,
  mtime: 1000,
  ...more,
});
const folder = (name: string, more: Partial<Fixture> = {}): Fixture => ({
  name,
  type: '5',
  mode: 0o755,
  mtime: 2000,
  ...more,
});
const link = (name: string, target: string): Fixture => ({ name, type: '1', link: target });
const symlink = (name: string, target: string): Fixture => ({ name, type: '2', link: target, mtime: 3000 });
const gone = (name: string): Fixture => ({ name });
const OPAQUE = '.wh..wh..opq';

/** A default ACL: user::rwx, user:1000:r-x, group::r-x, mask::r-x, other::---. */
const acl = Buffer.from(
  '020000000100070 0ffffffff02000500e803000004000500ffffffff10000500ffffffff20000000ffffffff'.replaceAll(' ', ''),
  'hex',
);

const CASES: Readonly<Record<string, readonly (readonly Fixture[])[]>> = {
  'whiteouts of files, folders and links': [
    [folder('d'), file('d/a'), file('d/b'), file('f'), symlink('l', 'f'), folder('e'), file('e/x')],
    [folder('d'), gone('d/.wh.a'), gone('.wh.f'), gone('.wh.l'), gone('.wh.e')],
    [file('f', 'back')],
  ],
  'opaque folders, the mark first': [
    [folder('d'), file('d/a'), folder('d/s'), file('d/s/x')],
    [folder('d', { mode: 0o700 }), gone(`d/${OPAQUE}`), file('d/new'), folder('d/s'), file('d/s/y')],
  ],
  'an opaque folder over an opaque folder, and one that is filled again': [
    [folder('d'), file('d/a'), file('d/b')],
    [folder('d'), gone(`d/${OPAQUE}`), file('d/c')],
    [folder('d'), file('d/a', 'again')],
    [folder('d'), gone(`d/${OPAQUE}`)],
    [folder('d'), file('d/z')],
  ],
  'a folder becomes a file, a file a folder, a link a folder': [
    [folder('d'), file('d/a'), file('f'), folder('t'), file('t/kept'), symlink('l', 't')],
    [file('d'), folder('f'), file('f/in'), folder('l'), file('l/in')],
    [folder('d'), file('d/new')],
  ],
  'a folder is deleted and made anew in one layer': [
    [folder('d', { mode: 0o711 }), file('d/a'), folder('d/s'), file('d/s/x')],
    [gone('.wh.d'), folder('d'), file('d/b')],
  ],
  'hard links inside of a layer, and of a link': [
    [file('a', 'data'), link('b', 'a'), folder('d'), link('d/c', 'a'), symlink('s', 'a'), link('t', 's')],
    [file('x'), link('y', './x')],
  ],
  'the last of several entries wins': [
    [
      file('a', 'one'),
      file('a', 'two'),
      folder('d', { mode: 0o700 }),
      file('d/x'),
      folder('d', { mode: 0o750, uid: 7 }),
    ],
    [file('b'), symlink('b', 'a'), file('c'), link('c', 'b')],
  ],
  'a folder after what is in it, closed to its owner': [
    [file('d/a'), file('d/b', 'x', { mode: 0o4755, uid: 3, gid: 4 }), folder('d', { mode: 0, uid: 5, gid: 6 })],
    [folder('d', { mode: 0o1777, mtime: 5 })],
  ],
  'folders that a layer implies look as those below': [
    [
      folder('a', { mode: 0o710, uid: 1, mtime: 11 }),
      folder('a/b', { mode: 0o1770, gid: 2, mtime: 12 }),
      file('a/b/c'),
    ],
    [file('a/b/d')],
    [gone('a/b/.wh.c')],
    [folder('a', { mode: 0o777, uid: 9, mtime: 13 }), file('a/b/e')],
    [file('a/f')],
  ],
  'extended attributes and default ACLs of implied folders': [
    [
      folder('a', { pax: { 'SCHILY.xattr.user.x': 'y', 'SCHILY.xattr.system.posix_acl_default': acl } }),
      file('a/early'),
      folder('a/made'),
    ],
    [file('a/late')],
  ],
  'hard links to files of layers below': [
    [
      folder('d', { mode: 0o750 }),
      file('d/a', 'data', { mode: 0o4711, uid: 5, pax: { mtime: '-1.25' } }),
      symlink('s', 'd/a'),
    ],
    [file('other')],
    [link('b', 'd/a'), folder('e'), link('e/c', 'b'), link('t', 's')],
  ],
  'a hard link to a file below that is replaced later': [
    [file('a', 'old'), file('b', 'old b')],
    [link('x', 'a'), file('a', 'new'), link('b', 'a')],
  ],
  'the same layer more than once': [
    [file('a'), file('b'), folder('d'), file('d/x')],
    [file('a', 'new'), gone('.wh.b'), folder('d'), file('d/y')],
    [file('b', 'back'), gone('.wh.a'), folder('d'), gone('d/.wh.x')],
    [file('a', 'new'), gone('.wh.b'), folder('d'), file('d/y')],
  ],
  'special files': [
    [
      { name: 'null', type: '3', major: 1, minor: 3, mode: 0o666, mtime: 1 },
      { name: 'disk', type: '4', major: 8, minor: 300, mode: 0o600, mtime: 1 },
      { name: 'pipe', type: '6', mode: 0o622, mtime: 1 },
    ],
    [gone('.wh.null'), file('pipe')],
  ],
};

/** A whiteout of what is not there, which umoci refuses. */
const NOTHING_TO_DELETE: readonly (readonly Fixture[])[] = [
  [folder('a'), file('a/x')],
  [folder('a'), gone('a/.wh.none'), gone('.wh.none'), folder('new'), file('new/f'), gone('new/.wh.none')],
];

describe.skipIf(!isRoot)('as root (skipped without: owners, devices and mounts)', () => {
  describe.each(roads)('layers are %s', (road) => {
    let at: ImageHost;
    beforeEach(() => {
      at = imageHost(road);
    });
    afterEach(() => {
      expect(at.unfinished()).toEqual([]);
      at.close();
    });

    const layout = (layers: readonly (readonly Fixture[])[]): string => {
      const path = join(at.base, 'layout');
      rmSync(path, { recursive: true, force: true });
      writeLayout(
        path,
        layers.map((layer) => archive(...layer)),
        { pack: gzipSync },
      );
      return path;
    };
    const imported = (path: string): Promise<ImageFacts> => ensureImage({ kind: 'tar', path }, undefined, at.host);

    test.skipIf(!hasUmoci).each(Object.entries(CASES))('%s (needs umoci)', async (_, layers) => {
      const path = layout(layers);
      const bundle = join(at.base, 'bundle');
      execFileSync('umoci', ['unpack', '--image', `${path}:image`, bundle], { stdio: ['ignore', 'ignore', 'pipe'] });
      const image = await imported(path);
      expect(comparable(mergedTree(image, at.base))).toEqual(comparable(treeOf(join(bundle, 'rootfs'))));
    });

    // Here umoci forgets the time of d/s.
    test('an opaque folder may be marked after its contents', async () => {
      const below = [folder('d'), file('d/a'), folder('d/s'), file('d/s/x')];
      const [own, mark] = [[folder('d'), file('d/new'), folder('d/s'), file('d/s/y')], gone(`d/${OPAQUE}`)];
      const trees = [];
      for (const above of [
        [...own, mark],
        [mark, ...own],
      ]) {
        trees.push(comparable(mergedTree(await imported(layout([below, above])), at.base)));
      }
      expect(trees[0]?.map((line) => line.split(' ')[0])).toEqual(['./d', './d/new', './d/s', './d/s/y']);
      expect(trees[0]).toEqual(trees[1]);
    });

    test('what a layer deletes without its being there is seen by nobody', async () => {
      const names = comparable(mergedTree(await imported(layout(NOTHING_TO_DELETE)), at.base)).map(
        (line) => line.split(' ')[0],
      );
      expect(names).toEqual(['./a', './a/x', './new', './new/f']);
    });

    test('a hard link to nothing names its entry, and leaves nothing', async () => {
      const path = layout([[file('a')], [folder('d'), link('d/b', 'none')]]);
      await expect(imported(path)).rejects.toMatchObject({
        code: 'E_IMAGE_BAD_ARCHIVE',
        message: `The image ${path} (layer 2) cannot be read: a hard link leads to nothing that came before it in the archive (entry "d/b")`,
      });
    });

    // As a kernel that takes all layers as one option, which is too long for fsconfig(2), and as this one.
    test.each([
      { major: 6, minor: 1 },
      { major: thisHost.kernel.major, minor: thisHost.kernel.minor },
    ])('130 layers, as on Linux $major.$minor', async ({ major, minor }) => {
      const layers = Array.from({ length: 130 }, (_, number) => [file(`f${number}`), file('last', String(number))]);
      const image = await imported(layout(layers));
      const host = { ...at.host, kernel: { ...at.host.kernel, major, minor } };
      const { files } = await inspect(image, host, ['last', 'f0', 'f77', 'f129']);
      expect(files).toEqual(['129', 'f0', 'f77', 'f129']);
    });

    test('two images share the layers that they have in common, also those that imply folders', async () => {
      const [base, more, other] = [[folder('a', { mode: 0o700 })], [file('a/x')], [file('y')]];
      const one = await imported(layout([base, more]));
      const before = at.layers();
      expect(before).toHaveLength(3);
      rmSync(join(at.base, 'layout'), { recursive: true });
      const two = await imported(layout([base, more, other]));
      expect(at.layers()).toHaveLength(before.length + 1);
      expect(two.layers.slice(0, 3)).toEqual(one.layers);
    });
  });
});
