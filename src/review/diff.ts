/**
 * What a changed file gains and loses: model against model, as both would be made on the same host, so that another way of
 * writing the same thing is no difference. Pure, but for what the loader has read.
 */
import type { HostFacts } from '../host/facts.ts';
import { outline } from '../oci/compile.ts';
import type { OciConfig, OciMount } from '../oci/config.ts';
import { allowance, type Demand } from '../oci/demands.ts';
import type { Because, Model } from '../oci/model.ts';
import { isSecretName } from '../oci/secrets.ts';
import { formatBytes } from '../run/ending.ts';
import type { ImageSource, SpecDocument } from '../spec/spec.ts';
import { reviewHost } from './host.ts';

/** `gains`: more rights, more of the host, or less that holds it back. `loses` is the other way round. */
export type Direction = 'gains' | 'loses' | 'changes';

export interface Change {
  readonly direction: Direction;
  /** Short, without full stop. */
  readonly message: string;
  /** Who says so in either file; undefined where that file has nothing to do with it. */
  readonly before: Because | undefined;
  readonly after: Because | undefined;
}

interface Side {
  readonly document: SpecDocument;
  readonly model: Model;
}

/** All differences: gains first, then losses, then what is neither. */
export function diff(before: SpecDocument, after: SpecDocument, host: HostFacts): readonly Change[] {
  const sides = [before, after].map((document) => ({ document, model: outline(document, reviewHost(host, document)) }));
  const [old, young] = sides;
  if (old === undefined || young === undefined) return [];
  const all = [
    ...demands(old, young),
    ...capabilities(old, young),
    ...mounts(old, young),
    ...devices(old, young),
    ...limits(old, young),
    ...filter(old, young),
    ...root(old, young),
    ...user(old, young),
    ...maps(old, young),
    ...image(old, young),
    ...command(old, young),
    ...environment(old, young),
    ...names(old, young),
    ...rest(old, young),
  ];
  const order: readonly Direction[] = ['gains', 'loses', 'changes'];
  return all.sort((a, b) => order.indexOf(a.direction) - order.indexOf(b.direction));
}

/** The line of a key; the whole file where it does not have the key. */
function keyIn({ document }: Side, ...paths: readonly string[]): Because {
  for (const path of paths) {
    const at = document.where(path);
    if (at !== undefined) return { kind: 'spec', path, at };
  }
  return { kind: 'default', name: paths[0] ?? '' };
}

function both(direction: Direction, message: string, old: Side, young: Side, ...paths: readonly string[]): Change {
  return { direction, message, before: keyIn(old, ...paths), after: keyIn(young, ...paths) };
}

/** Told with the mounts. */
function isMount({ model }: Side, { kind, value }: Demand): boolean {
  return (kind === 'bind' || kind === 'device') && model.config.mounts.some(({ source }) => source === value);
}

function demands(old: Side, young: Side): readonly Change[] {
  const missing = (from: Side, other: Side, direction: 'gains' | 'loses'): readonly Change[] => {
    const known = new Set(other.model.demands.map(allowance));
    return from.model.demands
      .filter((demand) => !known.has(allowance(demand)) && !isMount(from, demand))
      .map(({ message, because }) => ({
        direction,
        message,
        before: direction === 'loses' ? because : undefined,
        after: direction === 'gains' ? because : undefined,
      }));
  };
  return [...missing(young, old, 'gains'), ...missing(old, young, 'loses')];
}

/** Those of the usual set that were dropped before, or are now; the others are demands. */
function capabilities(old: Side, young: Side): readonly Change[] {
  const held = ({ model }: Side): readonly string[] => model.config.process.capabilities.bounding;
  const demanded = new Set([old, young].flatMap(({ model }) => model.demands.map(({ value }) => `CAP_${value}`)));
  const more = (from: Side, other: Side): readonly string[] =>
    held(from).filter((name) => !held(other).includes(name) && !demanded.has(name));
  const [gained, lost] = [more(young, old), more(old, young)];
  const paths = ['cap_drop', 'cap_add', 'privileged'];
  return [
    ...(gained.length > 0 ? [both('gains', `keeps ${gained.join(', ')}`, old, young, ...paths)] : []),
    ...(lost.length > 0 ? [both('loses', `gives up ${lost.join(', ')}`, old, young, ...paths)] : []),
  ];
}

interface Mounted {
  readonly mount: OciMount;
  /** The name of the volume that it shows: its place in the store is another for each folder. */
  readonly volume: string | undefined;
  readonly because: Because;
}

