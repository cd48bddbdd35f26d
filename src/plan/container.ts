/**
 * The planner: a container's model, its image and its host become the ordered list of calls that make it. Pure: the same
 * input gives the same plan anywhere.
 */
import type { HostFacts } from '../host/facts.ts';
import type { ImageFacts } from '../model/image.ts';
import type { Model } from '../model/model.ts';
import { NO_FD, type Fd } from '../kernel/calls.ts';
import { cgroupPaths } from './cgroup-layout.ts';
import { joinCgroups, planCgroup } from './cgroup.ts';
import { openHostProc, planCommand, readProgram, socketsOf } from './command.ts';
import { PR } from '../kernel/constants.ts';
import { inside, onHost, planContext, type PlanContext } from './context.ts';
import { makeDevOnHost, openNodes, populateDev } from './dev.ts';
import { becomeInit, makeInit } from './init.ts';
import { maskPaths, protectPaths } from './restricted-paths.ts';
import { openKept } from './kept.ts';
import { holdImage, openLayers, shiftLayers } from './layers.ts';
import {
  attachMounts,
  makeFileSystems,
  makeSources,
  openBinds,
  restrictBinds,
  shiftBinds,
  type Prepared,
  type Taken,
} from './mounts.ts';
import {
  dieWithParent,
  holdMounts,
  holdNetwork,
  isolateMounts,
  joinsAny,
  joinInside,
  joinMounts,
  openJoined,
  planClone,
  planIdentity,
  unshareCgroup,
  unshareNetwork,
} from './namespaces.ts';
import { planNetworkInside, planNetworkOnHost, planPair } from './network/network.ts';
import { planRouter } from './network/router.ts';
import { addEntries, attachCovers, makeHome } from './own-files.ts';
import { planExecs } from './execs.ts';
import { PLAN_VERSION, type Plan } from './plan.ts';
import { planRecord, recordChild } from './record.ts';
import { buildRoot, enterStage, makeRootReadOnly, makeUpper, openUpper, pivot, upperPath } from './root.ts';
import { setLimits } from './rlimits.ts';
import { closeDescriptors, dropPrivileges, filterCalls } from './security.ts';
import { byDefault, makeFolder, splitPath, Steps } from './steps.ts';
import { setOomScore, setSysctls, sysctlsOf } from './sysctls.ts';
import { openTerminal, prepareStreams, takeTerminal, type Terminal } from './terminal.ts';
import { becomeOwner, becomeRoot, leaveOwner, openUserNamespace, planMaps, USERNS, usersOf } from './users.ts';

/** The steps that build the container's root file system, mount into it, and enter it. */
class Root {
  readonly #context: PlanContext;
  readonly #image: ImageFacts;
  #layers: readonly Fd[] = [];
  #disk: Fd | undefined;
  #binds: readonly Prepared<Taken>[] = [];
  #systems: readonly Prepared[] = [];
  #proc: Fd | undefined;

  constructor(context: PlanContext, image: ImageFacts) {
    this.#context = context;
    this.#image = image;
  }

