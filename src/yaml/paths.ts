/** From the path of a value to where it was written. */
import type { Span } from './problems.ts';
import type { Tree } from './tree.ts';

interface Place {
  readonly key: Span | undefined;
  readonly tree: Tree;
}

export class Paths {
  readonly #places = new Map<string, Place>();
  /** Paths of scalars that have a problem already. */
  readonly broken: ReadonlySet<string>;
  readonly #also = new Map<string, string>();

  constructor(root: Tree) {
    const broken = new Set<string>();
    this.#add('', undefined, root, broken);
    this.broken = broken;
  }

  /** Where the value at a path was written: a scalar's own place, the key of a map or list, an item's beginning. */
  where(path: string): Span | undefined {
    const place = this.#places.get(this.#also.get(path) ?? path);
    if (place === undefined) return undefined;
    if (place.tree.kind === 'scalar' && place.tree.text !== '') return place.tree.span;
    return place.key ?? place.tree.span;
  }

  /** Every path that `where` knows. */
  all(): readonly string[] {
    return [...this.#places.keys(), ...this.#also.keys()];
  }

  /** Where the key at the end of a path was written. */
  key(path: string): Span | undefined {
    return this.#places.get(path)?.key ?? this.where(path);
  }

  /** A scalar as it was written, without quotes. */
  text(path: string): string | undefined {
    const tree = this.#places.get(path)?.tree;
    return tree?.kind === 'scalar' ? tree.text : undefined;
  }

  /** Lets `path` stand for what was written at `original`. */
  alias(path: string, original: string): void {
    if (!this.#places.has(path)) this.#also.set(path, original);
  }

  #add(path: string, key: Span | undefined, tree: Tree, broken: Set<string>): void {
    this.#places.set(path, { key, tree });
    if (tree.kind === 'scalar' && tree.broken === true) broken.add(path);
    const below = (name: string | number) => (path === '' ? String(name) : `${path}.${name}`);
    if (tree.kind === 'map') {
      for (const [name, entry] of tree.entries) this.#add(below(name), entry.key, entry.value, broken);
    } else if (tree.kind === 'list') {
      for (const [index, item] of tree.items.entries()) this.#add(below(index), undefined, item, broken);
    }
  }
}
