/**
 * Plans for files that go into a container and come out of it. Each is made by one process that sees the container's files as
 * its root, and by another one on the host; between them is a pipe with a tar. The imager runs both.
 */
import { AT_FDCWD, NO_FD, type Fd, type Text } from '../kernel/calls.ts';
import { O, OPEN_TREE, PR } from '../kernel/constants.ts';
import type { HostFacts } from '../host/facts.ts';
import type { ImageFacts, Ownership } from '../model/image.ts';
import type { Model } from '../model/model.ts';
import type { Mount } from '../model/mount.ts';
import { inside, onHost, planContext, type PlanContext } from './context.ts';
import { planFinished, workerModel } from './image-work.ts';
import { keptPath } from './kept.ts';
import { holdImage, openLayers, openTree, shiftLayers } from './layers.ts';
import { attachMounts, makeSources, openBinds, restrictBinds, shiftBinds } from './mounts.ts';
import { dieWithParent, isolateMounts, NAMESPACE_FLAGS, planClone } from './namespaces.ts';
import type { Plan } from './plan.ts';
import { buildRoot, enterStage, makeRootReadOnly, mergeLayers, openUpper, pivot } from './root.ts';
import { dropPrivileges, setCapabilities } from './security.ts';
import { attach, byDefault, Steps } from './steps.ts';
import { becomeRoot, openUserNamespace, planMaps } from './users.ts';

/** A container that runs. */
export interface JoinedFiles {
  readonly kind: 'joined';
  readonly pid: Text;
  readonly birth: Text;
  /** Whether it has a user namespace of its own, and who is its root there. */
  readonly root: { readonly uid: number; readonly gid: number } | undefined;
}

/** A container that does not run: its writable layer over its image. */
export interface BuiltFiles {
  readonly kind: 'built';
  readonly model: Model;
  readonly image: ImageFacts;
  /** Volumes and binds of the host that are there. */
  readonly mounts: readonly Mount[];
  /** The layer that it has written; not there before the first start, and where it is in memory. */
  readonly hasUpper: boolean;
  /** Only one process at a time may mount the layer so that it can be written. */
  readonly isWritten: boolean;
}

export type ContainerFiles = JoinedFiles | BuiltFiles;

const BECAUSE = byDefault('files of the container');
const command = inside('command', BECAUSE);
const CLONED = { birthplace: undefined, tasks: [], reports: [] };

function hide({ steps }: PlanContext): void {
  const place = inside('security', byDefault('not dumpable before it joins'));
  steps.add(place, 'dumpable', 'prctl', { option: PR.PR_SET_DUMPABLE, arg2: 0, arg3: 0, arg4: 0, arg5: 0 });
}

/** The container's own files: the process joins its namespaces of users and mounts, and no other, so that nobody there sees it. */
function join({ pid, birth, root }: JoinedFiles, name: string, host: HostFacts): PlanContext {
  const model = workerModel(name, undefined);
  const { process } = model.config;
  const ids = root ?? { uid: 0, gid: 0 };
  const joined: Model = {
    ...model,
    // As the groups of the caller are mapped there: setgroups(2) may be forbidden.
    keepGroups: true,
    config: { ...model.config, linux: { namespaces: [] }, process: { ...process, user: { ...process.user, ...ids } } },
  };
  const context = planContext(joined, undefined, host, new Steps());
  const { steps } = context;
  const hints = { ESRCH: 'the container has ended' };
  const target = steps.add({ ...onHost('namespaces', BECAUSE), hints }, 'target', 'pidfd_open', { pid, birth });
  planClone(context, CLONED);
  hide(context);
  const nstype = NAMESPACE_FLAGS.mount + (root === undefined ? 0 : NAMESPACE_FLAGS.user);
  steps.add(inside('namespaces', BECAUSE), 'setns', 'setns', { fd: target, nstype }, { undo: 'kernel' });
  if (root !== undefined) {
    const place = inside('users', BECAUSE);
    steps.add(place, 'root.setresgid', 'setresgid', { rgid: ids.gid, egid: ids.gid, sgid: ids.gid });
    steps.add(place, 'root.setresuid', 'setresuid', { ruid: ids.uid, euid: ids.uid, suid: ids.uid });
  }
  dropPrivileges(context);
  dieWithParent(context, 'pdeathsig');
  return context;
}