function mountsOf({ model }: Side): ReadonlyMap<string, Mounted> {
  const entries = model.config.mounts.map((mount, index) => ({
    mount,
    volume: model.mountNotes.get(index)?.volume?.name,
    because: model.because(`mounts.${index}`),
  }));
  // The standard ones follow from the namespaces.
  return new Map(
    entries.filter(({ because }) => because.kind === 'spec').map((entry) => [entry.mount.destination, entry]),
  );
}

/** Paths of both projects are alike when they are alike in their folders. */
function shown(path: string, { document }: Side): string {
  const { folder } = document;
  if (path === folder) return './';
  return path.startsWith(`${folder}/`) ? `.${path.slice(folder.length)}` : path;
}

/** Options that hold a mount back. */
const HOLDING: readonly string[] = ['ro', 'nosuid', 'nodev', 'noexec', 'nosymfollow'].flatMap((word) => [
  word,
  `r${word}`,
]);

function describe({ mount, volume }: Mounted, side: Side): string {
  const path = mount.type === 'bind' ? shown(mount.source ?? '', side) : (mount.type ?? 'mount');
  const what = volume === undefined ? path : `volume ${volume}`;
  const access = (mount.options ?? []).some((word) => word === 'ro' || word === 'rro') ? 'read-only' : 'writable';
  return `${what} at ${mount.destination}, ${access}`;
}

function sourceOf({ mount, volume }: Mounted, side: Side): string {
  if (volume !== undefined) return `volume ${volume}`;
  return mount.type === 'bind' ? `bind ${shown(mount.source ?? '', side)}` : (mount.type ?? '');
}

function changedMount(before: Mounted, after: Mounted, old: Side, young: Side): readonly Change[] {
  const [was, is] = [before.mount.options ?? [], after.mount.options ?? []];
  const options = (list: readonly string[]): string => list.toSorted().join(',');
  const sameSource = sourceOf(before, old) === sourceOf(after, young);
  if (sameSource && options(was) === options(is)) return [];
  const weaker = HOLDING.some((word) => was.includes(word) && !is.includes(word));
  const stronger = HOLDING.some((word) => is.includes(word) && !was.includes(word));
  const bound = after.mount.type === 'bind';
  const direction: Direction = weaker || (!sameSource && bound) ? 'gains' : stronger ? 'loses' : 'changes';
  const [from, to] = [describe(before, old), describe(after, young)];
  const message = from === to ? `mount ${to}: ${options(was)} → ${options(is)}` : `mount ${from} → ${to}`;
  return [{ direction, message, before: before.because, after: after.because }];
}

function mounts(old: Side, young: Side): readonly Change[] {
  const [before, after] = [mountsOf(old), mountsOf(young)];
  const added = [...after].flatMap(([destination, entry]): readonly Change[] => {
    const known = before.get(destination);
    if (known !== undefined) return changedMount(known, entry, old, young);
    const direction: Direction = entry.mount.type === 'bind' ? 'gains' : 'changes';
    return [{ direction, message: `new mount ${describe(entry, young)}`, before: undefined, after: entry.because }];
  });
  const removed = [...before].flatMap(([destination, entry]): readonly Change[] => {
    if (after.has(destination)) return [];
    const direction: Direction = entry.mount.type === 'bind' ? 'loses' : 'changes';
    const message = `no more mount ${describe(entry, old)}`;
    return [{ direction, message, before: entry.because, after: undefined }];
  });
  return [...added, ...removed];
}

/** What may be done with a device that both have; to have one is a demand. */
function devices(old: Side, young: Side): readonly Change[] {
  const rulesOf = ({ model }: Side): ReadonlyMap<string, { readonly access: string; readonly because: Because }> =>
    new Map(
      (model.config.linux.resources?.devices ?? []).map(({ type, major, minor, access }, index) => {
        const because = model.because(`linux.resources.devices.${index}`);
        return [`${type} ${major}:${minor ?? '*'}`, { access, because }];
      }),
    );
  const rules = rulesOf(young);
  return [...rulesOf(old)].flatMap(([number, before]): readonly Change[] => {
    const after = rules.get(number);
    if (after === undefined || after.access === before.access) return [];
    const more = [...after.access].some((letter) => !before.access.includes(letter));
    const message = `device ${number}: ${before.access} → ${after.access}`;
    return [{ direction: more ? 'gains' : 'loses', message, before: before.because, after: after.because }];
  });
}

interface Limit {
  readonly name: string;
  readonly of: (config: OciConfig) => number | undefined;
  readonly format: (value: number) => string;
}

const cpus = ({ linux }: OciConfig): number | undefined => {
  const { quota, period } = linux.resources?.cpu ?? {};
  return quota === undefined || period === undefined ? undefined : quota / period;
};

