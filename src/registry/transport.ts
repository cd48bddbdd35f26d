/**
 * One HTTP request and its answer: connections that are kept, TLS, proxies, limits of time and size. Nothing is repeated,
 * followed or decoded here. Node's own client, whose parser is native code: it moves as many bytes for the same processor
 * time as the packages for this do, and is loaded in a few milliseconds.
 */
import * as http from 'node:http';
import * as https from 'node:https';
import { isIP } from 'node:net';
import { connect as connectTls, createSecureContext, type ConnectionOptions, type SecureContext } from 'node:tls';
import type { Duplex } from 'node:stream';
import { secureOptions, systemAuthorities } from './authorities.ts';
import { clipped, Failure, shownUrl } from './failure.ts';
import { networkFailure, TimeIsOver } from './network-failure.ts';
import type { TlsFiles } from './options.ts';
import { proxyFor, type Environment } from './proxy.ts';

export interface Request {
  readonly url: URL;
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly headers: Readonly<Record<string, string>>;
  /** Its length is in `content-length` where it is a function. That is called again when a connection was already closed. */
  readonly body?: Uint8Array | (() => AsyncIterable<Uint8Array>) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The certificate of the other side is not looked at. */
  readonly insecure?: boolean;
  /** Milliseconds until the headers of the answer; `patience` by default. */
  readonly answerWithin?: number | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly url: URL;
  /** The body, as it comes. Can be read once. Fails when nothing comes for too long, or the connection breaks. */
  readonly chunks: () => AsyncGenerator<Uint8Array, void>;
  /** The whole body, of at most so many bytes: else it fails with E_REGISTRY_TOO_LARGE. `within`: milliseconds for all of it. */
  readonly whole: (maxBytes: number, within?: number) => Promise<Buffer>;
  /** The body is not wanted. */
  readonly drop: () => void;
}

export interface TransportOptions {
  readonly tlsFor: (host: string) => TlsFiles | undefined;
  readonly env: Environment;
  readonly userAgent: string;
  readonly connectWithin: number;
  readonly patience: number;
}

const MAX_HEADERS = 64 * 1024;
/** Of an answer that is not wanted: as much is read so that the connection can be used again. */
const MAX_DROPPED = 64 * 1024;
/** For a document as a whole, which may also come slowly and never end. In units of the patience without a byte. */
const DOCUMENT_PATIENCE = 4;
/** Parallel connections to one host. */
const MAX_CONNECTIONS = 8;

/**
 * TLS comes in records of 16 KiB. While the reader is busy, so many bytes of them are joined into one piece, which saves a
 * tenth of the processor time of what follows.
 */
const JOINED_RECORDS = 256 * 1024;

const nothing = (): void => undefined;

