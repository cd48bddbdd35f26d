/**
 * Blobs and manifests that are put into a registry (distribution specification, "Pushing"). A small blob goes by one PUT; a
 * large one in pieces, so that after a break no more than a piece is sent again.
 */
import { sha256 } from '../native.ts';
import { redirected, repositoryPath } from './endpoint.ts';
import { clipped, Failure } from './failure.ts';
import { askFor, type Fetching } from './manifests.ts';
import type { Descriptor, Document, Events } from './protocol.ts';
import { failureOf } from './status.ts';
import type { Answer } from './transport.ts';

/** What is asked of an upload, at its one location. */
export interface Uploading extends Omit<Fetching, 'signal'> {
  readonly events: Events | undefined;
}

export type OpenBlob = (offset: number) => AsyncIterable<Uint8Array>;

const MIB = 1 << 20;
/** Up to this size a blob is sent at once: pieces would cost a request more. */
const WHOLE = 4 * MIB;
/** A piece, unless the registry wants larger ones; and the smallest that is tried where it takes no larger ones. */
const PIECE = 64 * MIB;
const LEAST_PIECE = MIB;
/** Registries digest, or copy, a blob before they answer. Milliseconds. */
const FINISH_WITHIN = 15 * 60_000;
/** Uploads that are begun anew, because the registry has forgotten them, or knows no pieces. */
const MAX_UPLOADS = 4;

const DIGEST = /^sha256:[0-9a-f]{64}$/u;

const scopesOf = (repository: string, from?: string): readonly string[] => [
  `repository:${repository}:pull,push`,
  ...(from === undefined ? [] : [`repository:${from}:pull`]),
];

function fetching({ endpoints, clock, location, events }: Uploading): Fetching {
  return { endpoints, clock, location, signal: events?.signal };
}

export async function hasBlob(uploading: Uploading, digest: string): Promise<boolean> {
  const { repository } = uploading.location;
  const path = `${repositoryPath(repository)}/blobs/${digest}`;
  const ask = { method: 'HEAD', path, scopes: scopesOf(repository) } as const;
  const answer = await askFor(fetching(uploading), ask, 'blob', [200, 404]);
  answer.drop();
  return answer.status === 200;
}

/**
 * False also where the registry does not let us read the other repository: the blob is uploaded then. Registries that know
 * no mounts begin an upload instead, which is given up.
 */
export async function mountBlob(uploading: Uploading, digest: string, from: string): Promise<boolean> {
  const { endpoints, location, events } = uploading;
  const { repository } = location;
  const path = `${repositoryPath(repository)}/blobs/uploads/?mount=${digest}&from=${encodeURIComponent(repositoryPath(from))}`;
  let answer: Answer;
  try {
    const scopes = scopesOf(repository, from);
    answer = await endpoints.ask(location, {
      method: 'POST',
      path,
      headers: { 'content-length': '0' },
      scopes,
      signal: events?.signal,
    });
  } catch (error) {
    // A token for both repositories is not to be had.
    if (error instanceof Failure && error.code === 'E_REGISTRY_AUTH') return false;
    throw error;
  }
  if (answer.status === 429 || answer.status >= 500) {
    throw await failureOf(answer, 'repository', location.host, uploading.clock.now());
  }
  answer.drop();
  if (answer.status === 202) await cancel(uploading, answer);
  return answer.status === 201;
}

async function cancel(uploading: Uploading, begun: Answer): Promise<void> {
  try {
    const { endpoints, location, events } = uploading;
    const at = nextOf(begun, begun.url);
    const scopes = scopesOf(location.repository);
    const answer = await endpoints.ask(location, { method: 'DELETE', path: at, scopes, signal: events?.signal });
    answer.drop();
  } catch {
    // The registry forgets it by itself.
  }
}

/**
 * Where an upload goes on: `Location`, relative or absolute. A registry behind a proxy that ends TLS for it may call itself
 * `http://`: at its own host, the scheme stays.
 */
