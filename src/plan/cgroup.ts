/**
 * Limits and rules for devices: steps that make the container's cgroups, write to their files, and let its first process in.
 * Which cgroups those are is decided in cgroup-layout.ts. The kernel does not remove them by itself: the launcher does at the
 * end, or, when it was killed, the next command (record.ts).
 */
import type { CgroupController } from '../kernel/cgroup.ts';
import { AT_FDCWD, type Fd, type Template } from '../kernel/calls.ts';
import { AT } from '../kernel/constants.ts';
import { COUNTED_LIMITS } from '../limits/table.ts';
import { SYSTEMD_HIERARCHY } from '../model/systemd.ts';
import { valueAt } from '../oci/resources.ts';
import { mkdirCgroup, mkdirInner, openFolder, openTasks } from './cgroup-folders.ts';
import { CONTAINER, layoutOf, type VersionOne } from './cgroup-layout.ts';
import { makeUnified } from './cgroup-unified.ts';
import { onHost, inside, type PlanContext } from './context.ts';
import { writeRules, type DeviceRules } from './device-cgroup.ts';
import { KEPT } from './kept.ts';
import { LIMIT_HINTS } from './limit-hints.ts';
import { usable, type Limit } from './limits.ts';
import type { Report } from './plan.ts';
import { byDefault, literal } from './steps.ts';
import { rootOutside } from './users.ts';

export interface Cgroup {
  /** For clone3 (v2): the container's first process is born in it. */
  readonly birthplace: Fd | undefined;
  /** Files through which the container's first process joins by itself (v1). */
  readonly tasks: readonly Fd[];
  readonly reports: readonly Report[];
}

/** Of the folder in which each controller limits the container. */
type Handles = Map<CgroupController, Fd>;

/** Every folder comes first; then the limits are written, and read again; then what lets the first process in. */
export function planCgroup(context: PlanContext): Cgroup {
  const layout = layoutOf(context);
  const { leaf, limits, rules, versionOne, unified } = layout;
  const handles: Handles = new Map();
  for (const cgroup of versionOne) makeVersionOne(context, cgroup, handles);
  const birthplace = unified === undefined ? undefined : makeUnified(context, unified, layout);
  if (birthplace !== undefined) {
    for (const controller of unified?.controllers ?? []) handles.set(controller, birthplace);
  }
  writeLimits(context, limits, handles);
  if (context.kept && limits.length > 0) writeKeptLimits(context);
  const tasks = versionOne.map((cgroup) => tasksOf(context, cgroup, handles));
  if (rules?.home.version === 1) tasks.push(makeDevices(context, rules, leaf));
  if (context.model.systemd === true) delegate(context, birthplace, leaf);
  return { birthplace, tasks, reports: reportsOf(context, limits, handles) };
}

function handleOf(handles: Handles, controller: CgroupController): Fd {
  const handle = handles.get(controller);
  if (handle === undefined) throw new Error(`no cgroup for ${controller}`);
  return handle;
}

/** Makes a cgroup of version 1, and opens it where limits are written to it. */
function makeVersionOne(context: PlanContext, { path, id, because, controllers }: VersionOne, handles: Handles): void {
  const place = onHost('cgroup', because);
  mkdirCgroup(context, place, id, path);
  if (controllers.length === 0) return;
  const handle = openFolder(context, place, id, { template: path });
  for (const controller of controllers) handles.set(controller, handle);
}

/** The file through which the first process joins a cgroup of version 1. */
function tasksOf(context: PlanContext, { path, id, because, controllers }: VersionOne, handles: Handles): Fd {
  const place = onHost('cgroup', because);
  const [first] = controllers;
  return first === undefined
    ? openTasks(context, place, id, AT_FDCWD, { template: `${path}/tasks` })
    : openTasks(context, place, id, handleOf(handles, first), 'tasks');
}

/** Those that were changed while the container ran (src/state/kept-limits.ts), when it is started again. */
function writeKeptLimits({ steps }: PlanContext): void {
  const place = onHost('cgroup', byDefault('limits that were changed by boxctl update'));
  steps.add(place, 'cgroup.kept', 'write_limits', { dirfd: KEPT, pathname: 'limits' }, { hints: LIMIT_HINTS });
}

