/** Values of `linux.resources` by their path. What follows the first name is one key: `unified.memory.high`. */
import type { ResourcePath } from './config-path.ts';
import type { OciResources } from './config.ts';

type Parts = Record<string, Record<string, unknown> | undefined>;

function split(path: ResourcePath): readonly [part: string, key: string | undefined] {
  const dot = path.indexOf('.');
  return dot < 0 ? [path, undefined] : [path.slice(0, dot), path.slice(dot + 1)];
}

export function valueAt(resources: OciResources, path: ResourcePath): unknown {
  const [part, key] = split(path);
  const found = (resources as Parts)[part];
  return key === undefined ? found : found?.[key];
}

/** Sets a value; what stands beside it stays. */
export function put(resources: OciResources, path: ResourcePath, value: unknown): void {
  const [part, key] = split(path);
  const found = (resources as Parts)[part];
  Object.assign(resources, { [part]: key === undefined ? value : { ...found, [key]: value } });
}
