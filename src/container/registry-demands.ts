/**
 * What a pull for a container file would use of the person's credentials. What a person has stored for a registry by its name
 * is for whatever is asked of that registry. A credential helper that answers for every registry is another matter: a file
 * could name a registry for which it makes up credentials, and which the person has never heard of.
 */
import type { HostFacts } from '../host/facts.ts';
import { findReference } from '../image/names.ts';
import type { Demand } from '../model/demand.ts';
import { openRegistries, type RegistryAccess } from '../registry/access.ts';
import type { ImageSource, SpecDocument } from '../spec/spec.ts';
import { redactor } from '../text/borrowed.ts';
import { isDigestStart } from '../text/image-name.ts';

export type ReferenceSource = ImageSource & { readonly kind: 'reference' };

/** The image as one that a registry may have to be asked for: not one of the store under a name that a person gave it. */
export function asksRegistry(source: ImageSource | undefined, { dirs }: HostFacts): source is ReferenceSource {
  if (source?.kind !== 'reference' || source.pullPolicy === 'never' || isDigestStart(source.name)) return false;
  const named = findReference(dirs.store, source.name, source.platform);
  return named === undefined || named.pulled !== undefined;
}

/** One for each registry of what the image can mean. Asks the person's credential helpers, and no registry. */
export async function registryDemands(
  document: SpecDocument,
  source: ReferenceSource,
  registries: RegistryAccess,
): Promise<readonly Demand[]> {
  const { references } = registries.candidates(source.name);
  const path = 'image';
  const redact = redactor(document.borrowed);
  const demands = new Map<string, Demand>();
  for (const { registry, repository } of references) {
    const found = await registries.credentials(registry, repository);
    if (found === undefined || demands.has(registry) || (await found.isNamed())) continue;
    const message = `is made from an image of ${registry}, where ${found.source} would log you in`;
    const value = redact(registry, path);
    demands.set(registry, {
      kind: 'registry',
      value: registry,
      message,
      because: { kind: 'spec', path, at: document.where('image.ref') ?? document.where(path) },
      ...(value === registry ? {} : { shown: { value, message: message.replaceAll(registry, () => value) } }),
    });
  }
  return [...demands.values()];
}

/** Judges what a pull would use of the person's credentials. */
export async function judgeRegistries(
  document: SpecDocument,
  source: ReferenceSource,
  env: Readonly<Record<string, string | undefined>> | undefined,
  judge: (demands: readonly Demand[]) => void,
): Promise<void> {
  const registries = openRegistries(undefined, env);
  try {
    judge(await registryDemands(document, source, registries));
  } finally {
    await registries.close();
  }
}
