/**
 * Limits as files of a cgroup and what is written to them, for both versions (cgroup-v1/, cgroup-v2.rst of the kernel). The
 * names of the files are in the table of limits; here is what stands in them.
 */
import { homeFor } from '../host/cgroup-home.ts';
import type { CgroupHome, Hierarchy, UnifiedHome } from '../host/facts.ts';
import { CGROUP_CONTROLLERS, type CgroupController } from '../kernel/cgroup.ts';
import type { CgroupLimit } from '../limits/row.ts';
import { LIMIT_ROWS, LIMITS, type DevicePath, type LimitKey, type LimitPath } from '../limits/table.ts';
import type { ConfigPath } from '../oci/config-path.ts';
import type { OciResources } from '../oci/config.ts';
import { valueAt } from '../oci/resources.ts';
import type { Because } from '../model/because.ts';
import type { PlanContext } from './context.ts';
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
  // The model refuses limits that this host cannot apply; to go on without one would be a container without limits.
  if (!home.usable) throw new Error(`the ${controller} controller is not usable: ${home.reason}`);
  return home;
}

/** The place in the unified hierarchy for these controllers. */
export function unifiedHome(context: PlanContext, controllers: readonly CgroupController[]): UnifiedHome {
  const home = homeFor(context.host.cgroup, controllers);
  if (home === undefined || !controllers.every((controller) => home.controllers.includes(controller))) {
    throw new Error(`no cgroup hands on ${controllers.join(', ')} together`);
  }
  return home;
}

interface Wanted {
  readonly key: LimitKey;
  readonly row: CgroupLimit<LimitPath>;
  readonly value: unknown;
}

const isWeight = ({ row }: Wanted): boolean => row.weight === true;

/** The limits of a configuration, weights before maxima. */
function wantedOf(resources: OciResources): readonly Wanted[] {
  const wanted = LIMIT_ROWS.flatMap(([key, { cgroup }]): readonly Wanted[] => {
    const value = cgroup === undefined ? undefined : valueAt(resources, cgroup.path);
    return cgroup === undefined || value === undefined ? [] : [{ key, row: cgroup, value }];
  });
  return [...wanted.filter(isWeight), ...wanted.filter((one) => !isWeight(one))];
}

/** The controllers that have something to do for these limits. */
export function controllersOf(resources: OciResources): readonly CgroupController[] {
  const used = new Set(wantedOf(resources).map(({ row }) => row.controller));
  return CGROUP_CONTROLLERS.filter((name) => used.has(name));
}

/**
 * The hierarchies of version 1 that the container sees, and has a cgroup of its own in: all, once it has a limit. The JVM
 * takes the host's memory for its own where one of those for memory, CPUs and accounting is missing.
 */
export function shownHierarchies(context: PlanContext): readonly Hierarchy[] {
  const { host, model } = context;
  const isShown = model.mounts.some((mount) => mount.kind === 'new' && mount.type === 'cgroup');
  const isLimited = controllersOf(model.config.linux.resources ?? {}).length > 0;
  if (!isShown || !(isLimited || model.systemd === true) || context.namespace('cgroup').kind !== 'private') return [];
  const { cpus, mems } = host.cgroup.cpuset;
  // A new cpuset takes no process before it has both.
  const canJoin = cpus !== undefined && mems !== undefined;
  return host.cgroup.hierarchies.filter(({ names }) => canJoin || !names.includes('cpuset'));
}

/** runc's and crun's conversion: from 2 … 262144 to 1 … 10000. */
function weightOfShares(shares: number): number {
  return 1 + Math.floor(((shares - 2) * 9999) / 262_142);
}

/** BFQ takes 10 … 1000 as they are; the cost model has the same as 1 … 10000. */
function diskWeight(file: string, weight: number): number {
  return file === 'io.weight' ? 1 + Math.floor(((weight - 10) * 9999) / 990) : weight;
}

type ListPath = DevicePath | 'hugepageLimits';
type Throttle = { readonly major: number; readonly minor: number; readonly rate: number };
type DeviceWeight = { readonly major: number; readonly minor: number; readonly weight: number };
type HugePages = { readonly pageSize: string; readonly limit: number };

/** A file, what is written to it, and which part of the configuration says so. */
interface Line {
  readonly path: ConfigPath;
  readonly file: string;
  readonly value: string;
}

/** What is written for a limit: a line, or one for each device or size of page. */
function linesOf(context: PlanContext, resources: OciResources, { key, row, value }: Wanted): readonly Line[] {
  const { version } = usable(context, row.controller);
  const file = version === 1 ? row.v1 : row.v2;
  if (file === undefined) throw new Error(`version 1 of cgroups has no ${row.v2}`);
  const line = (text: unknown, name = file): Line => {
    return { path: `linux.resources.${row.path}`, file: name, value: String(text) };
  };
  const lines = <Item>(of: (item: Item) => readonly [name: string, text: string]): readonly Line[] =>
    (value as readonly Item[]).map((item, index) => {
      const [name, text] = of(item);
      return { path: `linux.resources.${row.path as ListPath}.${index}`, file: name, value: text };
    });
  // On version 2 it depends on the host what weighs disks.
  const weigher = version === 1 ? file : (context.host.cgroup.ioWeight ?? file);
  switch (key) {
    case 'swap':
      // The OCI's figure, like that of version 1, is memory and swap together; version 2 counts swap alone.
      return [line(version === 1 ? value : Number(value) - (resources.memory?.limit ?? 0))];
    case 'cpu_shares':
      return [line(version === 1 ? value : weightOfShares(Number(value)))];
    case 'cpus': {
      const period = resources.cpu?.period;
      if (period === undefined) return [];
      return version === 1 ? [line(period, 'cpu.cfs_period_us'), line(value)] : [line(`${String(value)} ${period}`)];
    }
    case 'blkio_config.weight':
      return [line(diskWeight(weigher, Number(value)), weigher)];
    case 'blkio_config.weight_device':
      return lines<DeviceWeight>(({ major, minor, weight }) => [
        weigher,
        `${major}:${minor} ${diskWeight(weigher, weight)}`,
      ]);
    case 'hugetlb':
      return lines<HugePages>(({ pageSize, limit }) => [file.replace('SIZE', pageSize), String(limit)]);
    default:
      if (!Array.isArray(value)) return [line(value)];
      return lines<Throttle>(({ major, minor, rate }) => [
        file,
        `${major}:${minor} ${version === 1 ? '' : `${row.v2Word ?? ''}=`}${rate}`,
      ]);
  }
}

/** The limits of one row, as they are written and read again. */
function limitsFor(context: PlanContext, resources: OciResources, wanted: Wanted): readonly Limit[] {
  const { controller, readAgain } = wanted.row;
  return linesOf(context, resources, wanted).map(({ path, file, value }) => ({
    controller,
    file,
    value,
    because: context.model.because(path),
    ...(readAgain === undefined ? {} : { check: { file, data: value } }),
  }));
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
