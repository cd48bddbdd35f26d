/**
 * One registry or mirror, as it is talked to: by which scheme, with which authorization, and where its redirects lead.
 */
import { clipped, Failure, shownUrl } from './failure.ts';
import { isHost, isLocal, isLoopback } from './loopback.ts';
import type { Location } from './options.ts';
import type { Reference } from './reference.ts';
import type { Asker, Tokens } from './tokens.ts';
import type { Answer, Request, Transport } from './transport.ts';

export interface Ask extends Pick<Request, 'method' | 'body' | 'signal' | 'answerWithin'> {
  /** After `/v2/`, with a query where there is one. A URL: what an earlier answer has named, at any host. */
  readonly path: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** What the token is to be good for. By default: to pull from the repository. */
  readonly scopes?: readonly string[];
}

export interface Reply extends Answer {
  /** The other host that has answered, to which the registry had redirected. */
  readonly elsewhere: string | undefined;
}

const MAX_REDIRECTS = 8;
/** Docker Hub is talked to at another name than the one of its references. */
const SPOKEN: Readonly<Record<string, string>> = { 'docker.io': 'registry-1.docker.io' };
const REPOSITORY = /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*$/u;

interface Origin {
  readonly url: URL;
  readonly insecure: boolean;
}

/** What was found out about hosts, for as long as a client lives. */
export class Endpoints {
  readonly #transport: Transport;
  readonly #tokens: Tokens;
  /** The scheme by which a host has answered. */
  readonly #origins = new Map<string, Origin>();
  readonly #hasCertificates: (host: string) => boolean;

  constructor(transport: Transport, tokens: Tokens, hasCertificates: (host: string) => boolean) {
    this.#transport = transport;
    this.#tokens = tokens;
    this.#hasCertificates = hasCertificates;
  }

  /** Whether the host has answered before, so that a refused connection is worth another try. */
  hasAnswered(location: Location): boolean {
    return this.#origins.has(keyOf(location));
  }

  async ask(location: Location, ask: Ask): Promise<Reply> {
    const key = keyOf(location);
    const known = this.#origins.get(key);
    if (known !== undefined) return this.#askAt(known, location, ask);
    const origins = this.#originsOf(location);
    let first: unknown;
    for (const [index, origin] of origins.entries()) {
      const isLast = index + 1 === origins.length;
      try {
        const answer = await this.#askAt(origin, location, ask);
        if (!isLast && isForTls(origin, answer)) {
          answer.drop();
          continue;
        }
        this.#origins.set(key, origin);
        return answer;
      } catch (error) {
        first ??= error;
        if (!mayBeOtherScheme(error)) throw error;
        if (isLast) throw first;
      }
    }
    throw new Error('no scheme was tried');
  }

  /**
   * The schemes that are tried. A registry on this machine is mostly plain; what is sent to it cannot be read on the way, so
   * plain HTTP comes first, and TLS where that is not what it speaks.
   */
  #originsOf({ host, insecure }: Location): readonly Origin[] {
    const authority = SPOKEN[host] ?? host;
    if (!isHost(authority)) throw new Failure('E_REGISTRY_PROTOCOL', 'its name is no host');
    const at = (scheme: string, unverified: boolean): Origin => ({
      url: new URL(`${scheme}://${authority}/`),
      insecure: unverified,
    });
    if (insecure) return [at('https', true), at('http', true)];
    if (isLoopback(authority) && !this.#hasCertificates(host)) return [at('http', false), at('https', false)];
    return [at('https', false)];
  }

