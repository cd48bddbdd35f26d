/**
 * A registry of the tests' own on 127.0.0.1, in memory. It is honest until it is told to lie: what it then does with a request
 * is a `Lie`. It records every request.
 */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { Certificate } from './certificates.ts';
import { sha256 } from './registry.ts';

export interface Recorded {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Of the client: the same for requests over one connection. */
  readonly port: number;
}

/** What is done with a request instead of an honest answer. All of it can be combined. */
export interface Lie {
  readonly status?: number;
  /** Added to the honest ones, or in their place. Undefined: without it. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** In place of what would be sent. */
  readonly body?: Uint8Array | string;
  /** The body again and again, without an end and without a length. */
  readonly endless?: boolean;
  /** The connection is closed after so many bytes of the body. */
  readonly closeAt?: number;
  /** The same, by a reset. */
  readonly resetAt?: number;
  /** After so many bytes nothing comes any more, and the connection stays open. */
  readonly stallAt?: number;
  /** One byte each so many milliseconds. */
  readonly trickle?: number;
  /** The connection is closed without an answer. */
  readonly silent?: boolean;
  /** Milliseconds before the answer. */
  readonly delay?: number;
  /** A range is not heeded: the whole blob comes, with 200. */
  readonly ignoreRange?: boolean;
}

export type Told = Lie | ((request: Recorded) => Lie | undefined);

export interface LyingOptions {
  readonly tls?: Certificate;
  /** For `tls`: clients need a certificate of this authority (PEM). */
  readonly clientAuthority?: string;
  readonly address?: string;
}

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly [key: string]: unknown;
}

export const TYPES = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  tar: 'application/vnd.oci.image.layer.v1.tar',
  gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  zstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
} as const;

export interface ImageOptions {
  readonly repository?: string;
  readonly tag?: string;
  /** Each as it is sent, with its media type (`gzip` by default) and the digest of its tar. */
  readonly layers: readonly { readonly bytes: Uint8Array; readonly mediaType?: string; readonly diffId: string }[];
  readonly config?: Readonly<Record<string, unknown>>;
  readonly platform?: { readonly os: string; readonly architecture: string; readonly variant?: string };
  /** Changes the manifest before it is stored. */
  readonly manifest?: (honest: Readonly<Record<string, unknown>>) => unknown;
}

export interface StoredImage {
  readonly repository: string;
  readonly manifest: Descriptor;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

interface Stored {
  readonly bytes: Buffer;
  readonly mediaType: string;
}

export class LyingRegistry {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly url: string;
  readonly requests: Recorded[] = [];
  readonly #blobs = new Map<string, Buffer>();
  /** By `REPOSITORY:TAG` and `REPOSITORY@DIGEST`. */
  readonly #manifests = new Map<string, Stored>();
  readonly #lies: { readonly path: RegExp; readonly told: Told; times: number }[] = [];
  readonly #close: () => Promise<void>;

  private constructor(host: string, url: string, close: () => Promise<void>) {
    this.host = host;
    this.url = url;
    this.#close = close;
  }

