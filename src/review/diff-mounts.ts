/** Differences of mounts and devices. */
import { ociOptions } from '../model/as-oci.ts';
import type { DeviceNode } from '../model/device.ts';
import type { Mount } from '../model/mount.ts';
import type { Because } from '../model/because.ts';
import { formatBytes } from '../text/sizes.ts';
import { parseSize } from '../text/units.ts';
import { both, moved, shown, type Change, type Comparison, type Direction, type Side } from './change.ts';

const mountsOf = ({ model }: Side): ReadonlyMap<string, Mount> =>
  new Map(model.mounts.map((mount) => [mount.target, mount]));

function access({ options }: Mount): string {
  return options.some((word) => word === 'ro' || word === 'rro') ? 'read-only' : 'writable';
}

function describe(mount: Mount, side: Side): string {
  return `${nameOf(mount, side)} at ${mount.target}, ${access(mount)}`;
}

/** The place of a volume in the store is another for each folder, so it is not looked at. */
function nameOf(mount: Mount, side: Side): string {
  if (mount.kind === 'volume') return `volume ${mount.volume.name}`;
  if (mount.kind === 'given') return mount.source;
  return mount.kind === 'bind' ? shown(mount.source, side) : mount.type;
}

const sourceOf = (mount: Mount, side: Side): string => `${mount.kind} ${nameOf(mount, side)}`;

/** Options that restrict a mount. With a leading `r` they restrict the mounts below it, too. */
const HOLDING = ['ro', 'nosuid', 'nodev', 'noexec', 'nosymfollow'];
/** Mount propagation, from the least to the most that one side sees of the other's mounts. */
const PROPAGATION: Readonly<Record<string, number>> = { slave: 1, rslave: 1, shared: 2, rshared: 2 };

/** Properties of a mount as numbers, by their names in messages. A larger number is a gain for the container. */
function measures(mount: Mount): Readonly<Record<string, number>> {
  const { options } = mount;
  const bind = mount.kind === 'bind' ? mount : undefined;
  const recursive = bind?.recursive === true;
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
    idmap: Number(bind?.maps !== undefined),
    translated: Number(bind?.translated ?? true),
    create: bind?.create.length ?? 0,
    unprotected: Number(bind?.unprotected ?? false),
    whole: mount.kind === 'volume' && mount.volume.subpath !== undefined ? 0 : 1,
  };
}

/** The options of a mount in one order, so that the order in the file makes no difference. */
function details(mount: Mount, side: Side): string {
  const options = ociOptions(mount).map((word) => {
    const size = word.startsWith('size=') ? parseSize(word.slice(5)) : undefined;
    return size === undefined ? word : `size=${formatBytes(size)}`;
  });
  return [...options.toSorted(), ...bindDetails(mount, side), ...volumeDetails(mount), ...givenDetails(mount)].join(
    ',',
  );
}

function bindDetails(mount: Mount, side: Side): readonly string[] {
  if (mount.kind !== 'bind') return [];
  return [
    ...mount.create.map((path) => `make ${shown(path, side)}`),
    ...(mount.translated ? [] : ['owners not translated']),
    ...(mount.unprotected ? ['not protected'] : []),
  ];
}

function volumeDetails(mount: Mount): readonly string[] {
  if (mount.kind !== 'volume') return [];
  const { subpath, copy, given } = mount.volume;
  return [
    ...(subpath === undefined ? [] : [`subpath ${subpath}`]),
    ...(copy ? [] : ['nocopy']),
    ...Object.entries(given).map(([key, value]) => `${key}=${value}`),
  ];
}

function givenDetails(mount: Mount): readonly string[] {
  if (mount.kind !== 'given') return [];
  return [`owner ${mount.uid}:${mount.gid}`, `mode ${mount.mode.toString(8).padStart(4, '0')}`];
}

/** Whether files in it stay when the container is gone. */
const isOfHost = ({ kind }: Mount): boolean => kind === 'bind' || kind === 'volume';

function changedMount(before: Mount, after: Mount, old: Side, young: Side): readonly Change[] {
  const sameSource = sourceOf(before, old) === sourceOf(after, young);
  const [was, is] = [details(before, old), details(after, young)];
  if (sameSource && was === is) return [];
  const [less, more] = [measures(before), measures(after)];
  const names = Object.keys(more);
  const weaker = names.some((name) => (more[name] ?? 0) > (less[name] ?? 0));
  const stronger = names.some((name) => (more[name] ?? 0) < (less[name] ?? 0));
  const bound = isOfHost(after);
  const direction: Direction = weaker || (!sameSource && bound) ? 'gains' : stronger ? 'loses' : 'changes';
  const [from, to] = [describe(before, old), describe(after, young)];
  const message = from === to ? `mount ${to}: ${was} → ${is}` : `mount ${from} → ${to}`;
  return [{ direction, message, before: before.because, after: after.because }];
}

export const compareMounts: Comparison = (old, young) => {
  const [before, after] = [mountsOf(old), mountsOf(young)];
  const isAsked = (entry: Mount | undefined): boolean => entry?.because.kind === 'spec';
  return [...new Set([...after.keys(), ...before.keys()])].flatMap((destination): readonly Change[] => {
    const [was, is] = [before.get(destination), after.get(destination)];
    // The standard ones follow from the namespaces.
    if (!isAsked(was) && !isAsked(is)) return [];
    if (was !== undefined && is !== undefined) return changedMount(was, is, old, young);
    const of = (entry: Mount, bound: Direction): Direction => (isOfHost(entry) ? bound : 'changes');
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
  const asked = ({ model }: Side): readonly DeviceNode[] => model.devices.filter((device) => device.asked);
  const places = (side: Side, source: string): readonly string[] =>
    asked(side).flatMap((device) => (device.source === source ? [device.path] : []));
  const sources = new Set(asked(old).map(({ source }) => source));
  return [...sources].flatMap((source): readonly Change[] => {
    const [was, is] = [places(old, source), places(young, source)];
    const { added, gone } = moved(was, is);
    if (is.length === 0 || (added.length === 0 && gone.length === 0)) return [];
    return [both('changes', `device ${source} at ${was.join(', ')} → ${is.join(', ')}`, old, young, 'devices')];
  });
};