const LIMITS: readonly Limit[] = [
  { name: 'memory', of: ({ linux }) => linux.resources?.memory?.limit, format: formatBytes },
  { name: 'swap', of: ({ linux }) => linux.resources?.memory?.swap, format: formatBytes },
  { name: 'pids', of: ({ linux }) => linux.resources?.pids?.limit, format: String },
  { name: 'cpus', of: cpus, format: String },
];

function limits(old: Side, young: Side): readonly Change[] {
  const changes = LIMITS.flatMap(({ name, of, format }): readonly Change[] => {
    const [was, is] = [of(old.model.config), of(young.model.config)];
    if (was === is) return [];
    const more = (is ?? Number.POSITIVE_INFINITY) > (was ?? Number.POSITIVE_INFINITY);
    const text = (value: number | undefined): string => (value === undefined ? 'no limit' : format(value));
    const message = `${name === 'swap' ? 'memory with swap' : name}: ${text(was)} → ${text(is)}`;
    return [both(more ? 'gains' : 'loses', message, old, young, `limits.${name}`, 'limits')];
  });
  const [was, is] = [old, young].map(({ document }) => document.spec.limits.optional);
  if (was === is) return changes;
  const message = is === true ? 'starts without limits that cannot be had' : 'does not start without its limits';
  return [...changes, both(is === true ? 'gains' : 'loses', message, old, young, 'limits.optional', 'limits')];
}

/** Calls that a filter lets through, at least for some arguments. */
function allowedCalls({ model }: Side): ReadonlySet<string> | undefined {
  const { seccomp } = model.config.linux;
  if (seccomp === undefined) return undefined;
  const lets = seccomp.syscalls.filter(({ action }) => action === 'SCMP_ACT_ALLOW' || action === 'SCMP_ACT_LOG');
  return new Set(lets.flatMap(({ names: list }) => list));
}

function filter(old: Side, young: Side): readonly Change[] {
  const [was, is] = [allowedCalls(old), allowedCalls(young)];
  // With and without a filter is a demand.
  if (was === undefined || is === undefined) return [];
  const [before, after] = [old, young].map(({ model }) => JSON.stringify(model.config.linux.seccomp));
  if (before === after) return [];
  const some = (list: readonly string[]): string => `${list.slice(0, 8).join(', ')}${list.length > 8 ? ', …' : ''}`;
  const more = [...is].filter((name) => !was.has(name));
  const less = [...was].filter((name) => !is.has(name));
  if (more.length > 0) return [both('gains', `the filter lets ${some(more)} through`, old, young, 'seccomp')];
  if (less.length > 0) return [both('loses', `the filter stops ${some(less)}`, old, young, 'seccomp')];
  return [both('gains', 'the filter’s rules differ', old, young, 'seccomp')];
}

function root(old: Side, young: Side): readonly Change[] {
  const [was, is] = [old.model.config.root.readonly, young.model.config.root.readonly];
  if (was === is) return [];
  const message = is ? 'the root file system cannot be written' : 'the root file system can be written';
  return [both(is ? 'loses' : 'gains', message, old, young, 'read_only')];
}

function user(old: Side, young: Side): readonly Change[] {
  const who = ({ document }: Side): string => {
    const { user: choice } = document.spec;
    if (choice === undefined) return 'the image’s user';
    return choice.group === undefined ? String(choice.user) : `${choice.user}:${choice.group}`;
  };
  const [was, is] = [who(old), who(young)];
  if (was === is) return [];
  const low = (text: string): boolean => /^(?:0|root|the image)/u.test(text.split(':', 1)[0] ?? '');
  const direction: Direction = low(was) === low(is) ? 'changes' : low(is) ? 'gains' : 'loses';
  return [both(direction, `runs as ${was} → ${is}`, old, young, 'user')];
}

function maps(old: Side, young: Side): readonly Change[] {
  return (['uid', 'gid'] as const).flatMap((kind): readonly Change[] => {
    const text = ({ model }: Side): string =>
      (model.config.linux[`${kind}Mappings`] ?? [])
        .map(({ containerID, hostID, size }) => `${containerID}:${hostID}:${size}`)
        .join(', ');
    const [was, is] = [text(old), text(young)];
    // Without a user namespace is a demand.
    if (was === is || was === '' || is === '') return [];
    return [both('changes', `${kind}_map ${was} → ${is}`, old, young, `${kind}_map`, 'uid_map', 'gid_map')];
  });
}

