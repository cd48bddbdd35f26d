/**
 * Plans for work on the image store. The process of each sees one folder or one image as its root, with the ids that own it,
 * so a hostile archive cannot name files outside. The imager runs them all, and reports in lines of JSON on descriptor 2
 * (native/image/report.h).
 */
import { DEFAULT_LOGGING } from '../spec/logging.ts';
import type { HostFacts } from '../host/facts.ts';
import type { ImageFacts, Ownership } from '../model/image.ts';
import type { OciBase } from '../oci/config.ts';
import { DEFAULT_STOP, type Model } from '../model/model.ts';
import { AT_FDCWD, NO_FD, type Fd } from '../kernel/calls.ts';
import { IMAGE, O, PR } from '../kernel/constants.ts';
import { inside, onHost, planContext, type PlanContext } from './context.ts';
import { isolateMounts, planClone, dieWithParent } from './namespaces.ts';
import { PLAN_VERSION, type Plan } from './plan.ts';
import { enterStage, mergeLayers, pivot } from './root.ts';
import { holdImage, openLayers, openTree, shiftLayers } from './layers.ts';
import { dropPrivileges, setCapabilities } from './security.ts';
import { attach, byDefault, Steps } from './steps.ts';
import { becomeRoot, openUserNamespace, planMaps } from './users.ts';

const BECAUSE = byDefault('confined work on files');

/** Making files of any owner and kind, and nothing else. */
const FILE_CAPABILITIES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_MKNOD',
  'CAP_SETFCAP',
];

/** A model for work: its process may do all that can be done to files, and nothing else. */
export function workerModel(name: string, ownership: Ownership | undefined): Model {
  const capabilities = { bounding: FILE_CAPABILITIES, permitted: FILE_CAPABILITIES, effective: FILE_CAPABILITIES };
  const maps = (ids: Ownership['uidMap']) =>
    ids.map((map) => ({ containerID: map.container, hostID: map.host, size: map.size }));
  const user = ownership === undefined ? [] : [{ type: 'user' } as const];
  const config: OciBase = {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0, umask: 0 },
      args: [],
      env: [],
      cwd: '/',
      capabilities: { ...capabilities, inheritable: [], ambient: [] },
      noNewPrivileges: true,
    },
    root: { path: '/', readonly: false },
    linux: {
      namespaces: [...user, { type: 'mount' }, { type: 'pid' }, { type: 'ipc' }],
      ...(ownership === undefined ? {} : { uidMappings: maps(ownership.uidMap), gidMappings: maps(ownership.gidMap) }),
    },
  };
  return {
    name,
    config,
    writable: 'tmpfs',
    init: false,
    stdinOpen: false,
    because: () => BECAUSE,
    reasons: new Map(),
    stop: DEFAULT_STOP,
    logging: DEFAULT_LOGGING,
    timeLimitMs: undefined,
    dropped: [],
    demands: [],
    warnings: [],
    borrowed: [],
    landlock: false,
    mounts: [],
    devices: [],
    ownFiles: [],
    contents: [],
    keepGroups: false,
  };
}

/** The steps that make a process whose root is `folder`, and which owns the files in it. */
function confine({ folder, ownership, host }: WorkPlace, name: string, as: 'root' | 'caller' = 'root'): PlanContext {
  const context = workContext(name, ownership, undefined, host);
  // Entered by the launcher, because the container's own ids may not be allowed to walk there.
  context.steps.add(onHost('sources', BECAUSE), 'folder', 'chdir', { path: folder });
  isolate(context, as);
  const root = openTree(context, inside('root', BECAUSE), 'root', '.');
  attach(context.steps, inside('root', BECAUSE), 'root.attach', root, AT_FDCWD);
  pivot(context, root);
  restrict(context, as);
  return context;
}

/** The steps that make a process whose root is an image, read-only. */
function enterImage(
  image: ImageFacts,
  host: HostFacts,
  name: string,
  maps: Ownership | undefined,
  prepare?: (context: PlanContext) => void,
): PlanContext {
  const context = workContext(name, maps, image, host);
  holdImage(context, image);
  prepare?.(context);
  let layers = host.privileged ? openLayers(context, image) : [];
  enterStage(context);
  isolate(context, 'root', {
    onHost() {
      if (context.shiftsOwners && image.ownership === undefined)
        shiftLayers(context, layers, openUserNamespace(context));
    },
    inside() {
      if (!host.privileged) layers = openLayers(context, image);
    },
  });
  pivot(context, mergeLayers(context, layers));
  restrict(context, 'root');
  return context;
}

function workContext(name: string, ownership: Ownership | undefined, image: ImageFacts | undefined, host: HostFacts) {
  return planContext(workerModel(name, ownership), image, host, new Steps());
}

