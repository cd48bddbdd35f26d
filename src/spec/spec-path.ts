/** Where a value is in a container file: `limits.memory`, `volumes.0.bind.idmap`, `sysctls.net.ipv4.ip_forward`. */
import type { ContainerFile } from '../generated/container.ts';
import type { PathIn } from '../yaml/path-in.ts';

/** The paths that the schema allows: a mistyped path is a type error. */
export type SpecPath = PathIn<ContainerFile>;

/** Converts a path that was built while the file was read, such as that of a value with a variable. It is not checked. */
export function pathOfFile(path: string): SpecPath {
  return path as SpecPath;
}

/** The path of a value, then that of the map or list around it, and so on. */
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
