/** The image that a person means. */
import type { HostFacts } from '../../../host/facts.ts';
import { listImages, type StoredImage } from '../../../image/maintain.ts';
import { findDigest } from '../../../image/names.ts';
import { noSuchImage } from '../../../image/resolve.ts';

/** As many digits of a digest as people compare. */
const SHORT = 12;

/** Throws `E_IMAGE_NOT_FOUND`, `E_IMAGE_AMBIGUOUS`. */
export function selectImage(text: string, host: HostFacts): StoredImage {
  const digest = findDigest(host.dirs.store, text);
  const found = digest === undefined ? undefined : listImages(host).find((image) => image.digest === digest);
  if (found === undefined) throw noSuchImage(host.dirs.store, text, 'see what there is: boxctl image ls');
  return found;
}

/** The first digits. The prefix `seen-`, of an archive whose digest is not computed yet, is kept. */
export const shortDigest = (digest: string): string => {
  const mark = digest.startsWith('seen-') ? 'seen-' : '';
  return digest.slice(0, mark.length + SHORT);
};
