/** Images from registries: what `boxctl pull` and `boxctl up` bring into the store, and what they ask for. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { boxctl, run, type Ended, type RunOptions } from '../support/boxctl.ts';
import type { TestImage } from '../support/image-archives.ts';
import { BUSYBOX } from '../support/busybox.ts';
import { hasRegistry, putBlob, putManifest, sha256, startRegistry, type TestRegistry } from '../support/registry.ts';
import { OCI, pushImage, pushIndex } from '../support/registry-images.ts';
import { tempFolder } from '../support/temp.ts';
import { testUser, type TestUser } from '../support/user.ts';
import { archive } from '../unit/image/archive-fixture.ts';

const base = archive(
  { name: 'bin/', type: '5', mode: 0o755 },
  { name: 'bin/busybox', data: readFileSync(BUSYBOX), mode: 0o755 },
  ...['sh', 'cat', 'true'].map((name) => ({ name: `bin/${name}`, type: '2' as const, link: 'busybox' })),
);
const note = (text: string): Buffer => archive({ name: 'note', data: text });
const imageOf = (text: string): TestImage => ({
  layers: [base, note(text)],
  config: { Cmd: ['cat', '/note'], Env: ['PATH=/bin'] },
});

interface Place {
  readonly folder: string;
  readonly store: string;
  boxctl(args: readonly string[], options?: RunOptions): Promise<Ended>;
  /** `up --quiet` of a file with these keys. */
  up(keys: object, options?: RunOptions): Promise<Ended>;
  /** Digests of layers that the store has. */
  layers(): readonly string[];
  /** All that is neither an image nor a lock. */
  leftovers(): readonly string[];
}

/** For a start that asks the registry each time. */
const COUNTED: RunOptions = { once: 'its requests are counted' };

const list = (folder: string): readonly string[] => (existsSync(folder) ? readdirSync(folder).toSorted() : []);

function place(user?: TestUser): Place {
  const folder = tempFolder({ open: true });
  const store = join(user === undefined ? folder : join(folder, 'own'), 'store');
  const own: RunOptions = { cwd: folder, env: { BOXCTL_STORE: store }, ...(user === undefined ? {} : { user }) };
  const call = (args: readonly string[], options: RunOptions = {}): Promise<Ended> =>
    boxctl(args, { ...own, ...options, env: { ...own.env, ...options.env } });
  return {
    folder,
    store,
    boxctl: call,
    up(keys, options) {
      writeFileSync(join(folder, 'container.yaml'), JSON.stringify(keys));
      return call(['up', '--quiet'], options);
    },
    layers: () => list(join(store, 'layers')),
    leftovers: () => ['tmp', 'partial'].flatMap((name) => list(join(store, name))),
  };
}

