/**
 * Signatures of images in a real registry, put there as cosign puts them. Debian's skopeo cannot be asked what it thinks of them:
 * it is built without such signatures.
 */
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parsePublicKey, type PublicKey } from '../../src/spec/public-key.ts';
import { verifySignatures } from '../../src/registry/verify.ts';
import { hasRegistry, putBlob, putManifest, startRegistry, type TestRegistry } from '../support/registry.ts';
import { failing, testClient } from '../support/registry-client.ts';
import {
  bundleLayer,
  digestOf,
  makeSigner,
  payloadOf,
  putReferrer,
  putSignatures,
  signatureOf,
  SIGNATURE_NOTE,
  SIMPLE_SIGNING,
  type KeyKind,
  type Layer,
  type Signer,
} from '../support/signing.ts';

function keyOf({ pem }: Signer): PublicKey {
  const key = parsePublicKey(pem, 'cosign.pub');
  if ('problem' in key) throw new Error(key.problem);
  return key;
}

describe.skipIf(!hasRegistry)('signatures in a registry', () => {
  let registry: TestRegistry;
  const client = testClient();
  const signer = makeSigner();

  beforeAll(async () => {
    registry = await startRegistry();
  });
  afterAll(async () => {
    await client.close();
    await registry.stop();
  });

  /** A small image of its own for each repository. Returns its digest. */
  async function putImage(repository: string): Promise<string> {
    const tar = Buffer.alloc(1024);
    const config = Buffer.from(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        config: { Labels: { repository } },
        rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
      }),
    );
    const layer = gzipSync(tar);
    await putBlob(registry, repository, config);
    await putBlob(registry, repository, layer);
    return putManifest(registry, repository, 'latest', {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(config), size: config.length },
      layers: [
        { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: digestOf(layer), size: layer.length },
      ],
    });
  }

  async function isTaken(repository: string, digest: string, by: Signer): Promise<boolean> {
    const image = {
      repository: { registry: registry.host, repository },
      name: `${registry.host}/${repository}:latest`,
      digests: [digest],
    };
    try {
      await verifySignatures(client, image, { keys: [keyOf(by)] });
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: expect.stringMatching(/^E_SIGNATURE_(?:INVALID|MISSING)$/u) as string });
      return false;
    }
  }

  const named = (repository: string): string => `${registry.host}/${repository}`;
  const KINDS: readonly KeyKind[] = ['P-256', 'P-384', 'P-521', 'Ed25519', 'RSA'];

  describe('by a key', () => {
    it.each(KINDS)('a signature by a key of the kind %s is taken', async (kind) => {
      const repository = `kinds/${kind.toLowerCase()}`;
      const by = makeSigner(kind);
      const digest = await putImage(repository);
      await putSignatures(registry, repository, digest, [signatureOf(by, digest, named(repository))]);
      expect(await isTaken(repository, digest, by)).toBe(true);
    });

    const CASES: Readonly<Record<string, (digest: string, repository: string) => readonly Layer[]>> = {
      'no signature at all': () => [],
      'a signature by another key': (digest, repository) => [signatureOf(makeSigner(), digest, repository)],
      'a signature of another image': (_digest, repository) => [signatureOf(signer, digestOf('other'), repository)],
      'a signature for another repository': (digest) => [signatureOf(signer, digest, `${registry.host}/other`)],
      'a signature for the same path of another registry': (digest) => [
        signatureOf(signer, digest, 'docker.io/cases/one'),
      ],
      'a signature for something that is no reference': (digest) => [signatureOf(signer, digest, 'NO REFERENCE')],
      'a signature that is cut short': (digest, repository) => {
        const bytes = payloadOf(digest, repository);
        const short = Buffer.from(signer.sign(bytes), 'base64').subarray(0, -2).toString('base64');
        return [{ bytes, mediaType: SIMPLE_SIGNING, annotations: { [SIGNATURE_NOTE]: short } }];
      },
      'a payload that says the digest twice': (digest, repository) => {
        const text = payloadOf(digest, repository).toString();
        const bytes = Buffer.from(text.replace('"image":{', `"image":{"docker-manifest-digest":"${digest}",`));
        return [{ bytes, mediaType: SIMPLE_SIGNING, annotations: { [SIGNATURE_NOTE]: signer.sign(bytes) } }];
      },
      'something critical that nobody knows': (digest, repository) => {
        const text = payloadOf(digest, repository).toString();
        const bytes = Buffer.from(text.replace('"critical":{', '"critical":{"expires":"soon",'));
        return [{ bytes, mediaType: SIMPLE_SIGNING, annotations: { [SIGNATURE_NOTE]: signer.sign(bytes) } }];
      },
      'a payload of another media type': (digest, repository) => [
        { ...signatureOf(signer, digest, repository), mediaType: 'text/plain' },
      ],
    };
    it.each(Object.keys(CASES))('an image with %s is refused', async (title) => {
      const repository = `cases/${title.replaceAll(' ', '-')}`;
      const digest = await putImage(repository);
      const layers = CASES[title]?.(digest, named(repository)) ?? [];
      if (layers.length > 0) await putSignatures(registry, repository, digest, layers);
      expect(await isTaken(repository, digest, signer)).toBe(false);
    });

    it('a valid signature among others is taken, whatever tag it names', async () => {
      const repository = 'among/others';
      const digest = await putImage(repository);
      await putSignatures(registry, repository, digest, [
        signatureOf(makeSigner(), digest, named(repository)),
        signatureOf(signer, digestOf('other'), named(repository)),
        signatureOf(signer, digest, `${named(repository)}:1.2.3`),
      ]);
      expect(await isTaken(repository, digest, signer)).toBe(true);
    });
  });

  it('a bundle is found by the list that registries without a call for it have under a tag', async () => {
    const digest = await putImage('bundles/one');
    expect(await isTaken('bundles/one', digest, signer)).toBe(false);
    await putReferrer(registry, 'bundles/one', digest, bundleLayer(signer, digest));
    expect(await isTaken('bundles/one', digest, signer)).toBe(true);
    expect(await isTaken('bundles/one', digest, makeSigner())).toBe(false);
  });

  it('a simple signature is found by the same list', async () => {
    const digest = await putImage('bundles/two');
    const type = 'application/vnd.dev.cosign.artifact.sig.v1+json';
    await putReferrer(registry, 'bundles/two', digest, signatureOf(signer, digest, named('bundles/two')), type);
    expect(await isTaken('bundles/two', digest, signer)).toBe(true);
  });

  it('nothing but signatures is asked for, and no layer of the image', async () => {
    const digest = await putImage('requests/one');
    await putSignatures(registry, 'requests/one', digest, [signatureOf(signer, digest, named('requests/one'))]);
    await registry.forget();
    expect(await isTaken('requests/one', digest, signer)).toBe(true);
    const payload = digestOf(payloadOf(digest, named('requests/one')));
    expect((await registry.requests()).map(({ path }) => path)).toEqual([
      `/v2/requests/one/manifests/${digest.replace(':', '-')}.sig`,
      `/v2/requests/one/blobs/${payload}`,
    ]);
  });

  it('a registry that cannot be reached is an error of its own, and no missing signature', async () => {
    const image = {
      repository: { registry: '127.0.0.1:1', repository: 'x' },
      name: '127.0.0.1:1/x',
      digests: [digestOf('x')],
    };
    const failed = await failing(verifySignatures(client, image, { keys: [keyOf(signer)] }));
    expect(failed.code).toBe('E_REGISTRY_UNREACHABLE');
  });
});
