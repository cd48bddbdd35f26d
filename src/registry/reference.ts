/** A reference to an image in a registry: `[REGISTRY/]PATH[:TAG][@sha256:DIGEST]`, as docker and podman write it. */
import { BoxctlError } from '../errors.ts';
import { cut } from '../text/quote.ts';
import { DOCKER_HUB, isProblem, parseImageName, type ImageName, type NameProblem } from '../text/image-name.ts';

export interface Reference {
  /** Host, with a port where one was given: `docker.io`, `localhost:5000`, `[::1]:5000`. */
  readonly registry: string;
  /** The path there, in lower case: `library/alpine`. */
  readonly repository: string;
  /** Undefined where a digest was given without a tag. */
  readonly tag: string | undefined;
  /** `sha256:` and 64 hex digits. It decides, also where there is a tag. */
  readonly digest: string | undefined;
}

/** As it is written in full: `docker.io/library/alpine:3.20@sha256:…`. */
export function writeReference({ registry, repository, tag, digest }: Reference): string {
  return `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/** What is meant where neither a tag nor a digest is given. */
const DEFAULT_TAG = 'latest';

/** The reference that a name is in a registry. The name's own registry is left out of account. */
export function inRegistry({ path, tag, digest }: ImageName, registry: string): Reference {
  return {
    registry,
    repository: registry === DOCKER_HUB && !path.includes('/') ? `library/${path}` : path,
    tag: tag ?? (digest === undefined ? DEFAULT_TAG : undefined),
    digest,
  };
}

/**
 * Reads a reference as docker does: a name without a registry is one of docker.io. Where the configuration of the person has
 * a say in that, `candidatesOf` (short-names.ts) is to be called instead.
 */
export function parseReference(text: string): Reference | NameProblem {
  const name = parseImageName(text);
  return isProblem(name) ? name : inRegistry(name, name.registry ?? DOCKER_HUB);
}

/** Some write a password before the host, as in a URL, and messages are kept in logs. */
const withoutPassword = (text: string): string => text.replace(/^.*@(?!sha256:)/su, '…@');

/** What is said of a text that is no reference. */
export function noReference(text: string, { problem, hint }: NameProblem): BoxctlError {
  return new BoxctlError('E_IMAGE_NAME', `"${cut(withoutPassword(text))}" is no reference to an image: ${problem}`, {
    hint,
  });
}

/** The same as parseReference. Throws E_IMAGE_NAME for a text that is none. */
export function referenceOf(text: string): Reference {
  const reference = parseReference(text);
  if (isProblem(reference)) throw noReference(text, reference);
  return reference;
}
