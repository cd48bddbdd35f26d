/**
 * Who we are to a registry: nobody, by name and password, or by a token of the server that the registry names (Docker's
 * token authentication, also by OAuth 2). Credentials go only to the host that they are stored for, or to the token server
 * that it names, over TLS or to this machine itself.
 */
import { isRecord } from '../text/json.ts';
import { parseChallenges, type Challenge } from './challenge.ts';
import { Failure, shownUrl } from './failure.ts';
import { isLoopback } from './loopback.ts';
import type { Clock, Credentials } from './options.ts';
import { hideSecrets } from './secrets.ts';
import { failureOf } from './status.ts';
import type { Answer, Request, Transport } from './transport.ts';

/** A registry that asks who we are. */
export interface Asker {
  /** As the configuration has it: what credentials are stored for. */
  readonly host: string;
  readonly repository: string;
  /** Where it was asked. */
  readonly url: URL;
  /** Its certificate is not looked at, by the configuration. */
  readonly insecure: boolean;
  /** What is wanted: `repository:library/alpine:pull`. Without any, what the registry says. */
  readonly scopes: readonly string[];
  readonly signal: AbortSignal | undefined;
}

interface Kept {
  readonly header: string;
  /** Milliseconds since 1970. */
  readonly until: number;
}

const MAX_TOKEN_ANSWER = 256 * 1024;
const MAX_TOKEN = 48 * 1024;
/** Seconds, where the server does not say (as Docker's specification has it), and the most that we believe. */
const LIFETIME = 60;
const LONGEST_LIFETIME = 24 * 3600;
/** So that a token does not end on its way. */
const MARGIN = 5;
const CLIENT_ID = 'boxctl';

const keyOf = ({ host, url, scopes }: Pick<Asker, 'host' | 'url' | 'scopes'>): string =>
  JSON.stringify([host, url.origin, ...scopes]);

export class Tokens {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #credentialsFor: (host: string, repository: string) => Promise<Credentials | undefined>;
  /** `Authorization` for a registry and what is wanted of it. */
  readonly #kept = new Map<string, Kept>();
  readonly #asked = new Map<string, Promise<string | undefined>>();

  constructor(
    transport: Transport,
    clock: Clock,
    credentialsFor: (host: string, repository: string) => Promise<Credentials | undefined>,
  ) {
    this.#transport = transport;
    this.#clock = clock;
    this.#credentialsFor = credentialsFor;
  }

  /** What was good for the last request of the same kind. */
  known(asker: Asker): string | undefined {
    const kept = this.#kept.get(keyOf(asker));
    return kept !== undefined && kept.until > this.#clock.now() ? kept.header : undefined;
  }

  /**
   * The value of `Authorization` after a 401 with this header. Several requests that fail at once ask once.
   *
   * @throws Failure where it cannot be had
   * @returns undefined where the registry names no way that is known, or no credentials are stored
   */
  async answer(asker: Asker, header: string, refused: string | undefined): Promise<string | undefined> {
    const key = keyOf(asker);
    // Meanwhile another request may have got a new one.
    const known = this.known(asker);
    if (known !== undefined && known !== refused) return known;
    const running = this.#asked.get(key);
    if (running !== undefined) return running;
    this.#kept.delete(key);
    const asking = this.#answer(asker, key, header, refused).finally(() => this.#asked.delete(key));
    this.#asked.set(key, asking);
    return asking;
  }

