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
import { file, folder, gone, LAYER_CASES, link, OPAQUE } from '../support/layer-cases.ts';
import { archive, type Fixture } from '../unit/image/archive-fixture.ts';

const thisHost = gatherHostFacts(process.env);
const hasUmoci = spawnSync('umoci', ['--version'], { stdio: 'ignore' }).status === 0;

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

    test.skipIf(!hasUmoci).each(Object.entries(LAYER_CASES))('%s (needs umoci)', async (_, layers) => {
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