export class Transport {
  readonly #options: TransportOptions;
  readonly #agents = new Map<string, http.Agent>();
  readonly #contexts = new Map<string, SecureContext>();
  #authorities: readonly string[] | undefined;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  async send(request: Request): Promise<Answer> {
    for (let again = false; ; again = true) {
      try {
        return await this.#once(request);
      } catch (error) {
        request.signal?.throwIfAborted();
        if (error instanceof SourceFailed) throw error.cause;
        // The other side has closed a kept connection at the moment when it was used again: nothing was done there.
        if (!again && error instanceof Stale) continue;
        throw networkFailure(error instanceof Stale ? error.cause : error, false);
      }
    }
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }

  #once(request: Request): Promise<Answer> {
    const { url, method, body, signal } = request;
    const { connectWithin, patience, userAgent } = this.#options;
    const way = this.#wayTo(url, request.insecure === true);
    const headers = { 'user-agent': userAgent, 'accept-encoding': 'identity', ...way.headers, ...request.headers };

    return new Promise((resolve, reject) => {
      const asked = way.isTls
        ? https.request({ ...way.options, ...common(headers) })
        : http.request({ ...way.options, ...common(headers) });
      let timer = setTimeout(() => asked.destroy(new TimeIsOver('connect', connectWithin)), connectWithin);
      const wait = (): void => {
        clearTimeout(timer);
        const ms = request.answerWithin ?? patience;
        timer = setTimeout(() => asked.destroy(new TimeIsOver('answer', ms)), ms);
      };
      const begin = (): void => {
        if (typeof body !== 'function') return wait();
        const stopwatch = { wait, pause: () => clearTimeout(timer) };
        void write(asked, body(), stopwatch).catch((error: unknown) => asked.destroy(new SourceFailed(error)));
      };
      asked.once('socket', (socket) => {
        if (asked.reusedSocket) begin();
        else socket.once(way.isTls ? 'secureConnect' : 'connect', begin);
      });
      asked.on('error', (error) => {
        clearTimeout(timer);
        const isOurs = error instanceof TimeIsOver || error instanceof SourceFailed;
        const isStale = asked.reusedSocket && !isOurs;
        reject(isStale ? new Stale(error) : error);
      });
      // Nobody has asked for another protocol (RFC 9110, 15.2.2).
      asked.once('upgrade', (_response, socket) => {
        socket.destroy();
        reject(new Failure('E_REGISTRY_PROTOCOL', 'it changes to another protocol, which was not asked for'));
      });
      // Whatever has ended it without a word.
      asked.once('close', () => {
        clearTimeout(timer);
        reject(new Error('the connection was closed'));
      });
      asked.once('response', (response) => {
        clearTimeout(timer);
        resolve(answerOf(response, url, { patience, signal }));
      });
      // Its headers are sent with the first piece of the body.
      if (typeof body !== 'function') asked.end(body);
    });

    function common(sent: Readonly<Record<string, string>>): http.RequestOptions {
      const bounded = { maxHeaderSize: MAX_HEADERS, insecureHTTPParser: false };
      return { method, headers: sent, ...bounded, ...(signal === undefined ? {} : { signal }) };
    }
  }

  #wayTo(url: URL, insecure: boolean): Way {
    const proxy = proxyFor(url, this.#options.env);
    const isTls = url.protocol === 'https:';
    const path = `${url.pathname}${url.search}`;
    if (proxy !== undefined && !isTls) {
      // Without TLS a proxy takes the whole address.
      const isTlsProxy = proxy.protocol === 'https:';
      const agent = this.#agent(`plain by ${proxy.href}`, () =>
        isTlsProxy ? new https.Agent({ ...KEPT, secureContext: this.#context(proxy.host) }) : new http.Agent(KEPT),
      );
      const options = { ...hostOf(proxy), path: `${url.origin}${path}`, agent };
      return { isTls: isTlsProxy, options, headers: { ...proxyAuthorization(proxy), host: url.host } };
    }
    const key = `${url.origin} ${insecure} ${proxy?.href ?? ''}`;
    const agent = this.#agent(key, () => {
      if (!isTls) return new http.Agent(KEPT);
      const tls = {
        secureContext: this.#context(url.host),
        rejectUnauthorized: !insecure,
        highWaterMark: JOINED_RECORDS,
      };
      return proxy === undefined
        ? new https.Agent({ ...KEPT, ...tls })
        : new TunnelAgent({ ...KEPT, ...tls }, () => this.#tunnel(proxy, `${url.hostname}:${portOf(url)}`));
    });
    return { isTls, options: { ...hostOf(url), path, agent }, headers: {} };
  }

  #agent(key: string, make: () => http.Agent): http.Agent {
    const agent = this.#agents.get(key) ?? make();
    this.#agents.set(key, agent);
    return agent;
  }

  #context(host: string): SecureContext {
    const known = this.#contexts.get(host);
    if (known !== undefined) return known;
    this.#authorities ??= systemAuthorities(this.#options.env);
    const context = createSecureContext(secureOptions(this.#options.tlsFor(host), this.#authorities));
    this.#contexts.set(host, context);
    return context;
  }

  /** Has a proxy connect to `authority`, by CONNECT (RFC 9110, 9.3.6). */
  #tunnel(proxy: URL, authority: string): Promise<Duplex> {
    const { connectWithin, userAgent } = this.#options;
    const isTls = proxy.protocol === 'https:';
    const module = isTls ? https : http;
    return new Promise((resolve, reject) => {
      const asked = module.request({
        method: 'CONNECT',
        ...hostOf(proxy),
        path: authority,
        headers: { host: authority, 'user-agent': userAgent, ...proxyAuthorization(proxy) },
        agent: false,
        maxHeaderSize: MAX_HEADERS,
        timeout: connectWithin,
        ...(isTls ? { secureContext: this.#context(proxy.host) } : {}),
      });
      asked.on('timeout', () => asked.destroy(new TimeIsOver('connect', connectWithin)));
      asked.on('error', (error) => {
        const { message, options } = networkFailure(error, false);
        const failure = `the proxy ${shownUrl(proxy)} cannot be used: ${message}`;
        reject(new Failure('E_REGISTRY_PROXY', failure, { retry: options.retry === true, unconnected: true }));
      });
      asked.once('connect', (response, socket, head) => {
        if (response.statusCode === 200) {
          socket.setTimeout(0);
          if (head.length > 0) socket.unshift(head);
          resolve(socket);
          return;
        }
        socket.destroy();
        reject(refusedBy(proxy, response.statusCode ?? 0, response.statusMessage ?? ''));
      });
      asked.once('close', () => reject(refusedBy(proxy, 0, 'closed')));
      // Only a proxy that does not know CONNECT answers like this.
      asked.once('response', (response) => {
        asked.destroy();
        reject(refusedBy(proxy, response.statusCode ?? 0, response.statusMessage ?? ''));
      });
      asked.end();
    });
  }
}

/** What gives the bytes of a body has failed. That is no failure of the registry. */
class SourceFailed extends Error {
  constructor(cause: unknown) {
    super('the source of a body failed', { cause });
  }
}

/** A kept connection that turned out to be closed. */
class Stale extends Error {
  constructor(cause: unknown) {
    super('a kept connection was closed', { cause });
  }
}

interface Way {
  readonly isTls: boolean;
  readonly options: http.RequestOptions;
  readonly headers: Readonly<Record<string, string>>;
}

const KEPT = { keepAlive: true, maxSockets: MAX_CONNECTIONS, scheduling: 'lifo' } as const;

const portOf = (url: URL): string => url.port || (url.protocol === 'https:' ? '443' : '80');

/** Whom to connect to. The name for TLS is said, since Node would take it from the header `Host`; an address is none (RFC 6066, 3). */
function hostOf(url: URL): { readonly host: string; readonly port: string; readonly servername: string } {
  const host = url.hostname.replace(/^\[(.*)\]$/u, '$1');
  return { host, port: portOf(url), servername: isIP(host) === 0 ? host : '' };
}

/** The user part of a proxy's address. */
function proxyAuthorization({ username, password }: URL): Readonly<Record<string, string>> {
  if (username === '' && password === '') return {};
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(pair).toString('base64')}` };
}

function refusedBy(proxy: URL, status: number, words: string): Failure {
  const what = `the proxy ${shownUrl(proxy)} refuses the connection (${status} ${clipped(words, 60)})`;
  const hint =
    status === 407
      ? 'it wants a name and a password: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT'
      : 'a host that is to be reached without the proxy belongs into NO_PROXY';
  return new Failure('E_REGISTRY_PROXY', what, { hint, retry: status === 502 || status === 503 || status === 504 });
}

/** Connections through a proxy. */
class TunnelAgent extends https.Agent {
  readonly #tunnel: () => Promise<Duplex>;

  constructor(options: https.AgentOptions, tunnel: () => Promise<Duplex>) {
    super(options);
    this.#tunnel = tunnel;
  }

  /** Called by Node's Agent, which takes the connection by the callback where nothing is returned. */
  override createConnection(
    options: https.RequestOptions,
    done?: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    const give = done as ((error: Error | null, socket?: Duplex) => void) | undefined;
    void this.#tunnel().then(
      (socket) => {
        give?.(null, connectTls({ ...(options as ConnectionOptions), socket }));
      },
      (error: unknown) => give?.(toError(error)),
    );
  }
}

const toError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

/** Counts the time only while the other side has to do something. */
interface Stopwatch {
  readonly wait: () => void;
  readonly pause: () => void;
}

/** Sends a body piece by piece, as fast as it is taken. */
async function write(
  asked: http.ClientRequest,
  body: AsyncIterable<Uint8Array>,
  { wait, pause }: Stopwatch,
): Promise<void> {
  let isOver = false;
  const over = new Promise<void>((resolve) => {
    const end = (): void => {
      isOver = true;
      resolve();
    };
    asked.once('close', end);
    // An answer before the end: what is left is not wanted.
    asked.once('response', end);
  });
  pause();
  for await (const piece of body) {
    if (isOver) return;
    if (asked.write(piece)) continue;
    wait();
    await Promise.race([new Promise<void>((resolve) => asked.once('drain', () => resolve())), over]);
    pause();
  }
  if (isOver) return;
  wait();
  asked.end();
}

interface Reading {
  readonly patience: number;
  readonly signal: AbortSignal | undefined;
}

function answerOf(response: http.IncomingMessage, url: URL, reading: Reading): Answer {
  // Where nobody reads, an error is nobody's.
  response.on('error', nothing);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    url,
    chunks: () => chunksOf(response, reading),
    whole: (maxBytes, within = Number.POSITIVE_INFINITY) =>
      wholeOf(response, maxBytes, Math.min(within, reading.patience * DOCUMENT_PATIENCE), reading),
    drop: () => drop(response),
  };
}

/**
 * The time counts only while we wait for the other side, not while the reader is busy. Bytes that are there are given at
 * once.
 */
async function* chunksOf(
  response: http.IncomingMessage,
  { patience, signal }: Reading,
): AsyncGenerator<Uint8Array, void> {
  const chunks = response[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  let isWaiting = false;
  const timer = setTimeout(() => {
    if (isWaiting) response.destroy(new TimeIsOver('body', patience));
  }, patience);
  try {
    for (;;) {
      isWaiting = true;
      timer.refresh();
      const next = await chunks.next();
      isWaiting = false;
      if (next.done === true) return;
      yield next.value;
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw networkFailure(error, true);
  } finally {
    clearTimeout(timer);
    if (!response.complete) response.destroy();
  }
}

async function wholeOf(
  response: http.IncomingMessage,
  maxBytes: number,
  within: number,
  reading: Reading,
): Promise<Buffer> {
  const tooLarge = (): Failure => {
    response.destroy();
    return new Failure('E_REGISTRY_TOO_LARGE', `it sends more than ${maxBytes} bytes for a document`);
  };
  if (Number(response.headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  const timer = setTimeout(() => response.destroy(new TimeIsOver('document', within)), within);
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const part of chunksOf(response, reading)) {
      length += part.length;
      if (length > maxBytes) throw tooLarge();
      parts.push(part);
    }
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(parts, length);
}

/** Reads a little of what is not wanted, so that the connection can be used again; else closes it. */
function drop(response: http.IncomingMessage): void {
  let length = 0;
  const timer = setTimeout(() => response.destroy(), 1000);
  timer.unref();
  response.on('data', (part: Uint8Array) => {
    length += part.length;
    if (length > MAX_DROPPED) response.destroy();
  });
  response.once('close', () => clearTimeout(timer));
}