function nextOf(answer: Answer, before: URL): URL {
  const { location } = answer.headers;
  if (location === undefined) return before;
  let to: URL;
  try {
    to = new URL(location, answer.url);
  } catch {
    throw new Failure('E_REGISTRY_PROTOCOL', `it names no address for the upload: ${clipped(location, 60)}`);
  }
  if (to.hostname === answer.url.hostname && to.port === '' && answer.url.protocol === 'https:') {
    to.protocol = 'https:';
    to.port = answer.url.port;
  }
  return redirected({ url: answer.url }, answer.url, to.href);
}

/** Adds the digest as it is: the registry may have signed the rest of the query. */
function withDigest(url: URL, digest: string): URL {
  const to = new URL(url);
  to.search = `${url.search === '' ? '?' : `${url.search}&`}digest=${encodeURIComponent(digest)}`;
  return to;
}

/** An upload that is under way. */
interface Session {
  at: URL;
  /** Bytes that the registry has. */
  offset: number;
  /** The smallest piece that the registry takes, unless it is the last. */
  readonly least: number;
}

/** How a blob is sent from now on. */
interface Way {
  /** False: the registry takes no pieces, and the blob goes by one PUT. */
  pieces: boolean;
  /** The largest piece, which a break or a refusal makes smaller. */
  piece: number;
}

/** Statuses by which registries say that they do not know PATCH, or pieces. */
const NO_PIECES = [404, 405, 411, 415, 501];

/** `settle` waits until the next try after so many failures in a row, or throws. */
export async function uploadBlob(
  uploading: Uploading,
  blob: Pick<Descriptor, 'digest' | 'size'>,
  open: OpenBlob,
  settle: (failure: Failure, failures: number) => Promise<void>,
): Promise<void> {
  const way: Way = { pieces: blob.size > WHOLE, piece: PIECE };
  let session: Session | undefined;
  let begun = 0;
  for (let failures = 0; ;) {
    const before = session?.offset ?? 0;
    try {
      if (session === undefined) {
        if (++begun > MAX_UPLOADS) {
          throw new Failure('E_REGISTRY_PROTOCOL', `it forgets uploads: ${MAX_UPLOADS} were begun for ${blob.digest}`);
        }
        session = await begin(uploading);
      } else if (failures > 0 && !(await isStillThere(uploading, session))) {
        // After a break in the last request the blob may be there, and the upload is over.
        if (await hasBlob(uploading, blob.digest)) return;
        session = undefined;
        continue;
      }
      if (await send(uploading, session, blob, open, way)) return;
      // The registry does not go on with this upload.
      session = undefined;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const moved = (session?.offset ?? 0) > before;
      failures = moved ? 1 : failures + 1;
      if (session !== undefined && way.pieces) way.piece = Math.floor(way.piece / 2);
      await settle(error, failures);
    }
  }
}

async function begin(uploading: Uploading): Promise<Session> {
  const { repository } = uploading.location;
  const path = `${repositoryPath(repository)}/blobs/uploads/`;
  const headers = { 'content-length': '0' };
  const ask = { method: 'POST', path, headers, scopes: scopesOf(repository) } as const;
  const answer = await askUpload(uploading, ask, [202]);
  answer.drop();
  if (answer.headers.location === undefined) {
    throw new Failure('E_REGISTRY_PROTOCOL', 'it begins an upload, and does not say where it goes on');
  }
  const least = Number(answer.headers['oci-chunk-min-length'] ?? 0);
  return {
    at: nextOf(answer, answer.url),
    offset: 0,
    least: Number.isSafeInteger(least) ? Math.max(LEAST_PIECE, least) : LEAST_PIECE,
  };
}

