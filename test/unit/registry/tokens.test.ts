/** Who the client is to a registry, and to whom it tells that. */
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Failure } from '../../../src/registry/failure.ts';
import type { Credentials } from '../../../src/registry/options.ts';
import { Tokens, type Asker } from '../../../src/registry/tokens.ts';
import { Transport } from '../../../src/registry/transport.ts';
import { LyingRegistry, type Recorded } from '../../support/lying-registry.ts';
import { failing, reference, testClient, testClock, type TestClock } from '../../support/registry-client.ts';

/** Must be in no message. */
const SECRET = 'pa55word-of-the-test';
const PERSON: Credentials = { username: 'somebody', password: SECRET };
const BASIC = `Basic ${Buffer.from(`somebody:${SECRET}`).toString('base64')}`;

let registry: LyingRegistry;
let server: LyingRegistry;

beforeAll(async () => {
  registry = await LyingRegistry.start();
  server = await LyingRegistry.start();
  registry.addManifest('a/b', ['one'], { schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json' });
});
afterEach(() => {
  registry.repent();
  server.repent();
});
afterAll(async () => {
  await registry.stop();
  await server.stop();
});

const one = (): ReturnType<typeof reference> => reference(registry.host, 'a/b', 'one');

/** The registry wants a token that `isGood`, of the token server. */
function wantsTokens(isGood: (token: string) => boolean, header?: string): void {
  const challenge =
    header ?? `Bearer realm="${server.url}/token?x=1",service="tests, \\"quoted\\"",scope="repository:a/b:pull"`;
  registry.lie(/./u, ({ headers }) => {
    const token = /^Bearer (.*)$/u.exec(headers.authorization ?? '')?.[1];
    if (token !== undefined && isGood(token)) return undefined;
    return { status: 401, headers: { 'www-authenticate': challenge }, body: '{"errors":[{"code":"UNAUTHORIZED"}]}' };
  });
}

function gives(answer: unknown, status = 200): void {
  const body = typeof answer === 'string' ? answer : JSON.stringify(answer);
  server.lie(/^\/token/u, { status, body, headers: { 'content-type': 'application/json' } });
}

async function withClient<T>(
  work: (client: ReturnType<typeof testClient>) => Promise<T>,
  credentials?: Credentials,
  clock: TestClock = testClock(),
): Promise<T> {
  const client = testClient({ credentialsFor: () => Promise.resolve(credentials), clock });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

const authorizations = (requests: readonly Recorded[]): readonly (string | undefined)[] =>
  requests.map(({ headers }) => headers.authorization);

describe('a token', () => {
  test('is asked for by nobody where no credentials are stored, and used for what follows', async () => {
    wantsTokens((token) => token === 'good');
    gives({ token: 'good', expires_in: 300 });
    await withClient(async (client) => {
      await client.manifest(one());
      await client.manifest(one());
    });
    expect(authorizations(registry.requests)).toEqual([undefined, 'Bearer good', 'Bearer good']);
    const [asked, ...others] = server.requests;
    expect(others).toEqual([]);
    const { pathname, searchParams } = new URL(asked?.path ?? '', server.url);
    expect([asked?.method, pathname, [...searchParams]]).toEqual([
      'GET',
      '/token',
      [
        ['x', '1'],
        ['service', 'tests, "quoted"'],
        ['scope', 'repository:a/b:pull'],
      ],
    ]);
    expect(asked?.headers.authorization).toBeUndefined();
  });

  test('is asked for once by many requests at a time', async () => {
    wantsTokens((token) => token === 'good');
    server.lie(/^\/token/u, { status: 200, body: JSON.stringify({ access_token: 'good' }), delay: 50 });
    await withClient((client) => Promise.all([1, 2, 3, 4].map(() => client.manifest(one()))));
    expect(server.requests).toHaveLength(1);
  });

  test('is asked for with name and password, which the registry does not get', async () => {
    wantsTokens((token) => token === 'good');
    gives({ token: '', access_token: 'good' });
    await withClient((client) => client.manifest(one()), PERSON);
    expect(authorizations(server.requests)).toEqual([BASIC]);
    expect(server.requests[0]?.path).toContain('account=somebody');
    expect(authorizations(registry.requests)).toEqual([undefined, 'Bearer good']);
  });

  test('is asked for with an identity token by a form', async () => {
    wantsTokens((token) => token === 'good');
    gives({ access_token: 'good' });
    await withClient((client) => client.manifest(one()), { identityToken: SECRET });
    const [asked] = server.requests;
    expect([asked?.method, asked?.headers['content-type'], asked?.headers.authorization]).toEqual([
      'POST',
      'application/x-www-form-urlencoded',
      undefined,
    ]);
    expect(Object.fromEntries(new URLSearchParams(asked?.body.toString()))).toEqual({
      grant_type: 'refresh_token',
      client_id: 'boxctl',
      refresh_token: SECRET,
      service: 'tests, "quoted"',
      scope: 'repository:a/b:pull',
    });
  });

  test('for several repositories has a scope for each', async () => {
    const sent: string[] = [];
    const stub = new Transport({ tlsFor: () => undefined, env: {}, userAgent: 'x', connectWithin: 100, patience: 100 });
    stub.send = ({ url }) => {
      sent.push(...url.searchParams.getAll('scope'));
      return Promise.reject(new Failure('E_REGISTRY_PROXY', 'it was asked'));
    };
    const scopes = ['repository:a/b:pull,push', 'repository:c/d:pull'];
    const url = new URL('https://r.test/');
    const asker = { host: 'r.test', repository: 'a/b', url, insecure: false, scopes, signal: undefined };
    const asking = new Tokens(stub, testClock(), () => Promise.resolve(undefined));
    await expect(asking.answer(asker, 'Bearer realm="https://auth.test/"', undefined)).rejects.toThrow('it was asked');
    expect(sent).toEqual(scopes);
  });

  test('is made anew when its time is over, and once when it is refused before', async () => {
    const good = new Set(['t1', 't2', 't3']);
    let made = 0;
    wantsTokens((token) => good.has(token));
    server.lie(/^\/token/u, () => {
      made += 1;
      return { status: 200, body: JSON.stringify({ token: `t${made}`, expires_in: 100 }) };
    });
    const clock = testClock();
    await withClient(
      async (client) => {
        await client.manifest(one());
        await clock.sleep(90_000, undefined);
        await client.manifest(one());
        expect(made).toBe(1);
        await clock.sleep(10_000, undefined);
        await client.manifest(one());
        expect(made).toBe(2);
        good.delete('t2');
        await client.manifest(one());
        expect(made).toBe(3);
      },
      undefined,
      clock,
    );
  });

  test('that is refused when it is new is not asked for again', async () => {
    wantsTokens(() => false);
    gives({ token: 'bad' });
    const failed = await withClient((client) => failing(client.manifest(one())), PERSON);
    expect(failed.code).toBe('E_REGISTRY_AUTH');
    expect(failed.text).toContain(`boxctl login ${registry.host}`);
    expect([registry.requests.length, server.requests.length]).toEqual([2, 1]);
  });

  test('is what is asked for where basic authentication is offered, too', async () => {
    wantsTokens((token) => token === 'good', `Basic realm="x", Bearer realm="${server.url}/token"`);
    gives({ token: 'good' });
    await withClient((client) => client.manifest(one()), PERSON);
    expect(authorizations(registry.requests)).toEqual([undefined, 'Bearer good']);
  });

  test.each<[string, unknown, string]>([
    ['is no JSON', '<html>', 'E_REGISTRY_PROTOCOL'],
    ['is no map', '[]', 'E_REGISTRY_PROTOCOL'],
    ['has no token', {}, 'E_REGISTRY_PROTOCOL'],
    ['has a number for a token', { token: 5 }, 'E_REGISTRY_PROTOCOL'],
    ['has a header in the token', { token: 'a\r\nx-injected: 1' }, 'E_REGISTRY_PROTOCOL'],
    ['has a token of a megabyte', { token: 'a'.repeat(1_000_000) }, 'E_REGISTRY_TOO_LARGE'],
    ['has a long token', { token: 'a'.repeat(60_000) }, 'E_REGISTRY_PROTOCOL'],
  ])('is refused when the answer %s', async (_name, answer, code) => {
    wantsTokens(() => true);
    gives(answer);
    expect(await withClient((client) => failing(client.manifest(one())))).toMatchObject({ code });
    expect(registry.requests).toHaveLength(1);
  });

  test.each([
    [401, 'E_REGISTRY_AUTH'],
    [403, 'E_REGISTRY_AUTH'],
    [400, 'E_REGISTRY_AUTH'],
    [404, 'E_REGISTRY_PROTOCOL'],
    [429, 'E_REGISTRY_RATE_LIMIT'],
    [500, 'E_REGISTRY_FAILED'],
  ])('that is refused with %i is an error that says by whom', async (status, code) => {
    wantsTokens(() => true);
    gives({ errors: [{ message: `no\u001b[2J way for ${SECRET}` }] }, status);
    const failed = await withClient((client) => failing(client.manifest(one())), {
      username: 'somebody',
      password: 'other',
    });
    expect(failed.code).toBe(code);
    expect(failed.text).toContain(`its token server ${server.url}/token`);
    expect(failed.text).not.toContain('\u001b');
  });
});

describe('a name and a password', () => {
  const wantsPassword = (header = 'Basic realm="tests"'): void =>
    registry.lie(/./u, ({ headers }) =>
      headers.authorization === BASIC ? undefined : { status: 401, headers: { 'www-authenticate': header } },
    );

  test('are sent when they are asked for, and with what follows', async () => {
    wantsPassword();
    await withClient(async (client) => {
      await client.manifest(one());
      await client.manifest(one());
    }, PERSON);
    expect(authorizations(registry.requests)).toEqual([undefined, BASIC, BASIC]);
  });

  test('are not sent twice where they are refused', async () => {
    registry.lie(/./u, { status: 401, headers: { 'www-authenticate': 'Basic realm="tests"' } });
    const failed = await withClient((client) => failing(client.manifest(one())), PERSON);
    expect(failed.code).toBe('E_REGISTRY_AUTH');
    expect(registry.requests).toHaveLength(2);
  });

  test('that are missing are an error that says how to store them', async () => {
    wantsPassword();
    const failed = await withClient((client) => failing(client.manifest(one())));
    expect(failed).toMatchObject({ code: 'E_REGISTRY_AUTH', text: expect.stringContaining('boxctl login') as string });
  });

  test('are not sent where the registry wants another way', async () => {
    wantsPassword('Negotiate, Digest realm="x", nonce="y"');
    await withClient((client) => failing(client.manifest(one())), PERSON);
    expect(authorizations(registry.requests)).toEqual([undefined]);
  });

  test('are in no error', async () => {
    for (const answer of ['<html>', { token: 'a\nb' }]) {
      wantsTokens(() => false);
      gives(answer);
      const client = testClient({ credentialsFor: () => Promise.resolve(PERSON) });
      const error: unknown = await client.manifest(one()).catch((caught: unknown) => caught);
      await client.close();
      expect(error).toBeInstanceOf(Error);
      const all = inspect(error, { depth: 20, showHidden: true, getters: true });
      for (const secret of [SECRET, BASIC.slice(6)]) expect(all).not.toContain(secret);
    }
  });
});

describe('the address of a token server', () => {
  const transport = new Transport({
    tlsFor: () => undefined,
    env: {},
    userAgent: 'tests',
    connectWithin: 100,
    patience: 100,
  });
  transport.send = () => Promise.reject(new Failure('E_REGISTRY_PROXY', 'it was asked'));
  const tokens = new Tokens(transport, testClock(), () => Promise.resolve(PERSON));
  const asker = (url: string, insecure = false): Asker => ({
    host: 'r.test',
    repository: 'a/b',
    url: new URL(url),
    insecure,
    scopes: [],
    signal: undefined,
  });
  const answer = (realm: string, from = 'https://r.test/', insecure = false): Promise<unknown> =>
    tokens.answer(asker(from, insecure), `Bearer realm="${realm}"`, undefined);

  test.each([
    ['http://auth.test/token'],
    ['http://127.0.0.1:9200/token'],
    ['https://127.0.0.1/token'],
    ['https://localhost/token'],
    ['https://[::1]/token'],
    ['http://169.254.169.254/latest'],
    ['https://name:password@auth.test/token'],
    ['file:///etc/passwd'],
    ['ftp://auth.test/token'],
  ])('of a registry of the world is not %s', async (realm) => {
    await expect(answer(realm)).rejects.toMatchObject({ code: 'E_REGISTRY_AUTH' });
    await expect(answer(realm)).rejects.not.toThrow(/password@/u);
  });

  test.each([[''], ['/token'], ['token'], ['https://'], ['//auth.test/token']])('is not "%s"', async (realm) => {
    await expect(answer(realm)).rejects.toMatchObject({ code: 'E_REGISTRY_PROTOCOL' });
  });

  test.each([
    ['https://auth.test/token', 'https://r.test/'],
    ['https://auth.test/token', 'http://127.0.0.1:5000/'],
    ['http://127.0.0.1:5001/token', 'http://127.0.0.1:5000/'],
    ['http://localhost/token', 'https://[::1]:5000/'],
  ])('%s is used by %s', async (realm, from) => {
    await expect(answer(realm, from)).rejects.toMatchObject({ code: 'E_REGISTRY_PROXY' });
  });

  test('without TLS gets no password, also where the registry may do without TLS', async () => {
    await expect(answer('http://r.test/token', 'http://r.test/', true)).rejects.toMatchObject({
      code: 'E_REGISTRY_AUTH',
      message: expect.stringContaining('they are not sent') as string,
    });
    const basic = tokens.answer(asker('http://r.test/', true), 'Basic realm="x"', undefined);
    await expect(basic).rejects.toMatchObject({ code: 'E_REGISTRY_AUTH' });
  });
});
