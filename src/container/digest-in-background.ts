/**
 * The digest of an archive that was not read yet (src/image/background-digest.ts), computed while the container runs from it. The
 * computation is cancelled when the container ends.
 */
import type { HostFacts } from '../host/facts.ts';
import { isUnread } from '../image/identity.ts';
import type { ImageFacts } from '../model/image.ts';

/** The archive of a container that ends sooner is not read. */
const DELAY_MS = 1000;

/** Returns what is to be called at the container's end. */
export function readDigestInBackground(image: ImageFacts | undefined, host: HostFacts): () => Promise<void> {
  if (image === undefined || !isUnread(image.digest)) return () => Promise.resolve();
  let ended: AbortController | undefined;
  let work: Promise<void> | undefined;
  const timer = setTimeout(() => {
    ended = new AbortController();
    work = readDigest(image, host, ended.signal);
  }, DELAY_MS);
  return async () => {
    clearTimeout(timer);
    ended?.abort();
    await work;
  };
}

/** A failure is not reported: the container does not need the digest, and the next one tries again. */
async function readDigest(image: ImageFacts, host: HostFacts, signal: AbortSignal): Promise<void> {
  const { removeProvisionalName, computeDigest } = await import('../image/background-digest.ts');
  try {
    await computeDigest(image, host, signal);
  } catch {
    return;
  }
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await removeProvisionalName(image, host);
}
