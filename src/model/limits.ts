/** What the container may use. What this host cannot apply is an error, or is dropped where the file says so. */
import { homeFor } from '../host/cgroup-home.ts';
import type { CgroupController, HostFacts } from '../host/facts.ts';
import type { SpecPath } from '../spec/spec-path.ts';
import type { IoLimitKind, Limits, SpecDocument } from '../spec/spec.ts';
import { parseNumbers } from '../text/units.ts';
import type { OciBlockIo, OciResources } from '../oci/config.ts';
import type { Dropped } from './model.ts';
import type { Because } from './because.ts';
import type { Problems } from './problems.ts';
import type { Reasons } from './reasons.ts';

/** The scheduler's usual accounting period, in µs. */
const CPU_PERIOD = 100_000;
/** The least that the kernel takes as a quota, in µs. */
const LEAST_QUOTA = 1000;
const VERSION_2 = 'boot with systemd.unified_cgroup_hierarchy=1';

export interface CompiledLimits {
  readonly resources: OciResources | undefined;
  readonly dropped: readonly Dropped[];
}

/** Which controller a limit needs, by its key. */
const CONTROLLERS = {
  memory: 'memory',
  swap: 'memory',
  memory_high: 'memory',
  memory_low: 'memory',
  pids: 'pids',
  cpus: 'cpu',
  cpu_shares: 'cpu',
  cpuset: 'cpuset',
  cpuset_mems: 'cpuset',
  blkio_config: 'io',
  hugetlb: 'hugetlb',
} as const satisfies Readonly<Record<string, CgroupController>>;
type Key = keyof typeof CONTROLLERS;

function keysOf(limits: Limits): readonly Key[] {
  const given: Readonly<Record<Key, unknown>> = {
    memory: limits.memory,
    swap: limits.swap,
    memory_high: limits.memoryHigh,
    memory_low: limits.memoryLow,
    pids: limits.pids,
    cpus: limits.cpus,
    cpu_shares: limits.cpuShares,
    cpuset: limits.cpuset,
    cpuset_mems: limits.cpusetMems,
    blkio_config: limits.ioWeight ?? limits.ioDevices,
    hugetlb: limits.hugetlb,
  };
  return (Object.keys(CONTROLLERS) as Key[]).filter((key) => given[key] !== undefined);
}

interface Obstacle {
  readonly reason: string;
  readonly hint: string;
}

/** What stands in the way of a controller; undefined where it can be had. */
function obstacles(host: HostFacts, keys: readonly Key[]): (controller: CgroupController) => Obstacle | undefined {
  const { controllers } = host.cgroup;
  const unified = keys
    .map((key) => CONTROLLERS[key])
    .filter((controller) => controllers[controller].usable && controllers[controller].version === 2);
  const home = homeFor(host.cgroup, unified);
  return (controller) => {
    const found = controllers[controller];
    if (!found.usable) return found;
    if (found.version === 1 || home?.controllers.includes(controller) === true) return undefined;
    return {
      reason: `no cgroup hands on the ${controller} controller together with the others that are asked for`,
      hint: `switch it on for the children of ${home?.dir ?? 'the cgroup'}: echo +${controller} >${home?.dir ?? ''}/cgroup.subtree_control`,
    };
  };
}

/** The kernel counts whole pages and rounds down without a word; arm64 has pages of up to 64 KiB. */
function wholePages(bytes: number, arch: HostFacts['arch']): number {
  const page = arch === 'x86_64' ? 4096 : 65_536;
  return bytes - (bytes % page);
}

function isPart(list: string, of: string | undefined): boolean {
  return of === undefined || parseNumbers(`${of},${list}`) === parseNumbers(of);
}

/** As the kernel's file names have it: hugetlb.2MB.max. */
function pageName(bytes: number): string {
  if (bytes >= 2 ** 30) return `${bytes / 2 ** 30}GB`;
  return bytes >= 2 ** 20 ? `${bytes / 2 ** 20}MB` : `${bytes / 1024}KB`;
}

const THROTTLES = {
  device_read_bps: 'throttleReadBpsDevice',
  device_write_bps: 'throttleWriteBpsDevice',
  device_read_iops: 'throttleReadIOPSDevice',
  device_write_iops: 'throttleWriteIOPSDevice',
} as const satisfies Record<Exclude<IoLimitKind, 'weight_device'>, keyof OciBlockIo>;