describe.skipIf(!hasRegistry)('an image of a registry', () => {
  let registry: TestRegistry;
  const callers: readonly (readonly [string, TestUser | undefined])[] = [
    ['root', undefined],
    ...(testUser === undefined ? [] : [['an ordinary user', testUser] as const]),
  ];

  beforeAll(async () => {
    registry = await startRegistry();
  });
  afterAll(() => registry.stop());

  const paths = async (): Promise<readonly string[]> =>
    (await registry.requests()).map(({ method, path }) => `${method} ${path}`);

  test.each(callers)('is run by `up` as %s, and by the next `up` without a request', async (_, user) => {
    const { id, digest } = await pushImage(registry, 'run/me', '1', imageOf('from a registry'));
    const at = place(user);
    if (user !== undefined) await run(['install', '-d', '-o', user.name, join(at.folder, 'own')]);
    const file = { image: `${registry.host}/run/me:1` };
    expect(await at.up(file)).toMatchObject({ status: 0, stdout: 'from a registry', stderr: '' });
    registry.forget();
    expect(await at.up(file)).toMatchObject({ status: 0, stdout: 'from a registry', stderr: '' });
    expect(await at.up({ ...file, pull_policy: 'never' })).toMatchObject({ status: 0, stdout: 'from a registry' });
    expect(await paths()).toEqual([]);
    const images = JSON.parse((await at.boxctl(['image', 'ls', '--json'])).stdout) as object[];
    expect(images).toMatchObject([{ digest: id, names: [`${registry.host}/run/me:1`] }]);
    expect(digest).not.toContain(id);
    expect(at.leftovers()).toEqual([]);
  });

  test('prints its digest and its reference; with --quiet the digest alone', async () => {
    const { digest } = await pushImage(registry, 'print', 'latest', imageOf('x'));
    const at = place();
    const reference = `${registry.host}/print`;
    expect(await at.boxctl(['pull', reference])).toMatchObject({
      status: 0,
      stdout: `${digest} ${reference}:latest\n`,
      stderr: '',
    });
    expect(await at.boxctl(['image', 'pull', '-q', reference])).toMatchObject({ stdout: `${digest}\n`, stderr: '' });
    const again = await at.boxctl(['pull', reference]);
    expect(again).toMatchObject({ status: 0, stdout: `${digest} ${reference}:latest\n` });
    expect(again.stderr).toContain('is what the store has already');
    writeFileSync(join(at.folder, 'container.yaml'), JSON.stringify({ image: reference }));
    expect(await at.boxctl(['pull', '-q'])).toMatchObject({ stdout: `${digest}\n` });
    const told = await at.boxctl(['pull', '--json', reference]);
    expect(JSON.parse(told.stderr.trim().split('\n').at(-1) ?? '')).toMatchObject({
      event: 'pulled',
      digest,
      was_there: true,
    });
  });

  test('is asked for by one HEAD when the store has it, and its layers are not fetched again', async () => {
    await pushImage(registry, 'again', '1', imageOf('one'));
    const at = place();
    await at.boxctl(['pull', `${registry.host}/again:1`]);
    registry.forget();
    await at.boxctl(['pull', `${registry.host}/again:1`]);
    expect(await paths()).toEqual(['HEAD /v2/again/manifests/1']);
    registry.forget();
    const again = { image: `${registry.host}/again:1`, pull_policy: 'always' };
    expect(await at.up(again, COUNTED)).toMatchObject({ stdout: 'one' });
    expect(await paths()).toEqual(['HEAD /v2/again/manifests/1']);
  });

  test('is pulled anew when its tag has moved and the policy is to ask; layers that both have are fetched once', async () => {
    const first = await pushImage(registry, 'moves', '1', imageOf('old'));
    const at = place();
    const image = `${registry.host}/moves:1`;
    expect(await at.up({ image })).toMatchObject({ stdout: 'old' });
    const second = await pushImage(registry, 'moves', '1', imageOf('new'));
    expect(await at.up({ image })).toMatchObject({ stdout: 'old' });
    expect(await at.up({ image, pull_policy: 'daily' })).toMatchObject({ stdout: 'old' });
    registry.forget();
    expect(await at.up({ image, pull_policy: 'every_0s' })).toMatchObject({ stdout: 'new' });
    const blobs = (await paths()).filter((path) => path.includes('/blobs/'));
    const own = second.layers.at(-1) ?? '';
    expect(blobs).toHaveLength(2);
    expect(blobs).toContain(`GET /v2/moves/blobs/${own}`);
    expect(first.layers[0]).toBe(second.layers[0]);
    expect(at.layers()).toHaveLength(3);
  });

  test('that is not there is an error at its line, and `never` keeps it from being asked for', async () => {
    const at = place();
    registry.forget();
    const image = `${registry.host}/nothing:1`;
    const missing = await at.up({ image });
    expect(missing).toMatchObject({ status: 125, stdout: '' });
    expect(missing.stderr).toContain('container.yaml:1:10: error: ');
    expect(missing.stderr).toContain(image);
    registry.forget();
    const never = await at.up({ image, pull_policy: 'never' });
    expect(never.stderr).toContain(`the store has no image "${image}"`);
    expect(never.stderr).toContain('pull_policy: never');
    for (const command of ['plan', 'validate']) {
      writeFileSync(join(at.folder, 'container.yaml'), JSON.stringify({ image, command: ['sh'] }));
      expect(await at.boxctl([command])).toMatchObject({ status: 0 });
    }
    expect((await at.boxctl(['plan'])).stderr).toContain('not in the store yet');
    expect(await paths()).toEqual([]);
    expect(at.layers()).toEqual([]);
  });

  test('is found by its digest, and a digest is never asked for again', async () => {
    const { digest } = await pushImage(registry, 'pinned', '1', imageOf('pinned'));
    await pushImage(registry, 'pinned', '1', imageOf('moved'));
    const at = place();
    const image = `${registry.host}/pinned:1@${digest}`;
    expect(await at.up({ image })).toMatchObject({ stdout: 'pinned' });
    registry.forget();
    expect(await at.up({ image, pull_policy: 'always' })).toMatchObject({ stdout: 'pinned' });
    expect(await at.up({ image: `${registry.host}/pinned@${digest}` })).toMatchObject({ stdout: 'pinned' });
    expect(await paths()).toEqual([]);
    expect((await at.boxctl(['image', 'ls', '--names'])).stdout).toBe(`${registry.host}/pinned@${digest}\n`);
  });

  test('of an index is the one for this machine, whatever else the index has', async () => {
    const own = await pushImage(registry, 'many', undefined, imageOf('mine'));
    const arm = await pushImage(registry, 'many', undefined, imageOf('other'), { platform: { architecture: 's390x' } });
    const described = (pushed: typeof own, architecture: string, os = 'linux'): object => ({
      ...pushed.descriptor,
      platform: { os, architecture },
    });
    const inner = await pushIndex(registry, 'many', 'inner', [described(arm, 's390x'), described(own, HERE)]);
    const bytes = Number(
      (await fetch(`${registry.url}/v2/many/manifests/${inner}`, { headers: { accept: OCI.index } })).headers.get(
        'content-length',
      ),
    );
    const digest = await pushIndex(registry, 'many', '1', [
      { ...described(arm, 'unknown', 'unknown'), annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } },
      { mediaType: OCI.index, digest: inner, size: bytes },
    ]);
    const at = place();
    const image = `${registry.host}/many:1`;
    expect(await at.boxctl(['pull', image])).toMatchObject({ stdout: `${digest} ${image}\n` });
    expect(await at.up({ image })).toMatchObject({ stdout: 'mine' });
    const foreign = await at.up({ image, platform: 'linux/s390x' });
    expect(foreign.stderr).toContain('does not run what is made for linux/s390x');
    expect(await at.boxctl(['pull', '--platform', 'linux/s390x', image])).toMatchObject({ status: 0 });
    expect(await at.up({ image })).toMatchObject({ stdout: 'mine' });
    const none = await at.boxctl(['pull', '--platform', 'linux/riscv64', image]);
    expect(none.stderr).toContain('linux/riscv64 is asked for');
    registry.forget();
    expect(await at.up({ image, pull_policy: 'always' }, COUNTED)).toMatchObject({ stdout: 'mine' });
    expect(await paths()).toEqual(['HEAD /v2/many/manifests/1']);
  });

  test('keeps its manifest, its index and its configuration as they came, as long as it is there', async () => {
    const own = await pushImage(registry, 'kept', undefined, imageOf('kept'));
    const index = await pushIndex(registry, 'kept', '1', [own.descriptor]);
    const at = place();
    await at.boxctl(['pull', `${registry.host}/kept:1`]);
    const documents = join(at.store, 'documents');
    expect(list(documents)).toEqual([own.digest, index, `sha256:${own.id}`].map((each) => each.slice(7)).toSorted());
    for (const name of list(documents)) expect(sha256(readFileSync(join(documents, name)))).toBe(`sha256:${name}`);
    await at.boxctl(['image', 'rm', `${registry.host}/kept:1`]);
    expect(list(documents)).toEqual([]);
    expect(at.layers()).toEqual([]);
  });

  test('may have layers of any compression, empty ones, the same one twice, and none at all', async () => {
    const at = place();
    const image = imageOf('mixed');
    const layers = [...image.layers, Buffer.alloc(0), note('top'), note('top')];
    const zstd = (layer: Buffer): Promise<Buffer> =>
      run(['zstd', '-q', '-c'], { stdin: layer }).then(({ stdoutBytes }) => stdoutBytes);
    const packed = await Promise.all([
      zstd(layers[0] ?? base),
      ...layers.slice(1).map((layer, index) => (index === 0 ? layer : index === 1 ? Buffer.alloc(0) : gzipSync(layer))),
    ]);
    await pushImage(registry, 'mixed', '1', { ...image, layers }, { pack: (_, index) => packed[index] ?? base });
    expect(await at.up({ image: `${registry.host}/mixed:1` })).toMatchObject({ stdout: 'top', stderr: '' });
    await pushImage(registry, 'mixed', 'none', { layers: [] });
    expect(await at.boxctl(['pull', `${registry.host}/mixed:none`])).toMatchObject({ status: 0, stderr: '' });
  });

  test.each<[what: string, change: (type: string) => string, message: string]>([
    ['a foreign layer', () => 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', 'is a foreign one'],
    ['a layer of another kind', () => 'application/vnd.example.layer', 'of a kind that boxctl does not read'],
    ['an encrypted layer', (type) => `${type}+encrypted`, 'skopeo copy --decryption-key'],
  ])('with %s is refused by name, and nothing is fetched of it', async (_, change, message) => {
    await pushImage(registry, 'strange', '1', imageOf('x'), {
      typeOf: (index) => (index === 1 ? change(`${OCI.layer}+gzip`) : `${OCI.layer}+gzip`),
    });
    const at = place();
    registry.forget();
    const refused = await at.boxctl(['pull', `${registry.host}/strange:1`]);
    expect(refused).toMatchObject({ status: 125, stdout: '' });
    expect(refused.stderr).toContain(message);
    expect(refused.stderr).toContain('Layer 2');
    expect(await paths()).toEqual(['GET /v2/strange/manifests/1']);
  });

  test('that is another artifact is refused', async () => {
    const config = Buffer.from('{}');
    await putBlob(registry, 'chart', config);
    await putManifest(registry, 'chart', '1', {
      schemaVersion: 2,
      mediaType: OCI.manifest,
      config: { mediaType: 'application/vnd.cncf.helm.config.v1+json', digest: sha256(config), size: 2 },
      layers: [],
    } as never);
    const refused = await place().boxctl(['pull', `${registry.host}/chart:1`]);
    expect(refused.stderr).toContain('is no image of a root file system, but application/vnd.cncf.helm.config.v1+json');
  });

  test('shares its layers with images that were imported from archives', async () => {
    const image = imageOf('shared');
    await pushImage(registry, 'shared', '1', image);
    const at = place();
    await run(
      [
        'skopeo',
        'copy',
        '-q',
        '--insecure-policy',
        '--src-tls-verify=false',
        `docker://${registry.host}/shared:1`,
        'docker-archive:x.tar',
      ],
      { cwd: at.folder },
    );
    expect(await at.boxctl(['image', 'import', '-q', 'x.tar', 'local'])).toMatchObject({ status: 0 });
    const before = at.layers();
    await pushImage(registry, 'shared', '2', { ...image, layers: [...image.layers, note('more')] });
    registry.forget();
    expect(await at.up({ image: `${registry.host}/shared:2` })).toMatchObject({ stdout: 'more' });
    expect((await paths()).filter((path) => path.includes('/blobs/'))).toHaveLength(2);
    expect(at.layers()).toEqual(expect.arrayContaining([...before]));
    expect(at.layers()).toHaveLength(before.length + 1);
  });

  test('is pulled once by two commands at a time', async () => {
    const image = {
      ...imageOf('once'),
      layers: [base, note('once'), archive({ name: 'big', data: Buffer.alloc(8 << 20) })],
    };
    await pushImage(registry, 'once', '1', image);
    const at = place();
    registry.forget();
    const both = await Promise.all([1, 2].map(() => at.boxctl(['pull', '-q', `${registry.host}/once:1`])));
    expect(both.map(({ status }) => status)).toEqual([0, 0]);
    const blobs = (await paths()).filter((path) => path.startsWith('GET') && path.includes('/blobs/'));
    expect(new Set(blobs).size).toBe(blobs.length);
  });

  test('has its name taken away by `image rm`, and is pruned when it has none', async () => {
    const { digest } = await pushImage(registry, 'names', '1', imageOf('names'));
    const at = place();
    const name = `${registry.host}/names:1`;
    await at.boxctl(['pull', name]);
    expect(await at.boxctl(['image', 'tag', name, 'mine'])).toMatchObject({ status: 0 });
    expect(await at.up({ image: 'mine', pull_policy: 'always' })).toMatchObject({ stdout: 'names' });
    expect((await at.boxctl(['image', 'rm', name])).stdout).toBe(`removed the name ${name}\n`);
    expect((await at.boxctl(['image', 'prune'])).stdout).toContain('0 images removed');
    expect((await at.boxctl(['image', 'inspect', 'mine'])).stdout).toContain(`from ${name}`);
    await at.boxctl(['image', 'rm', 'mine']);
    expect(at.layers()).toEqual([]);
    expect(digest).toMatch(/^sha256:/u);
  });
});

const HERE = process.arch === 'arm64' ? 'arm64' : 'amd64';
