/** `boxctl image push`, against Debian's docker-registry, with skopeo and umoci as witnesses. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { boxctl, type Ended, type RunOptions } from '../support/boxctl.ts';
import { dockerArchive, idOf, ociArchive, type TestImage } from '../support/image-archives.ts';
import { file, folder, gone } from '../support/layer-cases.ts';
import { hasRegistry, startRegistry, type TestRegistry } from '../support/registry.ts';
import { pushImage } from '../support/registry-images.ts';
import { tempFolder } from '../support/temp.ts';
import { startUploadRegistry } from '../support/upload-registry.ts';
import { isRoot, testUser, type TestUser } from '../support/user.ts';
import { archive } from '../unit/image/archive-fixture.ts';

const has = (program: string): boolean => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
const needs = describe.skipIf(!hasRegistry || !has('skopeo') || !has('umoci'));
const sha256 = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');

interface Place {
  readonly folder: string;
  write(name: string, data: Buffer | string): string;
  boxctl(args: readonly string[], options?: RunOptions): Promise<Ended>;
}

function place(options: RunOptions = {}): Place {
  const at = tempFolder({ open: true });
  if (options.user !== undefined) execFileSync('chown', [String(options.user.uid), at]);
  return {
    folder: at,
    write(name, data) {
      writeFileSync(join(at, name), data);
      return join(at, name);
    },
    boxctl: (args, more = {}) =>
      boxctl(args, { cwd: at, ...options, ...more, env: { BOXCTL_STORE: join(at, 'store'), ...more.env } }),
  };
}

const CALLERS: readonly (readonly [string, TestUser | undefined])[] = [
  ['root', undefined],
  ...(testUser === undefined ? [] : [['an ordinary user', testUser] as const]),
];

const layers = [
  archive(folder('d'), file('d/a', 'a'.repeat(70_000)), file('d/b', 'b', { uid: 3, mode: 0o640 })),
  archive(gone('d/.wh.a'), file('c')),
];
const web: TestImage = { layers, names: ['web:1'], config: { Cmd: ['/c'], Labels: { of: 'the tests' } } };
const rootfs = archive(folder('etc', { mtime: 5 }), file('etc/os-release', 'ID=test\n', { mtime: 1_500_000_000 }));

const skopeo = (...args: readonly string[]): string =>
  execFileSync('skopeo', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const raw = (reference: string): string => skopeo('inspect', '--raw', '--tls-verify=false', `docker://${reference}`);

/** What umoci unpacks of an image of a registry: paths and contents. */
function unpacked(reference: string, at: string): Readonly<Record<string, string>> {
  const layout = join(at, `layout-${Math.random()}`);
  skopeo('copy', '--src-tls-verify=false', `docker://${reference}`, `oci:${layout}:x`);
  const bundle = `${layout}-bundle`;
  execFileSync('umoci', ['unpack', ...(isRoot ? [] : ['--rootless']), '--image', `${layout}:x`, bundle], {
    stdio: 'pipe',
  });
  const root = join(bundle, 'rootfs');
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path.slice(root.length), readFileSync(path, 'utf8')];
    }),
  );
}

