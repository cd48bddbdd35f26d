/** Prefixes of references, by which registries.conf chooses a table (containers-registries.conf(5), "Choosing a [[registry]] TOML table"). */
import { DOCKER_HUB, isProblem, parseImageName, parseRegistry } from '../text/image-name.ts';
import type { Reference } from './reference.ts';

export type Prefix =
  /** `*.example.com`: the hosts below it, with any port. */
  | { readonly kind: 'hosts'; readonly domain: string }
  | {
      readonly kind: 'host';
      readonly registry: string;
      /** Parts of the path; none for all of the registry. */
      readonly path: readonly string[];
      readonly tag: string | undefined;
      readonly digest: string | undefined;
    };

/** Undefined where the text is no prefix; trailing slashes are left out, as containers/image does. */
export function parsePrefix(given: string): Prefix | undefined {
  const text = given.replace(/(?<!\/)\/+$/u, '');
  if (text.startsWith('*.')) {
    // A name of a host alone: a single label is enough for `*.com`.
    const domain = parseRegistry(text.slice(2));
    return isProblem(domain) || /[:[]/u.test(domain.registry) ? undefined : { kind: 'hosts', domain: domain.registry };
  }
  const slash = text.indexOf('/');
  const host = parseRegistry(slash < 0 ? text : text.slice(0, slash));
  if (isProblem(host)) return undefined;
  const none = { kind: 'host', registry: host.registry, tag: undefined, digest: undefined } as const;
  if (slash < 0) return { ...none, path: [] };
  // By a registry that is no short name, and for which nothing is put before the path.
  const name = parseImageName(`localhost/${text.slice(slash + 1)}`);
  return isProblem(name) ? undefined : { ...none, path: name.path.split('/'), tag: name.tag, digest: name.digest };
}

export function writePrefix(prefix: Prefix): string {
  if (prefix.kind === 'hosts') return `*.${prefix.domain}`;
  const { registry, path, tag, digest } = prefix;
  return `${[registry, ...path].join('/')}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

const hostOf = (registry: string): string => registry.replace(/:\d+$/u, '');

export type Match =
  | 'exact'
  /** The reference has a port and the prefix has none: it is the same host, and may be another registry. */
  | 'other-port';

/** Whether a reference begins with the prefix. */
export function matchOf({ registry, repository, tag, digest }: Reference, prefix: Prefix): Match | undefined {
  if (prefix.kind === 'hosts') return hostOf(registry).endsWith(`.${prefix.domain}`) ? 'exact' : undefined;
  const parts = repository.split('/');
  if (!prefix.path.every((part, index) => parts[index] === part)) return undefined;
  const isWhole = prefix.path.length === parts.length;
  if (prefix.tag !== undefined && !(isWhole && prefix.tag === tag)) return undefined;
  if (prefix.digest !== undefined && !(isWhole && prefix.digest === digest)) return undefined;
  if (prefix.registry === registry) return 'exact';
  return prefix.registry === hostOf(registry) ? 'other-port' : undefined;
}

/** The more of a reference a prefix fixes, the greater: a host, parts of the path, tag and digest; hosts of a domain are least. */
export function weightOf(prefix: Prefix): readonly number[] {
  if (prefix.kind === 'hosts') return [0, prefix.domain.length];
  return [1, prefix.path.length, prefix.digest === undefined ? 0 : 1, prefix.tag === undefined ? 0 : 1];
}

/** Where a reference that begins with the prefix is, when the prefix lies at `location`. */
export function rewritten(
  { repository }: Reference,
  prefix: Prefix,
  location: Prefix & { readonly kind: 'host' },
): { readonly registry: string; readonly repository: string } {
  const rest = repository.split('/').slice(prefix.kind === 'hosts' ? 0 : prefix.path.length);
  const path = [...location.path, ...rest];
  const { registry } = location;
  return {
    registry,
    repository: registry === DOCKER_HUB && path.length === 1 ? `library/${path[0] ?? ''}` : path.join('/'),
  };
}
