/** The requests of the OCI distribution specification (1.1), "Endpoints", as the client sends them. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LyingRegistry, TYPES, type Descriptor } from '../../support/lying-registry.ts';
import { sha256 } from '../../support/registry.ts';
import { bytesOf, failing, reference, testClient } from '../../support/registry-client.ts';

let registry: LyingRegistry;
let blob: Descriptor;
let manifest: Descriptor;
const client = testClient({ userAgent: 'boxctl/1.2.3' });
const index = (manifests: readonly unknown[]): Record<string, unknown> => ({
  schemaVersion: 2,
  mediaType: TYPES.index,
  manifests,
});

beforeAll(async () => {
  registry = await LyingRegistry.start();
  blob = registry.addBlob('content');
  manifest = registry.addManifest('a/b', ['one'], {
    schemaVersion: 2,
    mediaType: TYPES.manifest,
    config: blob,
    layers: [],
  });
});
afterEach(() => registry.repent());
afterAll(async () => {
  await client.close();
  await registry.stop();
});

const sent = (): readonly string[] => registry.requests.map(({ method, path }) => `${method} ${path}`);
const of = (): { registry: string; repository: string } => ({ registry: registry.host, repository: 'a/b' });

describe('pulling', () => {
  test('a manifest by its tag is end-3, and names all types of manifests', async () => {
    await client.manifest(reference(registry.host, 'a/b', 'one'));
    expect(sent()).toEqual(['GET /v2/a/b/manifests/one']);
    const accept = registry.requests[0]?.headers.accept?.split(', ');
    expect(accept).toEqual(
      expect.arrayContaining([
        'application/vnd.oci.image.manifest.v1+json',
        'application/vnd.oci.image.index.v1+json',
        'application/vnd.docker.distribution.manifest.v2+json',
        'application/vnd.docker.distribution.manifest.list.v2+json',
      ]),
    );
    expect(registry.requests[0]?.headers).toMatchObject({
      'user-agent': 'boxctl/1.2.3',
      'accept-encoding': 'identity',
    });
  });

  test('a manifest by its digest is end-3, also where there is a tag, too', async () => {
    await client.manifest({ ...reference(registry.host, 'a/b', manifest.digest), tag: 'other' });
    expect(sent()).toEqual([`GET /v2/a/b/manifests/${manifest.digest}`]);
  });

  test('whether a tag is there is asked by HEAD', async () => {
    expect(await client.resolve(reference(registry.host, 'a/b', 'one'))).toEqual(manifest);
    expect(sent()).toEqual(['HEAD /v2/a/b/manifests/one']);
  });

  test('where there is no HEAD, it is asked by GET', async () => {
    registry.lie(/manifests/u, ({ method }) => (method === 'HEAD' ? { status: 405 } : undefined));
    expect(await client.resolve(reference(registry.host, 'a/b', 'one'))).toEqual(manifest);
    expect(sent()).toEqual(['HEAD /v2/a/b/manifests/one', 'GET /v2/a/b/manifests/one']);
  });

  test('a blob is end-2, and the rest of one has a range', async () => {
    expect((await bytesOf(client.blob(of(), blob, 0))).toString()).toBe('content');
    expect((await bytesOf(client.blob(of(), blob, 3))).toString()).toBe('tent');
    expect(sent()).toEqual([`GET /v2/a/b/blobs/${blob.digest}`, `GET /v2/a/b/blobs/${blob.digest}`]);
    expect(registry.requests.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=3-6']);
  });

  test('all goes over one connection', async () => {
    for (let time = 0; time < 3; time++) await client.manifest(reference(registry.host, 'a/b', 'one'));
    await bytesOf(client.blob(of(), blob, 0));
    expect(new Set(registry.requests.map(({ port }) => port)).size).toBe(1);
  });
});

describe('what refers to a manifest', () => {
  const digest = sha256('subject');
  const subject = (): { registry: string; repository: string; digest: string } => ({ ...of(), digest });
  const referrer = (text: string): Descriptor => ({
    mediaType: TYPES.manifest,
    digest: sha256(text),
    size: text.length,
    artifactType: 'application/vnd.test',
    annotations: { of: text },
  });
  const page = (manifests: readonly unknown[], link?: string): Parameters<LyingRegistry['lie']>[1] => ({
    status: 200,
    body: JSON.stringify(index(manifests)),
    headers: { 'content-type': TYPES.index, ...(link === undefined ? {} : { link }) },
  });

  test('is end-12a', async () => {
    registry.lie(/referrers/u, page([referrer('a'), referrer('b')]));
    expect(await client.referrers(subject())).toEqual([referrer('a'), referrer('b')]);
    expect(sent()).toEqual([`GET /v2/a/b/referrers/${digest}`]);
  });

  test('comes in pages', async () => {
    registry.lie(/referrers/u, page([referrer('a')], `</v2/a/b/referrers/${digest}?n=1&last=x>; rel="next"`));
    registry.lie(/last=x/u, page([referrer('b')]));
    expect(await client.referrers(subject())).toEqual([referrer('a'), referrer('b')]);
  });

  test('has no pages at another host, or nowhere', async () => {
    for (const target of ['https://elsewhere.test/v2/', 'http://[']) {
      registry.lie(/referrers/u, page([], `<${target}>; rel="next"`));
      expect(await failing(client.referrers(subject()))).toMatchObject({ code: 'E_REGISTRY_PROTOCOL' });
    }
  });

  test('ends, also where its pages do not', async () => {
    registry.lie(/referrers/u, page([referrer('a')], `</v2/a/b/referrers/${digest}?again>; rel=next`));
    expect(await failing(client.referrers(subject()))).toMatchObject({ code: 'E_REGISTRY_TOO_LARGE' });
    registry.lie(/referrers/u, page(Array.from({ length: 5000 }, (_, at) => referrer(`${at}`))));
    expect(await failing(client.referrers(subject()))).toMatchObject({ code: 'E_REGISTRY_TOO_LARGE' });
  });

  test('is asked for by the tag of the digest where there is no such call', async () => {
    registry.addManifest('a/b', [digest.replace(':', '-')], index([referrer('c')]));
    for (const status of [404, 405, 400]) {
      registry.repent();
      registry.lie(/referrers/u, { status, body: '{}' });
      expect(await client.referrers(subject())).toEqual([referrer('c')]);
      expect(sent()).toEqual([`GET /v2/a/b/referrers/${digest}`, `GET /v2/a/b/manifests/${digest.replace(':', '-')}`]);
    }
    // Some answer every address with a page.
    registry.lie(/referrers/u, { status: 200, body: '<html>', headers: { 'content-type': 'text/html' } });
    expect(await client.referrers(subject())).toEqual([referrer('c')]);
  });

  test('is nothing where there is neither', async () => {
    const other = { ...of(), digest: sha256('other') };
    expect(await client.referrers(other)).toEqual([]);
  });

  test('is what has the form of a descriptor', async () => {
    const bad = [null, 5, {}, { ...referrer('x'), digest: 'sha256:../x' }, { ...referrer('x'), size: -1 }];
    registry.lie(/referrers/u, page([...bad, referrer('a')]));
    expect(await client.referrers(subject())).toEqual([referrer('a')]);
    registry.lie(/referrers/u, { status: 200, body: '{"manifests":5}', headers: { 'content-type': TYPES.index } });
    expect(await failing(client.referrers(subject()))).toMatchObject({ code: 'E_REGISTRY_PROTOCOL' });
  });
});