  static async start(options: LyingOptions = {}): Promise<LyingRegistry> {
    const { tls, address = '127.0.0.1', clientAuthority } = options;
    let registry: LyingRegistry | undefined;
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      response.on('error', () => undefined);
      void registry?.answer(request, response).catch(() => response.destroy());
    };
    const server = tls === undefined ? createServer(listener) : createTlsServer(secure(tls, clientAuthority), listener);
    server.keepAliveTimeout = 60_000;
    const sockets = new Set<Socket>();
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, address, resolve));
    const { port } = server.address() as AddressInfo;
    const host = `${address.includes(':') ? `[${address}]` : address}:${port}`;
    registry = new LyingRegistry(host, `${tls === undefined ? 'http' : 'https'}://${host}`, async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    });
    return registry;
  }

  stop(): Promise<void> {
    return this.#close();
  }

  /**
   * Requests whose path (with its query) fits are answered so. What was told last is looked at first; after so many `times`
   * it is forgotten. A function that gives undefined leaves the request to the others.
   */
  lie(path: RegExp, told: Told, { times = Number.POSITIVE_INFINITY }: { readonly times?: number } = {}): void {
    this.#lies.unshift({ path, told, times });
  }

  /** From now on it is honest, and has had no requests. */
  repent(): void {
    this.#lies.length = 0;
    this.requests.length = 0;
  }

  addBlob(bytes: Uint8Array | string, mediaType = 'application/octet-stream'): Descriptor {
    const content = Buffer.from(bytes);
    const digest = sha256(content);
    this.#blobs.set(digest, content);
    return { mediaType, digest, size: content.length };
  }

  /** A manifest or an index, by its digest, and by the tags. Text is stored as it is, also where it is no JSON. */
  addManifest(repository: string, tags: readonly string[], content: unknown, mediaType?: string): Descriptor {
    const bytes = Buffer.from(
      typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content),
    );
    const named = typeof content === 'object' && content !== null && 'mediaType' in content ? content.mediaType : '';
    const type = mediaType ?? (typeof named === 'string' && named !== '' ? named : TYPES.manifest);
    const digest = sha256(bytes);
    for (const word of [`@${digest}`, ...tags.map((tag) => `:${tag}`)]) {
      this.#manifests.set(`${repository}${word}`, { bytes, mediaType: type });
    }
    return { mediaType: type, digest, size: bytes.length };
  }

  /** A whole image. */
  addImage({ repository = 'library/image', tag = 'latest', layers, ...options }: ImageOptions): StoredImage {
    const { os = 'linux', architecture = process.arch === 'arm64' ? 'arm64' : 'amd64' } = options.platform ?? {};
    const configuration = {
      os,
      architecture,
      ...options.config,
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    };
    const config = this.addBlob(JSON.stringify(configuration), TYPES.config);
    const stored = layers.map(({ bytes, mediaType = TYPES.gzip }) => this.addBlob(bytes, mediaType));
    const honest = { schemaVersion: 2, mediaType: TYPES.manifest, config, layers: stored };
    const manifest = this.addManifest(repository, [tag], options.manifest?.(honest) ?? honest, TYPES.manifest);
    return { repository, manifest, config, layers: stored };
  }

  addIndex(repository: string, tags: readonly string[], manifests: readonly Descriptor[]): Descriptor {
    return this.addManifest(repository, tags, { schemaVersion: 2, mediaType: TYPES.index, manifests });
  }

  /** An index in an index in an index …, so many levels above what is given. */
  addNested(repository: string, tag: string, inner: Descriptor, levels: number): Descriptor {
    let last = inner;
    for (let level = 0; level < levels; level++) {
      last = this.addIndex(repository, level === levels - 1 ? [tag] : [], [last]);
    }
    return last;
  }

  /** @internal */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const recorded: Recorded = {
      method: request.method ?? '',
      path: request.url ?? '/',
      headers: request.headers,
      body: Buffer.concat(parts),
      port: request.socket.remotePort ?? 0,
    };
    this.requests.push(recorded);
    const lie = this.#lieFor(recorded);
    if (lie.delay !== undefined) await sleep(lie.delay);
    if (lie.silent === true) {
      request.socket.destroy();
      return;
    }
    await send(this.#honest(recorded, lie), lie, request, response);
  }

  #lieFor(request: Recorded): Lie {
    for (const one of this.#lies) {
      if (one.times <= 0 || !one.path.test(request.path)) continue;
      const lie = typeof one.told === 'function' ? one.told(request) : one.told;
      if (lie === undefined) continue;
      one.times -= 1;
      return lie;
    }
    return {};
  }

  #honest({ path, headers }: Recorded, lie: Lie): Honest {
    const { pathname } = new URL(path, 'http://x');
    if (pathname === '/v2/') return { status: 200, headers: JSON_TYPE, body: Buffer.from('{}') };
    const [, name = '', kind = '', word = ''] =
      /^\/v2\/(.+)\/(manifests|blobs|referrers)\/([^/]+)$/u.exec(pathname) ?? [];
    if (kind === 'manifests') {
      const stored = this.#manifests.get(`${name}${word.includes(':') ? '@' : ':'}${word}`);
      if (stored === undefined) return notFound('MANIFEST_UNKNOWN', 'manifest unknown');
      const said = { 'content-type': stored.mediaType, 'docker-content-digest': sha256(stored.bytes) };
      return { status: 200, headers: said, body: stored.bytes };
    }
    const blob = kind === 'blobs' ? this.#blobs.get(word) : undefined;
    if (blob === undefined) return notFound(kind === 'blobs' ? 'BLOB_UNKNOWN' : 'NOT_FOUND', 'not there');
    const type = { 'content-type': 'application/octet-stream', 'accept-ranges': 'bytes' };
    const [, first, last] = /^bytes=(\d+)-(\d*)$/u.exec(headers.range ?? '') ?? [];
    if (first === undefined || lie.ignoreRange === true) return { status: 200, headers: type, body: blob };
    const end = last === undefined || last === '' ? blob.length - 1 : Math.min(Number(last), blob.length - 1);
    const range = { 'content-range': `bytes ${first}-${end}/${blob.length}` };
    return { status: 206, headers: { ...type, ...range }, body: blob.subarray(Number(first), end + 1) };
  }
}

