/** A reference to an image in a registry: `[REGISTRY/]PATH[:TAG][@sha256:DIGEST]`, as docker and podman write it. */

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
