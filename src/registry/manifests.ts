/** Manifests and indexes, small blobs, and what refers to a manifest. */
import { gunzipSync } from 'node:zlib';
import { sha256 } from '../native.ts';
import { isRecord, isTexts } from '../text/json.ts';
import { digestPath, ofOther, repositoryPath, type Ask, type Endpoints } from './endpoint.ts';
import { clipped, Failure } from './failure.ts';
import type { Clock, Location } from './options.ts';
import type { Descriptor, Document } from './protocol.ts';
import { failureOf } from './status.ts';
import type { Answer } from './transport.ts';

export const MAX_MANIFEST = 4 * 1024 * 1024;

/** All that images are described by. Schema 1 is asked for, too, so that it can be refused by name. */
export const IMAGE_TYPES: readonly string[] = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
  'application/vnd.docker.distribution.manifest.v1+json',
];
const INDEX = 'application/vnd.oci.image.index.v1+json';
const DIGEST = /^sha256:[0-9a-f]{64}$/u;

export interface Fetching {
  readonly endpoints: Endpoints;
  readonly clock: Clock;
  readonly location: Location;
  readonly signal: AbortSignal | undefined;
}

/** An answer with one of these statuses; every other is a failure. */
export async function askFor(
  { endpoints, clock, location, signal }: Fetching,
  ask: Omit<Ask, 'signal'>,
  what: string,
  statuses: readonly number[] = [200],
): Promise<Answer> {
  const answer = await endpoints.ask(location, { ...ask, signal });
  if (statuses.includes(answer.status)) return answer;
  const failure = await failureOf(answer, what, location.host, clock.now());
  throw answer.elsewhere === undefined ? failure : ofOther(failure, answer.elsewhere);
}

/** A whole document, without the compression that it was perhaps transferred with. */
async function wholeOf(answer: Answer, maxBytes: number): Promise<Buffer> {
  const bytes = await answer.whole(maxBytes);
  const encoding = answer.headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  if (encoding === 'identity' || encoding === '') return bytes;
  if (encoding !== 'gzip' && encoding !== 'x-gzip') {
    throw new Failure(
      'E_REGISTRY_PROTOCOL',
      `it sends its answer compressed by ${clipped(encoding, 30)}, which was not asked for`,
    );
  }
  try {
    return gunzipSync(bytes, { maxOutputLength: maxBytes });
  } catch (error) {
    if (error instanceof RangeError) {
      throw new Failure('E_REGISTRY_TOO_LARGE', `it sends more than ${maxBytes} bytes for a document, compressed`);
    }
    throw new Failure('E_REGISTRY_PROTOCOL', 'it sends an answer that cannot be decompressed');
  }
}

function checkDigest(bytes: Buffer, wanted: string, said: string): string {
  const digest = `sha256:${sha256(bytes)}`;
  if (digest === wanted) return digest;
  throw new Failure('E_REGISTRY_DIGEST', `it sends other content than ${said}: ${wanted} was due, and ${digest} came`);
}

const parsed = (bytes: Buffer): unknown => {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
};

/**
 * The media type of a document: that of the header. Registries that say nothing of use there have it in the document. Two
 * that are both of images must not differ: a reader that trusts the other one would see another image (CVE-2021-41190).
 */
