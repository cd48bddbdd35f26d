/** Passwords, tokens and TLS, with Debian's docker-registry on this machine. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Credentials, TlsFiles } from '../../src/registry/options.ts';
import { Authority } from '../support/certificates.ts';
import { LyingRegistry } from '../support/lying-registry.ts';
import {
  hasRegistry,
  putManifest,
  startRegistry,
  type RegistryOptions,
  type TestRegistry,
} from '../support/registry.ts';
import { failing, reference, testClient } from '../support/registry-client.ts';

const MANIFEST = 'application/vnd.oci.image.index.v1+json';
const index = { schemaVersion: 2, mediaType: MANIFEST, manifests: [] };

let filled: TestRegistry;
let digest: string;
const started: { stop: () => Promise<void> }[] = [];

/** One with the images of the first. */
async function start(options: RegistryOptions): Promise<TestRegistry> {
  const registry = await startRegistry({ storage: filled.storage, ...options });
  started.push(registry);
  return registry;
}

async function withClient<T>(
  work: (client: ReturnType<typeof testClient>) => Promise<T>,
  options: Parameters<typeof testClient>[0] = {},
): Promise<T> {
  const client = testClient(options);
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

const as = (username: string, password: string): { credentialsFor: () => Promise<Credentials> } => ({
  credentialsFor: () => Promise.resolve({ username, password }),
});

describe.skipIf(!hasRegistry)('with a real registry', () => {
  beforeAll(async () => {
    filled = await startRegistry();
    digest = await putManifest(filled, 'a/b', 'one', index);
  });
  afterEach(async () => {
    for (const one of started.splice(0)) await one.stop();
  });
  afterAll(() => filled.stop());

  test('a password opens it, a wrong one does not, and none is an error that says what to do', async () => {
    const registry = await start({ users: { somebody: 'pass:word' } });
    const one = reference(registry.host, 'a/b', 'one');
    await withClient(
      async (client) => expect((await client.manifest(one)).digest).toBe(digest),
      as('somebody', 'pass:word'),
    );
    const none = await withClient((client) => failing(client.manifest(one)));
    expect(none).toMatchObject({ code: 'E_REGISTRY_AUTH' });
    expect(none.text).toContain(`| boxctl login ${registry.host}`);
    const wrong = await withClient((client) => failing(client.manifest(one)), as('somebody', 'wr0ng'));
    expect(wrong).toMatchObject({ code: 'E_REGISTRY_AUTH' });
    expect(wrong.text).not.toContain('wr0ng');
  });

  test('a token of its token server opens it, for nobody and for a user', async () => {
    const registry = await start({
      tokens: { users: { somebody: 'secret' }, identities: { 'an-identity': 'somebody' } },
    });
    const one = reference(registry.host, 'a/b', 'one');
    await withClient(async (client) => {
      expect((await client.manifest(one)).digest).toBe(digest);
      expect(await client.resolve(one)).toMatchObject({ digest });
    });
    expect(registry.tokens?.requests).toMatchObject([
      { method: 'GET', user: undefined, scopes: ['repository:a/b:pull'] },
    ]);
    await withClient((client) => client.manifest(one), as('somebody', 'secret'));
    expect(registry.tokens?.requests.at(-1)).toMatchObject({ method: 'GET', user: 'somebody' });
    const identity = { credentialsFor: (): Promise<Credentials> => Promise.resolve({ identityToken: 'an-identity' }) };
    await withClient((client) => client.manifest(one), identity);
    expect(registry.tokens?.requests.at(-1)).toMatchObject({ method: 'POST', user: 'somebody' });
    expect(await withClient((client) => failing(client.manifest(one)), as('somebody', 'wr0ng'))).toMatchObject({
      code: 'E_REGISTRY_AUTH',
    });
  });

  test('nobody gets in where only users may, and the message says so', async () => {
    const registry = await start({ tokens: { users: { somebody: 'secret' }, anonymous: [] } });
    const one = reference(registry.host, 'a/b', 'one');
    expect(await withClient((client) => failing(client.manifest(one)))).toMatchObject({ code: 'E_REGISTRY_AUTH' });
    await withClient((client) => client.manifest(one), as('somebody', 'secret'));
  });

  test('a token that lives for a second is made anew when it is over', async () => {
    const registry = await start({ tokens: { lifetime: 1, accessToken: true } });
    const one = reference(registry.host, 'a/b', 'one');
    await withClient(async (client) => {
      for (let time = 0; time < 3; time++) await client.manifest(one);
    });
    expect(registry.tokens?.requests.length).toBe(3);
  });

  test('its certificate counts when certs.d has the authority, and with TLS a password is sent', async () => {
    const registry = await start({ tls: true, users: { somebody: 'secret' } });
    const one = reference(registry.host, 'a/b', 'one');
    const asked: string[] = [];
    const tlsFor = (host: string): TlsFiles => {
      asked.push(host);
      return { authorities: [registry.authority?.pem ?? ''], pairs: [] };
    };
    const found = await withClient((client) => client.manifest(one), { tlsFor, ...as('somebody', 'secret') });
    expect(found.digest).toBe(digest);
    expect(new Set(asked)).toEqual(new Set([registry.host]));
  });

  test('without the authority it is not believed, and nothing is sent without TLS instead', async () => {
    const registry = await start({ tls: true });
    const failed = await withClient((client) => failing(client.manifest(reference(registry.host, 'a/b', 'one'))));
    expect(failed.code).toBe('E_REGISTRY_TLS');
    expect(failed.text).toContain(`/etc/containers/certs.d/${registry.host}/ca.crt`);
  });

  test('an authority of the system counts, too', async () => {
    const registry = await start({ tls: true });
    const env = { SSL_CERT_FILE: registry.authority?.cert };
    const one = reference(registry.host, 'a/b', 'one');
    await withClient(async (client) => expect((await client.manifest(one)).digest).toBe(digest), { env });
  });

  test('where it is configured as insecure, its certificate is not looked at, and it may be plain', async () => {
    const insecure = {
      locationsOf: ({ registry, repository }: { registry: string; repository: string }) => [
        { host: registry, repository, insecure: true, isMirror: false },
      ],
    };
    const registry = await start({ tls: true });
    for (const { host } of [registry, filled]) {
      const found = await withClient((client) => client.manifest(reference(host, 'a/b', 'one')), insecure);
      expect(found.digest).toBe(digest);
    }
  });

  test('a client certificate opens it, and without one the message says where it belongs', async () => {
    const registry = await start({ tls: true, clientCertificates: true });
    const { authority } = registry;
    if (authority === undefined) throw new Error('it has no authority');
    const { cert, key } = authority.issue({ client: true, names: [] });
    const files = (pairs: TlsFiles['pairs']): { tlsFor: () => TlsFiles } => ({
      tlsFor: () => ({ authorities: [authority.pem], pairs }),
    });
    const one = reference(registry.host, 'a/b', 'one');
    const pair = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
    await withClient(async (client) => expect((await client.manifest(one)).digest).toBe(digest), files([pair]));
    const failed = await withClient((client) => failing(client.manifest(one)), files([]));
    expect(failed.code).toBe('E_REGISTRY_TLS');
    expect(failed.text).toContain(`/etc/containers/certs.d/${registry.host}`);
  });
});

describe('a certificate', () => {
  let folder: string;
  let authority: Authority;
  const trusting = (): { tlsFor: () => TlsFiles } => ({ tlsFor: () => ({ authorities: [authority.pem], pairs: [] }) });

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'boxctl-test-'));
    authority = new Authority(folder);
  });
  afterEach(async () => {
    for (const one of started.splice(0)) await one.stop();
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  async function startTls(options: Parameters<Authority['issue']>[0], by = authority): Promise<LyingRegistry> {
    const registry = await LyingRegistry.start({ tls: by.issue(options) });
    registry.addManifest('a/b', ['one'], index);
    started.push(registry);
    return registry;
  }

  test.each([
    ['that has expired', { expired: true }, /it has|has expired/u],
    ['of another host', { names: ['DNS:elsewhere.test'] }, /another host/u],
    ['without names', { names: [] }, /another host/u],
  ])('%s is not believed', async (_name, options, why) => {
    const registry = await startTls(options);
    const failed = await withClient(
      (client) => failing(client.manifest(reference(registry.host, 'a/b', 'one'))),
      trusting(),
    );
    expect(failed.code).toBe('E_REGISTRY_TLS');
    expect(failed.text).toMatch(why);
    expect(registry.requests).toEqual([]);
  });

  test('of an authority that is trusted for another host is not believed', async () => {
    const registry = await startTls({});
    const tlsFor = (host: string): TlsFiles | undefined =>
      host === registry.host ? undefined : { authorities: [authority.pem], pairs: [] };
    const failed = await withClient((client) => failing(client.manifest(reference(registry.host, 'a/b', 'one'))), {
      tlsFor,
    });
    expect(failed.code).toBe('E_REGISTRY_TLS');
  });

  test('is asked for by a host with an entry in certs.d, also on this machine', async () => {
    const registry = await LyingRegistry.start();
    started.push(registry);
    const failed = await withClient(
      (client) => failing(client.manifest(reference(registry.host, 'a/b', 'one'))),
      trusting(),
    );
    expect(failed).toMatchObject({
      code: 'E_REGISTRY_TLS',
      text: expect.stringContaining('does not speak TLS') as string,
    });
    expect(registry.requests).toEqual([]);
  });

  test('of IPv6 is for the address without brackets', async () => {
    const registry = await LyingRegistry.start({ tls: authority.issue(), address: '::1' });
    started.push(registry);
    registry.addManifest('a/b', ['one'], index);
    await withClient((client) => client.manifest(reference(registry.host, 'a/b', 'one')), trusting());
  });

  test('is kept over redirects: from TLS nothing leads to plain HTTP', async () => {
    const registry = await startTls({});
    const plain = await LyingRegistry.start();
    started.push(plain);
    registry.lie(/manifests/u, { status: 302, headers: { location: `${plain.url}/v2/a/b/manifests/one` } });
    const failed = await withClient(
      (client) => failing(client.manifest(reference(registry.host, 'a/b', 'one'))),
      trusting(),
    );
    expect(failed).toMatchObject({
      code: 'E_REGISTRY_PROTOCOL',
      text: expect.stringContaining('without TLS') as string,
    });
    expect(plain.requests).toEqual([]);
  });
});
