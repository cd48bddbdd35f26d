/**
 * Limits as files of a cgroup and what is written to them, for both versions (cgroup-v1/, cgroup-v2.rst of the kernel), and in
 * which hierarchies they are. The names of the files are in the table of limits.
 */
import { homeFor } from '../host/cgroup-home.ts';
import type { CgroupHome, Hierarchy, UnifiedHome } from '../host/facts.ts';
import { CGROUP_CONTROLLERS, type CgroupController } from '../kernel/cgroup.ts';
import { LIMITS } from '../limits/table.ts';
import type { OciResources } from '../oci/config.ts';
import { valueAt } from '../oci/resources.ts';
import type { Because } from '../model/because.ts';
import type { PlanContext } from './context.ts';
import { wantedOf, written, type Wanted } from './limit-lines.ts';
import { byDefault } from './steps.ts';

export interface Limit {
  readonly controller: CgroupController;
  readonly file: string;
  readonly value: string;
  readonly because: Because;
  /** Where the kernel may take a value and apply another without an error: what is read afterwards, and must say this. */
  readonly check?: { readonly file: string; readonly data: string };
}

export type UsableHome = Extract<CgroupHome, { readonly usable: true }>;

export function usable(context: PlanContext, controller: CgroupController): UsableHome {
  const home = context.host.cgroup.controllers[controller];
  // The model refuses a limit that this host cannot apply. If it did not, the container must not start without it.
  if (!home.usable) throw new Error(`the ${controller} controller is not usable: ${home.reason}`);
  return home;
}

/** The place in the unified hierarchy that has all of these controllers. */
export function unifiedHome(context: PlanContext, controllers: readonly CgroupController[]): UnifiedHome {
  const home = homeFor(context.host.cgroup, controllers);
  if (home === undefined || !controllers.every((controller) => home.controllers.includes(controller))) {
    throw new Error(`no cgroup hands on ${controllers.join(', ')} together`);
  }
  return home;
}

/** The controllers by which a container with these limits is limited. */
function controllersOf(resources: OciResources): readonly CgroupController[] {
  const used = new Set(wantedOf(resources).map(({ row }) => row.controller));
  return CGROUP_CONTROLLERS.filter((name) => used.has(name));
}

/**
 * The hierarchies of version 1 that the container sees, and has a cgroup of its own in: all of them, once it has a limit. If
 * one for memory, CPUs or accounting were missing, the Java virtual machine would take the memory of the host for its own.
 */
export function shownHierarchies(context: PlanContext): readonly Hierarchy[] {
  const { host, model } = context;
  const isShown = model.mounts.some((mount) => mount.kind === 'new' && mount.type === 'cgroup');
  const isLimited = controllersOf(model.config.linux.resources ?? {}).length > 0;
  if (!isShown || !(isLimited || model.systemd === true) || context.namespace('cgroup').kind !== 'private') return [];
  const { cpus, mems } = host.cgroup.cpuset;
  // A new cpuset takes no process before it has both, and here are the values that it would be given.
  const canJoin = cpus !== undefined && mems !== undefined;
  return host.cgroup.hierarchies.filter(({ names }) => canJoin || !names.includes('cpuset'));
}

/** The limits of one row, as they are written and read again. */
function limitsFor(context: PlanContext, resources: OciResources, wanted: Wanted): readonly Limit[] {
  const { controller, readAgain } = wanted.row;
  const { version } = usable(context, controller);
  const lines = written(wanted, resources, { version, weigher: context.host.cgroup.ioWeight });
  return lines.map(({ path, file, value }) => {
    const limit = { controller, file, value, because: context.model.because(path) };
    if (readAgain === undefined) return limit;
    const other = version === 1 ? 'v1' : 'v2';
    return { ...limit, check: { file: readAgain === 'written' ? file : readAgain[other], data: value } };
  });
}

/**
 * A new cpuset of version 1 has neither CPUs nor memory nodes, and takes no process before it has both. So both are written
 * in each cgroup that is in that hierarchy, with the values of the parent where the file does not limit them.
 */
function cpusetLimits(context: PlanContext, resources: OciResources): readonly Limit[] {
  const { controllers, cpuset: parent } = context.host.cgroup;
  const home = controllers.cpuset;
  if (!home.usable) return [];
  const controllersUsed = controllersOf(resources);
  const inHierarchy = (dir: string): boolean =>
    shownHierarchies(context).some((hierarchy) => hierarchy.dir === dir) ||
    controllersUsed.map((name) => usable(context, name)).some((other) => other.version === 1 && other.dir === dir);
  const fill = home.version === 1 && inHierarchy(home.dir);
  return (['cpuset', 'cpuset_mems'] as const).flatMap((key): readonly Limit[] => {
    const { cgroup } = LIMITS[key];
    const own = valueAt(resources, cgroup.path);
    const name = key === 'cpuset' ? 'cpus' : 'mems';
    const value = own ?? (fill ? parent[name] : undefined);
    if (value === undefined) return [];
    const because =
      own === undefined ? byDefault(`${name} of the parent`) : context.model.because(`linux.resources.${cgroup.path}`);
    const check = { file: home.version === 1 ? cgroup.readAgain.v1 : cgroup.readAgain.v2, data: String(value) };
    return [{ controller: 'cpuset', file: cgroup.v2, value: String(value), because, check }];
  });
}

/** In the order in which they are written: by controller, and last what OCI has no word for but the file's name. */
export function limitsOf(context: PlanContext): readonly Limit[] {
  const resources = context.model.config.linux.resources ?? {};
  const all = wantedOf(resources);
  const isUnified = ({ row }: Wanted): boolean => row.path.startsWith('unified.');
  for (const file of Object.keys(resources.unified ?? {})) {
    if (all.some(({ row }) => row.path === `unified.${file}`)) continue;
    throw new Error(`${file} is no file of a limit that boxctl knows`);
  }
  const byController = CGROUP_CONTROLLERS.flatMap((controller) => {
    if (controller === 'cpuset') return cpusetLimits(context, resources);
    const own = all.filter((one) => one.row.controller === controller && !isUnified(one));
    return own.flatMap((wanted) => limitsFor(context, resources, wanted));
  });
  return [...byController, ...all.filter(isUnified).flatMap((wanted) => limitsFor(context, resources, wanted))];
}
