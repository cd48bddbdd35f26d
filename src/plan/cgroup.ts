/**
 * Limits: a cgroup of the container's own in each hierarchy that is needed. The kernel does not remove it by itself; the
 * launcher does.
 */
import type { CgroupController } from '../host/facts.ts';
import type { Because } from '../oci/model.ts';
import { AT_FDCWD, type Fd } from './calls.ts';
import { AT, O } from './constants.ts';
import { onHost, inside, type PlanContext } from './context.ts';
import type { Report } from './plan.ts';
import { byDefault, call } from './steps.ts';

interface Limit {
  readonly controller: CgroupController;
  readonly file: string;
  readonly value: string;
  readonly because: Because;
}

export interface Cgroup {
  /** For clone3 (v2): the container's first process is born in it. */
  readonly birthplace: Fd | undefined;
  /** Files through which the container's first process joins by itself (v1). */
  readonly tasks: readonly Fd[];
  readonly reports: readonly Report[];
}

const NONE: Cgroup = { birthplace: undefined, tasks: [], reports: [] };

function usable(context: PlanContext, controller: CgroupController): { version: 1 | 2; dir: string } {
  const home = context.host.cgroup.controllers[controller];
  // The model refuses limits that this host cannot apply; to go on without one would be a container without limits.
  if (!home.usable) throw new Error(`the ${controller} controller is not usable: ${home.reason}`);
  return home;
}

function limitsOf(context: PlanContext): readonly Limit[] {
  const { model } = context;
  const { memory, pids, cpu } = model.config.linux.resources ?? {};
  const limits: Limit[] = [];
  const version = (controller: CgroupController): 1 | 2 => usable(context, controller).version;
  if (memory?.limit !== undefined) {
    const because = model.because('linux.resources.memory.limit');
    const file = version('memory') === 1 ? 'memory.limit_in_bytes' : 'memory.max';
    limits.push({ controller: 'memory', file, value: String(memory.limit), because });
  }
  if (memory?.swap !== undefined) {
    const because = model.because('linux.resources.memory.swap');
    // The OCI's figure, like v1's, is memory and swap together; v2 counts swap alone.
    const alone = memory.swap - (memory.limit ?? 0);
    const swap =
      version('memory') === 1
        ? { file: 'memory.memsw.limit_in_bytes', value: String(memory.swap) }
        : { file: 'memory.swap.max', value: String(alone) };
    limits.push({ controller: 'memory', ...swap, because });
  }
  if (pids !== undefined) {
    const because = model.because('linux.resources.pids.limit');
    limits.push({ controller: 'pids', file: 'pids.max', value: String(pids.limit), because });
  }
  if (cpu?.quota !== undefined && cpu.period !== undefined) {
    const because = model.because('linux.resources.cpu.quota');
    if (version('cpu') === 1) {
      limits.push({ controller: 'cpu', file: 'cpu.cfs_period_us', value: String(cpu.period), because });
      limits.push({ controller: 'cpu', file: 'cpu.cfs_quota_us', value: String(cpu.quota), because });
    } else {
      limits.push({ controller: 'cpu', file: 'cpu.max', value: `${cpu.quota} ${cpu.period}`, because });
    }
  }
  return limits;
}

/** What the kernel counts, read after the end to name the limit that was hit. */
function reportsOf(limits: readonly Limit[], folder: (limit: Limit) => Fd, version: (limit: Limit) => 1 | 2): Report[] {
  const reports: Report[] = [];
  const memory = limits.find((limit) => limit.controller === 'memory');
  if (memory !== undefined) {
    const rest = { dirfd: folder(memory), because: memory.because };
    const first = version(memory) === 1;
    reports.push({ what: 'oom_kill', file: first ? 'memory.oom_control' : 'memory.events', key: 'oom_kill', ...rest });
    const peak = first ? 'memory.max_usage_in_bytes' : 'memory.peak';
    reports.push({ what: 'memory_peak', file: peak, key: '', ...rest });
  }
  const pids = limits.find((limit) => limit.controller === 'pids');
  if (pids !== undefined) {
    reports.push({ what: 'pids_max', file: 'pids.events', key: 'max', dirfd: folder(pids), because: pids.because });
  }
  return reports;
}

