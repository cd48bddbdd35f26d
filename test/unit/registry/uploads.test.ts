/** Bodies that are sent piece by piece. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Transport, type Request } from '../../../src/registry/transport.ts';
import { LyingRegistry } from '../../support/lying-registry.ts';

const PATIENCE = 300;
let registry: LyingRegistry;
/** Gives up what is too slow; nothing is too slow for the other, although this process may pause. */
let transport: Transport;
let patient: Transport;

beforeAll(async () => {
  registry = await LyingRegistry.start();
  const common = { tlsFor: () => undefined, env: {}, userAgent: 'tests' };
  transport = new Transport({ ...common, connectWithin: PATIENCE, patience: PATIENCE });
  patient = new Transport({ ...common, connectWithin: 20_000, patience: 20_000 });
});
afterEach(() => registry.repent());
afterAll(async () => {
  transport.close();
  patient.close();
  await registry.stop();
});

const put = (body: NonNullable<Request['body']>, headers: Record<string, string> = {}): Request => ({
  url: new URL(`${registry.url}/v2/upload`),
  method: 'PUT',
  headers,
  body,
});

async function* pieces(count: number, size: number, pause = 0): AsyncGenerator<Uint8Array> {
  for (let piece = 0; piece < count; piece++) {
    await sleep(pause);
    yield Buffer.alloc(size, piece);
  }
}

test('a body arrives as it was, with the length that was said', async () => {
  registry.lie(/upload/u, { status: 201 });
  const answer = await patient.send(put(() => pieces(20, 100_000), { 'content-length': '2000000' }));
  answer.drop();
  expect(answer.status).toBe(201);
  expect(registry.requests[0]?.body).toHaveLength(2_000_000);
  expect(registry.requests[0]?.headers['transfer-encoding']).toBeUndefined();
});

test('a source that is slower than the patience for the other side has its time', async () => {
  registry.lie(/upload/u, { status: 201 });
  const answer = await transport.send(put(() => pieces(3, 10, PATIENCE * 1.5), { 'content-length': '30' }));
  answer.drop();
  expect(answer.status).toBe(201);
});

test('a body that nobody takes, or that is not answered, is given up', async () => {
  registry.lie(/upload/u, { delay: PATIENCE * 5 });
  const sent = transport.send(put(() => pieces(1, 10), { 'content-length': '10' }));
  await expect(sent).rejects.toMatchObject({ code: 'E_REGISTRY_TIMEOUT' });
});

test('a source that fails is the error, and the request has no end', async () => {
  const broken = new Error('of the source');
  const body = async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.alloc(10);
    await sleep(1);
    throw broken;
  };
  await expect(patient.send(put(body, { 'content-length': '20' }))).rejects.toBe(broken);
});