/**
 * Makes the process, in namespaces of its own. `take.inside` runs before it changes its ids: with the caller's ids it has all
 * rights over the caller's files and over files of the mapped ids.
 */
function isolate(
  context: PlanContext,
  as: 'root' | 'caller',
  take?: { readonly onHost: () => void; readonly inside: () => void },
): void {
  planClone(context, { birthplace: undefined, tasks: [], reports: [] });
  planMaps(context);
  take?.onHost();
  isolateMounts(context);
  take?.inside();
  if (as === 'root') becomeRoot(context);
  const place = inside('security', BECAUSE);
  context.steps.add(place, 'dumpable', 'prctl', { option: PR.PR_SET_DUMPABLE, arg2: 0, arg3: 0, arg4: 0, arg5: 0 });
}

function restrict(context: PlanContext, as: 'root' | 'caller'): void {
  if (as === 'root') dropPrivileges(context);
  else setCapabilities(context, 'capset', 0n);
  dieWithParent(context, 'pdeathsig');
}

function openRoot(context: PlanContext): Fd {
  const flags = O.O_RDONLY | O.O_DIRECTORY | O.O_CLOEXEC;
  const args = { dirfd: AT_FDCWD, pathname: '/', flags, mode: 0, resolve: 0 };
  return context.steps.add(inside('command', BECAUSE), 'target', 'openat2', args);
}

/** The plan of the steps so far. */
export function planFinished(context: PlanContext): Plan {
  const { name, stop, dropped, demands, warnings, borrowed } = context.model;
  const rest = { reports: [], terminal: undefined, stop, timeLimit: undefined, dropped, demands, warnings, borrowed };
  return { version: PLAN_VERSION, name, steps: context.steps.list, ...rest };
}

/** Where the work is done, and as whom. */
export interface WorkPlace {
  /** An existing folder; with `ownership` the root of the maps must be allowed to write to it. */
  readonly folder: string;
  readonly ownership: Ownership | undefined;
  readonly host: HostFacts;
}

/** The part of descriptor 0 that is the archive, in bytes; a size of 0 is all that follows. */
export interface Part {
  readonly offset: number;
  readonly size: number;
}

export interface WorkLimits {
  /** Bytes of files. */
  readonly maxBytes: number;
  readonly maxEntries: number;
  /** Files of other owners than the containers of these maps have become root's; undefined: of no owner. */
  readonly owners?: Ownership | undefined;
}

/** As `Owners::parse` of native/image/owners.h reads it. */
function ownersText(owners: Ownership | undefined): string {
  if (owners === undefined) return '';
  const ranges = (maps: Ownership['uidMap']): string =>
    maps.map(({ container, size }) => `${container}+${size}`).join(',');
  return `${ranges(owners.uidMap)} ${ranges(owners.gidMap)}`;
}

/** Unpacks the archive of descriptor 0 into a new folder `rootfs` of the folder. */
export function planUnpack(place: WorkPlace, part: Part, flags: number, limits: WorkLimits): Plan {
  const context = confine(place, 'unpack');
  const { maxBytes: max_bytes, maxEntries: max_entries } = limits;
  const command = inside('command', BECAUSE);
  const root = { dirfd: openRoot(context), pathname: 'rootfs' };
  context.steps.add(command, 'rootfs.mkdir', 'mkdirat', { ...root, mode: 0o755 });
  const open = { ...root, flags: O.O_RDONLY | O.O_DIRECTORY | O.O_NOFOLLOW | O.O_CLOEXEC, mode: 0, resolve: 0 };
  const dirfd = context.steps.add(command, 'rootfs', 'openat2', open);
  const owners = ownersText(limits.owners);
  context.steps.add(command, 'unpack', 'unpack', { dirfd, ...part, flags, max_bytes, max_entries, owners });
  return planFinished(context);
}

/**
 * Decompresses the archive of descriptor 0 into a new file of the folder; '' for no file, only the digest. With
 * `IMAGE.LAYER`, that of what it decompresses to as well.
 */
export function planIngest(place: WorkPlace, part: Part, pathname: string, flags: number, maxBytes: number): Plan {
  const context = confine(place, 'ingest');
  const args = { dirfd: openRoot(context), pathname, ...part, flags, max_bytes: maxBytes };
  context.steps.add(inside('command', BECAUSE), 'ingest', 'ingest', args);
  return planFinished(context);
}

/**
 * Writes the EROFS index of the archive of descriptor 0 to the new file `index` of the folder. `data` is the new file that
 * the archive is decompressed into on the way; '' for a tar that stays where it is.
 */
