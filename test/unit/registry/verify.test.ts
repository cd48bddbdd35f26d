import { describe, expect, it } from 'vitest';
import { BoxctlError } from '../../../src/errors.ts';
import { parsePublicKey, type PublicKey } from '../../../src/spec/public-key.ts';
import type { Verification } from '../../../src/spec/spec.ts';
import type { Descriptor } from '../../../src/registry/protocol.ts';
import { verifySignatures, type SignatureSource } from '../../../src/registry/verify.ts';
import {
  bundleOf,
  BUNDLE_TYPE,
  digestOf,
  makeSigner,
  payloadOf,
  statementOf,
  type Signer,
} from '../../support/signing.ts';

const PAYLOAD = 'application/vnd.dev.cosign.simplesigning.v1+json';
const SIGNED_BY = 'dev.cosignproject.cosign/signature';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** A registry in memory that says whatever a test gives it, and counts what it is asked. */
class Source implements SignatureSource {
  readonly #manifests = new Map<string, Buffer>();
  readonly #blobs = new Map<string, Buffer>();
  readonly #referrers = new Map<string, Descriptor[]>();
  requests = 0;

  blob(bytes: Buffer): { readonly digest: string; readonly size: number } {
    const digest = digestOf(bytes);
    this.#blobs.set(digest, bytes);
    return { digest, size: bytes.length };
  }

  /** Puts layers where cosign looks for the signatures of an image. */
  sign(image: string, layers: readonly object[]): void {
    this.#manifests.set(`${image.replace(':', '-')}.sig`, Buffer.from(JSON.stringify({ schemaVersion: 2, layers })));
  }

  refer(image: string, layers: readonly object[], entry: Partial<Descriptor> = { artifactType: BUNDLE_TYPE }): void {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, layers, subject: { digest: image } }));
    const digest = digestOf(bytes);
    this.#manifests.set(digest, bytes);
    const list = this.#referrers.get(image) ?? [];
    this.#referrers.set(image, [...list, { mediaType: MANIFEST, digest, size: bytes.length, ...entry }]);
  }

  manifest: SignatureSource['manifest'] = ({ tag, digest }) => {
    this.requests += 1;
    const bytes = this.#manifests.get(digest ?? tag ?? '');
    if (bytes === undefined) return Promise.reject(new BoxctlError('E_REGISTRY_NOT_FOUND', 'there is none'));
    return Promise.resolve({ mediaType: MANIFEST, digest: digestOf(bytes), bytes });
  };

  document: SignatureSource['document'] = (_of, { digest }, most) => {
    this.requests += 1;
    const bytes = this.#blobs.get(digest);
    if (bytes === undefined) return Promise.reject(new BoxctlError('E_REGISTRY_NOT_FOUND', 'there is none'));
    expect(bytes.length).toBeLessThanOrEqual(most);
    return Promise.resolve(bytes);
  };

  referrers: SignatureSource['referrers'] = ({ digest }) => {
    this.requests += 1;
    return Promise.resolve(this.#referrers.get(digest) ?? []);
  };
}

const key = makeSigner();
function keyOf({ pem }: Signer, path = 'cosign.pub'): PublicKey {
  const found = parsePublicKey(pem, path);
  if ('problem' in found) throw new Error(found.problem);
  return found;
}

const [IMAGE, INDEX] = [digestOf('manifest'), digestOf('index')];
const NAME = 'registry.example/org/app';
const image = {
  repository: { registry: 'registry.example', repository: 'org/app' },
  name: `${NAME}:1`,
  digests: [INDEX, IMAGE],
};
const demanded: Verification = { keys: [keyOf(key)] };
const verify = (source: Source, wanted: Verification = demanded) => verifySignatures(source, image, wanted);

function layerOf(source: Source, signer: Signer, payload: Buffer, notes: object = {}): object {
  return { mediaType: PAYLOAD, ...source.blob(payload), annotations: { [SIGNED_BY]: signer.sign(payload), ...notes } };
}
const bundleLayer = (source: Source, bundle: Buffer): object => ({ mediaType: BUNDLE_TYPE, ...source.blob(bundle) });
const failing = (code: string, ...said: readonly string[]) =>
  expect.objectContaining({
    code,
    message: expect.stringMatching(
      new RegExp(said.map((one) => one.replaceAll(/[.()]/gu, String.raw`\$&`)).join('.*'), 'u'),
    ) as string,
  }) as Error;

