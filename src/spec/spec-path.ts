/** Where a value is in a container file: `limits.memory`, `volumes.0.bind.idmap`, `sysctls.net.ipv4.ip_forward`. */
import type { ContainerFile } from '../generated/container.ts';
import type { PathIn } from '../yaml/path-in.ts';

/** By the keys of the schema, so that a mistyped one is a type error. */
export type SpecPath = PathIn<ContainerFile>;

/** A path that was made while the file was read, and so is one of its paths: of what a variable was put in, say. */
export function pathOfFile(path: string): SpecPath {
  return path as SpecPath;
}

/** The path of a value, and then those of the map or list that it is in, and so on. */
export function* outward(path: SpecPath): Generator<SpecPath> {
  for (let at: string = path; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('.')))) yield pathOfFile(at);
}

/** The entries of a map of the file whose keys the schema knows; a key of its own begins with `x-`, and is left out. */
export function knownEntries<T extends object>(
  map: T | undefined,
): (readonly [keyof T & string, T[keyof T & string]])[] {
  const entries = Object.entries(map ?? {}) as [keyof T & string, T[keyof T & string]][];
  return entries.filter(([key]) => !key.startsWith('x-'));
}
