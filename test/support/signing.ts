/** Keys and signatures as cosign makes them, by node:crypto alone. */
import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { putBlob, putManifest, type TestRegistry } from './registry.ts';

export type KeyKind = 'P-256' | 'P-384' | 'P-521' | 'Ed25519' | 'RSA';

export interface Signer {
  readonly kind: KeyKind;
  /** The public key as PEM. */
  readonly pem: string;
  readonly privateKey: KeyObject;
  /** Base64. */
  sign(data: Buffer | string, hash?: string): string;
}

function pairOf(kind: KeyKind) {
  if (kind === 'Ed25519') return generateKeyPairSync('ed25519');
  if (kind === 'RSA') return generateKeyPairSync('rsa', { modulusLength: 2048 });
  return generateKeyPairSync('ec', { namedCurve: kind });
}

export function makeSigner(kind: KeyKind = 'P-256'): Signer {
  const { publicKey, privateKey } = pairOf(kind);
  return {
    kind,
    pem: String(publicKey.export({ type: 'spki', format: 'pem' })),
    privateKey,
    sign: (data, hash = 'sha256') =>
      sign(kind === 'Ed25519' ? null : hash, Buffer.from(data), privateKey).toString('base64'),
  };
}

export const digestOf = (bytes: Buffer | string): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** The bytes that `cosign sign --key` signs (SIGNATURE_SPEC.md). */
export function payloadOf(digest: string, reference: string, optional: unknown = null): Buffer {
  const critical = {
    identity: { 'docker-reference': reference },
    image: { 'docker-manifest-digest': digest },
    type: 'cosign container image signature',
  };
  return Buffer.from(JSON.stringify({ critical, optional }));
}

export const STATEMENT = 'application/vnd.in-toto+json';
export const SIGNED_IMAGE = 'https://sigstore.dev/cosign/sign/v1';

export function statementOf(digest: string, predicateType: string = SIGNED_IMAGE): Buffer {
  return Buffer.from(
    JSON.stringify({
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ digest: { sha256: digest.replace('sha256:', '') }, annotations: {} }],
      predicateType,
      predicate: {},
    }),
  );
}

export const BUNDLE_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

/** A sigstore bundle with a key, as cosign 3 writes it (BUNDLE_SPEC.md; DSSE protocol). */
export function bundleOf(signer: Signer, statement: Buffer, changes: object = {}, payloadType = STATEMENT): Buffer {
  const signed = Buffer.concat([
    Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${statement.length} `),
    statement,
  ]);
  return Buffer.from(
    JSON.stringify({
      mediaType: BUNDLE_TYPE,
      verificationMaterial: { publicKey: { hint: 'a hint' }, tlogEntries: [] },
      dsseEnvelope: {
        payload: statement.toString('base64'),
        payloadType,
        signatures: [{ sig: signer.sign(signed) }],
      },
      ...changes,
    }),
  );
}

const EMPTY = Buffer.from('{}');
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const SIMPLE_SIGNING = 'application/vnd.dev.cosign.simplesigning.v1+json';
export const SIGNATURE_NOTE = 'dev.cosignproject.cosign/signature';

/** What is signed, and what stands beside it. */
export interface Layer {
  readonly bytes: Buffer;
  readonly mediaType: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** As `cosign sign --key` makes it of a digest, for a repository. */
export function signatureOf(signer: Signer, digest: string, reference: string): Layer {
  const bytes = payloadOf(digest, reference);
  return { bytes, mediaType: SIMPLE_SIGNING, annotations: { [SIGNATURE_NOTE]: signer.sign(bytes) } };
}

export function bundleLayer(signer: Signer, digest: string): Layer {
  return { bytes: bundleOf(signer, statementOf(digest)), mediaType: BUNDLE_TYPE };
}

async function putLayers(
  registry: TestRegistry,
  repository: string,
  layers: readonly Layer[],
  more: Readonly<Record<string, unknown>>,
  tag?: string,
): Promise<{ readonly digest: string; readonly size: number }> {
  for (const { bytes } of [{ bytes: EMPTY }, ...layers]) await putBlob(registry, repository, bytes);
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(EMPTY), size: EMPTY.length },
    layers: layers.map(({ bytes, mediaType, annotations }) => ({
      mediaType,
      digest: digestOf(bytes),
      size: bytes.length,
      ...(annotations === undefined ? {} : { annotations }),
    })),
    ...more,
  };
  const digest = digestOf(JSON.stringify(manifest));
  await putManifest(registry, repository, tag ?? digest, manifest);
  return { digest, size: JSON.stringify(manifest).length };
}

/** Stores signatures under the tag that cosign makes of an image's digest. */
export async function putSignatures(
  registry: TestRegistry,
  repository: string,
  image: string,
  layers: readonly Layer[],
): Promise<void> {
  await putLayers(registry, repository, layers, {}, `${image.replace(':', '-')}.sig`);
}

/** Stores what refers to an image, with the list of it that registries without a call for that have under a tag. */
export async function putReferrer(
  registry: TestRegistry,
  repository: string,
  image: string,
  layer: Layer,
  artifactType: string = BUNDLE_TYPE,
): Promise<void> {
  const subject = { mediaType: MANIFEST, digest: image, size: 1 };
  const stored = await putLayers(registry, repository, [layer], { artifactType, subject });
  const index = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [{ mediaType: MANIFEST, ...stored, artifactType }],
  };
  await putManifest(registry, repository, image.replace(':', '-'), index);
}