interface Honest {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const JSON_TYPE = { 'content-type': 'application/json' };

const notFound = (code: string, message: string): Honest => ({
  status: 404,
  headers: JSON_TYPE,
  body: Buffer.from(JSON.stringify({ errors: [{ code, message }] })),
});

function secure(tls: Certificate, clientAuthority: string | undefined): ServerOptions {
  const asked =
    clientAuthority === undefined ? {} : { ca: clientAuthority, requestCert: true, rejectUnauthorized: true };
  return { cert: readFileSync(tls.cert), key: readFileSync(tls.key), ...asked };
}

async function send(honest: Honest, lie: Lie, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = lie.body === undefined ? honest.body : Buffer.from(lie.body);
  const length = lie.endless === true ? undefined : String(body.length);
  const headers: Record<string, string | undefined> = {
    'docker-distribution-api-version': 'registry/2.0',
    ...honest.headers,
    'content-length': length,
    ...lie.headers,
  };
  response.writeHead(
    lie.status ?? honest.status,
    Object.fromEntries(Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined)),
  );
  response.flushHeaders();
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const stop = Math.min(lie.closeAt ?? Infinity, lie.resetAt ?? Infinity, lie.stallAt ?? Infinity);
  const sent = await write(response, body, stop, lie);
  if (sent < stop || stop === Infinity) {
    response.end();
    // Whoever waits for bytes that the length has promised must see the end.
    if (headers['content-length'] !== undefined && Number(headers['content-length']) > sent) request.socket.end();
    return;
  }
  if (lie.stallAt === stop) return;
  if (lie.resetAt === stop) request.socket.resetAndDestroy();
  else request.socket.destroySoon();
}

/** Writes up to `stop` bytes. Ends when the other side has gone. */
async function write(response: ServerResponse, body: Buffer, stop: number, lie: Lie): Promise<number> {
  let sent = 0;
  const piece = lie.trickle === undefined ? 64 * 1024 : 1;
  do {
    for (let at = 0; at < body.length && sent < stop && !response.destroyed;) {
      const part = body.subarray(at, Math.min(body.length, at + piece, at + stop - sent));
      at += part.length;
      sent += part.length;
      const isTaken = response.write(part);
      if (lie.trickle !== undefined) await sleep(lie.trickle);
      else if (!isTaken) await drained(response);
    }
  } while (lie.endless === true && sent < stop && !response.destroyed && body.length > 0);
  // So that a break comes after the bytes before it.
  if (stop !== Infinity) await sleep(20);
  return sent;
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.once('drain', done);
    response.once('close', done);
  });
}

/** A layer of a few bytes that is `size` bytes of zeros when it is decompressed. */
export function gzipBomb(size: number): Buffer {
  const block = 16 * 1024 * 1024;
  // Members of a gzip file are decompressed one after the other.
  const member = gzipSync(Buffer.alloc(block), { level: 9 });
  return Buffer.concat(Array.from({ length: Math.ceil(size / block) }, () => member));
}
