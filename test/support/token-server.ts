/**
 * A token server of the tests' own (Docker's token authentication): JSON Web Tokens for what its users may do, by GET and
 * by OAuth 2. It records what it was asked.
 */
import { createSign, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Authority } from './certificates.ts';

export interface TokenServerOptions {
  /** Names and passwords. */
  readonly users?: Readonly<Record<string, string>>;
  /** What may be done without a name: `pull` by default. */
  readonly anonymous?: readonly string[];
  /** How long a token is good, in seconds. */
  readonly lifetime?: number;
  /** The answer has the token as `access_token` alone. */
  readonly accessToken?: boolean;
  /** Identity tokens, and the users that they are of. Asked for by POST. */
  readonly identities?: Readonly<Record<string, string>>;
  /** The answer has no `expires_in`. */
  readonly silent?: boolean;
  /** Over TLS, by an authority that a client has to know. */
  readonly authority?: Authority;
}

export interface TokenRequest {
  readonly method: string;
  readonly service: string;
  readonly scopes: readonly string[];
  /** The user that asked, when the password or the identity token was right. */
  readonly user: string | undefined;
  readonly authorization: string | undefined;
}

export interface TokenServer {
  readonly realm: string;
  readonly service: string;
  readonly issuer: string;
  /** A path: the certificate by which tokens are signed. */
  readonly bundle: string;
  readonly requests: TokenRequest[];
  readonly stop: () => Promise<void>;
}

const SERVICE = 'registry of the tests';
const ISSUER = 'token server of the tests';
const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

export async function startTokenServer(folder: string, options: TokenServerOptions): Promise<TokenServer> {
  const signer = new Authority(folder, 'Signer of tokens').issue({ names: [], client: true });
  const key = readFileSync(signer.key);
  const der = readFileSync(signer.cert, 'utf8').replaceAll(/-----.*?-----|\s/gu, '');

  const sign = (subject: string, access: readonly object[]): string => {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: ISSUER,
      sub: subject,
      aud: SERVICE,
      exp: now + (options.lifetime ?? 300),
      nbf: now - 5,
      iat: now,
      jti: randomUUID(),
      access,
    };
    const head = `${base64url({ typ: 'JWT', alg: 'ES256', x5c: [der] })}.${base64url(claims)}`;
    return `${head}.${createSign('sha256').update(head).sign({ key, dsaEncoding: 'ieee-p1363' }, 'base64url')}`;
  };

  const requests: TokenRequest[] = [];
  const userOf = (authorization: string | undefined): string | undefined => {
    const [, packed = ''] = /^Basic (.+)$/iu.exec(authorization ?? '') ?? [];
    const [name = '', ...rest] = Buffer.from(packed, 'base64').toString().split(':');
    return options.users?.[name] === rest.join(':') ? name : undefined;
  };

  const answer = async (request: IncomingMessage): Promise<[status: number, body: object]> => {
    const url = new URL(request.url ?? '/', 'http://x');
    const isForm = request.method === 'POST';
    const asked = isForm ? new URLSearchParams(await textOf(request)) : url.searchParams;
    const { authorization } = request.headers;
    const user = isForm ? options.identities?.[asked.get('refresh_token') ?? ''] : userOf(authorization);
    const scopes = asked.getAll('scope').flatMap((scope) => scope.split(' '));
    const service = asked.get('service') ?? '';
    requests.push({ method: request.method ?? '', service, scopes, user, authorization });
    if (service !== SERVICE) return [400, { details: 'of another service' }];
    if ((isForm || authorization !== undefined) && user === undefined) {
      return [401, { errors: [{ code: 'UNAUTHORIZED', message: 'incorrect username or password' }] }];
    }
    const access = scopes.map((scope) => {
      const [type = '', ...rest] = scope.split(':');
      const actions = (rest.pop() ?? '').split(',');
      const name = rest.join(':');
      const may = user === undefined ? (options.anonymous ?? ['pull']) : actions;
      return { type, name, actions: actions.filter((action) => may.includes(action)) };
    });
    const token = sign(user ?? '', access);
    const named = options.accessToken === true || isForm ? { access_token: token } : { token };
    return [200, { ...named, ...(options.silent === true ? {} : { expires_in: options.lifetime ?? 300 }) }];
  };

  const listener = (request: IncomingMessage, response: import('node:http').ServerResponse): void => {
    void answer(request).then(([status, body]) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    });
  };
  const tls = options.authority?.issue();
  const server =
    tls === undefined
      ? createServer(listener)
      : createTlsServer({ cert: readFileSync(tls.cert), key: readFileSync(tls.key) }, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    realm: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}/token`,
    service: SERVICE,
    issuer: ISSUER,
    bundle: signer.cert,
    requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}
