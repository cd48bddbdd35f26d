/** Uploads: pieces, breaks, and registries that make it hard. */
import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import type { RegistryClient } from '../../../src/registry/protocol.ts';
import { failing, reference, testClient } from '../../support/registry-client.ts';
import { startUploadRegistry, type UploadBehaviour, type UploadRegistry } from '../../support/upload-registry.ts';

const MIB = 1 << 20;
const open = (data: Buffer) =>
  async function* (offset: number): AsyncGenerator<Uint8Array, void> {
    for (let at = offset; at < data.length; at += 100_000) {
      yield await Promise.resolve(data.subarray(at, Math.min(data.length, at + 100_000)));
    }
  };
const digestOf = (data: Buffer): string => `sha256:${createHash('sha256').update(data).digest('hex')}`;
/** Not the same everywhere, so that a piece in the wrong place is noticed. */
function bytes(size: number): Buffer {
  const out = Buffer.alloc(size);
  for (let i = 0; i + 4 <= size; i += 4) out.writeUInt32LE(i, i);
  return out;
}
const LARGE = bytes(10 * MIB + 123);
const SMALL = bytes(1000);

let registry: UploadRegistry | undefined;
let client: RegistryClient | undefined;
afterEach(async () => {
  await client?.close();
  await registry?.stop();
});

async function start(behaviour: UploadBehaviour = {}): Promise<{ registry: UploadRegistry; client: RegistryClient }> {
  registry = await startUploadRegistry(behaviour);
  client = testClient();
  return { registry, client };
}

async function put(data: Buffer, behaviour: UploadBehaviour = {}): Promise<UploadRegistry> {
  const at = await start(behaviour);
  const of = { registry: at.registry.host, repository: 'a/b' };
  await at.client.putBlob(of, { digest: digestOf(data), size: data.length }, open(data));
  expect(at.registry.blobs.get(`a/b@${digestOf(data)}`)?.equals(data)).toBe(true);
  return at.registry;
}

const methods = ({ requests }: UploadRegistry): string => requests.map(({ method }) => method).join(' ');

test('a small blob goes by one PUT', async () => {
  expect(methods(await put(SMALL))).toBe('POST PUT');
  await registry?.stop();
  expect(methods(await put(Buffer.alloc(0)))).toBe('POST PUT');
});

test.each([false, true])('a large blob goes in pieces, whose address is absolute: %s', async (absolute) => {
  expect(methods(await put(LARGE, { absolute }))).toBe('POST PATCH PUT');
  expect(registry?.requests[1]?.contentRange).toBe(`0-${LARGE.length - 1}`);
});

test('after a break the upload goes on from what the registry has', async () => {
  const { requests } = await put(LARGE, { breakAt: { bytes: 3 * MIB, times: 2, keeps: true } });
  expect(requests.filter(({ method }) => method === 'GET')).toHaveLength(2);
  const ranges = requests.flatMap(({ method, contentRange }) => (method === 'PATCH' ? (contentRange ?? 'cut') : []));
  expect(ranges[0]).toBe('cut');
  expect(ranges.find((range) => range !== 'cut')).toMatch(new RegExp(`^${6 * MIB}-`, 'u'));
});

test('after a break of which the registry has kept nothing, the piece is sent again', async () => {
  const { requests } = await put(LARGE, { breakAt: { bytes: 3 * MIB, times: 1, keeps: false } });
  expect(requests.filter(({ contentRange }) => contentRange?.startsWith('0-') === true)).toHaveLength(1);
});

test('a break in the one PUT of a small blob is tried again', async () => {
  expect(methods(await put(SMALL, { breakAt: { bytes: 500, times: 1, keeps: false } }))).toMatch(/^POST PUT .*PUT$/u);
});

test('a connection that breaks each time is an error that names the registry', async () => {
  const at = await start({ breakAt: { bytes: 1, times: 1000, keeps: false } });
  const of = { registry: at.registry.host, repository: 'a/b' };
  const { code, text } = await failing(
    at.client.putBlob(of, { digest: digestOf(LARGE), size: LARGE.length }, open(LARGE)),
  );
  expect(code).toBe('E_REGISTRY_UNREACHABLE');
  expect(text).toContain(at.registry.host);
});

test('when the last answer is lost, the blob is found to be there', async () => {
  expect(methods(await put(LARGE, { losesLast: 1 }))).toMatch(/^POST PATCH PUT (?:PUT|GET) HEAD$/u);
});

test('an upload that the registry forgets is begun anew; one that it forgets each time is an error', async () => {
  await put(LARGE, { forgetAfter: { pieces: 1, times: 1 } });
  expect(methods(registry as UploadRegistry)).toBe('POST PATCH PUT HEAD POST PATCH PUT');
  await registry?.stop();
  const at = await start({ forgetAfter: { pieces: 1, times: 100 } });
  const of = { registry: at.registry.host, repository: 'a/b' };
  const { code, text } = await failing(
    at.client.putBlob(of, { digest: digestOf(LARGE), size: LARGE.length }, open(LARGE)),
  );
  expect([code, text]).toEqual(['E_REGISTRY_PROTOCOL', expect.stringContaining('it forgets uploads')]);
});