  async #answer(asker: Asker, key: string, header: string, refused: string | undefined): Promise<string | undefined> {
    const challenges = parseChallenges(header);
    const bearer = challenges.find(({ scheme, parameters }) => scheme === 'bearer' && parameters.has('realm'));
    if (bearer !== undefined) return this.#token(asker, key, bearer);
    if (!challenges.some(({ scheme }) => scheme === 'basic')) return undefined;
    const credentials = await this.#credentials(asker);
    if (credentials === undefined || !('username' in credentials)) return undefined;
    this.#checkWay(asker.url, 'the registry');
    const basic = basicOf(credentials);
    // The same words again would be refused again.
    if (basic === refused) return undefined;
    this.#kept.set(key, { header: basic, until: Number.POSITIVE_INFINITY });
    return basic;
  }

  async #credentials({ host, repository }: Asker): Promise<Credentials | undefined> {
    const credentials = await this.#credentialsFor(host, repository);
    if (credentials !== undefined && 'username' in credentials) {
      hideSecrets(credentials.password, basicOf(credentials).replace(/^Basic /u, ''));
    } else if (credentials !== undefined) hideSecrets(credentials.identityToken);
    return credentials;
  }

  /** Nobody on the way may read what is sent. */
  #checkWay(url: URL, whom: string): void {
    if (url.protocol === 'https:' || isLoopback(url.host)) return;
    throw new Failure(
      'E_REGISTRY_AUTH',
      `${whom} at ${shownUrl(url)} wants a name and a password over plain HTTP, where everybody on the way can read them: they are not sent`,
      { hint: 'the registry needs TLS' },
    );
  }

  async #token(asker: Asker, key: string, { parameters }: Challenge): Promise<string> {
    const realm = this.#realm(asker, parameters.get('realm') ?? '');
    const service = parameters.get('service');
    const scopes = asker.scopes.length > 0 ? asker.scopes : (parameters.get('scope')?.split(' ') ?? []);
    const credentials = await this.#credentials(asker);
    if (credentials !== undefined) this.#checkWay(realm, 'the token server');
    const request =
      credentials !== undefined && 'identityToken' in credentials
        ? byIdentity(realm, service, scopes, credentials.identityToken)
        : byGet(realm, service, scopes, credentials);
    const sent = { ...request, insecure: asker.insecure && realm.host === asker.url.host, signal: asker.signal };
    const answer = await this.#transport.send(sent).catch((error: unknown) => {
      throw error instanceof Failure
        ? new Failure(error.code, `its token server ${shownUrl(realm)}: ${error.message}`, error.options)
        : error;
    });
    if (answer.status !== 200) throw await this.#refused(asker, realm, answer, credentials !== undefined);
    const { token, lifetime } = readToken(await answer.whole(MAX_TOKEN_ANSWER), realm);
    hideSecrets(token);
    const header = `Bearer ${token}`;
    this.#kept.set(key, { header, until: this.#clock.now() + Math.max(0, lifetime - MARGIN) * 1000 });
    return header;
  }

  async #refused(asker: Asker, realm: URL, answer: Answer, named: boolean): Promise<Failure> {
    const failure = await failureOf(answer, 'page', asker.host, this.#clock.now());
    if (answer.status === 401 || answer.status === 403 || answer.status === 400) {
      const what = named ? 'the name and the password are refused' : 'nobody gets in without a name and a password';
      const said = /\((status .*)\)$/su.exec(failure.message)?.[1] ?? '';
      return new Failure('E_REGISTRY_AUTH', `${what} by its token server ${shownUrl(realm)} (${said})`, {
        hint: `boxctl login ${asker.host}`,
      });
    }
    // It is not the image that is not found.
    const code = failure.code === 'E_REGISTRY_NOT_FOUND' ? 'E_REGISTRY_PROTOCOL' : failure.code;
    return new Failure(code, `its token server ${shownUrl(realm)}: ${failure.message}`, failure.options);
  }

  /**
   * The address of the token server. A registry of the world must not make us send requests to this machine, nor have its
   * tokens sent in the clear.
   */
  #realm(asker: Asker, text: string): URL {
    let url: URL;
    try {
      url = new URL(text);
    } catch {
      throw new Failure('E_REGISTRY_PROTOCOL', 'the token server that it names has no valid address');
    }
    const isOurs = isLoopback(url.host);
    const fits =
      url.username === '' &&
      url.password === '' &&
      (isOurs ? isLoopback(asker.url.host) && /^https?:$/u.test(url.protocol) : url.protocol === 'https:');
    // Without TLS to the registry there is none to lose at its own host.
    const isSame = asker.insecure && asker.url.protocol === 'http:' && url.origin === asker.url.origin;
    if (!fits && !isSame) {
      throw new Failure('E_REGISTRY_AUTH', `the token server that it names is not used: ${shownUrl(url)}`, {
        hint: isOurs
          ? 'it would be a program of this machine, and the registry is none'
          : 'it has to be an address with https://, so that nobody on the way can read what is sent',
      });
    }
    return url;
  }
}

function basicOf({ username, password }: Extract<Credentials, { readonly username: string }>): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

type Sent = Pick<Request, 'url' | 'method' | 'headers' | 'body'>;

function byGet(
  realm: URL,
  service: string | undefined,
  scopes: readonly string[],
  credentials: Extract<Credentials, { readonly username: string }> | undefined,
): Sent {
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.append('service', service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  if (credentials !== undefined) url.searchParams.append('account', credentials.username);
  const headers = credentials === undefined ? {} : { authorization: basicOf(credentials) };
  return { url, method: 'GET', headers: { accept: 'application/json', ...headers } };
}

function byIdentity(realm: URL, service: string | undefined, scopes: readonly string[], token: string): Sent {
  const form = new URLSearchParams({ grant_type: 'refresh_token', client_id: CLIENT_ID, refresh_token: token });
  if (service !== undefined) form.append('service', service);
  if (scopes.length > 0) form.append('scope', scopes.join(' '));
  const headers = { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' };
  return { url: realm, method: 'POST', headers, body: Buffer.from(form.toString()) };
}

function readToken(body: Buffer, realm: URL): { readonly token: string; readonly lifetime: number } {
  const bad = (what: string): Failure =>
    new Failure('E_REGISTRY_PROTOCOL', `its token server ${shownUrl(realm)} ${what}`);
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch {
    throw bad('does not answer with JSON');
  }
  if (!isRecord(value)) throw bad('does not answer with a token');
  const { token, access_token: accessToken, expires_in: expires } = value;
  const found = [token, accessToken].find((text) => typeof text === 'string' && text !== '');
  if (typeof found !== 'string') throw bad('does not answer with a token');
  // It becomes part of a header.
  if (!/^[\x21-\x7e]+$/u.test(found) || found.length > MAX_TOKEN) throw bad('answers with a token that is none');
  const lifetime = typeof expires === 'number' && expires > 0 ? Math.min(expires, LONGEST_LIFETIME) : LIFETIME;
  return { token: found, lifetime };
}
