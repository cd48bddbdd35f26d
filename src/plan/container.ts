/**
 * The planner: a container's model, its image and its host become the ordered list of calls that make it. Pure: the same
 * input gives the same plan anywhere.
 */
import type { HostFacts } from '../host/facts.ts';
import type { ImageFacts } from '../model/image.ts';
import type { Fd } from '../kernel/calls.ts';
import type { Model } from '../model/model.ts';
import { PR } from '../kernel/constants.ts';
import { cgroupPaths } from './cgroup-layout.ts';
import { joinCgroups, planCgroup } from './cgroup.ts';
import { openHostProc, planCommand, socketsOf } from './command.ts';
import { ContainerRoot, showModes } from './container-root.ts';
import { inside, planContext, type PlanContext } from './context.ts';
import { planExecs } from './execs.ts';
import { becomeInit, makeInit } from './init.ts';
import { openKept } from './kept.ts';
import {
  dieWithParent,
  holdMounts,
  holdNetwork,
  isolateMounts,
  joinInside,
  joinMounts,
  joinsAny,
  openJoined,
  planClone,
  planIdentity,
  unshareCgroup,
  unshareNetwork,
} from './namespaces.ts';
import { planNetworkInside, planNetworkOnHost, planPair } from './network/network.ts';
import { planRouter } from './network/router.ts';
import { PLAN_VERSION, type Plan } from './plan.ts';
import { planRecord, recordChild } from './record.ts';
import { enterStage, upperPath } from './root.ts';
import { setLimits } from './rlimits.ts';
import { closeDescriptors, dropPrivileges, filterCalls } from './security.ts';
import { byDefault, splitPath, Steps } from './steps.ts';
import { setOomScore, setSysctls, sysctlsOf } from './sysctls.ts';
import { openTerminal, prepareStreams, takeTerminal, type Terminal } from './terminal.ts';
import { becomeOwner, becomeRoot, leaveOwner, planMaps, usersOf } from './users.ts';

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

/** The first process gives up all that it has built the container with, and executes the command. */
function becomeCommand(
  context: PlanContext,
  hasOwnRoot: boolean,
  init: Fd | undefined,
  terminal: Terminal | undefined,
  proc: Fd | undefined,
): void {
  enterWorkingDirectory(context, hasOwnRoot);
  setLimits(context);
  dropPrivileges(context, proc);
  prepareStreams(context);
  closeDescriptors(context);
  if (init !== undefined) becomeInit(context, init);
  takeTerminal(context, terminal);
  dieWithParent(context, 'pdeathsig');
  if (init === undefined) filterCalls(context);
  planCommand(context);
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
  const root = ownMounts && image !== undefined ? new ContainerRoot(context, image) : undefined;

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

  becomeCommand(context, root !== undefined, init, terminal, proc);

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