function builtModel({ model, mounts }: BuiltFiles, name: string): Model {
  const worker = workerModel(name, undefined);
  const { uidMappings = [], gidMappings = [] } = model.config.linux;
  const first = (maps: typeof uidMappings): number =>
    maps.length === 0 ? 0 : Math.min(...maps.map(({ containerID }) => containerID));
  const user = { uid: first(uidMappings), gid: first(gidMappings), umask: 0 };
  const own = model.config.linux.namespaces.filter(({ type, path }) => type === 'user' && path === undefined);
  return {
    ...worker,
    name: model.name,
    writable: model.writable,
    mounts,
    config: {
      ...worker.config,
      process: { ...worker.config.process, user },
      // What would be written to memory would be gone with this process.
      root: { ...model.config.root, readonly: model.config.root.readonly || model.writable !== 'disk' },
      linux: {
        ...(own.length === 0 ? {} : { uidMappings, gidMappings }),
        namespaces: [...own, { type: 'mount' }, { type: 'pid' }, { type: 'ipc' }],
      },
    },
  };
}

/** Of a container that does not run: mounted as it would be for its command, for this process alone. */
function build(files: BuiltFiles, name: string, host: HostFacts): PlanContext {
  const { image, hasUpper, isWritten } = files;
  const context = planContext(builtModel(files, name), image, host, new Steps(), true);
  const { steps } = context;
  let layers: readonly Fd[] = [];
  let disk: Fd | undefined;
  let binds: ReturnType<typeof openBinds> = [];
  const take = (): void => {
    layers = openLayers(context, image);
    if (isWritten) disk = openUpper(context);
    binds = openBinds(context);
    if (isWritten || !hasUpper) return;
    const place = context.host.privileged ? onHost('sources', BECAUSE) : inside('sources', BECAUSE);
    disk = openTree(context, place, 'upper.tree', { template: `${keptPath(host)}/disk/upper` });
  };
  holdImage(context, image);
  makeSources(context);
  if (host.privileged) take();
  if (host.privileged && !context.shiftsOwners) shiftBinds(context, binds, undefined);
  enterStage(context);
  planClone(context, CLONED);
  planMaps(context);
  if (context.shiftsOwners) {
    const userns = openUserNamespace(context);
    if (image.ownership === undefined) shiftLayers(context, layers, userns);
    shiftBinds(context, binds, userns);
  }
  isolateMounts(context);
  if (!host.privileged) take();
  becomeRoot(context);
  hide(context);
  steps.add(inside('root', BECAUSE), 'umask.zero', 'umask', { mask: 0 });
  restrictBinds(context, binds);
  const lower = disk === undefined || isWritten ? layers : [...layers, disk];
  // With a layer in memory, folders to mount at can be made.
  const root =
    isWritten || files.model.writable !== 'disk' ? buildRoot(context, layers, disk).root : mergeLayers(context, lower);
  pivot(context, root);
  attachMounts(context, binds, () => undefined);
  makeRootReadOnly(context);
  dropPrivileges(context);
  dieWithParent(context, 'pdeathsig');
  return context;
}

function enter(files: ContainerFiles, name: string, host: HostFacts): PlanContext {
  return files.kind === 'joined' ? join(files, name, host) : build(files, name, host);
}

function openRoot({ steps }: PlanContext): Fd {
  const flags = O.O_RDONLY | O.O_DIRECTORY | O.O_CLOEXEC;
  return steps.add(command, 'root.open', 'openat2', { dirfd: AT_FDCWD, pathname: '/', flags, mode: 0, resolve: 0 });
}

/** What a path leads to, and as what it is sent or taken: `flags` are FILES. */
export interface FilesPath {
  readonly pathname: string;
  readonly name: string;
  readonly flags: number;
}