describe('where signatures are found', () => {
  it.each([
    ['index', INDEX],
    ['manifest', IMAGE],
  ])('a signature of the %s is found by the tag that cosign makes of the digest', async (_title, digest) => {
    const source = new Source();
    source.sign(digest, [layerOf(source, key, payloadOf(digest, NAME))]);
    await expect(verify(source)).resolves.toEqual({ key: keyOf(key), digest });
  });

  it.each([
    ['a bundle', { artifactType: BUNDLE_TYPE }],
    ['a bundle in a list that was made by hand', {}],
    [
      'a bundle in a list that names the type of its configuration',
      { artifactType: 'application/vnd.oci.empty.v1+json' },
    ],
  ])('a signature is found as %s that refers to the image', async (_title, entry) => {
    const source = new Source();
    source.refer(IMAGE, [bundleLayer(source, bundleOf(key, statementOf(IMAGE)))], entry);
    await expect(verify(source)).resolves.toMatchObject({ digest: IMAGE });
  });

  it('a simple signature is found as what refers to the image', async () => {
    const source = new Source();
    const layers = [layerOf(source, key, payloadOf(INDEX, NAME))];
    source.refer(INDEX, layers, { artifactType: 'application/vnd.dev.cosign.artifact.sig.v1+json' });
    await expect(verify(source)).resolves.toMatchObject({ digest: INDEX });
  });

  it('a valid signature is found behind others, and attestations are not even asked for', async () => {
    const source = new Source();
    source.sign(INDEX, [
      layerOf(source, makeSigner(), payloadOf(INDEX, NAME)),
      { mediaType: PAYLOAD, digest: digestOf('missing'), size: 10 },
      { mediaType: 'text/plain', digest: 'x', size: -1 },
      'no layer',
      layerOf(source, key, payloadOf(INDEX, NAME)),
    ] as object[]);
    source.refer(INDEX, [bundleLayer(source, Buffer.from('{}'))], {
      artifactType: BUNDLE_TYPE,
      annotations: { 'dev.sigstore.bundle.predicateType': 'https://slsa.dev/provenance/v1' },
    });
    await expect(verify(source)).resolves.toMatchObject({ digest: INDEX });
    expect(source.requests).toBe(3);
  });

  it('a signature that names another repository counts where that one is asked for, and no other', async () => {
    const source = new Source();
    source.sign(INDEX, [layerOf(source, key, payloadOf(INDEX, 'index.docker.io/org/app:1.2'))]);
    await expect(verify(source, { ...demanded, identity: 'docker.io/org/app' })).resolves.toMatchObject({
      digest: INDEX,
    });
    await expect(verify(source)).rejects.toEqual(
      failing('E_SIGNATURE_INVALID', 'for another repository (index.docker.io/org/app:1.2)'),
    );
  });
});

