/** Names for an image. When a name was another image's, that is reported. */
import { BoxctlError } from '../../../errors.ts';
import { digestNamed, writeName } from '../../../image/names.ts';
import type { Messages } from '../../messages.ts';

const SHOWN = 17;

/** Gives the image names that a person has chosen, and says which of them were another image's. */
export function nameImage(
  store: string,
  digest: string,
  names: readonly string[],
  messages: Pick<Messages, 'warning'>,
): void {
  for (const name of names) {
    const before = digestNamed(store, name);
    writeName(store, name, digest);
    if (before === undefined || before === digest) continue;
    messages.warning(
      `${name} was the image ${before.slice(0, SHOWN)} before, which no longer has this name`,
      undefined,
    );
  }
}

/**
 * Throws `E_IMAGE_NAME_TAKEN` when one of the names that an archive gives to its image is another image's: what runs by the name
 * would be what the archive's author wants.
 */
export function checkNamesAreFree(store: string, digest: string, names: readonly string[], file: string): void {
  const taken = names.find((name) => ![undefined, digest].includes(digestNamed(store, name)));
  if (taken === undefined) return;
  const other = digestNamed(store, taken)?.slice(0, SHOWN) ?? '';
  throw new BoxctlError(
    'E_IMAGE_NAME_TAKEN',
    `${file} calls its image ${taken}, which is another one in the store (${other}); the new one is there by its digest, ${digest.slice(0, SHOWN)}`,
    {
      hint: `to move the name: boxctl image import --replace ${file}, or boxctl image tag ${digest.slice(0, SHOWN)} ${taken}`,
    },
  );
}
