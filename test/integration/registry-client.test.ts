/** The client of registries against Debian's docker-registry on this machine. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasRegistry, putBlob, putManifest, sha256, startRegistry, type TestRegistry } from '../support/registry.ts';
import { bytesOf, failing, reference, testClient } from '../support/registry-client.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

describe.skipIf(!hasRegistry)('a plain registry on this machine', () => {
  let registry: TestRegistry;
  const blob = randomBytes(3_000_000);
  const config = Buffer.from('{"architecture":"amd64","os":"linux"}');
  let digest = '';
  const client = testClient();

  beforeAll(async () => {
    registry = await startRegistry();
    await putBlob(registry, 'a/b', blob);
    await putBlob(registry, 'a/b', config);
    digest = await putManifest(registry, 'a/b', 'one', {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256(config), size: config.length },
      layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: sha256(blob), size: blob.length }],
    });
  });
  afterAll(async () => {
    await client.close();
    await registry.stop();
  });

  test('gives a manifest by its tag and by its digest, as it came', async () => {
    const byTag = await client.manifest(reference(registry.host, 'a/b', 'one'));
    expect(byTag).toMatchObject({ mediaType: MANIFEST, digest });
    const byDigest = await client.manifest(reference(registry.host, 'a/b', digest));
    expect(byDigest.bytes.equals(byTag.bytes)).toBe(true);
    expect(sha256(byTag.bytes)).toBe(digest);
  });

  test('says what a tag points to by one HEAD, and that there is no such tag', async () => {
    await registry.forget();
    const found = await client.resolve(reference(registry.host, 'a/b', 'one'));
    expect(found).toMatchObject({ mediaType: MANIFEST, digest });
    expect(await client.resolve(reference(registry.host, 'a/b', 'none'))).toBeUndefined();
    expect((await registry.requests()).map(({ method }) => method)).toEqual(['HEAD', 'HEAD']);
  });

  test('gives the bytes of a blob, from the middle, too', async () => {
    const of = { registry: registry.host, repository: 'a/b' };
    const descriptor = { mediaType: 'x', digest: sha256(blob), size: blob.length };
    expect((await bytesOf(client.blob(of, descriptor, 0))).equals(blob)).toBe(true);
    expect((await bytesOf(client.blob(of, descriptor, 1_234_567))).equals(blob.subarray(1_234_567))).toBe(true);
    expect(await bytesOf(client.blob(of, descriptor, blob.length))).toHaveLength(0);
  });

  test('gives a small blob whole, and refuses one that is too large', async () => {
    const of = { registry: registry.host, repository: 'a/b' };
    const descriptor = { mediaType: 'x', digest: sha256(config), size: config.length };
    expect(await client.document(of, descriptor, 1000)).toEqual(config);
    expect(await failing(client.document(of, descriptor, 10))).toMatchObject({ code: 'E_REGISTRY_TOO_LARGE' });
  });

  test('says that it has no such image, and no such blob', async () => {
    const ref = reference(registry.host, 'a/b', 'none');
    expect(await failing(client.manifest(ref))).toMatchObject({ code: 'E_REGISTRY_NOT_FOUND' });
    const descriptor = { mediaType: 'x', digest: sha256('none'), size: 4 };
    const of = { registry: registry.host, repository: 'a/b' };
    expect(await failing(bytesOf(client.blob(of, descriptor, 0)))).toMatchObject({ code: 'E_REGISTRY_NOT_FOUND' });
  });

  test('has nothing that refers to a manifest, where it knows no such call', async () => {
    expect(await client.referrers({ registry: registry.host, repository: 'a/b', digest })).toEqual([]);
  });
});