  async #askAt(origin: Origin, { host, repository }: Location, ask: Ask): Promise<Reply> {
    const url = typeof ask.path === 'string' ? new URL(`/v2/${ask.path}`, origin.url) : ask.path;
    const scopes = ask.scopes ?? [`repository:${repository}:pull`];
    const asker: Asker = { host, repository, url: origin.url, insecure: origin.insecure, scopes, signal: ask.signal };
    let authorization = this.#tokens.known(asker);
    for (let isSecond = false; ; isSecond = true) {
      const answer = await this.#follow(origin, url, ask, authorization);
      const challenge = answer.headers['www-authenticate'];
      // Another host, to which a redirect led, is not told who we are. A token that was made just now is not made again.
      if (answer.status !== 401 || challenge === undefined || isSecond) return answer;
      if (answer.elsewhere !== undefined) return answer;
      const next = await this.#tokens.answer(asker, challenge, authorization);
      if (next === undefined || next === authorization) return answer;
      answer.drop();
      authorization = next;
    }
  }

  async #follow(origin: Origin, start: URL, ask: Ask, authorization: string | undefined): Promise<Reply> {
    let url = start;
    let { method } = ask;
    for (let redirects = 0; ; redirects++) {
      const isRegistry = url.origin === origin.url.origin;
      const headers = {
        ...ask.headers,
        ...(isRegistry && authorization !== undefined ? { authorization } : {}),
      };
      const sent = {
        url,
        method,
        headers,
        body: ask.body,
        signal: ask.signal,
        answerWithin: ask.answerWithin,
        insecure: isRegistry && origin.insecure,
      };
      const answer = await this.#transport.send(sent).catch((error: unknown) => {
        throw isRegistry ? error : ofOther(error, url.host);
      });
      const location = answer.headers.location;
      const reply = { ...answer, elsewhere: isRegistry ? undefined : url.host };
      if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined) return reply;
      if (method !== 'GET' && method !== 'HEAD') {
        // What is sent goes to another place only where the method stays the same.
        if (answer.status !== 307 && answer.status !== 308) return reply;
      }
      answer.drop();
      if (redirects >= MAX_REDIRECTS) {
        throw new Failure('E_REGISTRY_PROTOCOL', `its redirects have no end; the last was to ${shownUrl(url)}`);
      }
      url = redirected(origin, url, location);
      method = ask.method;
    }
  }
}

/** Where a redirect leads, if it may. */
export function redirected(origin: { readonly url: URL }, from: URL, location: string): URL {
  let to: URL;
  try {
    to = new URL(location, from);
  } catch {
    throw new Failure('E_REGISTRY_PROTOCOL', `it redirects to something that is no address: ${clipped(location, 60)}`);
  }
  const refuse = (why: string): never => {
    throw new Failure('E_REGISTRY_PROTOCOL', `it redirects to ${shownUrl(to)}, ${why}: that is not followed`);
  };
  if (!/^https?:$/u.test(to.protocol)) refuse('which is not HTTP');
  if (to.username !== '' || to.password !== '') refuse('with a name or a password in the address');
  if (from.protocol === 'https:' && to.protocol === 'http:') refuse('without TLS');
  if (isLocal(to.host) && !isLoopback(origin.url.host)) refuse('which is this machine itself, or its cloud');
  to.hash = '';
  return to;
}

/** Where the fault is: a registry that answers can send us to a store that is out of reach from here. */
export function ofOther(error: unknown, host: string): unknown {
  if (!(error instanceof Failure)) return error;
  const { hint, retry = false, after } = error.options;
  // Who we are to the registry matters nowhere else.
  const code = error.code === 'E_REGISTRY_AUTH' ? 'E_REGISTRY_DENIED' : error.code;
  const own = hint?.startsWith('boxctl login') === true ? undefined : hint?.replaceAll('HOST', host);
  return new Failure(code, `${host}, to which it redirects: ${error.message}`, { hint: own, retry, after });
}

const keyOf = ({ host, insecure }: Location): string => `${host} ${insecure}`;

/** What Go's servers, nginx and Apache say to plain HTTP on a port with TLS. It is not a registry's answer. */
const isForTls = (origin: Origin, { status, headers }: Answer): boolean =>
  origin.url.protocol === 'http:' && status === 400 && headers['content-type']?.includes('json') !== true;

const mayBeOtherScheme = (error: unknown): boolean =>
  error instanceof Failure && (error.options.otherScheme === true || error.options.unconnected === true);

const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/u;
const DIGEST = /^sha256:[0-9a-f]{64}$/u;

/**
 * The digest, which becomes a part of an address. Registries write digests into manifests and lists: with another one, what
 * comes could not be compared, and a path with `..` would lead elsewhere.
 */
export function digestPath(digest: string): string {
  if (DIGEST.test(digest)) return digest;
  throw new Failure('E_REGISTRY_PROTOCOL', `${clipped(digest, 80)} is no sha256 digest, so it is not asked for`);
}

/** The tag or the digest of a manifest. A digest decides. */
export function wordPath({ tag = 'latest', digest }: Pick<Reference, 'tag' | 'digest'>): string {
  if (digest !== undefined) return digestPath(digest);
  if (TAG.test(tag)) return tag;
  throw new Failure('E_REGISTRY_PROTOCOL', `${clipped(tag, 80)} is no tag, so it is not asked for`);
}

/** The beginning of a path for a repository, which becomes a part of an address. */
export function repositoryPath(repository: string): string {
  if (!REPOSITORY.test(repository) || repository.length > 255) {
    throw new Failure('E_REGISTRY_PROTOCOL', `${clipped(repository, 80)} is no name of a repository`);
  }
  return repository;
}