needs('with a registry (skipped without docker-registry, skopeo or umoci)', () => {
  let registry: TestRegistry;
  beforeAll(async () => {
    registry = await startRegistry();
  });
  afterAll(() => registry.stop());

  describe.each([['root', undefined] as const, ['an ordinary user', testUser] as const])('as %s', (who, user) => {
    const options = user === undefined ? {} : { user };
    const isSkipped = who === 'root' ? !isRoot : user === undefined;
    const name = who.replaceAll(' ', '-');

    test.skipIf(isSkipped)('skopeo and umoci take what is pushed, by each compression', async () => {
      const at = place(options);
      at.write('web.tar', dockerArchive(web));
      await at.boxctl(['image', 'import', 'web.tar']);
      for (const compression of ['gzip', 'zstd', 'none']) {
        const target = `${registry.host}/${name}/web:${compression}`;
        const out = await at.boxctl(['image', 'push', 'web:1', target, '--compression', compression]);
        expect([out.status, out.stderr]).toEqual([0, '']);
        expect(out.stdout).toBe(`sha256:${sha256(raw(target))}\n`);
        const manifest = JSON.parse(raw(target)) as {
          config: { digest: string };
          layers: readonly { mediaType: string }[];
        };
        const suffix = compression === 'none' ? '' : `+${compression}`;
        for (const { mediaType } of manifest.layers) {
          expect(mediaType).toBe(`application/vnd.oci.image.layer.v1.tar${suffix}`);
        }
        if (who === 'root') expect(manifest.config.digest).toBe(`sha256:${idOf(web)}`);
        const config = JSON.parse(skopeo('inspect', '--config', '--tls-verify=false', `docker://${target}`)) as unknown;
        expect(config).toMatchObject({ config: { Cmd: ['/c'], Labels: { of: 'the tests' } } });
        // Debian's umoci knows no zstd.
        if (compression !== 'zstd') expect(unpacked(target, at.folder)).toEqual({ '/d/b': 'b', '/c': 'c' });
      }
      // What was pushed before by another compression has no part in a push that says nothing of it.
      const plain = await at.boxctl(['image', 'push', 'web:1', `${registry.host}/${name}/web:again`]);
      expect(plain.stdout).toBe(`sha256:${sha256(raw(`${registry.host}/${name}/web:gzip`))}\n`);
    });

    test.skipIf(isSkipped)('the same image pushed from two stores has the same digest, and is sent once', async () => {
      const digests = [];
      for (const repository of ['one', 'two']) {
        const at = place(options);
        at.write('rootfs.tar', rootfs);
        await at.boxctl(['image', 'import', 'rootfs.tar', 'base:1']);
        const target = `${registry.host}/${name}/${repository}`;
        digests.push((await at.boxctl(['image', 'push', 'base:1', target])).stdout);
        await registry.forget();
        const again = await at.boxctl(['image', 'push', 'base:1', target, '--json']);
        expect(again.stdout).toBe(digests.at(-1));
        expect(JSON.parse(again.stderr.trim().split('\n').at(-1) ?? '')).toMatchObject({
          event: 'pushed',
          sent: 0,
          present: 2,
        });
        const changing = (await registry.requests()).filter(({ method }) => method !== 'HEAD' && method !== 'GET');
        expect(changing.map(({ method, path }) => `${method} ${path}`)).toEqual([
          `PUT /v2/${name}/${repository}/manifests/latest`,
        ]);
      }
      expect(digests[0]).toMatch(/^sha256:[0-9a-f]{64}\n$/u);
      expect(digests[1]).toBe(digests[0]);
    });
  });

  test('what one repository has, another of the same registry mounts', async () => {
    const at = place();
    at.write('web.tar', dockerArchive(web));
    await at.boxctl(['image', 'import', 'web.tar']);
    const first = await at.boxctl(['image', 'push', 'web:1', `${registry.host}/mount/from`]);
    await registry.forget();
    const out = await at.boxctl(['image', 'push', 'web:1', `${registry.host}/mount/to`, '--json']);
    expect(out.stdout).toBe(first.stdout);
    expect(JSON.parse(out.stderr.trim().split('\n').at(-1) ?? '')).toMatchObject({ mounted: 2, sent: 1 });
    const requests = await registry.requests();
    expect(requests.filter(({ method }) => method === 'PATCH')).toEqual([]);
    expect(unpacked(`${registry.host}/mount/to`, at.folder)).toEqual({ '/d/b': 'b', '/c': 'c' });
  });

  test('an image keeps the manifest that it came with where the registry has its blobs, and else its configuration', async () => {
    const at = place();
    const tar = at.write(
      'web.tar',
      ociArchive(web, (layer) => gzipSync(layer, { level: 1 })),
    );
    await at.boxctl(['image', 'import', 'web.tar', 'web:1']);
    skopeo('copy', '--dest-tls-verify=false', `oci-archive:${tar}`, `docker://${registry.host}/kept/web:by-skopeo`);
    const original = raw(`${registry.host}/kept/web:by-skopeo`);
    await registry.forget();
    const out = await at.boxctl(['image', 'push', 'web:1', `${registry.host}/kept/web:by-boxctl`]);
    expect(out.stdout).toBe(`sha256:${sha256(original)}\n`);
    expect(raw(`${registry.host}/kept/web:by-boxctl`)).toBe(original);
    expect((await registry.requests()).filter(({ method }) => method === 'POST')).toEqual([]);
    const elsewhere = await at.boxctl(['image', 'push', 'web:1', `${registry.host}/anew/web`]);
    expect(elsewhere.stdout).not.toBe(out.stdout);
    const manifest = JSON.parse(raw(`${registry.host}/anew/web`)) as { config: { digest: string } };
    expect(manifest.config.digest).toBe(`sha256:${idOf(web)}`);
  });

  test('a pulled image keeps its manifest when an archive of it without one is imported', async () => {
    const at = place();
    const tar = at.write(
      'first.tar',
      ociArchive(web, (layer) => gzipSync(layer, { level: 1 })),
    );
    skopeo('copy', '--dest-tls-verify=false', `oci-archive:${tar}`, `docker://${registry.host}/saved/web:1`);
    const original = `sha256:${sha256(raw(`${registry.host}/saved/web:1`))}\n`;
    await at.boxctl(['pull', `${registry.host}/saved/web:1`]);
    await at.boxctl(['image', 'tag', `${registry.host}/saved/web:1`, 'saved:1']);
    await at.boxctl(['image', 'save', '-o', 'saved.tar', 'saved:1']);
    expect(await at.boxctl(['image', 'import', 'saved.tar'])).toMatchObject({ status: 0 });
    const again = await at.boxctl(['image', 'push', 'saved:1', `${registry.host}/saved/web:2`]);
    expect(again.stdout).toBe(original);
  });

  test('an image of plain layers keeps its manifest everywhere', async () => {
    const at = place();
    const target = `${registry.host}/plain/web`;
    at.write(
      'web.tar',
      ociArchive(web, (layer) => layer),
    );
    await at.boxctl(['image', 'import', 'web.tar', 'web:1']);
    // The archive calls its layers gzip, which does not matter here.
    const out = await at.boxctl(['image', 'push', 'web:1', target]);
    const layerDigests = (JSON.parse(raw(target)) as { layers: readonly { digest: string }[] }).layers;
    expect(layerDigests.map(({ digest }) => digest)).toEqual(layers.map((layer) => `sha256:${sha256(layer)}`));
    expect(unpacked(target, at.folder)).toEqual({ '/d/b': 'b', '/c': 'c' });
    expect(out.stderr).toBe('');
  });

  test.each(CALLERS)(
    'as %s, what is pulled and pushed to another repository of the registry keeps its digest, and no layer is sent',
    async (who, user) => {
      const name = who.replaceAll(' ', '-');
      const { digest, id } = await pushImage(registry, `${name}/from`, '1', web);
      const at = place(user === undefined ? {} : { user });
      const pulled = await at.boxctl(['image', 'pull', `${registry.host}/${name}/from:1`]);
      expect(pulled.stdout).toContain(digest);
      await registry.forget();
      const target = `${registry.host}/${name}/to:1`;
      const out = await at.boxctl(['image', 'push', `${registry.host}/${name}/from:1`, target]);
      expect([out.stdout, out.stderr]).toEqual([`${digest}\n`, '']);
      const requests = await registry.requests();
      expect(requests.filter(({ method }) => method === 'PATCH')).toEqual([]);
      const back = place(user === undefined ? {} : { user });
      const again = await back.boxctl(['image', 'pull', target]);
      expect([again.status, again.stderr]).toEqual([0, '']);
      expect((await back.boxctl(['image', 'ls', '--json'])).stdout).toContain(id);
    },
  );

  test('an image that boxctl has made is pulled back as the same image', async () => {
    const at = place();
    at.write('rootfs.tar', rootfs);
    await at.boxctl(['image', 'import', 'rootfs.tar', 'base:1']);
    const target = `${registry.host}/round/base:1`;
    for (const compression of ['gzip', 'zstd', 'none']) {
      const { stdout } = await at.boxctl(['image', 'push', 'base:1', target, '--compression', compression]);
      const there = place();
      expect((await there.boxctl(['image', 'pull', target])).stdout).toContain(stdout.trim());
      const archives = [at.boxctl(['image', 'save', 'base:1']), there.boxctl(['image', 'save', target])];
      const [one, two] = (await Promise.all(archives)).map(({ stdoutBytes }) => stdoutBytes);
      // But for the name, they are the same archive.
      expect(one?.subarray(0, 512).equals(two?.subarray(0, 512) ?? Buffer.alloc(0))).toBe(true);
      expect((await there.boxctl(['image', 'push', target, `${registry.host}/round/again:1`])).stdout).toBe(stdout);
    }
  });

  test('several images become an index, with a platform each', async () => {
    const at = place();
    at.write('amd64.tar', dockerArchive({ ...web, names: ['web:amd64'] }));
    await at.boxctl(['image', 'import', 'amd64.tar']);
    const target = `${registry.host}/index:1`;
    const twice = await at.boxctl(['image', 'push', 'web:amd64', 'web:amd64', target]);
    expect(twice.stderr).toContain('for the same platform');
    at.write('other.tar', archive({ name: 'bin/x', data: elf(243), mode: 0o755 }));
    await at.boxctl(['image', 'import', 'other.tar', 'web:riscv64']);
    const out = await at.boxctl(['image', 'push', 'web:amd64', 'web:riscv64', target]);
    expect([out.status, out.stderr]).toEqual([0, '']);
    expect(out.stdout).toBe(`sha256:${sha256(raw(target))}\n`);
    const index = JSON.parse(raw(target)) as { mediaType: string; manifests: readonly { platform: object }[] };
    expect(index.mediaType).toBe('application/vnd.oci.image.index.v1+json');
    expect(index.manifests.map(({ platform }) => platform)).toEqual([
      { architecture: 'amd64', os: 'linux' },
      { architecture: 'riscv64', os: 'linux' },
    ]);
    const layout = join(at.folder, 'layout');
    skopeo('copy', '--all', '--src-tls-verify=false', `docker://${target}`, `oci:${layout}:x`);
  });

  test('with a token server, the scopes are those of a push, and of both repositories for a mount', async () => {
    const guarded = await startRegistry({ tokens: { users: { me: 'my secret' } } });
    try {
      const at = place();
      at.write('web.tar', ociArchive(web, gzipSync));
      await at.boxctl(['image', 'import', 'web.tar', 'web:1']);
      const target = `${guarded.host}/mine/web`;
      const nobody = await at.boxctl(['image', 'push', 'web:1', target]);
      expect(nobody.status).not.toBe(0);
      expect(nobody.stderr).toContain(`boxctl login ${guarded.host}`);
      const auth = Buffer.from('me:my secret').toString('base64');
      const authFile = at.write('auth.json', JSON.stringify({ auths: { [guarded.host]: { auth } } }));
      execFileSync('chmod', ['600', authFile]);
      const env = { REGISTRY_AUTH_FILE: authFile };
      const out = await at.boxctl(['image', 'push', 'web:1', target], { env });
      expect([out.status, out.stderr]).toEqual([0, '']);
      const mounted = await at.boxctl(['image', 'push', 'web:1', `${guarded.host}/mine/other`, '--json'], { env });
      expect(mounted.stdout).toBe(out.stdout);
      expect(mounted.stderr).toContain('"mounted":2');
      const scopes = (guarded.tokens?.requests ?? []).map((request) => request.scopes.join(' '));
      expect(scopes).toContain('repository:mine/web:pull,push');
      expect(scopes).toContain('repository:mine/other:pull,push repository:mine/web:pull');
      for (const { stdout, stderr } of [nobody, out, mounted]) expect(stdout + stderr).not.toContain('my secret');
    } finally {
      await guarded.stop();
    }
  });

  test('a blocked registry is not talked to', async () => {
    const at = place();
    at.write('web.tar', dockerArchive(web));
    await at.boxctl(['image', 'import', 'web.tar']);
    const conf = at.write(
      'registries.conf',
      `[[registry]]\nprefix = "${registry.host}"\nlocation = "${registry.host}"\nblocked = true\n`,
    );
    await registry.forget();
    const out = await at.boxctl(['image', 'push', 'web:1', `${registry.host}/x`], {
      env: { CONTAINERS_REGISTRIES_CONF: conf },
    });
    expect(out.stderr).toContain(`${registry.host}/x`);
    expect(out.status).not.toBe(0);
    expect(await registry.requests()).toEqual([]);
  });
});

