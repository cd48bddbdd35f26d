/**
 * Signatures of images, as cosign writes them with a key: what is signed, by which key, and for which image. Two formats: a
 * "simple signing" payload whose signature stands beside it (cosign's SIGNATURE_SPEC.md), and a sigstore bundle that holds an
 * in-toto statement in a DSSE envelope (cosign's BUNDLE_SPEC.md). No certificates and no transparency log: a key is
 * what a person names. Pure: what is fetched, and from where, is verify.ts's.
 */
import { isUtf8 } from 'node:buffer';
import { createPublicKey, verify, constants, type KeyObject } from 'node:crypto';
import type { PublicKey } from '../spec/public-key.ts';
import { isRecord } from '../text/json.ts';
import { parseStrictJson } from '../text/strict-json.ts';

/** What a signature has to be about. */
export interface Expected {
  /** Digests of which one has to be signed: of the image's manifest, and of the indexes that led to it. */
  readonly digests: readonly string[];
  /** Whether a `docker-reference` names the repository that is asked for. */
  readonly isNamed: (reference: string) => boolean;
  /** A signature that names no repository is not enough. */
  readonly needsName: boolean;
}

/** Why a signature does not count. */
export type Rejection = 'key' | 'keyless' | 'image' | 'repository' | 'nameless' | 'kind' | 'malformed';

/** The key that has signed, and which of the digests. */
export interface Verified {
  readonly key: PublicKey;
  readonly digest: string;
}

export interface Rejected {
  readonly why: Rejection;
  /** Of foreign origin. */
  readonly detail?: string;
}

export type Verdict = Verified | Rejected;

export const isValid = (verdict: Verdict): verdict is Verified => 'key' in verdict;

/** The bytes of base64 (RFC 4648) that is written in the one usual way; undefined for all else. */
export function strictBase64(text: unknown): Buffer | undefined {
  if (typeof text !== 'string' || text === '') return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

/** Hashes with which a curve signs: cosign takes SHA-256 for all, and sigstore's bundles what is as long as the curve. */
const HASHES: Readonly<Record<Exclude<PublicKey['algorithm'], 'Ed25519'>, readonly string[]>> = {
  'P-256': ['sha256'],
  'P-384': ['sha256', 'sha384'],
  'P-521': ['sha256', 'sha512'],
  RSA: ['sha256'],
};

/** The way of checking comes from the key alone: nothing that a registry says chooses it. */
function isSignature(key: PublicKey, object: KeyObject, data: Buffer, signature: Buffer): boolean {
  try {
    if (key.algorithm === 'Ed25519') return verify(null, data, object, signature);
    const options =
      key.algorithm === 'RSA'
        ? { key: object, padding: constants.RSA_PKCS1_PADDING }
        : { key: object, dsaEncoding: 'der' as const };
    return HASHES[key.algorithm].some((hash) => verify(hash, data, options, signature));
  } catch {
    return false;
  }
}

/** The keys that a signature is checked with. Throws as node:crypto does for a key that is none, such as a point off its curve. */
export class Keyring {
  readonly #keys: readonly (readonly [PublicKey, KeyObject])[];

  constructor(keys: readonly PublicKey[]) {
    this.#keys = keys.map((key) => [
      key,
      createPublicKey({ key: Buffer.from(key.spki, 'base64'), format: 'der', type: 'spki' }),
    ]);
  }

  /** The key that has signed the data; undefined: none of them. */
  signerOf(data: Buffer, signature: Buffer): PublicKey | undefined {
    return this.#keys.find(([key, object]) => isSignature(key, object, data, signature))?.[0];
  }
}

type Json = Readonly<Record<string, unknown>>;