/** Asks how far the upload is. False: the registry does not know it any more. */
async function isStillThere(uploading: Uploading, session: Session): Promise<boolean> {
  const scopes = scopesOf(uploading.location.repository);
  const ask = { method: 'GET', path: session.at, scopes } as const;
  const answer = await askUpload(uploading, ask, [200, 202, 204, 400, 404, 405]);
  answer.drop();
  if (answer.status >= 400) return false;
  session.at = nextOf(answer, session.at);
  session.offset = received(answer) ?? 0;
  return true;
}

/** `Range: 0-LAST`, where `0-0` is also what registries say of nothing. */
function received(answer: Answer): number | undefined {
  const last = /^(?:bytes=)?0-(\d+)$/u.exec(answer.headers['range']?.toString() ?? '')?.[1];
  if (last === undefined) return undefined;
  return last === '0' ? 0 : Number(last) + 1;
}

/** Sends what is left. False: it has to be begun anew. */
async function send(
  uploading: Uploading,
  session: Session,
  blob: Pick<Descriptor, 'digest' | 'size'>,
  open: OpenBlob,
  way: Way,
): Promise<boolean> {
  if (!way.pieces) {
    if (session.offset > 0) return false;
    return finish(uploading, session, blob, way, { size: blob.size, open });
  }
  while (session.offset < blob.size) {
    const size = Math.min(Math.max(way.piece, session.least), blob.size - session.offset);
    if (!(await sendPiece(uploading, session, { offset: session.offset, size, open }, blob, way))) return false;
  }
  return finish(uploading, session, blob, way, { size: 0, open });
}

interface Piece {
  readonly offset: number;
  readonly size: number;
  readonly open: OpenBlob;
}

async function sendPiece(
  uploading: Uploading,
  session: Session,
  { offset, size, open }: Piece,
  blob: Pick<Descriptor, 'size'>,
  way: Way,
): Promise<boolean> {
  const headers = {
    'content-type': 'application/octet-stream',
    'content-length': String(size),
    'content-range': `${offset}-${offset + size - 1}`,
  };
  const body = (): AsyncIterable<Uint8Array> => limited(open(offset), size);
  const scopes = scopesOf(uploading.location.repository);
  const ask = { method: 'PATCH', path: session.at, headers, body, scopes } as const;
  const answer = await askUpload(uploading, ask, [200, 201, 202, 204, 413, 416, ...NO_PIECES]);
  if (answer.status === 413) {
    if (size <= session.least) throw await tooLarge(uploading, answer, size);
    answer.drop();
    way.piece = Math.floor(size / 4);
    return true;
  }
  if (answer.status === 416) {
    answer.drop();
    // It has more or less than we think: an answer was lost, or a piece.
    return (await isStillThere(uploading, session)) && session.offset !== offset && session.offset <= blob.size;
  }
  if (answer.status >= 400) {
    // A 404 in the middle is an upload that was forgotten.
    if (offset === 0 && answer.status !== 404) way.pieces = false;
    answer.drop();
    return false;
  }
  answer.drop();
  session.at = nextOf(answer, session.at);
  const there = received(answer);
  const due = offset + size;
  if (there !== undefined && there !== due && (there < offset || there > due)) {
    throw new Failure('E_REGISTRY_PROTOCOL', `it has ${there} bytes of an upload, of which it was sent ${due}`);
  }
  if (there === offset)
    throw new Failure('E_REGISTRY_PROTOCOL', 'it takes a piece of an upload, and has nothing of it');
  session.offset = there ?? due;
  return true;
}

