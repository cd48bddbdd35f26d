/**
 * The plan for a command in a container that runs. Its process joins every namespace and cgroup of the container's, and then has
 * the container's own ids, capabilities, limits, labels and filter, by the model that the container was started from. Nothing
 * of the container is asked for them, and no path of it is resolved before its root is the only one.
 */
import type { HostFacts } from '../host/facts.ts';
import { AT_FDCWD, NO_FD, type Fd, type Text } from '../kernel/calls.ts';
import { CLONE, O, PR } from '../kernel/constants.ts';
import type { Model } from '../model/model.ts';
import type { OciNamespace } from '../oci/config.ts';
import { openHostProc, planCommand } from './command.ts';
import { inside, onHost, planContext, type PlanContext } from './context.ts';
import { CLOSED } from './hints.ts';
import { dieWithParent, NAMESPACE_FLAGS } from './namespaces.ts';
import { PLAN_VERSION, type Plan } from './plan.ts';
import { writeLimits } from './rlimits.ts';
import { closeDescriptors, dropPrivileges, filterCalls } from './security.ts';
import { byDefault, openInRoot, Steps } from './steps.ts';
import { setOomScore } from './sysctls.ts';
import { openTerminal, prepareStreams, takeTerminal } from './terminal.ts';
import { becomeRoot, usersOf } from './users.ts';

/** The container, as the host sees it. */
export interface ExecTarget {
  /** Its first process, and the birth by which that is told from every other (native/shared/birth.h). */
  readonly pid: Text;
  readonly birth: Text;
  /** Files of version 1 through which a process joins its cgroups. */
  readonly tasks: readonly Text[];
  /** Its cgroup of version 2. */
  readonly unified: Text | undefined;
}

/** statfs(2): DEVPTS_SUPER_MAGIC. */
const DEVPTS = 0x1cd1;
const SIGCHLD = 17;

/** `model`: that of the container, with the process that is wanted in place of the container's own. */
export function planExec(model: Model, host: HostFacts, target: ExecTarget): Plan {
  const steps = new Steps();
  const context = planContext(model, undefined, host, steps);
  const process = openTarget(context, target);
  const tasks = openTasks(context, target);
  const proc = usesLabel(model) ? openHostProc(onHost, context) : undefined;
  const cgroup = openUnified(context, target);
  steps.add(
    onHost('namespaces', byDefault('process beside the container’s')),
    'clone3',
    'clone3',
    {
      flags: CLONE.CLONE_PIDFD + (cgroup === NO_FD ? 0 : CLONE.CLONE_INTO_CGROUP),
      exit_signal: SIGCHLD,
      cgroup,
    },
    { returns: 'child', undo: 'kernel' },
  );
  setOomScore(context);
  // The process hands them on to the command, which is its child.
  writeLimits(context, true);
  join(context, process, tasks);
  const ownMounts = context.namespace('mount').kind !== 'host';
  const terminal = openTerminal(context, ownMounts ? openDevpts(context) : undefined, undefined);
  enterWorkingDirectory(context, ownMounts);
  dropPrivileges(context, proc);
  prepareStreams(context);
  closeDescriptors(context);
  takeTerminal(context, terminal);
  dieWithParent(context, 'pdeathsig');
  filterCalls(context);
  planCommand(context);
  return {
    version: PLAN_VERSION,
    name: model.name,
    ...usersOf(context),
    steps: steps.list,
    reports: [],
    terminal: terminal === undefined ? undefined : { master: 'terminal', stdin: model.stdinOpen },
    stop: model.stop,
    timeLimit: undefined,
    dropped: [],
    demands: [],
    warnings: [],
    borrowed: model.borrowed,
  };
}

const usesLabel = ({ config: { process } }: Model): boolean =>
  process.apparmorProfile !== undefined || process.selinuxLabel !== undefined;

const THE_CONTAINER = byDefault('the container that is joined');

function openTarget({ steps }: PlanContext, { pid, birth }: ExecTarget): Fd {
  const hints = { ESRCH: 'the container has ended' };
  return steps.add({ ...onHost('namespaces', THE_CONTAINER), hints }, 'target', 'pidfd_open', { pid, birth });
}

function openTasks({ steps }: PlanContext, { tasks }: ExecTarget): readonly Fd[] {
  return tasks.map((pathname, index) => {
    const open = { dirfd: AT_FDCWD, pathname, flags: O.O_WRONLY | O.O_CLOEXEC, mode: 0, resolve: 0 };
    return steps.add(onHost('cgroup', THE_CONTAINER), `cgroup.${index + 1}`, 'openat2', open);
  });
}

function openUnified({ steps }: PlanContext, { unified }: ExecTarget): Fd {
  if (unified === undefined) return NO_FD;
  const flags = O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC;
  const open = { dirfd: AT_FDCWD, pathname: unified, flags, mode: 0, resolve: 0 };
  return steps.add(onHost('cgroup', THE_CONTAINER), 'cgroup', 'openat2', open);
}

/** Every namespace that the container does not share with the host. */
function flagsOf(context: PlanContext): number {
  return (Object.entries(NAMESPACE_FLAGS) as [OciNamespace['type'], number][])
    .filter(([type]) => context.namespace(type).kind !== 'host')
    .reduce((sum, [, flag]) => sum + flag, 0);
}

function join(context: PlanContext, process: Fd, tasks: readonly Fd[]): void {
  const { steps } = context;
  for (const fd of tasks) {
    const write = { dirfd: fd, pathname: '', data: '0' };
    steps.add(inside('cgroup', THE_CONTAINER), `${fd}.join`, 'write', write, { undo: 'kernel' });
  }
  // Processes of the container must not be able to trace it, or to open what it has open (CVE-2016-9962).
  const hidden = inside('namespaces', byDefault('not dumpable before it joins'));
  steps.add(hidden, 'dumpable', 'prctl', { option: PR.PR_SET_DUMPABLE, arg2: 0, arg3: 0, arg4: 0, arg5: 0 });
  const nstype = flagsOf(context);
  const place = inside('namespaces', THE_CONTAINER);
  // In one call: it joins all of them or none.
  if (nstype !== 0) {
    const hints = { EPERM: CLOSED };
    steps.add(place, 'setns', 'setns', { fd: process, nstype }, { undo: 'kernel', hints });
  }
  becomeRoot(context);
  // A process is a member of the process namespace that it was born in: only a child is one.
  if (context.namespace('pid').kind !== 'host' || context.namespace('time').kind !== 'host') {
    dieWithParent(context, 'join.pdeathsig');
    steps.add(place, 'fork', 'fork', {}, { undo: 'kernel' });
  }
}

/** The container's own instance, in which programs find their terminal by its name. Nothing is opened in another file system. */
function openDevpts(context: PlanContext): Fd | undefined {
  if (!context.model.config.process.terminal) return undefined;
  const place = inside('terminal', context.model.because('process.terminal'));
  const fd = openInRoot(context.steps, place, 'devpts', '/dev/pts', 'directory');
  context.steps.add(place, 'devpts.type', 'fstatfs', { fd, f_type: DEVPTS });
  return fd;
}

function enterWorkingDirectory(context: PlanContext, ownMounts: boolean): void {
  const { steps, model } = context;
  const { cwd } = model.config.process;
  const place = inside('command', model.because('process.cwd'));
  if (ownMounts && cwd !== '/') {
    const fd = openInRoot(steps, place, 'cwd.target', cwd, 'directory');
    steps.add(place, 'cwd', 'fchdir', { fd });
  } else {
    steps.add(place, 'cwd', 'chdir', { path: cwd });
  }
}