export function compileLimits(
  document: SpecDocument,
  host: HostFacts,
  reasons: Reasons,
  problems: Problems,
): CompiledLimits {
  const { limits } = document.spec;
  const dropped: Dropped[] = [];
  const keys = keysOf(limits);
  const obstacleOf = obstacles(host, keys);
  const toldOf = new Set<string>();

  /** True when the limit can be had; otherwise it is told or dropped. */
  const have = (path: SpecPath, obstacle: Obstacle | undefined): boolean => {
    if (obstacle === undefined) return true;
    const because: Because = { kind: 'spec', path, at: document.where(path) };
    if (limits.optional) {
      dropped.push({ what: path, reason: obstacle.reason, because });
    } else if (!toldOf.has(path)) {
      const escape = 'or write `optional: true` beside the limits to go on without those that cannot be had';
      const hint = obstacle.hint === '' ? escape : `${obstacle.hint}; ${escape}`;
      problems.add('E_LIMIT_UNAVAILABLE', path, `the limit cannot be applied here: ${obstacle.reason}`, hint);
    }
    toldOf.add(path);
    return false;
  };
  const isVersionOne = (controller: CgroupController): boolean => {
    const home = host.cgroup.controllers[controller];
    return home.usable && home.version === 1;
  };
  /** Whether the key is given and its controller can be had. */
  const wants = (key: Key): boolean => keys.includes(key) && have(`limits.${key}`, obstacleOf(CONTROLLERS[key]));
  const needsVersionTwo = (key: Key, file: string): boolean =>
    have(
      `limits.${key}`,
      isVersionOne(CONTROLLERS[key]) ? { reason: `version 1 of cgroups has no ${file}`, hint: VERSION_2 } : undefined,
    );

  const resources: OciResources = {};
  const { memory, swap, memoryHigh, memoryLow, pids, cpus, cpuShares, cpuset, cpusetMems } = limits;
  const pages = (bytes: number): number => wholePages(bytes, host.arch);
  if (memory !== undefined && wants('memory')) {
    resources.memory = { limit: pages(memory) };
    const uncounted = { reason: 'this kernel does not count swap', hint: 'boot with swapaccount=1' };
    if (swap !== undefined && have('limits.swap', host.cgroup.swap ? undefined : uncounted)) {
      resources.memory.swap = pages(memory) + pages(swap);
    }
  } else if (swap !== undefined && limits.optional) {
    // It goes with the memory's limit, whose problem has been told.
    have('limits.swap', { reason: 'there is no limit of memory for it to add to', hint: '' });
  }
  if (memoryHigh !== undefined && wants('memory_high') && needsVersionTwo('memory_high', 'memory.high')) {
    resources.unified = { 'memory.high': String(pages(memoryHigh)) };
    reasons.set('linux.resources.unified.memory.high', 'limits.memory_high', 'memory.high');
  }
  if (memoryLow !== undefined && wants('memory_low') && needsVersionTwo('memory_low', 'memory.low')) {
    resources.memory = { ...resources.memory, reservation: pages(memoryLow) };
  }
  if (pids !== undefined && wants('pids')) resources.pids = { limit: pids };
  if (cpus !== undefined && wants('cpus')) {
    const quota = Math.round(cpus * CPU_PERIOD);
    if (quota < LEAST_QUOTA) {
      problems.add(
        'E_LIMIT_TOO_SMALL',
        'limits.cpus',
        `the least that the kernel can give is ${LEAST_QUOTA / CPU_PERIOD} of a CPU`,
      );
    }
    resources.cpu = { quota, period: CPU_PERIOD };
  }
  if (cpuShares !== undefined && wants('cpu_shares')) resources.cpu = { ...resources.cpu, shares: cpuShares };
  for (const [key, file, list, all] of [
    ['cpuset', 'cpus', cpuset, host.cgroup.cpuset.cpus],
    ['cpuset_mems', 'mems', cpusetMems, host.cgroup.cpuset.mems],
  ] as const) {
    if (list === undefined || !wants(key)) continue;
    const beyond = isPart(list, all)
      ? undefined
      : { reason: `"${list}" is not a part of "${all}", which is all that boxctl has`, hint: 'take some of those' };
    if (have(`limits.${key}`, beyond)) resources.cpu = { ...resources.cpu, [file]: list };
  }
  if (wants('blkio_config')) {
    const io = compileIo(limits, host, have, reasons);
    if (Object.keys(io).length > 0) resources.blockIO = io;
  }
  if (wants('hugetlb')) {
    resources.hugepageLimits = (limits.hugetlb ?? []).map(({ page, limit, specPath }, index) => {
      reasons.set(`linux.resources.hugepageLimits.${index}`, specPath, 'huge pages');
      return { pageSize: pageName(page), limit };
    });
  }
  reasons.set('linux.resources.memory.limit', 'limits.memory', 'memory limit');
  reasons.set('linux.resources.memory.swap', 'limits.swap', 'swap limit');
  reasons.set('linux.resources.memory.reservation', 'limits.memory_low', 'memory.low');
  reasons.set('linux.resources.pids', 'limits.pids', 'pids limit');
  reasons.set('linux.resources.cpu.quota', 'limits.cpus', 'cpu limit');
  reasons.set('linux.resources.cpu.shares', 'limits.cpu_shares', 'cpu weight');
  reasons.set('linux.resources.cpu.cpus', 'limits.cpuset', 'CPUs');
  reasons.set('linux.resources.cpu.mems', 'limits.cpuset_mems', 'memory nodes of the parent');
  return { resources: Object.keys(resources).length === 0 ? undefined : resources, dropped };
}

function compileIo(
  { ioWeight, ioDevices }: Limits,
  host: HostFacts,
  have: (path: SpecPath, obstacle: Obstacle | undefined) => boolean,
  reasons: Reasons,
): OciBlockIo {
  const io: OciBlockIo = {};
  const unweighed =
    host.cgroup.ioWeight === undefined
      ? {
          reason: 'no scheduler of disks here looks at weights',
          hint: 'give the disk the scheduler bfq: modprobe bfq; echo bfq >/sys/block/DISK/queue/scheduler',
        }
      : undefined;
  if (ioWeight !== undefined && have('limits.blkio_config.weight', unweighed)) {
    io.weight = ioWeight;
    reasons.set('linux.resources.blockIO.weight', 'limits.blkio_config.weight', 'weight of disks');
  }
  for (const { kind, major, minor, value, specPath } of ioDevices ?? []) {
    if (kind === 'weight_device') {
      if (!have(specPath, unweighed)) continue;
      io.weightDevice ??= [];
      reasons.set(`linux.resources.blockIO.weightDevice.${io.weightDevice.length}`, specPath, kind);
      io.weightDevice.push({ major, minor, weight: value });
      continue;
    }
    const list = (io[THROTTLES[kind]] ??= []);
    reasons.set(`linux.resources.blockIO.${THROTTLES[kind]}.${list.length}`, specPath, kind);
    list.push({ major, minor, rate: value });
  }
  return io;
}
