/** Who asked for a part of the container. */
import type { Position } from '../errors.ts';

/** Why a part of the container is as it is: a line that a person wrote, or a default with its name. */
export type Because =
  | { readonly kind: 'spec'; readonly path: string; readonly at: Position | undefined }
  | { readonly kind: 'default'; readonly name: string };

/** The line that a person wrote; undefined for a default. */
export function placeOf(because: Because): Position | undefined {
  return because.kind === 'spec' ? because.at : undefined;
}

/** Who asked for what, by paths of a configuration. The longest known beginning of a path answers. */
export type ReasonMap = ReadonlyMap<string, Because>;

export function reasonAt(reasons: ReasonMap, path: string): Because {
  for (let at = path; at !== ''; at = at.includes('.') ? at.slice(0, at.lastIndexOf('.')) : '') {
    const reason = reasons.get(at);
    if (reason !== undefined) return reason;
  }
  return { kind: 'default', name: path };
}
