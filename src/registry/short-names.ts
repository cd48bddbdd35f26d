/** From the name that a person writes to the references that it can mean (containers-registries.conf(5), "Short-Name Aliasing"). */
import { BoxctlError } from '../errors.ts';
import { DOCKER_HUB, isProblem, parseImageName, type ImageName } from '../text/image-name.ts';
import { cut } from '../text/quote.ts';
import { inRegistry, noReference, parseReference, type Reference } from './reference.ts';

/** What the configuration says of names without a registry. */
export interface ShortNames {
  /** From a name without a tag to a repository in full: `fedora` → `registry.fedoraproject.org/fedora`. */
  readonly aliases: ReadonlyMap<string, string>;
  /** `unqualified-search-registries`. Undefined: nothing is said, and docker.io is meant. Empty: none is to be searched. */
  readonly search: readonly string[] | undefined;
  readonly mode: 'enforcing' | 'permissive' | 'disabled';
}

/** What holds without a configuration. */
export const PLAIN_SHORT_NAMES: ShortNames = { aliases: new Map(), search: undefined, mode: 'permissive' };

export interface Candidates {
  /**
   * To be asked in this order; at least one. Only where a registry says that it has no such image, the next one is asked. A
   * registry that cannot be reached, or refuses, ends the search: else whoever disturbs it could put another one in its place.
   */
  readonly references: readonly Reference[];
  /** What has decided: the text has a registry, or else an alias, the list of registries, or nothing but the default. */
  readonly by: 'registry' | 'alias' | 'search' | 'default';
}

/** @throws BoxctlError E_IMAGE_NAME; E_REGISTRY_SHORT_NAME where the configuration does not decide what a short name means */
export function candidatesOf(text: string, rules: ShortNames): Candidates {
  const name = parseImageName(text);
  if (isProblem(name)) throw noReference(text, name);
  if (name.registry !== undefined) return { references: [inRegistry(name, name.registry)], by: 'registry' };
  const alias = rules.aliases.get(name.path);
  if (alias !== undefined) return { references: [within(alias, name, text)], by: 'alias' };
  if (rules.search === undefined) return { references: [inRegistry(name, DOCKER_HUB)], by: 'default' };
  const [only, ...more] = rules.search;
  if (only === undefined) {
    throw undecided(
      text,
      'the configuration lists no registry to search, and has no alias for it',
      `docker.io/${text}`,
    );
  }
  if (more.length > 0 && rules.mode === 'enforcing') {
    const list = rules.search.join(', ');
    throw undecided(text, `it could be of any of ${list}, and \`short-name-mode\` is "enforcing"`, `${only}/${text}`);
  }
  const references = rules.search.map((registry) => within(`${registry}/${name.path}`, name, text));
  return { references, by: 'search' };
}

/** A repository of the configuration, with the tag and the digest of the name. */
function within(repository: string, name: ImageName, text: string): Reference {
  const found = parseReference(repository);
  if (isProblem(found)) throw noReference(text, found);
  return inRegistry({ ...name, path: found.repository }, found.registry);
}

function undecided(text: string, why: string, example: string): BoxctlError {
  return new BoxctlError('E_REGISTRY_SHORT_NAME', `"${cut(text)}" names no registry: ${why}`, {
    hint: `write it in full, such as ${cut(example)}; or set \`unqualified-search-registries\` in registries.conf`,
  });
}