/** The last request: with the whole blob, or without a body. */
async function finish(
  uploading: Uploading,
  session: Session,
  { digest }: Pick<Descriptor, 'digest'>,
  way: Way,
  { size, open }: Omit<Piece, 'offset'>,
): Promise<boolean> {
  const answer = await askUpload(
    uploading,
    {
      method: 'PUT',
      path: withDigest(session.at, digest),
      headers: { 'content-type': 'application/octet-stream', 'content-length': String(size) },
      ...(size === 0 ? {} : { body: () => limited(open(0), size) }),
      scopes: scopesOf(uploading.location.repository),
      answerWithin: FINISH_WITHIN,
    },
    [200, 201, 202, 204, 404, 413],
  );
  if (answer.status === 413) {
    if (way.pieces || size <= LEAST_PIECE) throw await tooLarge(uploading, answer, size);
    way.pieces = true;
    way.piece = Math.floor(size / 4);
  }
  answer.drop();
  if (answer.status === 201 || answer.status === 200) {
    checkSaid(answer, digest);
    return true;
  }
  // Some registries answer 202 or 204, and have it. One that knows the upload no more may have it from a request before, of
  // which the answer was lost.
  return answer.status !== 413 && hasBlob(uploading, digest);
}

function checkSaid(answer: Answer, digest: string): void {
  const said = answer.headers['docker-content-digest'];
  if (typeof said !== 'string' || !DIGEST.test(said) || said === digest) return;
  throw new Failure('E_REGISTRY_DIGEST', `it was sent ${digest}, and says that it has ${said}`);
}

/** Exactly `size` bytes. */
async function* limited(bytes: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array, void> {
  let left = size;
  for await (const piece of bytes) {
    yield piece.length <= left ? piece : piece.subarray(0, left);
    left -= Math.min(left, piece.length);
    if (left === 0) return;
  }
}

/** An answer to a step of an upload. What the general words do not say of an upload is said here. */
async function askUpload(
  uploading: Uploading,
  ask: Parameters<typeof askFor>[1],
  statuses: readonly number[],
): Promise<Answer> {
  const { endpoints, location, clock, events } = uploading;
  const answer = await endpoints.ask(location, { ...ask, signal: events?.signal });
  if (statuses.includes(answer.status)) return answer;
  throw refused(answer.status, await failureOf(answer, 'repository', location.host, clock.now()));
}

function refused(status: number, failure: Failure): Failure {
  const said = /\((status [^]*)\)$/u.exec(failure.message)?.[1] ?? `status ${status}`;
  if (status === 400 || status === 422) {
    return new Failure('E_REGISTRY_DENIED', `it refuses what it was sent (${said})`);
  }
  if (status === 405 || status === 501) {
    return new Failure('E_REGISTRY_DENIED', `nothing can be pushed to it (${said})`, {
      hint: 'is it a mirror, or set to be read only?',
    });
  }
  if (status === 413 || status === 507) {
    return new Failure('E_REGISTRY_DENIED', `it has no room for what it was sent (${said})`);
  }
  return failure;
}

async function tooLarge({ location, clock }: Uploading, answer: Answer, size: number): Promise<Failure> {
  const failure = await failureOf(answer, 'repository', location.host, clock.now());
  const said = /\((status [^]*)\)$/u.exec(failure.message)?.[1] ?? 'status 413';
  return new Failure('E_REGISTRY_DENIED', `it takes no request of ${size} bytes (${said})`, {
    hint: 'a proxy before the registry may have a limit: client_max_body_size of nginx, for one',
  });
}

/** Puts a manifest or an index under a tag or a digest. Returns its digest. */
export async function uploadManifest(
  uploading: Uploading,
  word: string,
  { bytes, mediaType }: Omit<Document, 'digest'>,
): Promise<string> {
  const { repository } = uploading.location;
  const digest = `sha256:${sha256(bytes)}`;
  const ask = {
    method: 'PUT',
    path: `${repositoryPath(repository)}/manifests/${word}`,
    headers: { 'content-type': mediaType, 'content-length': String(bytes.length) },
    body: bytes,
    scopes: scopesOf(repository),
    answerWithin: FINISH_WITHIN,
  } as const;
  const answer = await askUpload(uploading, ask, [200, 201, 202, 204]);
  answer.drop();
  checkSaid(answer, digest);
  return digest;
}
