/** An image of a registry, as its manifest and configuration describe it. Of its layers nothing is fetched here. */
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import type { Descriptor, Document, Events, RegistryReader } from '../registry/protocol.ts';
import { writeReference, type Reference } from '../registry/reference.ts';
import { safe } from '../text/safe.ts';
import { isRecord, isTextList } from '../text/json.ts';
import { MAX_DOCUMENT } from './documents.ts';
import { hexOf, imageOf, MAX_LAYERS, parseJson, type Json, type LayeredImage } from './image-config.ts';
import { bestOf, entriesOf, MAX_INDEXES } from './image-index.ts';
import { badImage, type Named } from './members.ts';
import type { Platform } from './platform.ts';

/** Is asked before anything but manifests is fetched, with the digests of these, from the one that the reference leads to on. */
export type Approve = (digests: readonly string[]) => Promise<void>;

export interface RegistryImage {
  readonly image: LayeredImage;
  /** Of its layers, from the lowest to the highest. */
  readonly layers: readonly Descriptor[];
  readonly manifest: Document;
  /** What the reference leads to, where that is an index. */
  readonly index: Document | undefined;
}

export interface Choice {
  readonly host: HostFacts;
  /** Undefined: what suits this machine best. */
  readonly platform: Platform | undefined;
}

const isSchema1 = (mediaType: string): boolean => /distribution\.manifest\.v1\+/u.test(mediaType);
const isIndex = (mediaType: string): boolean => /image\.index\.v1\+|manifest\.list\.v2\+/u.test(mediaType);

/**
 * From what a reference leads to, through indexes, to the image that is wanted. Fetches manifests, and the configuration at
 * last.
 */
export async function describeRegistryImage(
  client: Pick<RegistryReader, 'manifest' | 'document'>,
  reference: Reference,
  top: Document,
  { host, platform }: Choice,
  events: Events,
  approve: Approve,
): Promise<RegistryImage> {
  const from: Named = { name: writeReference(reference) };
  const chain = await chainOf(client, reference, top, { host, platform }, events);
  const manifest = chain.at(-1) ?? top;
  await approve(chain.map(({ digest }) => digest));
  const json = objectOf(from, manifest);
  const layers = layersOf(from, json['layers']);
  const config = descriptorOf(from, json['config'], 'the configuration');
  checkIsImage(from, config.mediaType);
  const bytes = await client.document(reference, config, MAX_DOCUMENT, events);
  const image = imageOf(
    from,
    { config: bytes, manifest: manifest.bytes },
    layers.map(({ digest, size }) => ({ path: digest, digest: hexOf(from, digest), size })),
    [],
    host,
    platform,
  );
  return { image, layers, manifest, index: manifest === top ? undefined : top };
}

/** From what the reference leads to, through indexes, to the manifest of the image. */
export async function chainOf(
  client: Pick<RegistryReader, 'manifest'>,
  reference: Reference,
  top: Document,
  { host, platform }: Choice,
  events: Events,
): Promise<readonly Document[]> {
  const from: Named = { name: writeReference(reference) };
  const chain = [top];
  let document = top;
  for (let depth = 0; isIndex(document.mediaType); depth++) {
    if (depth === MAX_INDEXES) throw badImage(from, `its indexes lead to others more than ${MAX_INDEXES} times`);
    const [best] = bestOf(from, entriesOf(from, objectOf(from, document)), host, platform);
    const digest = `sha256:${hexOf(from, best?.id)}`;
    document = await client.manifest({ ...reference, tag: undefined, digest }, events);
    chain.push(document);
  }
  return chain;
}

/** The object of a document, which must be of one kind: another reader would else see another image (CVE-2021-41190). */
function objectOf(from: Named, { bytes, mediaType }: Document): Json {
  if (isSchema1(mediaType)) {
    throw new BoxctlError('E_PULL_FORMAT', `The image ${from.name} has a manifest of Docker's schema 1`, {
      hint: 'that format is given up everywhere: push the image again by a tool of this decade, such as `skopeo copy`',
    });
  }
  const json = parseJson(from, 'its manifest', bytes);
  if (!isRecord(json) || ('manifests' in json && ('layers' in json || 'config' in json))) {
    throw badImage(from, 'its manifest is not the JSON that it should be');
  }
  return json;
}

const DIGEST = /^sha256:[0-9a-f]{64}$/u;

function descriptorOf(from: Named, value: unknown, what: string): Descriptor {
  const { mediaType, digest, size, urls } = isRecord(value) ? value : {};
  const isWhole = typeof mediaType === 'string' && typeof digest === 'string' && DIGEST.test(digest);
  if (!isWhole || typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw badImage(from, `the descriptor of ${what} in its manifest is malformed`);
  }
  return { mediaType, digest, size, ...(isTextList(urls) && urls.length > 0 ? { urls } : {}) };
}

/** What else lies in registries: charts, signatures, models. */
function checkIsImage(from: Named, mediaType: string): void {
  if (/^application\/vnd\.(?:oci\.image\.config|docker\.container\.image)\.v1\+json$/u.test(mediaType)) return;
  const kind = mediaType.length > 100 ? `${mediaType.slice(0, 100)}…` : mediaType;
  throw new BoxctlError('E_PULL_FORMAT', `${from.name} is no image of a root file system, but ${safe(kind)}`, {
    hint: 'name an image; other artifacts cannot be run',
  });
}

const LAYER = /^application\/vnd\.(?:oci\.image\.layer\.v1|docker\.image\.rootfs\.diff)\.tar(?:[.+](?:gzip|zstd))?$/u;

function layersOf(from: Named, value: unknown): readonly Descriptor[] {
  if (!Array.isArray(value)) throw badImage(from, 'its manifest names no layers');
  if (value.length > MAX_LAYERS) throw badImage(from, `it has ${value.length} layers, and may have ${MAX_LAYERS}`);
  return value.map((entry: unknown, index) => {
    const layer = descriptorOf(from, entry, `layer ${index + 1}`);
    if (LAYER.test(layer.mediaType)) return layer;
    throw strangeLayer(from, layer, index + 1);
  });
}

/** How it is compressed is seen in its content, whatever its media type says, as podman has it. What it is, is not. */
function strangeLayer(from: Named, { mediaType, digest }: Descriptor, number: number): BoxctlError {
  const kind = safe(mediaType.length > 100 ? `${mediaType.slice(0, 100)}…` : mediaType);
  const layer = `Layer ${number} of the image ${from.name} (${digest})`;
  if (/nondistributable|foreign/u.test(mediaType)) {
    return new BoxctlError('E_PULL_FORMAT', `${layer} is a foreign one (${kind}), which its registry does not give`, {
      hint: 'images of Windows have such layers; have the image built without them',
    });
  }
  const hint = mediaType.endsWith('+encrypted')
    ? 'have it decrypted by a tool that has the key, such as `skopeo copy --decryption-key`'
    : 'layers are tars: plain, or compressed by gzip or zstd';
  return new BoxctlError('E_PULL_FORMAT', `${layer} is of a kind that boxctl does not read: ${kind}`, { hint });
}
