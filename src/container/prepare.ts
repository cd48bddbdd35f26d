/** From a file to the model of its container: what a run and a bundle have in common. */
import type { HostFacts } from '../host/facts.ts';
import type { Claims } from '../model/claims.ts';
import { compile, outline, type Overrides } from '../model/compile.ts';
import type { Demand } from '../model/demand.ts';
import type { ImageFacts } from '../model/image.ts';
import type { Model } from '../model/model.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { claimIds } from '../state/id-ranges.ts';
import { findImageOf, isUnread, takeImage } from './image-of.ts';
import { reportImport, titleOf } from './import-image.ts';
import type { ImportReporter } from './reporter.ts';

/** Throws where the container must not have what it demands of the host. */
export type Judge = (demands: readonly Demand[]) => void;

export interface PrepareOptions {
  readonly host: HostFacts;
  /** Where programs are looked for; that of this process by default. */
  readonly env?: Readonly<Record<string, string | undefined>>;
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
  /** With those of the network where the file has one. */
  readonly host: HostFacts;
  /** To be released at the end of the run. */
  readonly claims: Claimed;
}

interface Claimed extends Claims {
  release(): void;
}

/**
 * Judges the file, claims its ids and addresses, finds or imports its image, compiles its model and judges that. A file that
 * is refused is given nothing, and nothing of its image is read.
 */
export async function prepare(document: SpecDocument, options: PrepareOptions): Promise<Prepared> {
  const { judge, overrides, env } = options;
  const host = await withNetworkFacts(document, options.host, env);
  const { autoIds, network } = document.spec;
  if (autoIds !== undefined || network !== undefined || isUnread(document)) judge(outline(document, host).demands);
  const claims = await claimFor(document, host);
  try {
    const image = await imageOf(document, claims, { ...options, host });
    const model = compile(document, image, host, overrides?.(image), claims);
    judge(model.demands);
    return { image, model, host, claims };
  } catch (error) {
    claims.release();
    throw error;
  }
}

/** Nothing of the host's network is looked at, and no code for it is loaded, for a file without one. */
export async function withNetworkFacts(
  document: SpecDocument,
  host: HostFacts,
  env: PrepareOptions['env'] = process.env,
): Promise<HostFacts> {
  if (document.spec.network === undefined) return host;
  const { withNetwork } = await import('../host/network.ts');
  return withNetwork(host, env);
}

async function claimFor(document: SpecDocument, host: HostFacts): Promise<Claimed> {
  const ids = claimIds(document, host);
  if (document.spec.network === undefined) return ids;
  try {
    const { claimNetwork } = await import('./network-claims.ts');
    const addresses = await claimNetwork(document, host);
    return {
      ...ids,
      network: addresses.network,
      release: () => {
        addresses.release();
        ids.release();
      },
    };
  } catch (error) {
    ids.release();
    throw error;
  }
}

async function imageOf(
  document: SpecDocument,
  claims: Claims,
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