  /** Locks and folders on the host, and what only a privileged launcher may open. */
  prepareOnHost(): void {
    holdImage(this.#context, this.#image);
    makeSources(this.#context);
    if (this.#context.host.privileged) showModes(this.#context, onHost, 'umask.host');
    makeUpper(this.#context, this.#removedFrom());
    if (this.#context.host.privileged) this.#take();
    if (this.#context.host.privileged && !this.#context.shiftsOwners) shiftBinds(this.#context, this.#binds, undefined);
    makeDevOnHost(this.#context);
  }

  /** What an ordinary user's first process opens, while it still has the caller's ids. */
  takeInside(): void {
    if (!this.#context.host.privileged) this.#take();
  }

  /** By the launcher, once the maps are written: the user namespace, where anything is done with it later. */
  openUsers(): void {
    const context = this.#context;
    if (context.namespace('user').kind !== 'private') return;
    if (context.shiftsOwners || this.#removedFrom() !== NO_FD) openUserNamespace(context);
  }

  /** By the launcher, with what `openUsers` has opened. */
  shift(): void {
    const context = this.#context;
    if (!context.shiftsOwners) return;
    if (this.#image.ownership === undefined) shiftLayers(context, this.#layers, USERNS);
    shiftBinds(context, this.#binds, USERNS);
  }

  /** Not where the layers are in memory already, as those are that lie in folders or stay mounted. */
  readProgram(): void {
    const lowest = this.#layers[0];
    if (!this.#context.host.privileged || this.#context.mounted !== undefined || lowest === undefined) return;
    if (this.#image.layers[0]?.kind === 'erofs') readProgram(this.#context, lowest);
  }

  /** What needs nothing of `prepareOnHost`. */
  makeInside(): void {
    const context = this.#context;
    this.#systems = makeFileSystems(context);
    this.#proc = this.#systems.find(({ mount }) => mount.target === '/proc')?.fd;
    if (this.#proc !== undefined) setSysctls(context, this.#proc);
  }

  /** Returns the terminal, and the descriptor of the container's /proc. */
  buildInside(): { readonly terminal: Terminal | undefined; readonly proc: Fd | undefined } {
    const context = this.#context;
    const systems = this.#systems;
    restrictBinds(context, this.#binds);
    const nodes = openNodes(context);
    const proc = this.#proc ?? this.#binds.find(({ mount }) => mount.target === '/proc')?.fd;
    if (this.#proc === undefined) setSysctls(context, proc);
    const { root, covers, given } = buildRoot(context, this.#layers, this.#disk);
    pivot(context, root);
    // Before anything of the host is mounted: a link of the image could lead there.
    addEntries(context);
    attachCovers(context, covers);
    makeHome(context, false);
    let dev: Fd | undefined;
    const all = [...systems, ...this.#binds, ...given];
    // The terminal needs devpts. The descriptor stays valid after the mount is attached.
    attachMounts(context, all, (fd) => {
      dev = fd;
      populateDev(context, fd, nodes);
    });
    makeHome(context, true);
    protectPaths(context);
    maskPaths(context);
    const { cwd } = context.model.config.process;
    if (splitPath(cwd).length > 0) {
      makeFolder(context.steps, inside('root', context.model.because('process.cwd')), 'cwd', cwd);
    }
    const devpts = systems.find(({ mount }) => mount.kind === 'new' && mount.type === 'devpts')?.fd;
    const terminal = openTerminal(context, devpts, dev);
    makeRootReadOnly(context);
    return { terminal, proc };
  }

  #take(): void {
    this.#layers = openLayers(this.#context, this.#image);
    this.#disk = openUpper(this.#context);
    this.#binds = openBinds(this.#context);
  }

  /** The user namespace that the writable layer must be removed from; none where the launcher may do it itself. */
  #removedFrom(): Fd {
    const context = this.#context;
    if (context.host.privileged || context.kept || upperPath(context) === undefined) return NO_FD;
    return context.namespace('user').kind === 'path' ? 'join.user' : USERNS;
  }
}

/** Without a umask, what is made has the mode that its step says. */
function showModes({ steps }: PlanContext, side: typeof onHost, id: string): void {
  steps.add(side('root', byDefault('modes as they are written here')), id, 'umask', { mask: 0 });
}

function enterWorkingDirectory(context: PlanContext, hasOwnRoot: boolean): void {
  const { steps, model } = context;
  const place = inside('command', model.because('process.cwd'));
  const { cwd } = model.config.process;
  if (hasOwnRoot && splitPath(cwd).length > 0) {
    steps.add(place, 'cwd', 'fchdir', { fd: 'cwd.target' });
  } else {
    steps.add(place, 'cwd', 'chdir', { path: cwd });
  }
}

/** Without a mount namespace of its own, the container keeps the host's root: only kernel parameters and the terminal are set up. */
function buildOutside(context: PlanContext): {
  readonly terminal: Terminal | undefined;
  readonly proc: Fd | undefined;
} {
  const proc = openHostProc(inside, context);
  setSysctls(context, proc);
  return { terminal: openTerminal(context, undefined, undefined), proc };
}

function hideFromPeers(context: PlanContext): void {
  const place = inside('security', byDefault('not dumpable until the command starts'));
  context.steps.add(place, 'dumpable', 'prctl', { option: PR.PR_SET_DUMPABLE, arg2: 0, arg3: 0, arg4: 0, arg5: 0 });
}

export interface PlanOptions {
  /** It runs in the background: its folder in the store is there already, and stays when it ends. */
  readonly kept?: boolean;
  /** And its command has been started before, by another launcher. */
  readonly again?: boolean;
  /** The layers of the image are mounted already: the launcher is given a descriptor of each, from this number on. */
  readonly mounted?: number;
}

/**
 * The plan for a container. `image` is undefined only where the mount namespace is not the container's own.
 * Throws if model and host facts contradict each other. `compile` never makes such a model.
 */
export function planContainer(
  model: Model,
  image: ImageFacts | undefined,
  host: HostFacts,
  { kept = false, again = false, mounted }: PlanOptions = {},
): Plan {
  const steps = new Steps();
  const context = { ...planContext(model, image, host, steps, kept, again), mounted };
  const ownMounts = context.namespace('mount').kind === 'private';
  const root = ownMounts && image !== undefined ? new Root(context, image) : undefined;

  const joinsUser = context.namespace('user').kind === 'path';
  const hasNetwork = model.network !== undefined;
  const cgroups = cgroupPaths(context);
  const upper = root === undefined || kept ? undefined : upperPath(context);
  const writeRecord = (): void => planRecord(context, { rmdir: cgroups, rmtree: upper === undefined ? [] : [upper] });
  // Where nothing outside is changed before the first process is made, all of it is done while that makes what it can.
  // With a process namespace that is not its own, the first process is recorded by its mount namespace, too: before it hides
  // itself, since a caller without CAP_SYS_PTRACE does not see that afterwards.
  const ownProcesses = context.namespace('pid').kind === 'private';
  const recordsLater = !kept && !joinsUser && !hasNetwork && cgroups.length === 0 && ownProcesses && !joinsAny(context);
  const preparesLater = !kept && !joinsUser;

  if (kept) openKept(context);
  if (!recordsLater) writeRecord();
  const cgroup = planCgroup(context);
  // A scope of the user's systemd is neither in the record nor among the folders to be removed.
  const changesFirst = steps.list.length > 0;
  if (!preparesLater) root?.prepareOnHost();
  if (root !== undefined) enterStage(context);
  const joined = openJoined(context);
  const init = model.init ? makeInit(context) : undefined;
  becomeOwner(context);
  planClone(context, cgroup);
  if (!joinsUser && !recordsLater) recordChild(context);
  planMaps(context);
  setOomScore(context);
  root?.openUsers();
  holdMounts(context);
  if (!preparesLater) root?.shift();
  leaveOwner(context);
  // A kernel parameter may be one of the interface, so that the pair has to be there before.
  const pairFirst = sysctlsOf(model).some(({ name }) => /^net[./]ipv[46][./](?:conf|neigh)[./]/u.test(name));
  let tallies: ReturnType<typeof planPair>;
  const planHost = (): void => {
    planNetworkOnHost(context);
    if (pairFirst) tallies = planPair(context);
  };
  if (hasNetwork && !joinsUser) planHost();

  joinCgroups(context, cgroup);
  joinInside(context, joined);
  // Here its mount namespace is made by unshare(2), so the record could not name it before.
  if (joinsUser) {
    recordChild(context);
    if (hasNetwork) planHost();
  }
  isolateMounts(context);
  unshareNetwork(context);
  const begin = (): void => {
    becomeRoot(context);
    if (hasNetwork) tallies ??= planRouter(context);
    hideFromPeers(context);
    unshareCgroup(context);
    showModes(context, inside, 'umask.zero');
    root?.makeInside();
  };
  // An ordinary user's first process opens with the caller's ids what is prepared for it.
  if (host.privileged) begin();
  const outside = changesFirst ? 0 : steps.list.length;
  steps.meanwhile(() => {
    if (recordsLater) {
      writeRecord();
      recordChild(context);
    }
    if (!preparesLater) return;
    root?.prepareOnHost();
    root?.shift();
  });
  root?.takeInside();
  if (!host.privileged) begin();
  const { terminal, proc } = root === undefined ? buildOutside(context) : root.buildInside();
  holdNetwork(context);
  steps.meanwhile(() => root?.readProgram());
  joinMounts(context, joined);
  planIdentity(context);
  if (hasNetwork) {
    if (!pairFirst) tallies ??= planPair(context);
    planNetworkInside(context);
  }

  enterWorkingDirectory(context, root !== undefined);
  setLimits(context);
  dropPrivileges(context, proc);
  prepareStreams(context);
  closeDescriptors(context);
  if (init !== undefined) becomeInit(context, init);
  takeTerminal(context, terminal);
  dieWithParent(context, 'pdeathsig');
  if (init === undefined) filterCalls(context);
  planCommand(context);

  const execs = planExecs(context);
  const sockets = socketsOf(context);
  return {
    version: PLAN_VERSION,
    name: model.name,
    ...usersOf(context),
    steps: steps.list,
    outside: steps.list[outside]?.id,
    reports: cgroup.reports,
    ...(sockets === undefined ? {} : { sockets: sockets.count }),
    ...(execs.length === 0 ? {} : { execs }),
    ...(tallies === undefined ? {} : { tallies }),
    terminal: terminal === undefined ? undefined : { master: terminal.master, stdin: model.stdinOpen },
    stop: model.stop,
    ...(kept && model.restart !== undefined ? { restart: model.restart } : {}),
    timeLimit:
      model.timeLimitMs === undefined ? undefined : { ms: model.timeLimitMs, because: model.because('timeLimitMs') },
    dropped: model.dropped,
    demands: model.demands,
    warnings: model.warnings,
    borrowed: model.borrowed,
  };
}
