/** Limits as files of a cgroup and what is written to them, for both versions (cgroup-v1/, cgroup-v2.rst of the kernel). */
import { homeFor } from '../host/cgroup-home.ts';
import {
  CGROUP_CONTROLLERS,
  type CgroupController,
  type CgroupHome,
  type Hierarchy,
  type UnifiedHome,
} from '../host/facts.ts';
import type { ResourcePath } from '../oci/config-path.ts';
import type { OciBlockIo, OciResources } from '../oci/config.ts';
import type { Because } from '../model/because.ts';
import type { PlanContext } from './context.ts';
import { byDefault } from './steps.ts';

export interface Limit {
  readonly controller: CgroupController;
  readonly file: string;
  readonly value: string;
  readonly because: Because;
  /** Where the kernel may take less than it was told without a word: what must be read afterwards. */
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

/** The controllers that have something to do for these limits. */
export function controllersOf(resources: OciResources): readonly CgroupController[] {
  const { memory, pids, cpu, blockIO, hugepageLimits, unified } = resources;
  const used: Readonly<Record<CgroupController, boolean>> = {
    memory: memory !== undefined,
    pids: pids !== undefined,
    cpu: cpu?.quota !== undefined || cpu?.shares !== undefined,
    cpuset: cpu?.cpus !== undefined || cpu?.mems !== undefined,
    io: blockIO !== undefined,
    hugetlb: hugepageLimits !== undefined,
  };
  const files = Object.keys(unified ?? {});
  return CGROUP_CONTROLLERS.filter((name) => used[name] || files.some((file) => file.startsWith(`${name}.`)));
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

/** The same for disks: from 10 … 1000 to 1 … 10000. */
function costWeight(weight: number): number {
  return 1 + Math.floor(((weight - 10) * 9999) / 990);
}

const THROTTLES = {
  throttleReadBpsDevice: { key: 'rbps', file: 'blkio.throttle.read_bps_device' },
  throttleWriteBpsDevice: { key: 'wbps', file: 'blkio.throttle.write_bps_device' },
  throttleReadIOPSDevice: { key: 'riops', file: 'blkio.throttle.read_iops_device' },
  throttleWriteIOPSDevice: { key: 'wiops', file: 'blkio.throttle.write_iops_device' },
} as const satisfies Partial<Record<keyof OciBlockIo, { key: string; file: string }>>;

/** Collects limits, each with who asked for it. */
class Limits {
  readonly list: Limit[] = [];
  readonly #context: PlanContext;

  constructor(context: PlanContext) {
    this.#context = context;
  }

  version(controller: CgroupController): 1 | 2 {
    return usable(this.#context, controller).version;
  }

  /** The file that the hierarchy's version has, and what is written; `exact`: and read again. */
  add(
    path: ResourcePath,
    controller: CgroupController,
    files: { readonly v1?: string; readonly v2: string },
    value: string,
    exact = false,
  ): void {
    const file = this.version(controller) === 1 ? files.v1 : files.v2;
    if (file === undefined) throw new Error(`version 1 of cgroups has no ${files.v2}`);
    const because = this.#context.model.because(`linux.resources.${path}`);
    const check = exact ? { check: { file, data: value } } : {};
    this.list.push({ controller, file, value, because, ...check });
  }
}

function addMemory(limits: Limits, memory: NonNullable<OciResources['memory']>): void {
  const { limit, swap, reservation } = memory;
  if (limit !== undefined) {
    const files = { v1: 'memory.limit_in_bytes', v2: 'memory.max' };
    limits.add('memory.limit', 'memory', files, String(limit), true);
  }
  if (swap !== undefined) {
    // The OCI's figure, like v1's, is memory and swap together; v2 counts swap alone.
    const value = limits.version('memory') === 1 ? swap : swap - (limit ?? 0);
    const files = { v1: 'memory.memsw.limit_in_bytes', v2: 'memory.swap.max' };
    limits.add('memory.swap', 'memory', files, String(value), true);
  }
  if (reservation !== undefined) {
    const files = { v1: 'memory.soft_limit_in_bytes', v2: 'memory.low' };
    limits.add('memory.reservation', 'memory', files, String(reservation), true);
  }
}

function addCpu(limits: Limits, cpu: NonNullable<OciResources['cpu']>): void {
  const { shares, quota, period } = cpu;
  if (shares !== undefined) {
    const value = limits.version('cpu') === 1 ? shares : weightOfShares(shares);
    limits.add('cpu.shares', 'cpu', { v1: 'cpu.shares', v2: 'cpu.weight' }, String(value), true);
  }
  if (quota === undefined || period === undefined) return;
  if (limits.version('cpu') === 1) {
    limits.add('cpu.quota', 'cpu', { v1: 'cpu.cfs_period_us', v2: '' }, String(period));
    limits.add('cpu.quota', 'cpu', { v1: 'cpu.cfs_quota_us', v2: '' }, String(quota));
  } else {
    limits.add('cpu.quota', 'cpu', { v2: 'cpu.max' }, `${quota} ${period}`);
  }
}

/** A cpuset of version 1 is empty when it is new, and takes no process until it has both. */
function addCpuset(context: PlanContext, limits: Limits, cpu: OciResources['cpu']): void {
  const home = context.host.cgroup.controllers.cpuset;
  const wanted = cpu?.cpus !== undefined || cpu?.mems !== undefined;
  const joined = controllersOf(context.model.config.linux.resources ?? {}).some((controller) => {
    const other = usable(context, controller);
    return home.usable && home.version === 1 && other.version === 1 && other.dir === home.dir;
  });
  const shown = home.usable && home.version === 1 && shownHierarchies(context).some(({ dir }) => dir === home.dir);
  if (!home.usable || (!wanted && !joined && !shown)) return;
  for (const [key, file] of [
    ['cpus', 'cpuset.cpus'],
    ['mems', 'cpuset.mems'],
  ] as const) {
    const own = cpu?.[key];
    const value = own ?? (home.version === 1 ? context.host.cgroup.cpuset[key] : undefined);
    if (value === undefined) continue;
    const effective = home.version === 1 ? `cpuset.effective_${key}` : `${file}.effective`;
    const because =
      own === undefined ? byDefault(`${key} of the parent`) : context.model.because(`linux.resources.cpu.${key}`);
    limits.list.push({ controller: 'cpuset', file, value, because, check: { file: effective, data: value } });
  }
}

function addIo(context: PlanContext, limits: Limits, io: OciBlockIo): void {
  const weigh = context.host.cgroup.ioWeight ?? 'io.bfq.weight';
  const versionOne = limits.version('io') === 1;
  const weight = (value: number): number => (weigh === 'io.weight' ? costWeight(value) : value);
  if (io.weight !== undefined) limits.add('blockIO.weight', 'io', { v1: weigh, v2: weigh }, String(weight(io.weight)));
  for (const [index, device] of (io.weightDevice ?? []).entries()) {
    const files = { v1: `${weigh}_device`, v2: weigh };
    const value = `${device.major}:${device.minor} ${weight(device.weight)}`;
    limits.add(`blockIO.weightDevice.${index}`, 'io', files, value);
  }
  for (const name of Object.keys(THROTTLES) as (keyof typeof THROTTLES)[]) {
    const { key, file } = THROTTLES[name];
    for (const [index, { major, minor, rate }] of (io[name] ?? []).entries()) {
      const value = `${major}:${minor} ${versionOne ? '' : `${key}=`}${rate}`;
      limits.add(`blockIO.${name}.${index}`, 'io', { v1: file, v2: 'io.max' }, value);
    }
  }
}

/** In the order in which they are written. */
export function limitsOf(context: PlanContext): readonly Limit[] {
  const resources = context.model.config.linux.resources ?? {};
  const { memory, pids, cpu, blockIO, hugepageLimits, unified } = resources;
  const limits = new Limits(context);
  if (memory !== undefined) addMemory(limits, memory);
  if (pids !== undefined) limits.add('pids.limit', 'pids', { v1: 'pids.max', v2: 'pids.max' }, String(pids.limit));
  if (cpu !== undefined) addCpu(limits, cpu);
  addCpuset(context, limits, cpu);
  if (blockIO !== undefined) addIo(context, limits, blockIO);
  for (const [index, { pageSize, limit }] of (hugepageLimits ?? []).entries()) {
    const files = { v1: `hugetlb.${pageSize}.limit_in_bytes`, v2: `hugetlb.${pageSize}.max` };
    limits.add(`hugepageLimits.${index}`, 'hugetlb', files, String(limit), true);
  }
  for (const [file, value] of Object.entries(unified ?? {})) {
    const controller = CGROUP_CONTROLLERS.find((name) => file.startsWith(`${name}.`));
    if (controller === undefined) throw new Error(`${file} is no file of a controller that boxctl knows`);
    limits.add(`unified.${file}`, controller, { v2: file }, value, controller === 'memory');
  }
  return limits.list;
}
