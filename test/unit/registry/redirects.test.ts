/** Where the client follows a registry to, and what it does not tell there. */
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { redirected, repositoryPath } from '../../../src/registry/endpoint.ts';
import { LyingRegistry, type Descriptor } from '../../support/lying-registry.ts';
import { bytesOf, failing, reference, testClient } from '../../support/registry-client.ts';

let registry: LyingRegistry;
let other: LyingRegistry;
const content = randomBytes(200_000);
let blob: Descriptor;
const PERSON = { username: 'somebody', password: 'secret' };

beforeAll(async () => {
  registry = await LyingRegistry.start();
  other = await LyingRegistry.start();
  blob = registry.addBlob(content);
  other.addBlob(content);
  registry.addManifest('a/b', ['one'], { schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json' });
});
afterEach(() => {
  registry.repent();
  other.repent();
});
afterAll(async () => {
  await registry.stop();
  await other.stop();
});

function wantsPassword(): void {
  registry.lie(/./u, ({ headers }) =>
    headers.authorization === undefined
      ? { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } }
      : undefined,
  );
}
const to = (
  status: number,
  location: string | undefined,
): { status: number; headers: Record<string, string | undefined> } => ({
  status,
  headers: { location },
});
async function withClient<T>(work: (client: ReturnType<typeof testClient>) => Promise<T>): Promise<T> {
  const client = testClient({ credentialsFor: () => Promise.resolve(PERSON), patience: 20_000 });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}
const blobOf = (client: ReturnType<typeof testClient>, offset = 0): Promise<Buffer> =>
  bytesOf(client.blob({ registry: registry.host, repository: 'a/b' }, blob, offset));

describe('a redirect', () => {
  test.each([301, 302, 303, 307, 308])('by %i to another host is followed without credentials', async (status) => {
    // What is told last is looked at first: only who has a password is redirected.
    registry.lie(/blobs/u, to(status, `${other.url}/v2/x/blobs/${blob.digest}?X-Signature=abc`));
    wantsPassword();
    registry.lie(/blobs/u, ({ headers }) =>
      headers.authorization === undefined ? undefined : to(status, `${other.url}/v2/x/blobs/${blob.digest}?sig=abc`),
    );
    await withClient(async (client) => expect((await blobOf(client)).equals(content)).toBe(true));
    expect(other.requests).toHaveLength(1);
    expect(other.requests[0]?.headers.authorization).toBeUndefined();
    expect(other.requests[0]?.headers.cookie).toBeUndefined();
    expect(registry.requests.at(-1)?.headers.authorization).toBeDefined();
  });

  test('keeps the range', async () => {
    registry.lie(/blobs/u, to(307, `${other.url}/v2/x/blobs/${blob.digest}`));
    await withClient(async (client) => expect((await blobOf(client, 100)).equals(content.subarray(100))).toBe(true));
    expect(other.requests[0]?.headers.range).toBe('bytes=100-199999');
  });

  test('to another path of the same host keeps the credentials', async () => {
    registry.addManifest('c/d', ['one'], { schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json' });
    wantsPassword();
    registry.lie(/a\/b\/manifests/u, ({ headers }) =>
      headers.authorization === undefined ? undefined : to(302, '/v2/c/d/manifests/one'),
    );
    await withClient((client) => client.manifest(reference(registry.host, 'a/b', 'one')));
    expect(registry.requests.at(-1)).toMatchObject({ path: '/v2/c/d/manifests/one' });
    expect(registry.requests.at(-1)?.headers.authorization).toBeDefined();
  });

  test('to a host that asks who we are gets no answer to that', async () => {
    registry.lie(/blobs/u, to(307, `${other.url}/v2/x/blobs/${blob.digest}`));
    other.lie(/./u, { status: 401, headers: { 'www-authenticate': `Bearer realm="${other.url}/token"` } });
    const failed = await withClient((client) => failing(blobOf(client)));
    expect(failed.code).toBe('E_REGISTRY_DENIED');
    expect(failed.text).toContain(`${registry.host}: ${other.host}, to which it redirects: `);
    expect(failed.text).not.toContain('boxctl login');
    expect(other.requests).toHaveLength(1);
  });

  test('to a host that is out of reach names that host', async () => {
    const dead = await LyingRegistry.start();
    await dead.stop();
    registry.lie(/blobs/u, to(307, `${dead.url}/v2/x/blobs/${blob.digest}?hidden`));
    const failed = await withClient((client) => failing(blobOf(client)));
    expect(failed.code).toBe('E_REGISTRY_UNREACHABLE');
    expect(failed.text).toContain(`${dead.host}, to which it redirects: it refuses connections (ECONNREFUSED)`);
    expect(failed.text).not.toContain('hidden');
  });

  test('without an end is given up', async () => {
    registry.lie(/blobs/u, ({ path }) => to(302, `${path}x`));
    const failed = await withClient((client) => failing(blobOf(client)));
    expect(failed.code).toBe('E_REGISTRY_PROTOCOL');
    expect(registry.requests.length).toBeLessThan(12);
  });

  test('is not shown with what may be secret in it', async () => {
    registry.lie(/blobs/u, ({ path }) => to(302, path.replace(/\?.*|$/u, '?X-Amz-Signature=hidden')));
    const failed = await withClient((client) => failing(blobOf(client)));
    expect(failed.text).not.toContain('hidden');
  });

  test('without a place, or with one that is no address, is an error', async () => {
    registry.lie(/blobs/u, to(302, undefined));
    expect(await withClient((client) => failing(blobOf(client)))).toMatchObject({ code: 'E_REGISTRY_PROTOCOL' });
    registry.lie(/blobs/u, to(302, 'http://['));
    expect(await withClient((client) => failing(blobOf(client)))).toMatchObject({ code: 'E_REGISTRY_PROTOCOL' });
  });

  test.each([
    ['https://r.test/v2/', 'http://r.test/v2/x', /without TLS/u],
    ['https://r.test/v2/', 'ftp://r.test/v2/x', /not HTTP/u],
    ['https://r.test/v2/', 'file:///etc/passwd', /not HTTP/u],
    ['https://r.test/v2/', 'https://127.0.0.1/x', /this machine/u],
    ['https://r.test/v2/', 'https://localhost:8443/x', /this machine/u],
    ['http://r.test/v2/', 'http://169.254.169.254/latest', /this machine/u],
    ['http://r.test/v2/', 'http://[fd00:ec2::254]/latest', /this machine/u],
    ['http://r.test/v2/', 'http://[::ffff:127.0.0.1]/x', /this machine/u],
    ['http://r.test/v2/', 'http://0.0.0.0:9200/x', /this machine/u],
    ['http://r.test/v2/', 'http://2130706433/x', /this machine/u],
    ['https://r.test/v2/', 'https://somebody:secret@r.test/x', /a name or a password/u],
  ])('from %s to %s is not followed', (from, location, why) => {
    const url = new URL(from);
    const follow = (): URL => redirected({ url: new URL(url.origin) }, url, location);
    expect(follow).toThrow(why);
    expect(follow).not.toThrow(/secret/u);
  });

  test.each([
    ['https://r.test/v2/a', '/v2/b', 'https://r.test/v2/b'],
    ['https://r.test/v2/a', '?x=1', 'https://r.test/v2/a?x=1'],
    ['https://r.test/v2/a', 'https://cdn.test/b#c', 'https://cdn.test/b'],
    ['http://127.0.0.1:5000/v2/a', 'https://cdn.test/b', 'https://cdn.test/b'],
    ['http://127.0.0.1:5000/v2/a', 'http://127.0.0.1:5001/b', 'http://127.0.0.1:5001/b'],
  ])('from %s to %s leads to %s', (from, location, expected) => {
    const url = new URL(from);
    expect(redirected({ url: new URL(url.origin) }, url, location).href).toBe(expected);
  });
});

test.each([
  'a/../b',
  '..',
  'a//b',
  '/a',
  'a/',
  'A',
  'a?b',
  'a#b',
  'a%2fb',
  'a b',
  'a\r\nx: y',
  '',
  'a'.repeat(256),
  'a:b',
  'a@b',
  '.a',
  'a.',
])('a repository that is called %j never becomes a part of an address', (name) => {
  expect(() => repositoryPath(name)).toThrow(/no name of a repository/u);
});

test.each([
  'r.test/x',
  'user@r.test',
  'r.test?x',
  'r.test#x',
  'r.test:99999999',
  'a b',
  '',
  '[::1',
  'r.test\r\nx: y',
  'r\u0000',
])('a registry that is called %j is never asked', async (host) => {
  const failed = await withClient((client) => failing(client.manifest(reference(host, 'a/b', 'one'))));
  expect(failed.code).toBe('E_REGISTRY_PROTOCOL');
});