/** The beginning of a program for a machine. */
function elf(machine: number): Buffer {
  const head = Buffer.alloc(64);
  head.write('\x7fELF\x02\x01\x01', 'latin1');
  head.writeUInt16LE(2, 16);
  head.writeUInt16LE(machine, 18);
  return head;
}

describe('the command', () => {
  test('an image whose name has a registry goes there, under its name', async () => {
    const registry = await startUploadRegistry();
    try {
      const at = place();
      at.write('web.tar', dockerArchive(web));
      await at.boxctl(['image', 'import', 'web.tar', `${registry.host}/org/web:2`]);
      const out = await at.boxctl(['image', 'push', `${registry.host}/org/web:2`, '--quiet']);
      expect([out.status, out.stderr]).toEqual([0, '']);
      expect([...registry.manifests.keys()]).toEqual(['org/web:2']);
    } finally {
      await registry.stop();
    }
  });

  test.each([
    [['web:1', 'web'], 'E_USAGE', 'does not say to which registry'],
    [['web:1'], 'E_USAGE', 'docker.io/YOU/web'],
    [['web:1', 'localhost:1/UPPER'], 'E_IMAGE_NAME', 'UPPER'],
    [['web:1', `localhost:1/web@sha256:${'0'.repeat(64)}`], 'E_USAGE', 'a digest cannot be chosen'],
    [['none:1', 'localhost:1/web'], 'E_IMAGE_NOT_FOUND', 'none:1'],
    [['web:1', 'localhost:1/web', '--platform', 'windows/amd64'], 'E_USAGE', 'is no platform'],
    [['web:1', 'localhost:1/web', '--platform', 'linux/arm64'], 'E_IMAGE_NOT_FOUND', 'for linux/arm64'],
    [['web:1', '127.0.0.1:1/web'], 'E_REGISTRY_UNREACHABLE', '127.0.0.1:1'],
  ])('%j is an error that says what to do', async (args, code, said) => {
    const at = place();
    at.write('web.tar', dockerArchive(web));
    await at.boxctl(['image', 'import', 'web.tar']);
    const out = await at.boxctl(['image', 'push', ...args, '--json']);
    expect(out.status).not.toBe(0);
    expect(out.stdout).toBe('');
    expect(out.stderr).toContain(code);
    expect(out.stderr).toContain(said);
    expect(readdirSync(join(at.folder, 'store/tmp'))).toEqual([]);
  });

  test('a push that was broken off sends only what the registry does not have', async () => {
    const registry = await startUploadRegistry({ refuse: { status: 507, message: 'no room' } });
    try {
      const at = place();
      at.write('web.tar', dockerArchive(web));
      await at.boxctl(['image', 'import', 'web.tar']);
      const target = `${registry.host}/web:1`;
      const first = await at.boxctl(['image', 'push', 'web:1', target]);
      expect(first.stderr).toContain('no room');
      delete registry.behaviour.refuse;
      const { stdout } = await at.boxctl(['image', 'push', 'web:1', target]);
      registry.manifests.clear();
      registry.requests.length = 0;
      const again = await at.boxctl(['image', 'push', 'web:1', target]);
      expect(again.stdout).toBe(stdout);
      expect(registry.requests.map(({ method }) => method).filter((method) => method !== 'HEAD')).toEqual(['PUT']);
    } finally {
      await registry.stop();
    }
  });
});
