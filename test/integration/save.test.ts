/** `boxctl image save`: archives that other tools load, and boxctl itself, as the same image. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ensureImage } from '../../src/image/resolve.ts';
import { saveImages, type SaveFormat } from '../../src/image/save.ts';
import type { Packing } from '../../src/image/layer-blobs.ts';
import type { ImageFacts } from '../../src/model/image.ts';
import { boxctl, run, type Ended, type RunOptions } from '../support/boxctl.ts';
import { dockerArchive, idOf, ociArchive, type TestImage } from '../support/image-archives.ts';
import { imageHost, roads, type ImageHost, type Road } from '../support/image-host.ts';
import { file, folder, gone, LAYER_CASES, link, OPAQUE } from '../support/layer-cases.ts';
import { comparable, mergedTree, writeLayout } from '../support/layout.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot, testUser } from '../support/user.ts';
import { archive, type Fixture } from '../unit/image/archive-fixture.ts';

const has = (program: string): boolean => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
// Through loop devices, layers are the same files as those that are mounted.
const ROADS = roads.filter((road) => road !== 'looped');
const hasPodman = has('podman');
const [hasSkopeo, hasUmoci] = [has('skopeo'), has('umoci')];
const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

const hosts: ImageHost[] = [];
function hostOf(road: Road): ImageHost {
  const host = imageHost(road);
  hosts.push(host);
  return host;
}
afterEach(() => {
  for (const host of hosts.splice(0)) {
    expect(host.unfinished()).toEqual([]);
    host.close();
  }
});

const PLAIN: Packing = { compression: 'none', level: 0 };

async function saved(
  at: ImageHost,
  image: ImageFacts,
  format: SaveFormat,
  packing: Packing = PLAIN,
  epoch?: string,
): Promise<string> {
  const path = join(at.base, `saved-${Math.random()}.tar`);
  const fd = openSync(path, 'wx');
  try {
    const images = [{ digest: image.digest, name: 'image', tags: ['image:1'] }];
    await saveImages(images, { fd, name: path }, { format, packing, epoch }, at.host);
  } finally {
    closeSync(fd);
  }
  return path;
}

const imported = (at: ImageHost, path: string): Promise<ImageFacts> =>
  ensureImage({ kind: 'tar', path }, at.ownership, at.host, { copy: true });

function layoutOf(at: ImageHost, layers: readonly (readonly Fixture[])[]): string {
  const path = join(at.base, `layout-${Math.random()}`);
  writeLayout(
    path,
    layers.map((layer) => archive(...layer)),
    { pack: gzipSync, config: { Cmd: ['/bin/true'] } },
  );
  return path;
}

const member = (path: string, name: string): Buffer =>
  execFileSync('tar', ['-xOf', path, name], { maxBuffer: 1 << 28 });
const names = (path: string): readonly string[] =>
  execFileSync('tar', ['-tf', path], { encoding: 'utf8' }).trim().split('\n');

describe.skipIf(!isRoot)('as root (skipped without: owners, devices and mounts)', () => {
  describe.each(ROADS)('from layers that are %s', (road) => {
    test.each(Object.entries(LAYER_CASES))(
      '%s: what is saved is loaded as the same tree',
      async (_, layers) => {
        const at = hostOf(road);
        const image = await imported(at, layoutOf(at, layers));
        const tree = comparable(mergedTree(image, at.base));
        for (const format of ['docker', 'oci'] as const) {
          const path = await saved(at, image, format, { compression: format === 'oci' ? 'gzip' : 'none', level: 0 });
          for (const other of ROADS) {
            const there = hostOf(other);
            const loaded = await imported(there, path);
            expect(comparable(mergedTree(loaded, there.base))).toEqual(tree);
            // What the store has as it was imported keeps its digest.
            if (road !== 'unpacked') expect(loaded.digest).toBe(image.digest);
          }
        }
      },
      120_000,
    );
  });

  test('an image whose upper layer hides all below is saved also when the layers below are gone', async () => {
    const at = hostOf(roads[0] ?? 'unpacked');
    const image = await imported(at, layoutOf(at, [[file('a')], [gone(OPAQUE), file('b')], [file('c')]]));
    const lowest = sha256(archive(file('a')));
    rmSync(join(at.host.dirs.store, 'layers', lowest), { recursive: true });
    const there = hostOf('unpacked');
    const loaded = await imported(there, await saved(at, image, 'docker'));
    const left = comparable(mergedTree(loaded, there.base)).map((line) => line.split(' ')[0]);
    expect(left).toEqual(['./b', './c']);
  });

  test('an image of which a layer is missing or damaged is not saved, and the error says so', async () => {
    const at = hostOf(roads[0] ?? 'unpacked');
    const image = await imported(at, layoutOf(at, [[file('a')], [file('b')]]));
    const lowest = join(at.host.dirs.store, 'layers', sha256(archive(file('a'))));
    if (roads.includes('mounted')) {
      const data = join(lowest, 'erofs/data');
      const bytes = readFileSync(data);
      writeFileSync(data, Buffer.concat([Buffer.from('b'), bytes.subarray(1)]));
      await expect(saved(at, image, 'docker')).rejects.toMatchObject({
        code: 'E_IMAGE_STORE',
        message: expect.stringContaining('damaged in the store') as string,
      });
      writeFileSync(data, bytes);
    }
    rmSync(lowest, { recursive: true });
    await expect(saved(at, image, 'docker')).rejects.toMatchObject({
      code: 'E_IMAGE_STORE',
      message: 'The store does not have all of image: it was removed, or damaged',
    });
  });

  test('a root file system gives the same image from every form of it, in two stores', async () => {
    const tar = archive(
      folder('etc'),
      file('etc/passwd', 'root:x:0:0::/:/bin/sh\n', { uid: 3, gid: 4, mode: 0o640, mtime: 77 }),
      link('second', 'etc/passwd'),
    );
    const digests = new Set<string>();
    const mounted = roads.filter((road) => road !== 'unpacked');
    for (const road of [...mounted, ...mounted]) {
      const at = hostOf(road);
      const path = join(at.base, 'rootfs.tar');
      writeFileSync(path, tar);
      for (const copy of [false, true]) {
        const image = await ensureImage({ kind: 'tar', path }, undefined, at.host, { copy });
        const archived = await saved(at, image, 'oci', { compression: 'zstd', level: 0 });
        digests.add(sha256(readFileSync(archived)));
      }
    }
    expect(digests.size).toBeLessThanOrEqual(1);
    const unpacked = new Set<string>();
    for (let i = 0; i < 2; i++) {
      const at = hostOf('unpacked');
      writeFileSync(join(at.base, 'rootfs.tar'), tar);
      const image = await imported(at, join(at.base, 'rootfs.tar'));
      unpacked.add(sha256(readFileSync(await saved(at, image, 'docker'))));
    }
    expect(unpacked.size).toBe(1);
  });

  test('a root file system was made when its newest file was, or at SOURCE_DATE_EPOCH', async () => {
    const at = hostOf(roads[0] ?? 'unpacked');
    writeFileSync(join(at.base, 'rootfs.tar'), archive(file('a', 'x', { mtime: 1_600_000_000 }), file('b')));
    const image = await imported(at, join(at.base, 'rootfs.tar'));
    const configOf = (path: string): Record<string, unknown> => {
      const name = names(path).find((each) => /^[0-9a-f]{64}\.json$/u.test(each)) ?? '';
      return JSON.parse(member(path, name).toString()) as Record<string, unknown>;
    };
    const plain = configOf(await saved(at, image, 'docker'));
    expect(plain).toMatchObject({ created: '2020-09-13T12:26:40Z', os: 'linux', architecture: 'amd64' });
    const given = configOf(await saved(at, image, 'docker', PLAIN, '86400'));
    expect(given).toMatchObject({ created: '1970-01-02T00:00:00Z' });
    await expect(saved(at, image, 'docker', PLAIN, 'today')).rejects.toMatchObject({ code: 'E_USAGE' });
  });

  test.skipIf(!hasSkopeo || !hasUmoci)('skopeo and umoci take what is saved (needs both)', async () => {
    const at = hostOf(roads[0] ?? 'unpacked');
    const image = await imported(
      at,
      layoutOf(at, [
        [folder('d'), file('d/a')],
        [gone('d/.wh.a'), file('d/b')],
      ]),
    );
    for (const [format, transport] of [
      ['docker', 'docker-archive'],
      ['oci', 'oci-archive'],
    ] as const) {
      for (const compression of ['none', 'gzip', 'zstd'] as const) {
        const path = await saved(at, image, format, { compression, level: 0 });
        const layout = join(at.base, `${format}-${compression}`);
        execFileSync('skopeo', ['copy', `${transport}:${path}`, `oci:${layout}:x`], { stdio: 'pipe' });
        const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as {
          manifests: readonly { digest: string }[];
        };
        const blob = (digest = ''): string => readFileSync(join(layout, 'blobs', digest.replace(':', '/')), 'utf8');
        const manifest = JSON.parse(blob(index.manifests[0]?.digest)) as { config: { digest: string } };
        expect(manifest.config.digest).toBe(`sha256:${image.digest}`);
        // Debian's umoci knows no zstd.
        if (compression === 'zstd') continue;
        const bundle = join(at.base, `bundle-${format}-${compression}`);
        execFileSync('umoci', ['unpack', '--image', `${layout}:x`, bundle], { stdio: 'pipe' });
        expect(readdirSync(join(bundle, 'rootfs/d'))).toEqual(['b']);
      }
    }
  });
});

/** podman with a store of its own in the folder. */
function podman(at: string, ...args: readonly string[]): string {
  const own = ['--root', join(at, 'podman'), '--runroot', join(at, 'podman-run'), '--storage-driver', 'vfs'];
  return execFileSync('podman', [...own, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

interface Place {
  readonly folder: string;
  boxctl(args: readonly string[], options?: RunOptions): Promise<Ended>;
}

function place(options: RunOptions = {}): Place {
  const at = tempFolder({ open: true });
  if (options.user !== undefined) execFileSync('chown', [String(options.user.uid), at]);
  return {
    folder: at,
    boxctl: (args, more = {}) =>
      boxctl(args, { cwd: at, ...options, ...more, env: { BOXCTL_STORE: join(at, 'store'), ...more.env } }),
  };
}

const web: TestImage = { layers: [archive(file('web'))], names: ['web:1'], config: { Cmd: ['web'] } };
const db: TestImage = { layers: [archive(file('web')), archive(file('db'))], names: ['db:2'] };

describe.each([['root', undefined] as const, ['an ordinary user', testUser] as const])('as %s', (who, user) => {
  const options = user === undefined ? {} : { user };
  const skips = who === 'root' ? !isRoot : user === undefined;

  test.skipIf(skips)('several images are one archive, with their names, and load as what they were', async () => {
    const at = place(options);
    for (const image of [web, db]) {
      writeFileSync(join(at.folder, 'in.tar'), dockerArchive(image));
      expect((await at.boxctl(['image', 'import', 'in.tar'])).stderr).toBe('');
    }
    await at.boxctl(['image', 'tag', 'web:1', 'other:3']);
    const out = await at.boxctl(['image', 'save', 'web:1', 'db:2', 'other:3', '-o', 'all.tar']);
    expect([out.status, out.stdout, out.stderr]).toEqual([0, '', '']);
    const all = join(at.folder, 'all.tar');
    const manifest = JSON.parse(member(all, 'manifest.json').toString()) as readonly { RepoTags: readonly string[] }[];
    expect(manifest.map(({ RepoTags }) => RepoTags)).toEqual([['web:1', 'other:3'], ['db:2']]);
    // The layer that both have is there once.
    expect(names(all).filter((name) => name.endsWith('.tar'))).toHaveLength(2);
    const there = place(options);
    for (const [wanted, image] of [
      ['web:1', web],
      ['db:2', db],
    ] as const) {
      const loaded = await there.boxctl(['image', 'import', '--image', wanted, all]);
      expect(loaded.stdout).toContain(wanted);
      if (who === 'root') expect(loaded.stdout).toContain(idOf(image));
    }
    const again = await at.boxctl(['image', 'save', 'web:1', 'db:2', 'other:3']);
    expect(sha256(again.stdoutBytes)).toBe(sha256(readFileSync(all)));
  });
});

test.skipIf(!isRoot || !hasPodman)(
  'podman loads what is saved as the same image, by its name (as root, with podman)',
  async () => {
    const at = place();
    writeFileSync(join(at.folder, 'in.tar'), dockerArchive(db));
    await at.boxctl(['image', 'import', 'in.tar']);
    for (const format of ['docker', 'oci']) {
      await at.boxctl(['image', 'save', '--format', format, '-o', 'out.tar', 'db:2']);
      expect(podman(at.folder, 'load', '-q', '-i', join(at.folder, 'out.tar'))).toContain('db:2');
      expect(podman(at.folder, 'images', '--no-trunc', '-q', 'db:2').trim()).toBe(`sha256:${idOf(db)}`);
      podman(at.folder, 'rmi', '-f', 'db:2');
    }
  },
  120_000,
);

describe('the command', () => {
  let at: Place;
  beforeEach(async () => {
    at = place();
    writeFileSync(join(at.folder, 'in.tar'), ociArchive(web, gzipSync));
    await at.boxctl(['image', 'import', 'in.tar', 'web:1']);
  });

  test('an image by its digest has no name in the archive', async () => {
    const { stdoutBytes } = await at.boxctl(['image', 'save', idOf(web).slice(0, 12)]);
    writeFileSync(join(at.folder, 'out.tar'), stdoutBytes);
    const manifest = JSON.parse(member(join(at.folder, 'out.tar'), 'manifest.json').toString()) as unknown[];
    expect(manifest).toMatchObject([{ RepoTags: null, Config: `${idOf(web)}.json` }]);
  });

  test('an OCI archive has what the specification asks for', async () => {
    await at.boxctl(['image', 'save', '--format', 'oci', '--level', '1', 'web:1', '-o', 'out.tar']);
    const path = join(at.folder, 'out.tar');
    const parse = (name: string): Record<string, unknown> =>
      JSON.parse(member(path, name).toString()) as Record<string, unknown>;
    expect(parse('oci-layout')).toEqual({ imageLayoutVersion: '1.0.0' });
    const index = parse('index.json') as { manifests: readonly { digest: string; size: number }[] };
    const [entry] = index.manifests;
    expect(index).toEqual({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [
        {
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/u) as string,
          size: expect.any(Number) as number,
          platform: { architecture: 'amd64', os: 'linux' },
          annotations: { 'io.containerd.image.name': 'web:1', 'org.opencontainers.image.ref.name': 'web:1' },
        },
      ],
    });
    const manifest = member(path, `blobs/${entry?.digest.replace(':', '/')}`);
    expect([`sha256:${sha256(manifest)}`, manifest.length]).toEqual([entry?.digest, entry?.size]);
    const { layers } = JSON.parse(manifest.toString()) as { layers: readonly { digest: string; mediaType: string }[] };
    expect(layers.map(({ mediaType }) => mediaType)).toEqual(['application/vnd.oci.image.layer.v1.tar+gzip']);
    const layer = member(path, `blobs/${layers[0]?.digest.replace(':', '/')}`);
    expect(sha256(gunzipSync(layer))).toBe(sha256(web.layers[0] ?? Buffer.alloc(0)));
    // No name, no time, an unknown system.
    expect(layer.subarray(0, 10).toString('hex')).toBe('1f8b08000000000000ff');
  });

  test.each([
    [['--format', 'zip'], 'E_USAGE', '--format zip is not known'],
    [['--compression', 'xz'], 'E_USAGE', '--compression xz is not known'],
    [['--compression', 'gzip', '--level', '10'], 'E_USAGE', 'gzip has levels from 1 to 9'],
    [['--level', '3'], 'E_USAGE', 'say --compression gzip or zstd, too'],
    [['-o', 'none/out.tar'], 'E_IMAGE_UNWRITABLE', 'none/out.tar: '],
    [['nothing:1'], 'E_IMAGE_NOT_FOUND', 'nothing:1'],
  ])('%j is an error that says what to do', async (args, code, said) => {
    const out = await at.boxctl(['image', 'save', 'web:1', ...args, '--json']);
    expect(out.status).not.toBe(0);
    expect(out.stderr).toContain(code);
    expect(out.stderr).toContain(said);
    expect(readdirSync(at.folder).toSorted()).toEqual(['in.tar', 'store']);
  });

  test('nothing is written to a terminal', async () => {
    const command = `${process.execPath} ${join(import.meta.dirname, '../../dist/boxctl.cjs')} image save web:1`;
    const out = await run(['script', '-qec', command, '/dev/null'], {
      cwd: at.folder,
      env: { BOXCTL_STORE: join(at.folder, 'store') },
    });
    expect(out.stdout).toContain('an archive is not written to a terminal');
  });

  test('a full disk and a reader that is gone are errors, and leave the file that was there', async () => {
    writeFileSync(join(at.folder, 'out.tar'), 'before');
    const full = await at.boxctl(['image', 'save', 'web:1', '-o', '/dev/full']);
    expect(full.stderr).toContain('The image cannot be written to /dev/full');
    const small = await run(
      [
        'sh',
        '-c',
        'ulimit -f 1; exec "$@"',
        'sh',
        process.execPath,
        join(import.meta.dirname, '../../dist/boxctl.cjs'),
        'image',
        'save',
        'web:1',
        '-o',
        'out.tar',
      ],
      { cwd: at.folder, env: { BOXCTL_STORE: join(at.folder, 'store') } },
    );
    expect(small.status).not.toBe(0);
    expect(readFileSync(join(at.folder, 'out.tar'), 'utf8')).toBe('before');
    expect(readdirSync(at.folder).toSorted()).toEqual(['in.tar', 'out.tar', 'store']);
  });

  test('a pipe is written to as it is', async () => {
    mkdirSync(join(at.folder, 'sub'));
    execFileSync('mkfifo', [join(at.folder, 'sub/pipe')]);
    const reading = run(['cat', join(at.folder, 'sub/pipe')]);
    expect((await at.boxctl(['image', 'save', 'web:1', '-o', 'sub/pipe'])).stderr).toBe('');
    const direct = await at.boxctl(['image', 'save', 'web:1']);
    expect((await reading).stdoutBytes.equals(direct.stdoutBytes)).toBe(true);
  });
});
