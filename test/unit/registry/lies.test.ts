/** What the client says to a registry that lies, and what it does when one breaks. */
import { randomBytes } from 'node:crypto';
import { createServer, type AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LyingRegistry, TYPES, type Descriptor } from '../../support/lying-registry.ts';
import { sha256 } from '../../support/registry.ts';
import { bytesOf, failing, reference, testClient, testClock } from '../../support/registry-client.ts';

/** Milliseconds, where something is too slow. */
const PATIENCE = 400;
const IMPATIENT = { patience: PATIENCE };
/** Everywhere else: this process may pause while others have the processors. */
const PATIENT = { patience: 20_000 };
let registry: LyingRegistry;
const content = randomBytes(400_000);
let blob: Descriptor;
let manifest: Descriptor;

beforeAll(async () => {
  registry = await LyingRegistry.start();
  blob = registry.addBlob(content, TYPES.tar);
  const config = registry.addBlob('{}', TYPES.config);
  manifest = registry.addManifest('a/b', ['one'], {
    schemaVersion: 2,
    mediaType: TYPES.manifest,
    config,
    layers: [blob],
  });
});
afterEach(() => registry.repent());
afterAll(() => registry.stop());

const of = (): { registry: string; repository: string } => ({ registry: registry.host, repository: 'a/b' });
const byTag = (): ReturnType<typeof reference> => reference(registry.host, 'a/b', 'one');
const byDigest = (): ReturnType<typeof reference> => reference(registry.host, 'a/b', manifest.digest);

/** With a client of its own, so that nothing is known of the host. */
async function withClient<T>(
  work: (client: ReturnType<typeof testClient>) => Promise<T>,
  options: Parameters<typeof testClient>[0] = {},
): Promise<T> {
  const client = testClient({ ...PATIENT, ...options });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

const manifestFails = (ref = byTag(), options: Parameters<typeof testClient>[0] = {}): ReturnType<typeof failing> =>
  withClient((client) => failing(client.manifest(ref)), options);
const blobFails = (options: Parameters<typeof testClient>[0] = {}): ReturnType<typeof failing> =>
  withClient((client) => failing(bytesOf(client.blob(of(), blob, 0))), options);

describe('a manifest', () => {
  test('of other bytes than the digest that was asked for is refused', async () => {
    registry.lie(/manifests/u, { body: JSON.stringify({ schemaVersion: 2, mediaType: TYPES.manifest, other: 1 }) });
    expect(await manifestFails(byDigest())).toMatchObject({ code: 'E_REGISTRY_DIGEST' });
  });

  test('by a tag is compared with the digest that the registry says it has', async () => {
    registry.lie(/manifests/u, { headers: { 'docker-content-digest': sha256('other') } });
    expect(await manifestFails()).toMatchObject({ code: 'E_REGISTRY_DIGEST' });
  });

  test('without that digest has the one that is computed', async () => {
    registry.lie(/manifests/u, { headers: { 'docker-content-digest': undefined } });
    await withClient(async (client) => {
      expect(await client.manifest(byTag())).toMatchObject({ digest: manifest.digest });
      expect(await client.resolve(byTag())).toMatchObject({ digest: manifest.digest, size: manifest.size });
    });
  });

  test.each([
    ['that has a length of 1 GB', { headers: { 'content-length': String(1024 ** 3) } }],
    ['that never ends', { endless: true }],
    ['of 5 MB in pieces', { body: Buffer.alloc(5_000_000, ' '), headers: { 'content-length': undefined } }],
    [
      'of 1 GB in a megabyte of gzip',
      { body: gzipSync(Buffer.alloc(64 * 1024 * 1024)), headers: { 'content-encoding': 'gzip' } },
    ],
  ])('%s is not read to its end', async (_name, lie) => {
    registry.lie(/manifests/u, lie);
    const before = process.memoryUsage().rss;
    expect(await manifestFails()).toMatchObject({ code: 'E_REGISTRY_TOO_LARGE' });
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
  });

  test('that was compressed on its way is the one that was meant', async () => {
    registry.lie(/manifests/u, (request) =>
      request.method === 'GET'
        ? { body: gzipSync(bytesOfManifest()), headers: { 'content-encoding': 'gzip' } }
        : undefined,
    );
    await withClient(async (client) => expect((await client.manifest(byDigest())).digest).toBe(manifest.digest));
    registry.lie(/manifests/u, { headers: { 'content-encoding': 'br' } });
    expect(await manifestFails()).toMatchObject({ code: 'E_REGISTRY_PROTOCOL' });
    registry.lie(/manifests/u, { headers: { 'content-encoding': 'gzip' } });
    expect(await manifestFails()).toMatchObject({ code: 'E_REGISTRY_PROTOCOL' });
  });

  test.each([
    ['an HTML page', { body: '<html>Log in</html>', headers: { 'content-type': 'text/html' } }],
    ['no JSON', { body: '{"schemaVersion":' }],
    ['a list', { body: '[]' }],
    ['nothing', { body: '' }],
  ])('that is %s is none', async (_name, lie) => {
    registry.lie(/manifests/u, { headers: { 'docker-content-digest': undefined }, ...lie });
    expect(await manifestFails()).toMatchObject({ code: 'E_REGISTRY_PROTOCOL' });
  });

  test('that calls itself something else than its header does is refused', async () => {
    registry.lie(/manifests/u, { headers: { 'content-type': TYPES.index } });
    expect(await manifestFails()).toMatchObject({ code: 'E_REGISTRY_PROTOCOL' });
  });

  test('with a type that says nothing has the one that it says itself', async () => {
    registry.lie(/manifests/u, { headers: { 'content-type': 'application/json; charset=utf-8' } });
    await withClient(async (client) => expect((await client.manifest(byTag())).mediaType).toBe(TYPES.manifest));
  });
});

const bytesOfManifest = (): Buffer =>
  Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: TYPES.manifest,
      config: registry.addBlob('{}', TYPES.config),
      layers: [blob],
    }),
  );

