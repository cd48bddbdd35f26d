/** From a file to the model of its container: what a run and a bundle have in common. */
import type { HostFacts } from '../host/facts.ts';
import { compile, outline, type Overrides } from '../model/compile.ts';
import type { Demand } from '../model/demand.ts';
import type { ImageFacts } from '../model/image.ts';
import type { Model } from '../model/model.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { claimIds, type IdClaim } from '../state/id-ranges.ts';
import { findImageOf, isUnread, takeImage } from './image-of.ts';
import { reportImport, titleOf } from './import-image.ts';
import type { ImportReporter } from './reporter.ts';

/** Throws where the container must not have what it demands of the host. */
export type Judge = (demands: readonly Demand[]) => void;

export interface PrepareOptions {
  readonly host: HostFacts;
  readonly reporter: ImportReporter;
  readonly judge: Judge;
  readonly takesSignals: boolean;
  /** Take the image even where the container shares the mount namespace of others and does not see it. */
  readonly alwaysWithImage?: boolean;
  /** What the caller wants in place of what the file says. */
  readonly overrides?: (image: ImageFacts | undefined) => Overrides;
}

export interface Prepared {
  readonly image: ImageFacts | undefined;
  readonly model: Model;
  /** To be released at the end of the run. */
  readonly claims: IdClaim;
}

/**
 * Judges the file, claims its ids, finds or imports its image, compiles its model and judges that. A file that is refused
 * is given no ids, and nothing of its image is read.
 */
export async function prepare(document: SpecDocument, options: PrepareOptions): Promise<Prepared> {
  const { host, judge, overrides } = options;
  if (document.spec.autoIds !== undefined || isUnread(document)) judge(outline(document, host).demands);
  const claims = claimIds(document, host);
  try {
    const image = await imageOf(document, claims, options);
    const model = compile(document, image, host, overrides?.(image), claims);
    judge(model.demands);
    return { image, model, claims };
  } catch (error) {
    claims.release();
    throw error;
  }
}

async function imageOf(
  document: SpecDocument,
  claims: IdClaim,
  { host, judge, reporter, takesSignals, alwaysWithImage = false }: PrepareOptions,
): Promise<ImageFacts | undefined> {
  const { image: source, namespaces } = document.spec;
  if (source === undefined || (namespaces.mount.kind !== 'private' && !alwaysWithImage)) return undefined;
  const found = findImageOf(document, source, host, claims);
  if (found !== undefined) return found;
  // An import reads files of the host, and runs its programs: not before the file is allowed.
  judge(outline(document, host).demands);
  return reportImport({ title: titleOf(source), reporter, takesSignals }, (hooks) =>
    takeImage(document, source, host, claims, hooks),
  );
}
