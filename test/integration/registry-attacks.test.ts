/** Registries that attack who asks them: by what they write into documents and headers, and by where they lead. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LyingRegistry, TYPES } from '../support/lying-registry.ts';
import { bytesOf, failing, reference, testClient } from '../support/registry-client.ts';

let registry: LyingRegistry;
const client = testClient();
beforeAll(async () => {
  registry = await LyingRegistry.start();
});
afterEach(() => registry.repent());
afterAll(async () => {
  await client.close();
  await registry.stop();
});

const DIGEST = `sha256:${'a'.repeat(64)}`;

describe('words of a registry that would become a part of an address', () => {
  const DIGESTS = [
    'latest',
    `sha512:${'a'.repeat(128)}`,
    `sha256:${'A'.repeat(64)}`,
    `sha256:${'a'.repeat(63)}`,
    `${DIGEST}/../../../../v2/other/manifests/latest`,
    'sha256:../../../other',
    `${DIGEST}?x=y`,
    `${DIGEST}\r\nx-injected: 1`,
    '',
  ];

  test.each(DIGESTS)('a digest that is none is not asked for: %j', async (digest) => {
    const of = { registry: registry.host, repository: 'a/b' };
    const blob = { mediaType: TYPES.tar, digest, size: 10 };
    for (const work of [
      client.manifest({ ...of, tag: undefined, digest }),
      client.resolve({ ...of, tag: 'x', digest }),
      client.document(of, blob, 1000),
      bytesOf(client.blob(of, blob, 0)),
      client.referrers({ ...of, digest }),
    ]) {
      expect((await failing(work)).code).toBe('E_REGISTRY_PROTOCOL');
    }
    expect(registry.requests).toEqual([]);
  });

  test.each([
    '../../../other/manifests/latest',
    '..',
    '.hidden',
    'a/b',
    'a?b',
    'a#b',
    'a b',
    'ä',
    `${'a'.repeat(129)}`,
  ])('a tag that is none is not asked for: %j', async (tag) => {
    expect((await failing(client.manifest(reference(registry.host, 'a/b', tag)))).code).toBe('E_REGISTRY_PROTOCOL');
    expect(registry.requests).toEqual([]);
  });

  test.each(['../x', 'a/../b', 'a//b', 'A/b', 'a%2f..', 'a?b', 'a b', 'a\r\nb', ''])(
    'a repository that is none is not asked for: %j',
    async (repository) => {
      expect((await failing(client.manifest(reference(registry.host, repository)))).code).toBe('E_REGISTRY_PROTOCOL');
      expect(registry.requests).toEqual([]);
    },
  );

  test.each(['evil.example/x@127.0.0.1', 'a@b', 'a/b', 'a?b', 'a#b', 'a b', 'user:pw@host', ''])(
    'a host that is none is not asked: %j',
    async (host) => {
      expect((await failing(client.manifest(reference(host, 'a/b')))).code).toBe('E_REGISTRY_PROTOCOL');
    },
  );
});

describe('headers of a registry', () => {
  test('a header of nothing but brackets does not keep the client busy', async () => {
    registry.lie(/referrers/u, {
      status: 200,
      headers: { 'content-type': TYPES.index, link: '<'.repeat(60_000) },
      body: '{"manifests":[]}',
    });
    const begun = process.cpuUsage();
    await client.referrers({ registry: registry.host, repository: 'a/b', digest: DIGEST });
    expect(process.cpuUsage(begun).user / 1e6).toBeLessThan(1);
  });

  test('pages of a list that never end are given up', async () => {
    registry.lie(/referrers/u, ({ path }) => ({
      status: 200,
      headers: { 'content-type': TYPES.index, link: `<${path}&x>; rel="next"` },
      body: '{"manifests":[]}',
    }));
    const failed = await failing(client.referrers({ registry: registry.host, repository: 'a/b', digest: DIGEST }));
    expect(failed.text).toContain('has no end');
    expect(registry.requests.length).toBeLessThanOrEqual(33);
  });

  test('the next page of a list is not asked for at another host', async () => {
    registry.lie(/referrers/u, {
      status: 200,
      headers: { 'content-type': TYPES.index, link: '<http://127.0.0.2:1/v2/x>; rel=next' },
      body: '{"manifests":[]}',
    });
    const failed = await failing(client.referrers({ registry: registry.host, repository: 'a/b', digest: DIGEST }));
    expect(failed.code).toBe('E_REGISTRY_PROTOCOL');
  });
});
