/** Mounts and devices that differ. */
import type { OciMount } from '../oci/config.ts';
import type { MountNote } from '../model/model.ts';
import type { Because } from '../model/because.ts';
import { formatBytes } from '../run/ending.ts';
import { parseSize } from '../text/units.ts';
import { both, moved, shown, type Change, type Comparison, type Direction, type Side } from './change.ts';

interface Mounted {
  readonly mount: OciMount;
  readonly note: MountNote | undefined;
  readonly because: Because;
}

function mountsOf({ model }: Side): ReadonlyMap<string, Mounted> {
  return new Map(
    model.config.mounts.map((mount, index) => [
      mount.destination,
      { mount, note: model.mountNotes.get(index), because: model.because(`mounts.${index}`) },
    ]),
  );
}

function access({ options = [] }: OciMount): string {
  return options.some((word) => word === 'ro' || word === 'rro') ? 'read-only' : 'writable';
}

function describe({ mount, note }: Mounted, side: Side): string {
  const path = mount.type === 'bind' ? shown(mount.source ?? '', side) : (mount.type ?? 'mount');
  const what = note?.volume === undefined ? path : `volume ${note.volume.name}`;
  return `${what} at ${mount.destination}, ${access(mount)}`;
}

/** The place of a volume in the store is another for each folder. */
function sourceOf({ mount, note }: Mounted, side: Side): string {
  if (note?.volume !== undefined) return `volume ${note.volume.name}`;
  return mount.type === 'bind' ? `bind ${shown(mount.source ?? '', side)}` : (mount.type ?? '');
}

/** Options that hold a mount back; with `r`, the mounts below it, too. */
const HOLDING = ['ro', 'nosuid', 'nodev', 'noexec', 'nosymfollow'];
/** How far what one side mounts is seen on the other. */
const PROPAGATION: Readonly<Record<string, number>> = { slave: 1, rslave: 1, shared: 2, rshared: 2 };

/** Numbers of which more is more for the container, by what they are of. */
function measures({ mount, note }: Mounted): Readonly<Record<string, number>> {
  const options = mount.options ?? [];
  const recursive = options.includes('rbind');
  const held = (word: string): number =>
    options.includes(`r${word}`) ? 2 : options.includes(word) ? (recursive ? 1 : 2) : 0;
  const number = (key: string): number | undefined => {
    const text = options.find((word) => word.startsWith(`${key}=`))?.slice(key.length + 1);
    return text === undefined ? undefined : parseSize(text);
  };
  const most = Number.POSITIVE_INFINITY;
  return {
    ...Object.fromEntries(HOLDING.map((word) => [word, -held(word)])),
    recursive: Number(recursive),
    propagation: Math.max(0, ...options.map((word) => PROPAGATION[word] ?? 0)),
    size: number('size') ?? most,
    nr_inodes: number('nr_inodes') ?? most,
    idmap: Number(options.some((word) => word === 'idmap' || word === 'ridmap')),
    translated: Number(note?.translated ?? true),
    create: note?.create.length ?? 0,
    unprotected: Number(note?.unprotected ?? false),
    whole: note?.volume?.subpath === undefined ? 1 : 0,
  };
}

/** What a mount is made with, alike wherever it is written. */
function details({ mount, note }: Mounted, side: Side): string {
  const options = (mount.options ?? []).map((word) => {
    const size = word.startsWith('size=') ? parseSize(word.slice(5)) : undefined;
    return size === undefined ? word : `size=${formatBytes(size)}`;
  });
  const create = note?.create.map((path) => `make ${shown(path, side)}`) ?? [];
  const subpath = note?.volume?.subpath === undefined ? [] : [`subpath ${note.volume.subpath}`];
  const copy = note?.volume?.copy === false ? ['nocopy'] : [];
  const owners = note?.translated === false ? ['owners not translated'] : [];
  const open = note?.unprotected === true ? ['not protected'] : [];
  const given = Object.entries(note?.volume?.given ?? {}).map(([key, value]) => `${key}=${value}`);
  return [...options.toSorted(), ...create, ...subpath, ...copy, ...owners, ...open, ...given].join(',');
}

