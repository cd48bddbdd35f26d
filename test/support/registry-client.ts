/** A client of registries without configuration, or with as much of it as a test says. */
import { openClient } from '../../src/registry/client.ts';
import type { ClientOptions, Clock } from '../../src/registry/options.ts';
import type { RegistryClient } from '../../src/registry/protocol.ts';
import type { Reference } from '../../src/registry/reference.ts';

export interface TestClock extends Clock {
  /** What was waited for, in milliseconds. */
  readonly slept: number[];
}

/** Waits for nothing: its time is what was slept. */
export function testClock(): TestClock {
  const slept: number[] = [];
  let time = Date.parse('2026-01-01T00:00:00Z');
  return {
    slept,
    now: () => time,
    random: () => 0.5,
    sleep: (ms, signal) => {
      signal?.throwIfAborted();
      slept.push(ms);
      time += ms;
      return Promise.resolve();
    },
  };
}

/** Each registry is its own location, nobody is known to it, and nothing of the environment counts. */
export function testClient(options: Partial<ClientOptions> = {}): RegistryClient {
  return openClient({
    locationsOf: ({ registry, repository }) => [{ host: registry, repository, insecure: false, isMirror: false }],
    credentialsFor: () => Promise.resolve(undefined),
    tlsFor: () => undefined,
    env: {},
    connectWithin: 2000,
    patience: 2000,
    clock: testClock(),
    ...options,
  });
}

/** `HOST/REPOSITORY:TAG` or `HOST/REPOSITORY@DIGEST`, of a test. */
export function reference(registry: string, repository: string, word = 'latest'): Reference {
  const isDigest = word.startsWith('sha256:');
  return { registry, repository, tag: isDigest ? undefined : word, digest: isDigest ? word : undefined };
}

export async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of chunks) parts.push(part);
  return Buffer.concat(parts);
}

/** The error with which it fails: a BoxctlError with its code. */
export async function failing(work: Promise<unknown>): Promise<{ readonly code: string; readonly text: string }> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error;
    const hint = 'hint' in error && typeof error.hint === 'string' ? ` | ${error.hint}` : '';
    return { code: String(error.code), text: `${error.message}${hint}` };
  }
  throw new Error('it did not fail');
}