/** Each limit in one write of its file. Those of which the kernel may apply another value are read again. */
function writeLimits({ steps }: PlanContext, limits: readonly Limit[], handles: Handles): void {
  for (const { controller, file, value, because } of limits) {
    const args = { dirfd: handleOf(handles, controller), pathname: file, data: value };
    steps.add(onHost('cgroup', because), `cgroup.${file}`, 'write', args, { hints: LIMIT_HINTS });
  }
  for (const { controller, check, because } of limits) {
    if (check === undefined) continue;
    const args = { dirfd: handleOf(handles, controller), pathname: check.file, data: check.data };
    steps.add(onHost('cgroup', because), `cgroup.${check.file}.read`, 'read', args);
  }
}

/**
 * Gives the container's cgroup to its root, so that systemd makes others in it. The files of limits stay the host's
 * (cgroups(7), "Cgroups delegation").
 */
function delegate(context: PlanContext, birthplace: Fd | undefined, leaf: string): void {
  const { steps, host, model } = context;
  const { uid, gid } = rootOutside(context);
  if (uid === host.euid) return;
  const place = onHost('cgroup', model.because('systemd'));
  const give = (id: string, dirfd: Fd, pathname: string | Template): void => {
    const flags = pathname === '' ? AT.AT_EMPTY_PATH : 0;
    steps.add(place, `cgroup.own.${id}`, 'fchownat', { dirfd, pathname, owner: uid, group: gid, flags });
  };
  const first = host.cgroup.hierarchies.find(({ names }) => names.includes(SYSTEMD_HIERARCHY));
  if (host.cgroup.layout !== 'v2' && first !== undefined) {
    const folder = `${literal(first.dir)}/${leaf}`;
    give('folder', AT_FDCWD, { template: folder });
    for (const name of ['cgroup.procs', 'tasks']) give(name, AT_FDCWD, { template: `${folder}/${name}` });
  } else if (birthplace !== undefined) {
    // A descriptor of O_PATH alone is changed by an empty path.
    give('folder', birthplace, '');
    for (const name of ['cgroup.procs', 'cgroup.threads', 'cgroup.subtree_control']) give(name, birthplace, name);
  }
}

/** The rules of version 1 for devices, in a cgroup around the container's own; the file through which that is joined. */
function makeDevices(context: PlanContext, rules: DeviceRules, leaf: string): Fd {
  const place = onHost('cgroup', rules.because);
  const path = `${literal(rules.home.dir)}/${leaf}`;
  mkdirCgroup(context, place, 'cgroup.devices', path);
  const outer = openFolder(context, place, 'cgroup.devices', { template: path });
  writeRules(context, rules, outer);
  mkdirInner(context, place, 'cgroup.devices.container', outer);
  return openTasks(context, place, 'cgroup.devices', outer, `${CONTAINER}/tasks`);
}

/** What the kernel counts, read when the container has ended, to name the limit that was reached. */
function reportsOf(context: PlanContext, limits: readonly Limit[], handles: Handles): readonly Report[] {
  const resources = context.model.config.linux.resources ?? {};
  return COUNTED_LIMITS.flatMap(({ cgroup: { controller, path }, reached: { counters } }): readonly Report[] => {
    // Also where the file has another limit of the controller alone: the kernel counts all the same.
    const first = limits.find((limit) => limit.controller === controller);
    if (first === undefined) return [];
    const { version } = usable(context, controller);
    const value = valueAt(resources, path);
    const limit = typeof value === 'number' ? { limit: value } : {};
    const rest = { dirfd: handleOf(handles, controller), because: first.because, ...limit };
    return counters.map(({ what, v1, v2 }) => ({ what, ...(version === 1 ? v1 : v2), ...rest }));
  });
}

/** On version 1 the first process joins by itself. If another process moved it, it would wait for milliseconds. */
export function joinCgroups(context: PlanContext, { tasks }: Cgroup): void {
  const place = inside('cgroup', byDefault('in its cgroup before anything else'));
  for (const fd of tasks) {
    context.steps.add(place, `${fd}.join`, 'write', { dirfd: fd, pathname: '', data: '0' }, { undo: 'kernel' });
  }
}
