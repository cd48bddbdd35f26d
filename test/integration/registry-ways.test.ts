/** Mirrors and proxies. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { BoxctlError } from '../../src/errors.ts';
import type { Location, TlsFiles } from '../../src/registry/options.ts';
import { Authority } from '../support/certificates.ts';
import { LyingRegistry, type Descriptor } from '../support/lying-registry.ts';
import { startProxy, type ProxyServer } from '../support/proxy-server.ts';
import { bytesOf, failing, reference, testClient, testClock } from '../support/registry-client.ts';

const index = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [] };
const content = Buffer.alloc(300_000, 'content ');
let registry: LyingRegistry;
let mirror: LyingRegistry;
let blob: Descriptor;
let manifest: Descriptor;
const started: { stop: () => Promise<void> }[] = [];

beforeAll(async () => {
  registry = await LyingRegistry.start();
  mirror = await LyingRegistry.start();
  for (const [one, repository] of [
    [registry, 'a/b'],
    [mirror, 'copy/a/b'],
  ] as const) {
    blob = one.addBlob(content);
    manifest = one.addManifest(repository, ['one'], index);
  }
});
afterEach(async () => {
  registry.repent();
  mirror.repent();
  for (const one of started.splice(0)) await one.stop();
});
afterAll(async () => {
  await registry.stop();
  await mirror.stop();
});

async function withClient<T>(
  work: (client: ReturnType<typeof testClient>) => Promise<T>,
  options: Parameters<typeof testClient>[0] = {},
): Promise<T> {
  const client = testClient({ patience: 20_000, ...options });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

describe('a mirror', () => {
  const at = (host: string, repository: string, isMirror: boolean): Location => ({
    host,
    repository,
    insecure: false,
    isMirror,
  });
  const mirrored = (...hosts: readonly string[]): { locationsOf: () => readonly Location[] } => ({
    locationsOf: () => [...hosts.map((host) => at(host, 'copy/a/b', true)), at(registry.host, 'a/b', false)],
  });
  const one = reference('registry.test', 'a/b', 'one');
  const of = { registry: 'registry.test', repository: 'a/b' };

  test('is asked first, and the registry is not asked when it answers', async () => {
    await withClient(async (client) => {
      expect((await client.manifest(one)).digest).toBe(manifest.digest);
      expect(await bytesOf(client.blob(of, blob, 0))).toHaveLength(content.length);
    }, mirrored(mirror.host));
    expect(mirror.requests).toHaveLength(2);
    expect(registry.requests).toEqual([]);
  });

  test('that has no such image leaves it to the registry', async () => {
    mirror.lie(/./u, { status: 404, body: '{}' });
    await withClient(async (client) => {
      expect((await client.manifest(one)).digest).toBe(manifest.digest);
      expect(await client.resolve(one)).toMatchObject({ digest: manifest.digest });
      expect(await bytesOf(client.blob(of, blob, 0))).toHaveLength(content.length);
    }, mirrored(mirror.host));
  });

  test('that is unreachable is asked once, and then no more', async () => {
    const dead = await LyingRegistry.start();
    await dead.stop();
    const clock = testClock();
    mirror.lie(/./u, { silent: true });
    await withClient(
      async (client) => {
        await client.manifest(one);
        const before = mirror.requests.length;
        await client.manifest(one);
        expect(mirror.requests).toHaveLength(before);
      },
      { ...mirrored(dead.host, mirror.host), clock },
    );
    expect(registry.requests).toHaveLength(2);
    expect(clock.slept.length).toBeLessThan(4);
  });

  test('that breaks in the middle of a blob leaves the rest of it to the registry', async () => {
    mirror.lie(/blobs/u, { closeAt: 100_000 }, { times: 1 });
    mirror.lie(/blobs/u, ({ headers }) => (headers.range === undefined ? undefined : { status: 500 }));
    const got = await withClient((client) => bytesOf(client.blob(of, blob, 0)), mirrored(mirror.host));
    expect(got.equals(content)).toBe(true);
    expect(registry.requests[0]?.headers.range).toMatch(/^bytes=\d+-299999$/u);
  });

  test('that lies about a digest leaves it to the registry', async () => {
    mirror.lie(/manifests/u, { body: JSON.stringify({ ...index, other: 1 }) });
    const byDigest = reference('registry.test', 'a/b', manifest.digest);
    await withClient(
      async (client) => expect((await client.manifest(byDigest)).digest).toBe(manifest.digest),
      mirrored(mirror.host),
    );
  });

  test('is named in the error when all fail, and the registry decides which error it is', async () => {
    mirror.lie(/./u, { status: 500 });
    registry.lie(/./u, { status: 404, body: '{"errors":[{"message":"manifest unknown"}]}' });
    const failed = await withClient((client) => failing(client.manifest(one)), mirrored(mirror.host));
    expect(failed.code).toBe('E_REGISTRY_NOT_FOUND');
    expect(failed.text).toContain('registry.test/a/b:one: ');
    expect(failed.text).toContain(`${registry.host}: it has no such image (status 404: manifest unknown)`);
    expect(failed.text).toContain(`its mirror ${mirror.host}: it has an error of its own (status 500)`);
  });

  test('does not get the credentials of the registry', async () => {
    mirror.lie(/./u, { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } });
    const asked: string[] = [];
    const credentialsFor = (host: string): Promise<undefined> => {
      asked.push(host);
      return Promise.resolve(undefined);
    };
    await withClient((client) => client.manifest(one), { ...mirrored(mirror.host), credentialsFor });
    expect(asked).toEqual([mirror.host]);
  });

  test('cannot be asked where the configuration blocks the registry', async () => {
    const blocked = new BoxctlError('E_REGISTRY_BLOCKED', 'blocked');
    const locationsOf = (): never => {
      throw blocked;
    };
    await withClient(
      async (client) => {
        await expect(client.manifest(one)).rejects.toBe(blocked);
        await expect(
          bytesOf(
            (async function* all() {
              yield* client.blob(of, blob, 0);
            })(),
          ),
        ).rejects.toBe(blocked);
      },
      { locationsOf },
    );
  });
});

describe('a proxy', () => {
  let folder: string;
  let authority: Authority;
  let secure: LyingRegistry;
  const SECRET = 'pr0xy-secret';
  const authorization = `Basic ${Buffer.from(`somebody:${SECRET}`).toString('base64')}`;
  const one = reference('registry.test', 'a/b', 'one');
  const tlsFor = (): TlsFiles => ({ authorities: [authority.pem], pairs: [] });
  const portOf = ({ host }: { readonly host: string }): number => Number(host.split(':').at(-1));

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'boxctl-test-'));
    authority = new Authority(folder);
    secure = await LyingRegistry.start({ tls: authority.issue({ names: ['DNS:registry.test', 'DNS:plain.test'] }) });
    secure.addManifest('a/b', ['one'], index);
    secure.addBlob(content);
  });
  afterEach(() => secure.repent());
  afterAll(async () => {
    await secure.stop();
    rmSync(folder, { recursive: true });
  });

  async function proxy(
    options: Parameters<typeof startProxy>[1] = {},
    to: { host: string } = secure,
  ): Promise<ProxyServer> {
    const server = await startProxy(() => portOf(to), options);
    started.push(server);
    return server;
  }

  test('connects to a registry with TLS, which it cannot look into', async () => {
    const server = await proxy();
    await withClient(
      async (client) => {
        expect((await client.manifest(one)).digest).toBe(manifest.digest);
        const got = await bytesOf(client.blob({ registry: 'registry.test', repository: 'a/b' }, blob, 0));
        expect(got.equals(content)).toBe(true);
      },
      { env: { HTTPS_PROXY: `http://${server.host}` }, tlsFor },
    );
    expect(new Set(server.requests)).toEqual(new Set(['CONNECT registry.test:443']));
    expect(secure.requests[0]?.headers.host).toBe('registry.test');
  });

  test('looks at the certificate of the registry, not at its own', async () => {
    const server = await proxy({ tls: authority.issue() });
    const env = { HTTPS_PROXY: `https://${server.host}` };
    await withClient((client) => client.manifest(one), { env, tlsFor });
    const other = reference('other.test', 'a/b', 'one');
    const failed = await withClient((client) => failing(client.manifest(other)), { env, tlsFor });
    expect(failed).toMatchObject({ code: 'E_REGISTRY_TLS', text: expect.stringContaining('another host') as string });
  });

  test('gets its own name and password, and the registry does not', async () => {
    const server = await proxy({ authorization });
    const env = { HTTPS_PROXY: `http://somebody:${SECRET}@${server.host}` };
    await withClient((client) => client.manifest(one), { env, tlsFor });
    expect(secure.requests[0]?.headers).not.toHaveProperty('proxy-authorization');
  });

  test('is asked for whole addresses where the registry is plain', async () => {
    const server = await proxy({ authorization }, registry);
    const locationsOf = (): readonly Location[] => [
      { host: 'plain.test:5000', repository: 'a/b', insecure: true, isMirror: false },
    ];
    // TLS is tried first, which the registry does not speak.
    const address = `http://somebody:${SECRET}@${server.host}`;
    const env = { HTTP_PROXY: address, HTTPS_PROXY: address, NO_PROXY: '' };
    await withClient(async (client) => expect((await client.manifest(one)).digest).toBe(manifest.digest), {
      env,
      locationsOf,
    });
    expect(server.requests).toEqual(['CONNECT plain.test:5000', 'GET http://plain.test:5000/v2/a/b/manifests/one']);
    expect(registry.requests[0]?.headers.host).toBe('plain.test:5000');
    expect(registry.requests[0]?.headers).not.toHaveProperty('proxy-authorization');
  });

  test.each([
    [407, 'it wants a name and a password'],
    [403, 'NO_PROXY'],
  ])('that refuses with %i is an error of the proxy', async (status, words) => {
    const server = await proxy({ refuse: status });
    const env = { HTTPS_PROXY: `http://somebody:${SECRET}@${server.host}` };
    const failed = await withClient((client) => failing(client.manifest(one)), { env, tlsFor });
    expect(failed.code).toBe('E_REGISTRY_PROXY');
    expect(failed.text).toContain(words);
    expect(failed.text).toContain(`http://${server.host}`);
    expect(failed.text).not.toContain(SECRET);
  });

  test('that is not there is an error of the proxy', async () => {
    const server = await startProxy(() => 1);
    await server.stop();
    const env = { HTTPS_PROXY: `http://somebody:${SECRET}@${server.host}` };
    const failed = await withClient((client) => failing(client.manifest(one)), { env, tlsFor });
    expect(failed.code).toBe('E_REGISTRY_PROXY');
    expect(failed.text).not.toContain(SECRET);
  });

  test('that answers nothing is given up', async () => {
    const silent = await LyingRegistry.start();
    started.push(silent);
    silent.lie(/./u, { silent: true });
    const failed = await withClient((client) => failing(client.manifest(one)), {
      env: { HTTPS_PROXY: `http://${silent.host}` },
      tlsFor,
    });
    expect(failed.code).toBe('E_REGISTRY_PROXY');
  });

  test('is not used for a registry on this machine', async () => {
    const server = await proxy({}, registry);
    const env = { HTTP_PROXY: `http://${server.host}`, HTTPS_PROXY: `http://${server.host}` };
    await withClient((client) => client.manifest(reference(registry.host, 'a/b', 'one')), { env });
    expect(server.requests).toEqual([]);
  });
});
