/** Keys and signatures as cosign makes them, by node:crypto alone. */
import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';

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