/** Writes what the container has at a path as a tar to descriptor 1. */
export function planSend(files: ContainerFiles, path: FilesPath, host: HostFacts): Plan {
  const context = enter(files, 'send', host);
  context.steps.add(command, 'send', 'send_files', { dirfd: openRoot(context), ...path });
  return planFinished(context);
}

/** Makes what the tar of descriptor 0 has at a path of the container. */
export function planTake(files: ContainerFiles, path: FilesPath, host: HostFacts): Plan {
  const context = enter(files, 'take', host);
  context.steps.add(command, 'take', 'take_files', { dirfd: openRoot(context), ...path });
  return planFinished(context);
}

/** The same of the host: what is in the folder that descriptor 0 is. */
export function planSendHost(path: FilesPath, host: HostFacts): Plan {
  const model = workerModel('send', undefined);
  const bare: Model = { ...model, config: { ...model.config, linux: { namespaces: [] } } };
  const context = planContext(bare, undefined, host, new Steps());
  planClone(context, CLONED);
  hide(context);
  if (host.privileged) setCapabilities(context, 'capset', 0n);
  dieWithParent(context, 'pdeathsig');
  const flags = O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC;
  const open = { dirfd: AT_FDCWD, pathname: '/proc/self/fd/0', flags, mode: 0, resolve: 0 };
  const dirfd = context.steps.add(command, 'folder', 'openat2', open);
  context.steps.add(command, 'send', 'send_files', { dirfd, ...path });
  return planFinished(context);
}

/** What the tar of descriptor 0 has comes into the folder that descriptor 1 is, which is all that the process can see. */
export function planTakeHost(path: FilesPath, ownership: Ownership | undefined, host: HostFacts): Plan {
  const context = planContext(workerModel('take', ownership), undefined, host, new Steps());
  const { steps } = context;
  steps.add(onHost('sources', BECAUSE), 'folder', 'chdir', { path: '/proc/self/fd/1' });
  planClone(context, CLONED);
  planMaps(context);
  isolateMounts(context);
  hide(context);
  const place = inside('root', BECAUSE);
  // With what is mounted below: files are to come there and not under it.
  const flags = OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC | OPEN_TREE.AT_RECURSIVE;
  const root = steps.add(place, 'root', 'open_tree', { dirfd: AT_FDCWD, pathname: '.', flags }, { undo: 'kernel' });
  attach(steps, place, 'root.attach', root, AT_FDCWD);
  pivot(context, root);
  setCapabilities(context, 'capset', 0n);
  dieWithParent(context, 'pdeathsig');
  steps.add(command, 'take', 'take_files', { dirfd: openRoot(context), ...path });
  return planFinished(context);
}

/**
 * Lists what a container has written: its layer, beside the image. Both are mounted for this process alone; whether the
 * container runs makes no difference.
 */
export function planChanges(files: BuiltFiles, host: HostFacts): Plan {
  const context = planContext(builtModel({ ...files, mounts: [] }, 'changes'), files.image, host, new Steps(), true);
  const { steps } = context;
  const { image } = files;
  let layers: readonly Fd[] = [];
  let upper: Fd = NO_FD;
  const take = (): void => {
    layers = openLayers(context, image);
    const side = host.privileged ? onHost : inside;
    const pathname = { template: `${keptPath(host)}/disk/upper` };
    const flags = O.O_RDONLY | O.O_DIRECTORY | O.O_NOFOLLOW | O.O_CLOEXEC;
    const open = { dirfd: AT_FDCWD, pathname, flags, mode: 0, resolve: 0 };
    upper = steps.add(side('sources', BECAUSE), 'upper', 'openat2', open);
  };
  holdImage(context, image);
  if (host.privileged) take();
  enterStage(context);
  planClone(context, CLONED);
  planMaps(context);
  if (context.shiftsOwners && image.ownership === undefined) shiftLayers(context, layers, openUserNamespace(context));
  isolateMounts(context);
  if (!host.privileged) take();
  becomeRoot(context);
  hide(context);
  pivot(context, mergeLayers(context, layers));
  dropPrivileges(context);
  dieWithParent(context, 'pdeathsig');
  steps.add(command, 'changes', 'list_changes', { dirfd: upper, other: openRoot(context) });
  return planFinished(context);
}