interface Folder {
  readonly dir: string;
  readonly version: 1 | 2;
  readonly because: Because;
  readonly controllers: CgroupController[];
}

/** One in each hierarchy that has a controller that is needed. */
function foldersOf(context: PlanContext, limits: readonly Limit[]): readonly Folder[] {
  const folders = new Map<string, Folder>();
  for (const { controller, because } of limits) {
    const { dir, version } = usable(context, controller);
    const folder = folders.get(dir) ?? { dir, version, because, controllers: [] };
    if (!folder.controllers.includes(controller)) folder.controllers.push(controller);
    folders.set(dir, folder);
  }
  return [...folders.values()];
}

const leafOf = ({ model }: PlanContext, { dir }: Folder): string => `${dir}/boxctl-${model.name}-$ID`;

/** The folders that planCgroup makes, for the record. */
export function cgroupPaths(context: PlanContext): readonly string[] {
  return foldersOf(context, limitsOf(context)).map((folder) => leafOf(context, folder));
}

/** The folders come first, and then the limits, each in one write of its file. */
export function planCgroup(context: PlanContext): Cgroup {
  const { steps } = context;
  const limits = limitsOf(context);
  if (limits.length === 0) return NONE;

  const folders = foldersOf(context, limits);
  const handles = new Map<string, Fd>();
  for (const folder of folders) {
    const place = onHost('cgroup', folder.because);
    const id = `cgroup.${folder.controllers.join('.')}`;
    const pathname = { template: leafOf(context, folder) };
    const undo = [call('unlinkat', { dirfd: AT_FDCWD, pathname, flags: AT.AT_REMOVEDIR })];
    steps.add(place, `${id}.mkdir`, 'mkdirat', { dirfd: AT_FDCWD, pathname, mode: 0o755 }, { undo });
    const flags = O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC;
    handles.set(folder.dir, steps.add(place, id, 'openat2', { dirfd: AT_FDCWD, pathname, flags, mode: 0, resolve: 0 }));
  }
  const folderOf = (limit: Limit): Fd => {
    const handle = handles.get(usable(context, limit.controller).dir);
    if (handle === undefined) throw new Error(`no cgroup for ${limit.controller}`);
    return handle;
  };
  for (const limit of limits) {
    const place = onHost('cgroup', limit.because);
    const args = { dirfd: folderOf(limit), pathname: limit.file, data: limit.value };
    steps.add(place, `cgroup.${limit.file}`, 'write', args);
  }
  const tasks: Fd[] = [];
  let birthplace: Fd | undefined;
  for (const { dir, version, controllers, because } of folders) {
    const dirfd = handles.get(dir);
    if (dirfd === undefined) continue;
    if (version === 2) {
      birthplace = dirfd;
      continue;
    }
    const args = { dirfd, pathname: 'tasks', flags: O.O_WRONLY | O.O_CLOEXEC, mode: 0, resolve: 0 };
    tasks.push(steps.add(onHost('cgroup', because), `cgroup.${controllers.join('.')}.tasks`, 'openat2', args));
  }
  const versionOf = (limit: Limit): 1 | 2 => usable(context, limit.controller).version;
  return { birthplace, tasks, reports: reportsOf(limits, folderOf, versionOf) };
}

/** The first process joins by itself: moved from outside, it would wait for milliseconds. */
export function joinCgroups(context: PlanContext, cgroup: Cgroup): void {
  const place = inside('cgroup', byDefault('in its cgroup before anything else'));
  for (const fd of cgroup.tasks) {
    context.steps.add(place, `${fd}.join`, 'write', { dirfd: fd, pathname: '', data: '0' }, { undo: 'kernel' });
  }
}