describe('a blob', () => {
  test.each([
    ['that is said to be longer', { headers: { 'content-length': '400001' }, body: randomBytes(400_001) }],
    ['that is said to be shorter', { body: content.subarray(0, 399_999) }],
    ['that is longer', { body: randomBytes(400_001), headers: { 'content-length': undefined } }],
    ['that is shorter', { body: content.subarray(0, 399_999), headers: { 'content-length': undefined } }],
    ['that never ends', { endless: true }],
  ])('%s than its descriptor says is refused', async (_name, lie) => {
    registry.lie(/blobs/u, lie);
    expect(await blobFails()).toMatchObject({ code: 'E_REGISTRY_SIZE' });
    expect(registry.requests).toHaveLength(1);
  });

  test('never gives more bytes than its descriptor says', async () => {
    registry.lie(/blobs/u, { endless: true });
    let length = 0;
    await withClient((client) =>
      failing(
        (async () => {
          for await (const chunk of client.blob(of(), blob, 0)) length += chunk.length;
        })(),
      ),
    );
    expect(length).toBeLessThanOrEqual(content.length);
  });

  test('that breaks again and again is put together from its pieces', async () => {
    let asked = 0;
    registry.lie(/blobs/u, () => {
      asked += 1;
      return asked > 5 ? undefined : asked % 2 === 0 ? { resetAt: 68_000 } : { closeAt: 70_000 };
    });
    const clock = testClock();
    const retries: string[] = [];
    const got = await withClient(
      (client) => bytesOf(client.blob(of(), blob, 0, { onRetry: (why) => void retries.push(why) })),
      { clock },
    );
    expect(got.equals(content)).toBe(true);
    expect(retries).toHaveLength(5);
    expect(registry.requests.slice(1).map(({ headers }) => headers.range)).toEqual(
      expect.arrayContaining([expect.stringMatching(/^bytes=\d+-399999$/u)]),
    );
    // Each piece was progress.
    expect(clock.slept).toEqual([500, 500, 500, 500, 500]);
  });

  test('goes on at its place where the registry does not heed ranges', async () => {
    registry.lie(/blobs/u, { closeAt: 123_457 }, { times: 1 });
    registry.lie(/blobs/u, (request) => (request.headers.range === undefined ? undefined : { ignoreRange: true }));
    const got = await withClient((client) => bytesOf(client.blob(of(), blob, 0)));
    expect(got.equals(content)).toBe(true);
  });

  test.each([
    ['bytes 0-399999/400000'],
    ['bytes 100001-399999/400000'],
    ['bytes 100000-399998/400000'],
    ['bytes 100000-399999/400001'],
    ['bytes */400000'],
    ['nonsense'],
  ])('whose range is not the one that was asked for is refused: %s', async (range) => {
    registry.lie(/blobs/u, { headers: { 'content-range': range } });
    const failed = await withClient((client) => failing(bytesOf(client.blob(of(), blob, 100_000))));
    expect(failed).toMatchObject({ code: 'E_REGISTRY_PROTOCOL' });
  });

  test('is given up after five tries in a row without a byte', async () => {
    registry.lie(/blobs/u, { resetAt: 0 });
    const clock = testClock();
    expect(await blobFails({ clock })).toMatchObject({ code: 'E_REGISTRY_UNREACHABLE' });
    expect(registry.requests).toHaveLength(5);
    expect(clock.slept).toEqual([500, 1000, 2000, 4000]);
  });

  test('that stops coming is a registry that is too slow', async () => {
    registry.lie(/blobs/u, { stallAt: 1000 });
    expect(await blobFails(IMPATIENT)).toMatchObject({
      code: 'E_REGISTRY_TIMEOUT',
      text: expect.stringContaining(`it sent nothing for ${PATIENCE} ms`) as string,
    });
    // A few bytes at a time are no progress.
    expect(registry.requests).toHaveLength(5);
  });

  test('waits as long as its reader wants', async () => {
    const got = await withClient(async (client) => {
      const parts: Uint8Array[] = [];
      for await (const part of client.blob(of(), blob, 0)) {
        if (parts.length === 1) await new Promise((resolve) => setTimeout(resolve, 3 * PATIENCE));
        parts.push(part);
      }
      return Buffer.concat(parts);
    }, IMPATIENT);
    expect(got.equals(content)).toBe(true);
    expect(registry.requests).toHaveLength(1);
  });

  test('is not decompressed, whatever the registry says about its transfer', async () => {
    registry.lie(/blobs/u, { headers: { 'content-encoding': 'gzip' } });
    const got = await withClient((client) => bytesOf(client.blob(of(), blob, 0)));
    expect(got.equals(content)).toBe(true);
  });

  test('is not asked for any more once its reader has left', async () => {
    registry.lie(/blobs/u, { endless: true });
    await withClient(async (client) => {
      for await (const chunk of client.blob(of(), blob, 0)) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
    });
    expect(registry.requests).toHaveLength(1);
  });
});

