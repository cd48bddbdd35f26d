/** A layer on its way from a registry to the worker that verifies, decompresses and unpacks it, through a pipe. */
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { BoxctlError } from '../errors.ts';
import { pipe } from '../native.ts';
import type { Descriptor, RegistryReader, Repository } from '../registry/protocol.ts';
import { WHOLE } from '../worker/work.ts';
import type { LayerInput } from './layer-reader.ts';
import { net } from './lazy-modules.ts';
import { linkedAbort } from './linked-abort.ts';
import { isPassing } from './passing.ts';
import { openPartial, type PartialLayer } from './partial-layer.ts';

/** As much as an ordinary user's pipe may hold (pipe(7), pipe-max-size). */
const PIPE_SIZE = 1 << 20;

export interface LayerOrigin {
  readonly client: Pick<RegistryReader, 'blob'>;
  readonly of: Repository;
  readonly layer: Descriptor;
  readonly store: string;
  readonly onRetry?: ((why: string, delay: number) => void) | undefined;
}

/** Begins to fetch the layer. What was received is kept for the next time where `signal` or the registry has ended it. */
export function feedLayer(origin: LayerOrigin, signal: AbortSignal): LayerInput {
  const { layer, store } = origin;
  const partial = openPartial(store, layer.digest.replace(/^sha256:/u, ''), layer.size);
  const hadPartial = partial.size > 0;
  const stop = linkedAbort(signal);
  const [reading, writing] = pipe(PIPE_SIZE);
  // Node's threads for files would each be blocked by a pipe that is full.
  const socket = new (net().Socket)({ fd: writing, readable: false, writable: true });
  // Each write has its own callback.
  socket.on('error', () => undefined);
  let failure: unknown;
  const arrived = send(origin, partial, socket, stop.signal)
    .catch((error: unknown) => {
      // The worker has ended, or has been ended: it says why.
      if (error instanceof ReaderGone || stop.signal.aborted) return;
      failure = error;
      throw error;
    })
    .finally(() => socket.destroy());
  return {
    fd: reading,
    part: WHOLE,
    size: layer.size,
    arrived,
    hadPartial,
    close() {
      stop.abort();
      stop.release();
      socket.destroy();
      closeSync(reading);
      if (isWorthKeeping(failure, signal)) partial.save();
      else partial.drop();
    },
  };
}

/** What has come is of use where the registry has failed, or somebody has given the pull up: not where the image is bad. */
function isWorthKeeping(failure: unknown, signal: AbortSignal): boolean {
  if (failure !== undefined) return isPassing(failure);
  if (!signal.aborted) return false;
  const reason: unknown = signal.reason;
  const isGivenUp = !(reason instanceof BoxctlError) || reason.code === 'E_INTERRUPTED';
  return isGivenUp || isPassing(reason);
}

/** Nobody reads the pipe any more. */
class ReaderGone extends Error {}

async function send(
  { client, of, layer, onRetry }: LayerOrigin,
  partial: PartialLayer,
  socket: Socket,
  signal: AbortSignal,
): Promise<void> {
  const offset = partial.size;
  for (const piece of partial.pieces()) await write(socket, piece);
  const events = { signal, ...(onRetry === undefined ? {} : { onRetry }) };
  for await (const chunk of client.blob(of, layer, offset, events)) {
    partial.add(chunk);
    await write(socket, chunk);
  }
  // Of a stream that is destroyed, `end` never calls back.
  if (socket.destroyed) throw new ReaderGone();
  await new Promise<void>((resolve) => socket.end(resolve));
}

function write(socket: Socket, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(chunk, (error) => (error === null || error === undefined ? resolve() : reject(new ReaderGone())));
  });
}
