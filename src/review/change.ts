/** One difference between two files, and what every comparison needs. */
import type { Model } from '../model/model.ts';
import type { Because } from '../model/because.ts';
import type { SpecPath } from '../spec/spec-path.ts';
import type { SpecDocument } from '../spec/spec.ts';

/** `gains`: more rights, more of the host, or less that holds it back. `loses` is the other way round. */
export type Direction = 'gains' | 'loses' | 'changes';

export interface Change {
  readonly direction: Direction;
  /** A short sentence, without a full stop. */
  readonly message: string;
  /** The place in either file. Undefined for a file that does not have it. */
  readonly before: Because | undefined;
  readonly after: Because | undefined;
}

export interface Side {
  readonly document: SpecDocument;
  readonly model: Model;
  /** Variables whose values are not the file's own, with what is printed for them; undefined: all is printed. */
  readonly variables: ReadonlyMap<string, string> | undefined;
}

export type Comparison = (old: Side, young: Side) => readonly Change[];

/** The line of a key; the whole file where it does not have the key. */
export function keyIn({ document }: Side, ...paths: readonly SpecPath[]): Because {
  for (const path of paths) {
    const at = document.where(path);
    if (at !== undefined) return { kind: 'spec', path, at };
  }
  return { kind: 'default', name: paths[0] ?? '' };
}

export function both(
  direction: Direction,
  message: string,
  old: Side,
  young: Side,
  ...paths: readonly SpecPath[]
): Change {
  return { direction, message, before: keyIn(old, ...paths), after: keyIn(young, ...paths) };
}

/** Paths relative to each project's folder, so that two copies of a project compare as equal. */
export function shown(path: string, { document }: Side): string {
  const { folder } = document;
  if (path === folder) return './';
  return path.startsWith(`${folder}/`) ? `.${path.slice(folder.length)}` : path;
}

/** A text that differs. Neither value is a gain. */
export function reworded(name: string, of: (side: Side) => string, ...paths: readonly SpecPath[]): Comparison {
  return (old, young) => {
    const [was, is] = [of(old), of(young)];
    return was === is ? [] : [both('changes', `${name} ${was} → ${is}`, old, young, ...paths)];
  };
}

/** A switch. Either `on` or `off` is the gain. */
export function switched(
  of: (side: Side) => boolean,
  on: { readonly direction: Exclude<Direction, 'changes'>; readonly message: string },
  off: string,
  ...paths: readonly SpecPath[]
): Comparison {
  const other = on.direction === 'gains' ? 'loses' : 'gains';
  return (old, young) => {
    if (of(old) === of(young)) return [];
    const change = of(young) ? on : ({ direction: other, message: off } as const);
    return [both(change.direction, change.message, old, young, ...paths)];
  };
}

/** Items that only the new list has, and items that only the old one has. */
export function moved<T>(
  was: readonly T[],
  is: readonly T[],
): { readonly added: readonly T[]; readonly gone: readonly T[] } {
  return { added: is.filter((one) => !was.includes(one)), gone: was.filter((one) => !is.includes(one)) };
}