function changedMount(before: Mounted, after: Mounted, old: Side, young: Side): readonly Change[] {
  const sameSource = sourceOf(before, old) === sourceOf(after, young);
  const [was, is] = [details(before, old), details(after, young)];
  if (sameSource && was === is) return [];
  const [less, more] = [measures(before), measures(after)];
  const names = Object.keys(more);
  const weaker = names.some((name) => (more[name] ?? 0) > (less[name] ?? 0));
  const stronger = names.some((name) => (more[name] ?? 0) < (less[name] ?? 0));
  const bound = after.mount.type === 'bind';
  const direction: Direction = weaker || (!sameSource && bound) ? 'gains' : stronger ? 'loses' : 'changes';
  const [from, to] = [describe(before, old), describe(after, young)];
  const message = from === to ? `mount ${to}: ${was} → ${is}` : `mount ${from} → ${to}`;
  return [{ direction, message, before: before.because, after: after.because }];
}

export const compareMounts: Comparison = (old, young) => {
  const [before, after] = [mountsOf(old), mountsOf(young)];
  const isAsked = (entry: Mounted | undefined): boolean => entry?.because.kind === 'spec';
  return [...new Set([...after.keys(), ...before.keys()])].flatMap((destination): readonly Change[] => {
    const [was, is] = [before.get(destination), after.get(destination)];
    // The standard ones follow from the namespaces.
    if (!isAsked(was) && !isAsked(is)) return [];
    if (was !== undefined && is !== undefined) return changedMount(was, is, old, young);
    const of = (entry: Mounted, bound: Direction): Direction => (entry.mount.type === 'bind' ? bound : 'changes');
    if (is !== undefined) {
      const message = `new mount ${describe(is, young)}`;
      return [{ direction: of(is, 'gains'), message, before: undefined, after: is.because }];
    }
    if (was === undefined) return [];
    const message = `no more mount ${describe(was, old)}`;
    return [{ direction: of(was, 'loses'), message, before: was.because, after: undefined }];
  });
};

/** What may be done with a device that both have, and where it is; to have one is a demand. */
export const compareDevices: Comparison = (old, young) => {
  const rulesOf = ({ model }: Side): ReadonlyMap<string, { readonly access: string; readonly because: Because }> =>
    new Map(
      (model.config.linux.resources?.devices ?? []).map(({ type, major, minor, access: letters }, index) => {
        const because = model.because(`linux.resources.devices.${index}`);
        return [`${type} ${major}:${minor ?? '*'}`, { access: letters, because }];
      }),
    );
  const rules = rulesOf(young);
  const permissions = [...rulesOf(old)].flatMap(([number, before]): readonly Change[] => {
    const after = rules.get(number);
    if (after === undefined || after.access === before.access) return [];
    const more = [...after.access].some((letter) => !before.access.includes(letter));
    const message = `device ${number}: ${before.access} → ${after.access}`;
    return [{ direction: more ? 'gains' : 'loses', message, before: before.because, after: after.because }];
  });
  return [...permissions, ...comparePlaces(old, young)];
};

const comparePlaces: Comparison = (old, young) => {
  const places = ({ model }: Side, source: string): readonly string[] =>
    [...model.deviceNotes].filter(([, note]) => note.source === source).map(([target]) => target);
  const sources = new Set([...old.model.deviceNotes.values()].map(({ source }) => source));
  return [...sources].flatMap((source): readonly Change[] => {
    const [was, is] = [places(old, source), places(young, source)];
    const { added, gone } = moved(was, is);
    if (is.length === 0 || (added.length === 0 && gone.length === 0)) return [];
    return [both('changes', `device ${source} at ${was.join(', ')} → ${is.join(', ')}`, old, young, 'devices')];
  });
};
