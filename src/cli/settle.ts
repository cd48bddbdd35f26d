/** Lets an image that is new get its lasting name while the container runs, and never keeps anybody waiting for it. */
import type { HostFacts } from '../host/facts.ts';
import { isUnread } from '../image/identity.ts';
import type { ImageFacts } from '../model/image.ts';

/** Containers that end before are not worth reading an archive for. */
const PATIENCE_MS = 1000;

/** Returns what is to be called at the container's end. */
export function settleBeside(image: ImageFacts | undefined, host: HostFacts): () => Promise<void> {
  if (image === undefined || !isUnread(image.digest)) return () => Promise.resolve();
  const ended = new AbortController();
  let work: Promise<void> | undefined;
  const timer = setTimeout(() => {
    work = settle(image, host, ended.signal);
  }, PATIENCE_MS);
  return async () => {
    clearTimeout(timer);
    ended.abort();
    await work;
  };
}

/** Nobody asked for it, so its failures are nobody's business: the next container tries again. */
async function settle(image: ImageFacts, host: HostFacts, signal: AbortSignal): Promise<void> {
  const { forgetUnsettled, settleImage } = await import('../image/settle.ts');
  try {
    await settleImage(image, host, signal);
  } catch {
    return;
  }
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await forgetUnsettled(image, host);
}