/** An object of JSON that everybody reads alike. */
function objectOf(bytes: Buffer): Json | undefined {
  if (!isUtf8(bytes)) return undefined;
  try {
    const value = parseStrictJson(bytes.toString('utf8'));
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The text of an object that has nothing but this key. */
function onlyText(value: unknown, key: string): string | undefined {
  const text = isRecord(value) && Object.keys(value).length === 1 ? value[key] : undefined;
  return typeof text === 'string' ? text : undefined;
}

const CRITICAL: ReadonlySet<string> = new Set(['type', 'image', 'identity']);

const SIMPLE_SIGNING = 'cosign container image signature';

/**
 * A simple signing payload and its signature in base64. All that is `critical` has to be understood, as the format
 * demands; `optional` may hold anything.
 */
export function checkSimpleSigning(payload: Buffer, signature: unknown, keys: Keyring, expected: Expected): Verdict {
  const bytes = strictBase64(signature);
  if (bytes === undefined) return { why: 'malformed', detail: 'the signature is not base64' };
  const key = keys.signerOf(payload, bytes);
  // What nobody known has signed is not looked into.
  if (key === undefined) return { why: 'key' };
  const critical = objectOf(payload)?.['critical'];
  const isKnown = isRecord(critical) && Object.keys(critical).every((name) => CRITICAL.has(name));
  const { type, image, identity }: Json = isKnown ? critical : {};
  const digest = onlyText(image, 'docker-manifest-digest');
  const reference = onlyText(identity, 'docker-reference');
  if (typeof type !== 'string' || digest === undefined || reference === undefined) {
    return { why: 'malformed', detail: 'what is signed is no description of an image' };
  }
  if (type !== SIMPLE_SIGNING) return { why: 'kind', detail: type };
  if (!expected.digests.includes(digest)) return { why: 'image', detail: digest };
  return expected.isNamed(reference) ? { key, digest } : { why: 'repository', detail: reference };
}

const BUNDLE = /^application\/vnd\.dev\.sigstore\.bundle(?:\.v0\.[0-9]+\+json|\+json;version=0\.[0-9]+)$/u;
const STATEMENT = 'application/vnd.in-toto+json';
const STATEMENT_TYPE = /^https:\/\/in-toto\.io\/Statement\/v(?:0\.1|1)$/u;
const SIGNED_IMAGE = 'https://sigstore.dev/cosign/sign/v1';

export const isBundleType = (type: unknown): boolean => typeof type === 'string' && BUNDLE.test(type);

/** Whether an annotation says that a bundle is about something else than "this image is signed", such as how it was built. */
export const isOtherPredicate = (predicate: unknown): boolean =>
  typeof predicate === 'string' && predicate !== SIGNED_IMAGE;

/** What is signed in a DSSE envelope (DSSE protocol, "Pre-Authentication Encoding"). */
export function preAuthenticationEncoding(type: string, payload: Buffer): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

/**
 * A sigstore bundle. It names no repository. An attestation by the same key (how an image was built, what is in it) is no
 * signature: it says something about the image, and not that it is to be used.
 */
export function checkBundle(bytes: Buffer, keys: Keyring, expected: Expected): Verdict {
  const bundle = objectOf(bytes);
  if (bundle === undefined || !isBundleType(bundle['mediaType']))
    return { why: 'malformed', detail: 'it is no bundle' };
  const { dsseEnvelope: envelope, verificationMaterial: material } = bundle;
  if (!isRecord(envelope)) return { why: 'kind', detail: 'a signature of a file' };
  const { payload: text, payloadType: type, signatures } = envelope;
  const payload = strictBase64(text);
  const [signature, ...more]: readonly unknown[] = Array.isArray(signatures) ? signatures : [];
  const signed = isRecord(signature) ? strictBase64(signature['sig']) : undefined;
  if (payload === undefined || signed === undefined || more.length > 0 || typeof type !== 'string') {
    return { why: 'malformed', detail: 'its envelope has not one signature of one text' };
  }
  const key = keys.signerOf(preAuthenticationEncoding(type, payload), signed);
  if (key === undefined) return { why: isRecord(material) && !('publicKey' in material) ? 'keyless' : 'key' };
  if (type !== STATEMENT) return { why: 'kind', detail: type };
  return checkStatement(payload, key, expected);
}

function checkStatement(payload: Buffer, key: PublicKey, expected: Expected): Verdict {
  const { _type: type, predicateType, subject } = objectOf(payload) ?? {};
  if (typeof type !== 'string' || !STATEMENT_TYPE.test(type) || !Array.isArray(subject)) {
    return { why: 'malformed', detail: 'what is signed is no statement' };
  }
  if (predicateType !== SIGNED_IMAGE) return { why: 'kind', detail: String(predicateType) };
  const digests = subject.map((one: unknown) =>
    isRecord(one) && isRecord(one['digest']) ? `sha256:${String(one['digest']['sha256'])}` : '',
  );
  const digest = digests.find((one) => expected.digests.includes(one));
  if (digest === undefined) return { why: 'image', detail: digests[0] ?? '' };
  return expected.needsName ? { why: 'nameless' } : { key, digest };
}