function image(old: Side, young: Side): readonly Change[] {
  const [was, is] = [old.document.spec.image, young.document.spec.image];
  const pin = (source: ImageSource | undefined): string | undefined =>
    source?.kind === 'tar' ? source.sha256 : undefined;
  const text = (source: ImageSource | undefined, side: Side): string => {
    if (source === undefined) return 'none';
    if (source.kind === 'tar') return shown(source.path, side);
    return JSON.stringify(source);
  };
  const [from, to] = [text(was, old), text(is, young)];
  const changes: Change[] = [];
  if (from !== to) changes.push(both('changes', `image ${from} → ${to}`, old, young, 'image'));
  if (pin(was) === pin(is)) return changes;
  if (pin(is) === undefined) changes.push(both('gains', 'the image is not pinned any more', old, young, 'image'));
  else if (pin(was) === undefined) changes.push(both('loses', 'the image is pinned', old, young, 'image.sha256'));
  else changes.push(both('changes', `image sha256 ${pin(was)} → ${pin(is)}`, old, young, 'image.sha256'));
  return changes;
}

function command(old: Side, young: Side): readonly Change[] {
  const keys = [
    ['entrypoint', 'entrypoint'],
    ['command', 'command'],
    ['workingDir', 'working_dir'],
  ] as const;
  return keys.flatMap(([key, path]): readonly Change[] => {
    const text = ({ document }: Side): string => {
      const value = document.spec[key];
      return value === undefined ? 'the image’s' : JSON.stringify(value);
    };
    const [was, is] = [text(old), text(young)];
    return was === is ? [] : [both('changes', `${path} ${was} → ${is}`, old, young, path)];
  });
}

function environment(old: Side, young: Side): readonly Change[] {
  const [was, is] = [old.document.spec.environment, young.document.spec.environment];
  return [...new Set([...Object.keys(was), ...Object.keys(is)])].flatMap((name): readonly Change[] => {
    const [from, to] = [was[name], is[name]];
    if (from === to) return [];
    // What a review prints is read by many.
    const secret = isSecretName(name);
    const text = (value: string | undefined): string =>
      value === undefined ? 'not set' : secret ? '…' : JSON.stringify(value);
    return [both('changes', `${name} ${text(from)} → ${text(to)}`, old, young, `environment.${name}`, 'env_file')];
  });
}

/** Names that follow from a folder's are no difference. */
function names(old: Side, young: Side): readonly Change[] {
  const keys = ['name', 'hostname', 'domainname'] as const;
  return keys.flatMap((key): readonly Change[] => {
    const text = ({ document }: Side): string =>
      document.where(key) === undefined ? 'default' : String(document.spec[key]);
    const [was, is] = [text(old), text(young)];
    return was === is ? [] : [both('changes', `${key} ${was} → ${is}`, old, young, key)];
  });
}

/** What is told above, or follows from it. */
const TOLD =
  /^(?:ociVersion|root|mounts|hostname|domainname|process\.(?:args|env|cwd|user|capabilities|noNewPrivileges)|linux\.(?:namespaces|uidMappings|gidMappings|devices|seccomp|maskedPaths|readonlyPaths|resources\.(?:memory\.(?:limit|swap)|pids|cpu\.(?:quota|period)|devices)))(?:\.|$)/u;

function flatten(value: unknown, path: string, into: Map<string, string>): void {
  if (TOLD.test(path)) return;
  if (typeof value === 'object' && value !== null) {
    for (const [key, child] of Object.entries(value)) flatten(child, path === '' ? key : `${path}.${key}`, into);
  } else if (value !== undefined) into.set(path, JSON.stringify(value));
}

/** Whatever else a configuration has: nothing that differs is left out. */
function rest(old: Side, young: Side): readonly Change[] {
  const flat = ({ model, document }: Side): ReadonlyMap<string, string> => {
    const all = new Map<string, string>();
    flatten({ ...model.config, init: model.init, stdinOpen: model.stdinOpen }, '', all);
    if (document.spec.image === undefined) all.delete('linux.rootfsPropagation');
    return all;
  };
  const [was, is] = [flat(old), flat(young)];
  return [...new Set([...was.keys(), ...is.keys()])].flatMap((path): readonly Change[] => {
    const [from, to] = [was.get(path), is.get(path)];
    if (from === to) return [];
    const [before, after] = [old.model.because(path), young.model.because(path)];
    // Defaults of the kernel's parameters follow from the namespaces and maps, which are told above.
    if (path.startsWith('linux.sysctl.') && before.kind === 'default' && after.kind === 'default') return [];
    const message = `${path} ${from ?? 'not set'} → ${to ?? 'not set'}`;
    return [{ direction: 'changes', message, before, after }];
  });
}
