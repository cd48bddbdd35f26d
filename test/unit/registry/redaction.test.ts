/** A registry, and a token server, that repeat in every way what they were sent: no error has a word of it. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { checkLogin } from '../../../src/registry/check-login.ts';
import { openClient } from '../../../src/registry/client.ts';
import type { ClientOptions, Credentials } from '../../../src/registry/options.ts';
import { referenceOf } from '../../../src/registry/reference.ts';

const PASSWORD = 'S3CRET/mark er+ü';
const TOKEN = 'tok3n-MARKER-identity';
const BEARER = 'bearer.MARKER.token';
const basic = Buffer.from(`me:${PASSWORD}`).toString('base64');
const SECRETS = [PASSWORD, encodeURIComponent(PASSWORD), basic, TOKEN, BEARER, 'S3CRET'];

const open: (() => void)[] = [];
afterEach(() => open.splice(0).forEach((close) => close()));

type Answer = (request: IncomingMessage, response: ServerResponse, body: string, host: string) => void;

async function serve(answer: Answer): Promise<string> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (part: Buffer) => (body += part.toString()));
    request.on('end', () => answer(request, response, body, host()));
  });
  const host = (): string => `127.0.0.1:${(server.address() as AddressInfo).port}`;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return host();
}

/** All that came, in the words of an error. */
const echo = (request: IncomingMessage, body: string): string => {
  const decoded = Buffer.from((request.headers.authorization ?? '').replace(/^\w+ /u, ''), 'base64').toString();
  const said = [
    request.headers.authorization,
    decoded,
    body,
    decodeURIComponent(body.replaceAll('+', ' ')),
    request.url,
  ];
  return JSON.stringify({ errors: [{ code: 'X', message: said.join(' ') }], message: said.join(' ') });
};

const BASIC = { 'www-authenticate': 'Basic realm="x"' };
const bearer = (host: string): Readonly<Record<string, string>> => ({
  'www-authenticate': `Bearer realm="http://${host}/token",service="x"`,
});

const WAYS: Readonly<Record<string, Answer>> = {
  '401 with the words': (request, response, body) => response.writeHead(401, BASIC).end(echo(request, body)),
  '403 with the words': (request, response, body) =>
    response.writeHead(request.headers.authorization === undefined ? 401 : 403, BASIC).end(echo(request, body)),
  '400 with the words': (request, response, body) =>
    response.writeHead(request.headers.authorization === undefined ? 401 : 400, BASIC).end(echo(request, body)),
  'a redirect to the words': (request, response) =>
    response
      .writeHead(request.headers.authorization === undefined ? 401 : 307, {
        ...BASIC,
        location: `ftp://x/${encodeURIComponent(request.headers.authorization ?? '')}`,
      })
      .end(),
  'no answer after the words': (request, response) => {
    if (request.headers.authorization === undefined) response.writeHead(401, BASIC).end();
    else request.socket.destroy();
  },
  'a token server that repeats them': (request, response, body, host) => {
    if (request.url?.startsWith('/token') === true) response.writeHead(401).end(echo(request, body));
    else response.writeHead(401, bearer(host)).end();
  },
  'a token server with an error': (request, response, body, host) => {
    if (request.url?.startsWith('/token') === true) response.writeHead(418).end(echo(request, body));
    else response.writeHead(401, bearer(host)).end();
  },
  'a token that is refused': (request, response, body, host) => {
    if (request.url?.startsWith('/token') === true) response.end(JSON.stringify({ token: BEARER }));
    else response.writeHead(401, bearer(host)).end(echo(request, body));
  },
  'a token that is no token': (request, response, body, host) => {
    if (request.url?.startsWith('/token') === true) response.end(`{"token": ["${BEARER}"], ${echo(request, body)}`);
    else response.writeHead(401, bearer(host)).end();
  },
};

const WHO: Readonly<Record<string, Credentials>> = {
  'a password': { username: 'me', password: PASSWORD },
  'an identity token': { identityToken: TOKEN },
};

test.each(Object.keys(WAYS).flatMap((way) => Object.keys(WHO).map((who) => [way, who] as const)))(
  '%s: the error of a request with %s shows nothing of it',
  async (way, who) => {
    const host = await serve(WAYS[way] ?? (() => undefined));
    const credentials = WHO[who];
    const options: ClientOptions = {
      env: {},
      locationsOf: ({ registry, repository }) => [{ host: registry, repository, insecure: false, isMirror: false }],
      credentialsFor: () => Promise.resolve(credentials),
      tlsFor: () => undefined,
      clock: { now: Date.now, sleep: () => Promise.resolve(), random: () => 0 },
    };
    const client = openClient(options);
    const failed = async (work: Promise<unknown>): Promise<void> => {
      const error: unknown = await work.then(
        (value) => value,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(Error);
      const shown = [inspect(error, { depth: 10, showHidden: true }), JSON.stringify(error), String(error)].join('\n');
      for (const secret of SECRETS) expect(shown).not.toContain(secret);
    };
    try {
      await failed(client.manifest(referenceOf(`${host}/x:1`)));
      await failed(client.resolve(referenceOf(`${host}/x:1`)));
      if (credentials !== undefined && 'username' in credentials) {
        await failed(checkLogin({ host, repository: '', insecure: false, isMirror: false }, credentials, options));
      }
    } finally {
      await client.close();
    }
  },
);
