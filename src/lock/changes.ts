/** What differs between two locks, in the words of a diff. */
import type { Lock, LockPart, LockedImage } from './lock.ts';
import { nameOfImage } from './fit.ts';

export interface LockChange {
  readonly sign: '+' | '-' | '~';
  readonly part: LockPart;
  /** A short sentence without a full stop. */
  readonly message: string;
}

/** As many digits of a digest as tell it from others. */
const SHOWN = 12;

const short = (digest: string): string => digest.slice(0, digest.indexOf(':') + 1 + SHOWN);

interface Fact {
  readonly part: LockPart;
  readonly what: string;
  readonly value: string;
}

const IMAGE: LockPart = { kind: 'image' };

function factsOfImage(image: LockedImage): readonly Fact[] {
  const fact = (what: string, value: string): Fact => ({ part: IMAGE, what, value });
  switch (image.kind) {
    case 'reference':
      return [
        ...(image.index === undefined ? [] : [fact(`${image.name} (index)`, image.index)]),
        ...[...image.platforms].flatMap(([platform, { manifest, config }]) => [
          fact(`${image.name} for ${platform}`, manifest),
          fact(`${image.name} for ${platform} (configuration)`, config),
        ]),
      ];
    case 'stored':
      return [fact(`${image.ref} of the store`, image.digest)];
    case 'tar':
      return [fact(image.tar, image.digest)];
    case 'host_tools':
      return [fact(nameOfImage(image), image.packed), ...[...image.files].map(([path, digest]) => fact(path, digest))];
  }
}

function factsOf({ image, files }: Lock): ReadonlyMap<string, Fact> {
  const all = [
    ...(image === undefined ? [] : factsOfImage(image)),
    ...[...files].map(([path, value]): Fact => ({ part: { kind: 'file', path }, what: path, value })),
  ];
  return new Map(all.map((fact) => [fact.what, fact]));
}

/** Of two locks. What both have the same is left out; first what changed, then what is new, then what is gone. */
export function lockChanges(old: Lock, young: Lock): readonly LockChange[] {
  const [was, is] = [factsOf(old), factsOf(young)];
  const changed = [...is.values()].flatMap(({ part, what, value }): readonly LockChange[] => {
    const before = was.get(what)?.value;
    if (before === undefined || before === value) return [];
    return [{ sign: '~', part, message: `${what} ${short(before)} → ${short(value)}` }];
  });
  const named = (image: LockedImage | undefined): string => (image === undefined ? '' : nameOfImage(image));
  // The reference is written in another way, and leads to the same.
  const renamed: readonly LockChange[] =
    changed.length === 0 &&
    named(old.image) !== named(young.image) &&
    [...was.keys()].every((key) => is.has(key)) &&
    old.image !== undefined &&
    young.image !== undefined
      ? [{ sign: '~', part: IMAGE, message: `image ${named(old.image)} → ${named(young.image)}` }]
      : [];
  const only = (side: ReadonlyMap<string, Fact>, other: ReadonlyMap<string, Fact>, sign: '+' | '-') =>
    [...side.values()]
      .filter(({ what }) => !other.has(what))
      .map(({ part, what, value }): LockChange => ({ sign, part, message: `${what} ${short(value)}` }));
  return [...changed, ...renamed, ...only(is, was, '+'), ...only(was, is, '-')];
}
