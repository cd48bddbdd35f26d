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
