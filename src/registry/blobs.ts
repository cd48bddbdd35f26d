/** The bytes of a blob, over as many connections and locations as it takes. */
import { digestPath, repositoryPath, type Endpoints } from './endpoint.ts';
import { Failure } from './failure.ts';
import { askFor, type Fetching } from './manifests.ts';
import type { Clock, Location } from './options.ts';
import { asError, type Failed, type Places, type Purpose } from './places.ts';
import type { Descriptor } from './protocol.ts';
import type { Answer } from './transport.ts';

export interface BlobFetching {
  readonly endpoints: Endpoints;
  readonly clock: Clock;
  readonly places: Places;
  readonly locations: readonly Location[];
  readonly purpose: Purpose;
}

/** Bytes after which a failure is the first again. Fewer are none: a registry could send one at a time for ever. */
const PROGRESS = 64 * 1024;

/**
 * From `offset` on. What breaks goes on where it was, at the same location; one that fails for good leaves the rest to the
 * next, since all of them have the same bytes under the same digest. Failures count from the last progress.
 */
export async function* fetchBlob(
  { endpoints, clock, places, locations, purpose: { subject, events } }: BlobFetching,
  blob: Descriptor,
  offset: number,
): AsyncGenerator<Uint8Array, void> {
  const signal = events?.signal;
  const failed: Failed[] = [];
  let at = offset;
  for (const [index, location] of locations.entries()) {
    const isLast = index + 1 === locations.length;
    if (!isLast && places.isUseless(location)) continue;
    for (let failures = 0; ;) {
      const before = at;
      try {
        for await (const chunk of once({ endpoints, clock, location, signal }, blob, at)) {
          at += chunk.length;
          yield chunk;
        }
        return;
      } catch (error) {
        failures = at - before >= PROGRESS ? 1 : failures + 1;
        const last = await places.settle(error, failures, location, isLast, events);
        if (last === undefined) continue;
        failed.push({ host: location.host, failure: last });
        break;
      }
    }
  }
  throw asError(subject, failed);
}

/** One request. Never gives more bytes than the blob has left. */
async function* once(fetching: Fetching, blob: Descriptor, offset: number): AsyncGenerator<Uint8Array, void> {
  const left = blob.size - offset;
  // Nothing is asked for where nothing is due: a range would be outside of the blob.
  if (left === 0) return;
  const path = `${repositoryPath(fetching.location.repository)}/blobs/${digestPath(blob.digest)}`;
  const headers = offset > 0 ? { range: `bytes=${offset}-${blob.size - 1}` } : {};
  const answer = await askFor(fetching, { method: 'GET', path, headers }, 'blob', offset > 0 ? [200, 206] : [200]);
  const skip = skipOf(answer, blob, offset);
  let skipped = 0;
  let given = 0;
  for await (const chunk of answer.chunks()) {
    let part = chunk;
    if (skipped < skip) {
      const rest = skip - skipped;
      skipped += Math.min(rest, part.length);
      if (part.length <= rest) continue;
      part = part.subarray(rest);
    }
    if (given + part.length > left) throw wrongSize(blob, `more than ${blob.size} bytes`);
    given += part.length;
    yield part;
  }
  if (given !== left) throw wrongSize(blob, `${offset + given} bytes`);
}

/** How many bytes come before those that are wanted. Registries may ignore a range (RFC 9110, 14.2). */
function skipOf({ status, headers, drop }: Answer, blob: Descriptor, offset: number): number {
  const length = headers['content-length'];
  const due = status === 206 ? blob.size - offset : blob.size;
  const isEncoded = headers['content-encoding'] !== undefined;
  if (status === 206) {
    const [, first, last, all] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/u.exec(headers['content-range'] ?? '') ?? [];
    const fits =
      Number(first) === offset && Number(last) === blob.size - 1 && (all === '*' || Number(all) === blob.size);
    if (!fits) {
      drop();
      throw new Failure('E_REGISTRY_PROTOCOL', `it sends another range of ${blob.digest} than it was asked for`);
    }
  }
  if (length !== undefined && Number(length) !== due && !isEncoded) {
    drop();
    throw wrongSize(blob, `${status === 206 ? offset + Number(length) : length} bytes`);
  }
  return status === 206 ? 0 : offset;
}

const wrongSize = (blob: Descriptor, what: string): Failure =>
  new Failure('E_REGISTRY_SIZE', `it sends ${what} for ${blob.digest}, which has ${blob.size}`);