test('pieces become smaller where the registry takes no large ones', async () => {
  const { requests } = await put(LARGE, { most: 3 * MIB });
  expect(requests.filter(({ status }) => status === 413)).toHaveLength(1);
  for (const { status, bytes: length } of requests) if (status === 202) expect(length).toBeLessThanOrEqual(3 * MIB);
});

test('a registry that takes not even small pieces is an error that says what may be the reason', async () => {
  const at = await start({ most: 1000 });
  const of = { registry: at.registry.host, repository: 'a/b' };
  const { code, text } = await failing(
    at.client.putBlob(of, { digest: digestOf(LARGE), size: LARGE.length }, open(LARGE)),
  );
  expect(code).toBe('E_REGISTRY_DENIED');
  expect(text).toContain('too much at once');
  expect(text).toContain('client_max_body_size');
});

test('a registry that wants large pieces gets them', async () => {
  const { requests } = await put(LARGE, { least: 4 * MIB, breakAt: { bytes: MIB, times: 3, keeps: true } });
  const sizes = requests.filter(({ method, status }) => method === 'PATCH' && status === 202).map((one) => one.bytes);
  for (const size of sizes.slice(0, -1)) expect(size).toBeGreaterThanOrEqual(4 * MIB);
});

test.each([405, 415, 501])('a registry without pieces (%i) gets a large blob by one PUT', async (patch) => {
  expect(methods(await put(LARGE, { patch }))).toBe('POST PATCH POST PUT');
});

test.each(['ftp://127.0.0.1/x', 'http://me:secret@127.0.0.1/x', 'http://[/'])(
  'an upload that is to go on at %s is not sent',
  async (location) => {
    const at = await start({ location });
    const of = { registry: at.registry.host, repository: 'a/b' };
    const blob = { digest: digestOf(SMALL), size: SMALL.length };
    const { code, text } = await failing(at.client.putBlob(of, blob, open(SMALL)));
    expect(code).toBe('E_REGISTRY_PROTOCOL');
    expect(text).not.toContain('secret');
    expect(methods(at.registry)).toBe('POST');
  },
);

test('a registry that is busy is asked again', async () => {
  expect(methods(await put(SMALL, { busy: { status: 503, times: 2 } }))).toBe('POST POST POST PUT');
});

test.each([
  [403, 'E_REGISTRY_DENIED', 'quota of the project exceeded'],
  [401, 'E_REGISTRY_AUTH', 'who are you'],
  [405, 'E_REGISTRY_DENIED', 'pull through only'],
  [400, 'E_REGISTRY_DENIED', 'bad name'],
  [413, 'E_REGISTRY_DENIED', 'manifest too large'],
  [507, 'E_REGISTRY_DENIED', 'no room'],
])('a refusal by %i has the code %s, and the words of the registry', async (status, code, message) => {
  const at = await start({ refuse: { status, message } });
  const of = { registry: at.registry.host, repository: 'a/b' };
  const blob = await failing(at.client.putBlob(of, { digest: digestOf(SMALL), size: SMALL.length }, open(SMALL)));
  const document = { bytes: Buffer.from('{}'), mediaType: 'application/vnd.oci.image.manifest.v1+json' };
  const manifest = await failing(at.client.putManifest(reference(at.registry.host, 'a/b', '1'), document));
  for (const failed of [blob, manifest]) {
    expect(failed.code).toBe(code);
    expect(failed.text).toContain(message);
    expect(failed.text).toContain(`${at.registry.host}/a/b`);
  }
});

describe('mounts', () => {
  test('a blob of another repository is mounted, and found', async () => {
    const at = await start({ mounts: ['other'] });
    at.registry.blobs.set(`other@${digestOf(SMALL)}`, SMALL);
    const of = { registry: at.registry.host, repository: 'a/b' };
    expect(await at.client.hasBlob(of, digestOf(SMALL))).toBe(false);
    expect(await at.client.mountBlob(of, digestOf(SMALL), 'other')).toBe(true);
    expect(await at.client.hasBlob(of, digestOf(SMALL))).toBe(true);
  });

  test('a registry that begins an upload instead is told that nothing comes', async () => {
    const at = await start();
    const of = { registry: at.registry.host, repository: 'a/b' };
    expect(await at.client.mountBlob(of, digestOf(SMALL), 'other')).toBe(false);
    expect(methods(at.registry)).toBe('POST DELETE');
  });

  test('a registry that refuses it is not an error: the blob can be uploaded', async () => {
    const at = await start({ refuse: { status: 403, message: 'no' } });
    const of = { registry: at.registry.host, repository: 'a/b' };
    expect(await at.client.mountBlob(of, digestOf(SMALL), 'other')).toBe(false);
  });
});

test('a manifest is put under its tag, or under its digest, with its media type', async () => {
  const at = await start();
  const document = { bytes: Buffer.from('{"schemaVersion":2}'), mediaType: 'application/vnd.oci.image.index.v1+json' };
  const digest = digestOf(document.bytes);
  expect(await at.client.putManifest(reference(at.registry.host, 'a/b', 'v1'), document)).toBe(digest);
  expect(await at.client.putManifest(reference(at.registry.host, 'a/b', digest), document)).toBe(digest);
  expect([...at.registry.manifests.keys()]).toEqual(['a/b:v1', `a/b:${digest}`]);
  expect(at.registry.manifests.get('a/b:v1')?.type).toBe(document.mediaType);
});
