/** What a container is started from, to be kept (src/state/started-from.ts) and compared (compare.ts). */
import { statSync } from '../inputs/outside.ts';
import { identityOf } from '../image/identity.ts';
import type { Overrides } from '../model/compile.ts';
import type { ImageFacts } from '../model/image.ts';
import type { SpecDocument } from '../spec/spec.ts';
import type { StartedFrom } from '../state/started-from.ts';

export function startedFrom(document: SpecDocument, image: ImageFacts | undefined, overrides: Overrides): StartedFrom {
  return { document, image: image?.digest, archive: archiveOf(document), overrides };
}

/** How stat(2) tells the archive that the file names as its image from others. */
export function archiveOf({ spec: { image } }: SpecDocument): string | undefined {
  if (image?.kind !== 'tar') return undefined;
  try {
    return identityOf(statSync(image.path, { bigint: true }));
  } catch {
    return undefined;
  }
}
