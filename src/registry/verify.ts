/**
 * Whether an image of a registry is signed by a key: looks for its signatures where cosign puts them, in the image's own
 * repository, and stops at the first that counts. Nothing of the image but its manifest has been asked for by then. What a
 * registry can make boxctl do here is bounded.
 */
import { BoxctlError } from '../errors.ts';
import { isRecord } from '../text/json.ts';
import { safe } from '../text/safe.ts';
import type { PublicKey } from '../spec/public-key.ts';
import type { Verification } from '../spec/spec.ts';
import { isProblem } from '../text/image-name.ts';
import type { Descriptor, Document, Events, RegistryClient, Repository } from './protocol.ts';
import { parseReference } from './reference.ts';
import {
  checkBundle,
  checkSimpleSigning,
  isBundleType,
  isOtherPredicate,
  isValid,
  Keyring,
  type Expected,
  type Rejection,
  type Rejected,
  type Verdict,
  type Verified,
} from './signatures.ts';

/** An image as it was resolved. */
export interface Resolved {
  readonly repository: Repository;
  /** For messages: the reference as it is written. */
  readonly name: string;
  /** Of the manifest, and of the indexes that led to it: a signature of an index is one of all that it lists. */
  readonly digests: readonly string[];
}

/** What is asked of a registry. */
export type SignatureSource = Pick<RegistryClient, 'manifest' | 'document' | 'referrers'>;

/** Documents that are fetched for one image. cosign itself looks at 1000 signatures, which share their payloads. */
const MOST_DOCUMENTS = 64;
const MOST_SIGNATURES = 1000;
const MOST_REFERRERS = 500;
/** Bytes. A payload has some 250, a bundle with its certificates and proofs 10,000. */
const MOST_PAYLOAD = 64 << 10;
const MOST_BUNDLE = 1 << 20;

const SIMPLE_SIGNING = 'application/vnd.dev.cosign.simplesigning.v1+json';
const SIGNATURE = 'application/vnd.dev.cosign.artifact.sig.v1+json';
const SIGNED_BY = 'dev.cosignproject.cosign/signature';
const CERTIFICATE = 'dev.sigstore.cosign/certificate';
const PREDICATE = 'dev.sigstore.bundle.predicateType';

const isNotFound = (error: unknown): boolean => error instanceof BoxctlError && error.code === 'E_REGISTRY_NOT_FOUND';

async function orNone<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

type Json = Readonly<Record<string, unknown>>;