describe('signatures that are missing or do not count', () => {
  it('an image without a signature is refused', async () => {
    await expect(verify(new Source())).rejects.toEqual(failing('E_SIGNATURE_MISSING', `${NAME}:1`, 'cosign.pub'));
  });

  it('a signature of another image at the tag of this one is refused', async () => {
    const source = new Source();
    source.sign(INDEX, [layerOf(source, key, payloadOf(digestOf('other'), NAME))]);
    await expect(verify(source)).rejects.toEqual(failing('E_SIGNATURE_INVALID', '1 of another image'));
  });

  it('what is wrong with all signatures is counted', async () => {
    const source = new Source();
    source.sign(INDEX, [
      layerOf(source, makeSigner(), payloadOf(INDEX, NAME)),
      layerOf(source, makeSigner('Ed25519'), payloadOf(INDEX, NAME)),
      layerOf(source, key, payloadOf(INDEX, 'registry.example/org/other')),
      layerOf(source, key, Buffer.from('{}')),
    ]);
    await expect(verify(source)).rejects.toEqual(
      failing('E_SIGNATURE_INVALID', '2 by another key, 1 for another repository', '1 malformed'),
    );
  });

  it('keyless signatures are named as such, with what can be done', async () => {
    const source = new Source();
    const notes = { 'dev.sigstore.cosign/certificate': '-----BEGIN CERTIFICATE-----' };
    source.sign(INDEX, [layerOf(source, makeSigner(), payloadOf(INDEX, NAME), notes)]);
    await expect(verify(source)).rejects.toMatchObject({
      message: expect.stringContaining('1 without a key (by a certificate)') as string,
      hint: expect.stringContaining('Fulcio, Rekor') as string,
    });
  });

  it('a key that is no point of its curve is an error, and nothing is asked for', async () => {
    const source = new Source();
    const der = Buffer.from(keyOf(key).spki, 'base64').fill(0x11, 27);
    await expect(verify(source, { keys: [{ ...keyOf(key), spki: der.toString('base64') }] })).rejects.toEqual(
      failing('E_SIGNATURE_KEY', 'cosign.pub'),
    );
    expect(source.requests).toBe(0);
  });

  it('an error of the registry is no missing signature', async () => {
    const source = new Source();
    source.manifest = () => Promise.reject(new BoxctlError('E_REGISTRY_UNREACHABLE', 'it does not answer'));
    await expect(verify(source)).rejects.toMatchObject({ code: 'E_REGISTRY_UNREACHABLE' });
  });

  it('text of a signature reaches the message without characters that steer a terminal, and is cut', async () => {
    const source = new Source();
    source.sign(INDEX, [layerOf(source, key, payloadOf(INDEX, `\u001b[2J${'x'.repeat(5000)}`))]);
    const error = await verify(source).catch((failure: unknown) => failure);
    expect((error as Error).message).not.toContain('\u001b');
    expect((error as Error).message.length).toBeLessThan(800);
  });
});

describe('what a registry can make boxctl do', () => {
  it('thousands of signatures that share a payload are looked at up to a bound, with one request for the payload', async () => {
    const source = new Source();
    const layer = layerOf(source, makeSigner(), payloadOf(INDEX, NAME));
    source.sign(
      INDEX,
      Array.from({ length: 20_000 }, () => layer),
    );
    const begun = process.hrtime.bigint();
    await expect(verify(source)).rejects.toEqual(
      failing('E_SIGNATURE_INVALID', '1000 by another key', 'there are more'),
    );
    expect(Number(process.hrtime.bigint() - begun) / 1e9).toBeLessThan(5);
    expect(source.requests).toBeLessThan(10);
  });

  it('thousands of signatures, each with a payload of its own, are not all fetched', async () => {
    const source = new Source();
    source.sign(
      INDEX,
      Array.from({ length: 2000 }, (_, index) => layerOf(source, key, payloadOf(digestOf(String(index)), NAME))),
    );
    await expect(verify(source)).rejects.toEqual(failing('E_SIGNATURE_INVALID', 'there are more'));
    expect(source.requests).toBeLessThan(100);
  });

  it('thousands of referrers are not all fetched', async () => {
    const source = new Source();
    for (let index = 0; index < 2000; index += 1) {
      source.refer(INDEX, [bundleLayer(source, bundleOf(key, statementOf(digestOf(String(index)))))]);
    }
    await expect(verify(source)).rejects.toEqual(failing('E_SIGNATURE_INVALID', 'there are more'));
    expect(source.requests).toBeLessThan(100);
  });

  it('a payload that says to be huge is not asked for', async () => {
    const source = new Source();
    const layer = layerOf(source, key, payloadOf(INDEX, NAME));
    source.sign(INDEX, [{ ...layer, size: 1 << 30 }]);
    await expect(verify(source)).rejects.toEqual(failing('E_SIGNATURE_INVALID', '1 malformed'));
    const blobs = 1;
    expect(source.requests).toBeLessThanOrEqual(4 + blobs);
  });

  it.each(['', 'null', '[]', '{"layers":{}}', '{"layers":[null,1,[]]}', '{"layers":[{"digest":"sha256:../../x"}]}'])(
    'a manifest of signatures that is %j has no signature',
    async (text) => {
      const source = new Source();
      const bytes = Buffer.from(text);
      source.manifest = () => Promise.resolve({ mediaType: MANIFEST, digest: digestOf(bytes), bytes });
      await expect(verify(source)).rejects.toEqual(failing('E_SIGNATURE_MISSING'));
    },
  );
});