describe('a registry', () => {
  test('that takes a request and does not answer is too slow', async () => {
    registry.lie(/manifests/u, { delay: 3 * PATIENCE });
    const clock = testClock();
    expect(await manifestFails(byTag(), { clock, ...IMPATIENT })).toMatchObject({
      code: 'E_REGISTRY_TIMEOUT',
      text: expect.stringContaining(`did not answer within ${PATIENCE} ms`) as string,
    });
    expect(clock.slept).toHaveLength(4);
  });

  test('that sends a manifest byte by byte is given up in the end', async () => {
    registry.lie(/manifests/u, { trickle: 20 });
    expect(await manifestFails(byTag(), { patience: 3 * PATIENCE })).toMatchObject({ code: 'E_REGISTRY_TIMEOUT' });
    expect(registry.requests).toHaveLength(1);
  });

  test('that never answers to TLS is given up', async () => {
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    const options = { connectWithin: 100, tlsFor: () => ({ authorities: [], pairs: [] }) };
    const failed = await manifestFails(reference(`127.0.0.1:${port}`, 'a/b', 'one'), options);
    silent.close();
    expect(failed.code).toBe('E_REGISTRY_UNREACHABLE');
    expect(failed.text).toContain('there was no connection within 100 ms');
  });

  test('that refuses connections, or whose name nobody knows, is given up at once', async () => {
    const dead = await LyingRegistry.start();
    await dead.stop();
    const clock = testClock();
    const refused = await manifestFails(reference(dead.host, 'a/b', 'one'), { clock });
    expect(refused.code).toBe('E_REGISTRY_UNREACHABLE');
    expect(refused.text).toContain('it refuses connections (ECONNREFUSED)');
    // Too long for a name: no name server is asked for it.
    const unknown = await manifestFails(reference(`${'a'.repeat(70)}.test`, 'a/b', 'one'), { clock });
    expect(unknown.code).toBe('E_REGISTRY_UNREACHABLE');
    expect(unknown.text).toContain('no address is known for its name');
    expect(clock.slept).toEqual([]);
  });

  test('that is started anew while it is used is waited for', async () => {
    await withClient(async (client) => {
      await client.manifest(byTag());
      const retries: string[] = [];
      const broken = await LyingRegistry.start();
      broken.addManifest('a/b', ['one'], { schemaVersion: 2, mediaType: TYPES.index, manifests: [] });
      const ref = reference(broken.host, 'a/b', 'one');
      await client.manifest(ref);
      await broken.stop();
      const onRetry = (why: string): void => void retries.push(why);
      expect(await failing(client.manifest(ref, { onRetry }))).toMatchObject({ code: 'E_REGISTRY_UNREACHABLE' });
      expect(retries).toHaveLength(4);
    });
  });

  test('on this machine is found by the name localhost, too', async () => {
    const ref = reference(registry.host.replace('127.0.0.1', 'localhost'), 'a/b', 'one');
    await withClient(async (client) => expect((await client.manifest(ref)).digest).toBe(manifest.digest));
  });

  test('whose words about a failure never end is not listened to for long', async () => {
    registry.lie(/manifests/u, { status: 404, body: 'x'.repeat(1000), trickle: 100 });
    expect(await manifestFails(byTag(), IMPATIENT)).toMatchObject({ code: 'E_REGISTRY_NOT_FOUND' });
    registry.lie(/manifests/u, { status: 404, endless: true });
    expect(await manifestFails()).toMatchObject({ code: 'E_REGISTRY_NOT_FOUND' });
  });

  test('that closes each connection is unreachable', async () => {
    registry.lie(/./u, { silent: true });
    expect(await manifestFails()).toMatchObject({ code: 'E_REGISTRY_UNREACHABLE' });
  });

  test('with endless headers is no registry', async () => {
    registry.lie(/manifests/u, { headers: { 'x-long': 'x'.repeat(100_000) } });
    expect(await manifestFails()).toMatchObject({ code: 'E_REGISTRY_PROTOCOL' });
  });

  test('is asked again after a moment that it names itself, or that grows', async () => {
    for (const [status, after] of [
      [429, '7'],
      [503, 'Thu, 01 Jan 2026 00:00:09 GMT'],
    ] as const) {
      const clock = testClock();
      registry.lie(/manifests/u, { status, headers: { 'retry-after': after } }, { times: 1 });
      await withClient((client) => client.manifest(byTag()), { clock });
      expect(clock.slept).toEqual([after === '7' ? 7000 : 9000]);
    }
    const clock = testClock();
    registry.lie(/manifests/u, { status: 502 }, { times: 3 });
    await withClient((client) => client.manifest(byTag()), { clock });
    expect(clock.slept).toEqual([500, 1000, 2000]);
  });

  test('that wants to be asked much later says when', async () => {
    const words = { errors: [{ code: 'TOOMANYREQUESTS', message: 'You have reached your \u001b[31mpull rate limit' }] };
    registry.lie(/manifests/u, { status: 429, headers: { 'retry-after': '5400' }, body: JSON.stringify(words) });
    const clock = testClock();
    const { code, text } = await manifestFails(byTag(), { clock });
    expect(code).toBe('E_REGISTRY_RATE_LIMIT');
    expect(text).toContain('You have reached your \ufffd[31mpull rate limit');
    expect(text).toContain('come back in 90 minutes, after 2026-01-01 01:30 UTC');
    expect(clock.slept).toEqual([]);
  });

  test.each([
    [400, 'E_REGISTRY_PROTOCOL'],
    [401, 'E_REGISTRY_AUTH'],
    [403, 'E_REGISTRY_DENIED'],
    [404, 'E_REGISTRY_NOT_FOUND'],
    [410, 'E_REGISTRY_PROTOCOL'],
    [501, 'E_REGISTRY_FAILED'],
  ])('that answers %i is not asked again', async (status, code) => {
    registry.lie(/manifests/u, { status, headers: { 'content-type': 'application/json' }, body: '{}' });
    const clock = testClock();
    expect(await manifestFails(byTag(), { clock })).toMatchObject({ code });
    expect(clock.slept).toEqual([]);
    expect(registry.requests).toHaveLength(1);
  });

  test('that breaks a document in the middle is asked for it again', async () => {
    registry.lie(/manifests/u, { resetAt: 20 }, { times: 2 });
    await withClient(async (client) => expect((await client.manifest(byTag())).digest).toBe(manifest.digest));
    expect(registry.requests).toHaveLength(3);
  });

  test('is left at once when the caller gives up', async () => {
    registry.lie(/blobs/u, { stallAt: 1000 });
    const control = new AbortController();
    const reason = new Error('given up');
    setTimeout(() => control.abort(reason), 50);
    await withClient(async (client) => {
      const { signal } = control;
      await expect(bytesOf(client.blob(of(), blob, 0, { signal }))).rejects.toBe(reason);
      await expect(client.manifest(byTag(), { signal })).rejects.toBe(reason);
    });
  });
});