function jsonOf({ bytes }: Document): Json {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

const DIGEST = /^sha256:[0-9a-f]{64}$/u;

type Layer = Pick<Descriptor, 'mediaType' | 'digest' | 'size'> & { readonly notes: Json };

/** The layers of a manifest that can be fetched; what is none is left out. */
function layersOf(document: Document): readonly Layer[] {
  const { layers } = jsonOf(document);
  return (Array.isArray(layers) ? layers : []).filter(isRecord).flatMap((layer): readonly Layer[] => {
    const { mediaType, digest, size, annotations } = layer;
    if (typeof mediaType !== 'string' || typeof digest !== 'string' || !DIGEST.test(digest)) return [];
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return [];
    return [{ mediaType, digest, size, notes: isRecord(annotations) ? annotations : {} }];
  });
}

/** One search: what it has fetched, and what it has found. */
class Search {
  readonly #documents = new Map<string, Buffer | undefined>();
  #fetched = 0;
  #looked = 0;
  readonly rejected: Rejected[] = [];
  /** There is more than is looked at. */
  isCut = false;
  readonly #client: SignatureSource;
  readonly #of: Repository;
  readonly #keys: Keyring;
  readonly #expected: Expected;
  readonly #events: Events | undefined;

  constructor(client: SignatureSource, of: Repository, keys: Keyring, expected: Expected, events: Events | undefined) {
    this.#client = client;
    this.#of = of;
    this.#keys = keys;
    this.#expected = expected;
    this.#events = events;
  }

  /** Whether one more document may be fetched. */
  #mayFetch(): boolean {
    this.#fetched += 1;
    this.isCut ||= this.#fetched > MOST_DOCUMENTS;
    return this.#fetched <= MOST_DOCUMENTS;
  }

  async #manifest(of: { readonly tag?: string; readonly digest?: string }): Promise<Document | undefined> {
    if (!this.#mayFetch()) return undefined;
    const reference = { ...this.#of, tag: of.tag, digest: of.digest };
    return orNone(this.#client.manifest(reference, this.#events));
  }

  /** A blob; undefined where the registry has none, or it is larger than it can be. */
  async #blob(blob: Descriptor, most: number): Promise<Buffer | undefined> {
    if (this.#documents.has(blob.digest)) return this.#documents.get(blob.digest);
    if (blob.size > most || !this.#mayFetch()) return undefined;
    const bytes = await orNone(this.#client.document(this.#of, blob, most, this.#events));
    this.#documents.set(blob.digest, bytes);
    return bytes;
  }

  /** The tag that cosign makes of a digest (SIGNATURE_SPEC.md, "Tag-based Discovery"). */
  async byTag(digest: string): Promise<Verified | undefined> {
    const manifest = await this.#manifest({ tag: `${digest.replace(':', '-')}.sig` });
    return manifest === undefined ? undefined : this.#ofManifest(manifest);
  }

  /** What refers to a digest (OCI distribution specification, "Listing Referrers"). */
  async byReferrers(digest: string): Promise<Verified | undefined> {
    const all = await this.#client.referrers({ ...this.#of, digest }, this.#events);
    this.isCut ||= all.length > MOST_REFERRERS;
    const known = (type: string | undefined): boolean => type === SIGNATURE || isBundleType(type);
    // Lists that are made by hand do not say of what kind an entry is. These come last.
    const some = all
      .slice(0, MOST_REFERRERS)
      .filter(({ digest: own, annotations }) => DIGEST.test(own) && !isOtherPredicate(annotations?.[PREDICATE]));
    const ordered = [
      ...some.filter(({ artifactType }) => known(artifactType)),
      ...some.filter(({ artifactType = '' }) => artifactType === '' || artifactType.endsWith('.empty.v1+json')),
    ];
    for (const referrer of ordered) {
      const manifest = await this.#manifest({ digest: referrer.digest });
      const verdict = manifest === undefined ? undefined : await this.#ofManifest(manifest);
      if (verdict !== undefined) return verdict;
    }
    return undefined;
  }

  /** The first signature of a manifest that counts. */
  async #ofManifest(manifest: Document): Promise<Verified | undefined> {
    for (const layer of layersOf(manifest)) {
      const isBundle = isBundleType(layer.mediaType);
      if (!isBundle && layer.mediaType !== SIMPLE_SIGNING) continue;
      this.#looked += 1;
      this.isCut ||= this.#looked > MOST_SIGNATURES;
      if (this.#looked > MOST_SIGNATURES) return undefined;
      const bytes = await this.#blob(layer, isBundle ? MOST_BUNDLE : MOST_PAYLOAD);
      const verdict = this.#check(layer.notes, bytes, isBundle);
      if (isValid(verdict)) return verdict;
      this.rejected.push(verdict);
    }
    return undefined;
  }

  #check(notes: Json, bytes: Buffer | undefined, isBundle: boolean): Verdict {
    if (bytes === undefined) return { why: 'malformed', detail: 'what is signed is missing, or too large' };
    if (isBundle) return checkBundle(bytes, this.#keys, this.#expected);
    const verdict = checkSimpleSigning(bytes, notes[SIGNED_BY], this.#keys, this.#expected);
    // A certificate comes with a signature by a key that was made for this one signature.
    return !isValid(verdict) && verdict.why === 'key' && CERTIFICATE in notes ? { why: 'keyless' } : verdict;
  }
}

/**
 * Whether what a signature is for is this repository. Its tag does not matter, as with `matchRepository` of
 * containers-policy.json(5): cosign signs without one, and an image that is signed as `1.2` is `latest`, too.
 */
function names(signed: string, repository: string): boolean {
  const reference = parseReference(signed);
  return !isProblem(reference) && `${reference.registry}/${reference.repository}` === repository;
}

function keyringOf(keys: readonly PublicKey[]): Keyring {
  try {
    return new Keyring(keys);
  } catch {
    const paths = keys.map(({ path }) => path).join(', ');
    throw new BoxctlError(
      'E_SIGNATURE_KEY',
      `the public key ${paths} is damaged: it is no point of its curve, or no number`,
      {
        hint: 'write it anew: `cosign public-key --key cosign.key`',
      },
    );
  }
}

/**
 * Says which key has signed which of the image's digests.
 *
 * @throws BoxctlError E_SIGNATURE_MISSING, E_SIGNATURE_INVALID, E_SIGNATURE_KEY; what the client throws
 */
export async function verifySignatures(
  client: SignatureSource,
  image: Resolved,
  demanded: Verification,
  events?: Events,
): Promise<Verified> {
  const { registry, repository } = image.repository;
  const wanted = demanded.identity ?? `${registry}/${repository}`;
  const search = new Search(
    client,
    image.repository,
    keyringOf(demanded.keys),
    {
      digests: image.digests,
      isNamed: (reference) => names(reference, wanted),
      needsName: demanded.identity !== undefined,
    },
    events,
  );
  for (const digest of image.digests) {
    const found = (await search.byTag(digest)) ?? (await search.byReferrers(digest));
    if (found !== undefined) return found;
  }
  throw refusal(image, demanded, wanted, search);
}

const REASONS: Readonly<Record<Rejection, string>> = {
  key: 'by another key',
  keyless: 'without a key (by a certificate)',
  image: 'of another image',
  repository: 'for another repository',
  nameless: 'for no repository in particular',
  kind: 'no signature of an image',
  malformed: 'malformed',
};

function refusal(image: Resolved, demanded: Verification, wanted: string, { rejected, isCut }: Search): BoxctlError {
  const paths = demanded.keys.map(({ path }) => path).join(' or ');
  const name = `${image.name} (${image.digests.join(', ')})`;
  if (rejected.length === 0) {
    return new BoxctlError('E_SIGNATURE_MISSING', `${name} must be signed by ${paths}, and has no signature`, {
      hint: `cosign sign --key KEY ${image.repository.registry}/${image.repository.repository}@${image.digests[0] ?? ''}`,
    });
  }
  const counts = new Map<Rejection, { count: number; detail: string | undefined }>();
  for (const verdict of rejected) {
    const { count, detail } = counts.get(verdict.why) ?? { count: 0, detail: verdict.detail };
    counts.set(verdict.why, { count: count + 1, detail });
  }
  const clip = (text: string): string => safe(text.length > 100 ? `${text.slice(0, 100)}…` : text);
  const told = [...counts].map(
    ([why, { count, detail }]) => `${count} ${REASONS[why]}${detail === undefined ? '' : ` (${clip(detail)})`}`,
  );
  const more = isCut ? '; there are more, which were not looked at' : '';
  return new BoxctlError(
    'E_SIGNATURE_INVALID',
    `${name} must be signed by ${paths} as ${wanted}, and no signature of it is: ${told.join(', ')}${more}`,
    { hint: hintFor(counts.keys().next().value, counts.size, paths, image) },
  );
}

function hintFor(why: Rejection | undefined, kinds: number, paths: string, { name }: Resolved): string {
  if (kinds === 1 && why === 'keyless') {
    return 'signatures by certificates (Fulcio, Rekor) are not checked by boxctl: check it by `cosign verify`, and name the image by its digest';
  }
  if (kinds === 1 && (why === 'repository' || why === 'nameless')) {
    return '`verify: {identity: REPOSITORY}` says what a signature has to name, where an image was copied from elsewhere';
  }
  return `\`cosign verify --key ${paths} ${name}\` says more`;
}