function mediaTypeOf(answer: Answer, bytes: Buffer, accept: readonly string[]): string {
  const header = (answer.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  const value = parsed(bytes);
  if (!isRecord(value)) {
    const what = header === '' ? 'no type' : clipped(header, 60);
    throw new Failure('E_REGISTRY_PROTOCOL', `it sends something else than a manifest (${what})`, {
      hint: 'is there a registry at this address, and not a page of a proxy or a login?',
    });
  }
  const inside = typeof value['mediaType'] === 'string' ? value['mediaType'] : undefined;
  const isKnown = (type: string | undefined): type is string =>
    type !== undefined && (accept.includes(type) || IMAGE_TYPES.includes(type));
  if (isKnown(header)) {
    if (inside === undefined || inside === header || !isKnown(inside)) return header;
    throw new Failure(
      'E_REGISTRY_PROTOCOL',
      `it calls the manifest ${header}, and the manifest calls itself ${inside}`,
    );
  }
  if (isKnown(inside)) return inside;
  // An old OCI manifest may say it nowhere.
  return Array.isArray(value['manifests']) && !('layers' in value) ? INDEX : (inside ?? header);
}

export async function fetchManifest(
  fetching: Fetching,
  reference: string,
  accept: readonly string[] = IMAGE_TYPES,
): Promise<Document> {
  const path = `${repositoryPath(fetching.location.repository)}/manifests/${reference}`;
  const answer = await askFor(fetching, { method: 'GET', path, headers: { accept: accept.join(', ') } }, 'image');
  const bytes = await wholeOf(answer, MAX_MANIFEST);
  const mediaType = mediaTypeOf(answer, bytes, accept);
  if (DIGEST.test(reference)) return { mediaType, bytes, digest: checkDigest(bytes, reference, 'what was asked for') };
  const header = answer.headers['docker-content-digest'];
  const digest =
    typeof header === 'string' && DIGEST.test(header)
      ? checkDigest(bytes, header, 'it says itself')
      : `sha256:${sha256(bytes)}`;
  return { mediaType, bytes, digest };
}

/** By HEAD, which registries do not count as a pull; by GET where that says too little. */
export async function resolveTag(fetching: Fetching, tag: string): Promise<Descriptor> {
  const path = `${repositoryPath(fetching.location.repository)}/manifests/${tag}`;
  const headers = { accept: IMAGE_TYPES.join(', ') };
  const answer = await askFor(fetching, { method: 'HEAD', path, headers }, 'image', [200, 405, 501]);
  answer.drop();
  const digest = answer.headers['docker-content-digest'];
  const mediaType = (answer.headers['content-type'] ?? '').split(';')[0]?.trim() ?? '';
  const size = Number(answer.headers['content-length'] ?? Number.NaN);
  const isWhole = answer.status === 200 && IMAGE_TYPES.includes(mediaType) && Number.isSafeInteger(size);
  if (isWhole && typeof digest === 'string' && DIGEST.test(digest)) return { digest, mediaType, size };
  const document = await fetchManifest(fetching, tag);
  return { digest: document.digest, mediaType: document.mediaType, size: document.bytes.length };
}

export async function fetchDocument(fetching: Fetching, blob: Descriptor, maxBytes: number): Promise<Buffer> {
  const limit = Math.min(maxBytes, blob.size);
  if (blob.size > maxBytes) {
    throw new Failure(
      'E_REGISTRY_TOO_LARGE',
      `a document of ${blob.size} bytes is larger than the ${maxBytes} that are read`,
    );
  }
  const path = `${repositoryPath(fetching.location.repository)}/blobs/${digestPath(blob.digest)}`;
  const bytes = await wholeOf(await askFor(fetching, { method: 'GET', path }, 'blob'), Math.max(limit, 1));
  if (bytes.length !== blob.size) {
    throw new Failure('E_REGISTRY_SIZE', `it sends ${bytes.length} bytes for ${blob.digest}, which has ${blob.size}`);
  }
  checkDigest(bytes, blob.digest, 'what was asked for');
  return bytes;
}

const MAX_PAGES = 32;
const MAX_REFERRERS = 4096;

/** The referrers call (distribution specification 1.1), and where a registry lacks it, the tag `sha256-HEX`. */
export async function fetchReferrers(fetching: Fetching, digest: string): Promise<readonly Descriptor[]> {
  const name = repositoryPath(fetching.location.repository);
  const found: Descriptor[] = [];
  let path: string | URL = `${name}/referrers/${digestPath(digest)}`;
  for (let page = 0; page < MAX_PAGES; page++) {
    const ask = { method: 'GET', path, headers: { accept: INDEX } } as const;
    const answer = await askFor(fetching, ask, 'list', page === 0 ? [200, 400, 404, 405] : [200]);
    const isIndex = (answer.headers['content-type'] ?? '').startsWith(INDEX);
    if (answer.status !== 200 || (page === 0 && !isIndex)) {
      answer.drop();
      return byTag(fetching, digest);
    }
    found.push(...descriptorsOf(parsed(await wholeOf(answer, MAX_MANIFEST))));
    if (found.length > MAX_REFERRERS) break;
    const next = nextPage(answer);
    if (next === undefined) return found;
    path = next;
  }
  // What was left out could be what matters.
  throw new Failure('E_REGISTRY_TOO_LARGE', `its list of what refers to ${digest} has no end`);
}

async function byTag(fetching: Fetching, digest: string): Promise<readonly Descriptor[]> {
  try {
    const { bytes } = await fetchManifest(fetching, digest.replace(':', '-'), [INDEX]);
    return descriptorsOf(parsed(bytes));
  } catch (error) {
    if (error instanceof Failure && error.code === 'E_REGISTRY_NOT_FOUND') return [];
    throw error;
  }
}

/** `Link: </v2/…>; rel="next"` (RFC 8288), at the same host alone. */
function nextPage(answer: Answer): URL | undefined {
  const header = answer.headers['link'];
  const link = Array.isArray(header) ? header.join(', ') : header;
  // No part of the expression can begin inside of another one: a header of nothing but `<` must not take seconds.
  const links = (link ?? '').matchAll(/<([^<>]*)>([^<>]*)/gu);
  const target = [...links].find(([, , parameters = '']) => /;\s*rel="?next"?/iu.test(parameters))?.[1];
  if (target === undefined) return undefined;
  const url = URL.canParse(target, answer.url.href) ? new URL(target, answer.url) : undefined;
  if (url?.origin !== answer.url.origin) {
    throw new Failure('E_REGISTRY_PROTOCOL', 'the next page of its list is at another host');
  }
  return url;
}

function descriptorsOf(index: unknown): readonly Descriptor[] {
  const list = isRecord(index) ? index['manifests'] : undefined;
  if (!Array.isArray(list)) throw new Failure('E_REGISTRY_PROTOCOL', 'its list of referrers is no index');
  return list.flatMap((entry: unknown) => {
    if (!isRecord(entry)) return [];
    const { mediaType, digest, size, artifactType, annotations } = entry;
    if (typeof mediaType !== 'string' || typeof digest !== 'string' || !DIGEST.test(digest)) return [];
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return [];
    return [
      {
        mediaType,
        digest,
        size,
        ...(typeof artifactType === 'string' ? { artifactType } : {}),
        ...(isTexts(annotations) ? { annotations } : {}),
      },
    ];
  });
}