export function planIndex(place: WorkPlace, part: Part, data: string, flags: number, limits: WorkLimits): Plan {
  const context = confine(place, 'index');
  const { maxBytes: max_bytes, maxEntries: max_entries } = limits;
  const owners = ownersText(limits.owners);
  const args = { dirfd: openRoot(context), pathname: 'index', data, ...part, flags, max_bytes, max_entries, owners };
  context.steps.add(inside('command', BECAUSE), 'index', 'index', args);
  return planFinished(context);
}

/** Lists the members of the tar of descriptor 0. */
export function planScan(place: WorkPlace): Plan {
  const context = confine(place, 'scan');
  context.steps.add(inside('command', BECAUSE), 'scan', 'scan', {});
  return planFinished(context);
}

/** Reads files of an image, and looks at paths, as its own root would find them. */
export function planInspect(
  image: ImageFacts,
  host: HostFacts,
  files: readonly string[],
  paths: readonly string[],
): Plan {
  const context = enterImage(image, host, 'inspect', image.ownership);
  const args = { dirfd: openRoot(context), files, paths };
  context.steps.add(inside('command', BECAUSE), 'inspect', 'inspect', args);
  return planFinished(context);
}

/** Writes a tar of what an image has at paths, no more than `maxBytes` of files, to descriptor 1. */
export function planExtract(image: ImageFacts, host: HostFacts, paths: readonly string[], maxBytes: number): Plan {
  const context = enterImage(image, host, 'extract', image.ownership);
  const args = { dirfd: openRoot(context), paths, max_bytes: maxBytes };
  context.steps.add(inside('command', BECAUSE), 'extract', 'extract', args);
  return planFinished(context);
}

export type Compression = 'none' | 'gzip' | 'zstd';

const ENCODER: Readonly<Record<Compression, number>> = { none: 0, gzip: IMAGE.GZIP, zstd: IMAGE.ZSTD };

/** Writes the tar of descriptor 0 to descriptor 1, compressed. A level of 0 is the usual one. */
export function planCompress(
  place: WorkPlace,
  part: Part,
  compression: Compression,
  level: number,
  isDescribed: boolean,
): Plan {
  const context = confine(place, 'compress');
  const flags = ENCODER[compression] | (isDescribed ? IMAGE.DESCRIBE : 0);
  context.steps.add(inside('command', BECAUSE), 'compress', 'compress', { ...part, flags, level });
  return planFinished(context);
}

/** What a tree of the store means beside its files. */
export interface TreeMarks {
  /** It has overlay's marks. */
  readonly isLayer: boolean;
  /** It hides all that is below its root. */
  readonly opaqueRoot: boolean;
  /** Folders without an entry of their own. */
  readonly implied: readonly string[];
}

/** Writes the folder `rootfs` of the folder as a tar to descriptor 1. */
export function planPack(place: WorkPlace, { isLayer, opaqueRoot, implied }: TreeMarks): Plan {
  const context = confine(place, 'pack');
  const flags = (isLayer ? IMAGE.LAYER : 0) | (opaqueRoot ? IMAGE.OPAQUE : 0);
  const open = { pathname: 'rootfs', flags: O.O_RDONLY | O.O_DIRECTORY | O.O_NOFOLLOW | O.O_CLOEXEC };
  const command = inside('command', BECAUSE);
  const root = context.steps.add(command, 'rootfs', 'openat2', {
    dirfd: openRoot(context),
    ...open,
    mode: 0,
    resolve: 0,
  });
  context.steps.add(command, 'pack', 'pack', { dirfd: root, flags, left_out: implied });
  return planFinished(context);
}

/**
 * Copies an image, as its own root would find it, into the empty folder `to`. With `maps` the copy's owners are those of
 * the host that the image's owners are under them; `to` must then belong to the host id of the map's root.
 */
export function planCopy(image: ImageFacts, host: HostFacts, maps: Ownership | undefined, to: string): Plan {
  let target: Fd = NO_FD;
  const context = enterImage(image, host, 'copy', maps, (made) => {
    const flags = O.O_RDONLY | O.O_DIRECTORY | O.O_CLOEXEC;
    const args = { dirfd: AT_FDCWD, pathname: to, flags, mode: 0, resolve: 0 };
    target = made.steps.add(onHost('sources', BECAUSE), 'to', 'openat2', args);
  });
  context.steps.add(inside('command', BECAUSE), 'copy', 'copy', { dirfd: openRoot(context), to: target });
  return planFinished(context);
}

/** Removes the tree `name` in the folder, whose files may belong to ids that the caller has only by the map. */
export function planRemove(place: WorkPlace, name: string): Plan {
  const context = confine(place, 'remove', 'caller');
  const args = { dirfd: openRoot(context), pathname: name, userns: NO_FD };
  context.steps.add(inside('command', BECAUSE), 'rmtree', 'rmtree', args, { undo: 'none' });
  return planFinished(context);
}
