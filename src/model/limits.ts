/** The limits of a file in OCI's words. One that this host cannot apply is a problem, or is dropped where the file says so. */
import { homeFor } from '../host/cgroup-home.ts';
import type { HostFacts } from '../host/facts.ts';
import type { CgroupController } from '../kernel/cgroup.ts';
import {
  LIMIT_ROWS,
  LIMITS,
  topOf,
  type DevicePath,
  type LimitKey,
  type LimitPath,
  type Row,
} from '../limits/table.ts';
import type { IoDeviceLimit, ValueKind } from '../limits/values.ts';
import type { SpecPath } from '../spec/spec-path.ts';
import type { Limits, SpecDocument } from '../spec/spec.ts';
import { parseNumbers } from '../text/units.ts';
import type { OciResources } from '../oci/config.ts';
import { put } from '../oci/resources.ts';
import type { Dropped } from './model.ts';
import type { Network } from './network.ts';
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
  readonly rates: Network['rates'];
}

interface Obstacle {
  readonly reason: string;
  readonly hint: string;
}

/** What keeps each controller from being had; undefined where it can be had together with the others of `wanted`. */
function obstacles(
  { cgroup }: HostFacts,
  wanted: readonly CgroupController[],
): (controller: CgroupController) => Obstacle | undefined {
  const { controllers } = cgroup;
  const unified = wanted.filter((name) => controllers[name].usable && controllers[name].version === 2);
  const home = homeFor(cgroup, unified);
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

/** The kernel counts whole pages, and rounds down without an error. arm64 has pages of up to 64 KiB. */
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

/** What else a limit needs of the host, by its key. */
function obstacleOfHost(key: LimitKey, limits: Limits, { cgroup }: HostFacts): Obstacle | undefined {
  switch (key) {
    case 'swap':
      return cgroup.swap ? undefined : { reason: 'this kernel does not count swap', hint: 'boot with swapaccount=1' };
    case 'cpuset':
      return beyond(limits.cpuset, cgroup.cpuset.cpus);
    case 'cpuset_mems':
      return beyond(limits.cpusetMems, cgroup.cpuset.mems);
    case 'blkio_config.weight':
    case 'blkio_config.weight_device':
      return cgroup.ioWeight === undefined ? UNWEIGHED : undefined;
    default:
      return undefined;
  }
}

const UNWEIGHED: Obstacle = {
  reason: 'no scheduler of disks here looks at weights',
  hint: 'give the disk the scheduler bfq: modprobe bfq; echo bfq >/sys/block/DISK/queue/scheduler',
};

function beyond(list: string | undefined, all: string | undefined): Obstacle | undefined {
  if (list === undefined || isPart(list, all)) return undefined;
  return { reason: `"${list}" is not a part of "${all}", which is all that boxctl has`, hint: 'take some of those' };
}

/** The devices that one key limits: they share a field with those of other keys. */
function devicesOf(key: LimitKey, { ioDevices = [] }: Limits): readonly IoDeviceLimit[] {
  return ioDevices.filter(({ kind }) => key === `blkio_config.${kind}`);
}

function isGiven(key: LimitKey, { field }: Row, limits: Limits): boolean {
  return field === 'ioDevices' ? devicesOf(key, limits).length > 0 : limits[field] !== undefined;
}

/** What every limit is compiled from, and where its parts go. */
interface Scope {
  readonly limits: Limits;
  readonly host: HostFacts;
  readonly resources: OciResources;
  readonly reasons: Reasons;
  readonly problems: Problems;
  /** True when nothing is in the way of the limit at this path of the file; otherwise that has been reported. */
  readonly canHave: (path: SpecPath, obstacle: Obstacle | undefined) => boolean;
}

/** The limit that is being compiled: its key, and where OCI has it. */
interface Target {
  readonly key: LimitKey;
  readonly path: LimitPath;
}

type Setter = (scope: Scope, target: Target) => void;

/** How limits are set that OCI has otherwise than the file: in whole pages, or as lists. All others are set as they are. */
const BY_KIND: Readonly<Partial<Record<ValueKind, Setter>>> = {
  size: setSize,
  deviceWeights: setDevices,
  byteRates: setDevices,
  operationRates: setDevices,
  hugePages: setHugePages,
};

function setValue({ limits, resources }: Scope, { key, path }: Target): void {
  const value = limits[LIMITS[key].field];
  put(resources, path, path.startsWith('unified.') ? String(value) : value);
}

function setSize({ limits, host, resources }: Scope, { key, path }: Target): void {
  const bytes = limits[LIMITS[key].field];
  if (typeof bytes !== 'number') return;
  const size = wholePages(bytes, host.arch);
  // OCI's figure is memory and swap together.
  const value = key === 'swap' ? size + wholePages(limits.memory ?? 0, host.arch) : size;
  put(resources, path, path.startsWith('unified.') ? String(value) : value);
}

function setCpus({ limits, resources, problems }: Scope): void {
  const quota = Math.round((limits.cpus ?? 0) * CPU_PERIOD);
  if (quota < LEAST_QUOTA) {
    problems.add(
      'E_LIMIT_TOO_SMALL',
      'limits.cpus',
      `the least that the kernel can give is ${LEAST_QUOTA / CPU_PERIOD} of a CPU`,
    );
  }
  put(resources, 'cpu.quota', quota);
  resources.cpu = { ...resources.cpu, period: CPU_PERIOD };
}

/** Each device has a line of its own, and is left out by itself where it cannot be had. */
function setDevices({ limits, host, resources, reasons, canHave }: Scope, { key, path }: Target): void {
  const list: object[] = [];
  for (const { kind, major, minor, value, specPath } of devicesOf(key, limits)) {
    if (!canHave(specPath, obstacleOfHost(key, limits, host))) continue;
    reasons.set(`linux.resources.${path as DevicePath}.${list.length}`, specPath, kind);
    list.push({ major, minor, ...(kind === 'weight_device' ? { weight: value } : { rate: value }) });
  }
  if (list.length > 0) put(resources, path, list);
}

function setHugePages({ limits, resources, reasons }: Scope): void {
  resources.hugepageLimits = (limits.hugetlb ?? []).map(({ page, limit, specPath }, index) => {
    reasons.set(`linux.resources.hugepageLimits.${index}`, specPath, LIMITS.hugetlb.label);
    return { pageSize: pageName(page), limit };
  });
}

/** Reports what is in the way of a limit, once for each path: as a problem, or as dropped where the file says `optional`. */
function reporter(document: SpecDocument, problems: Problems, dropped: Dropped[]): Scope['canHave'] {
  const reported = new Set<SpecPath>();
  return (path, obstacle) => {
    if (obstacle === undefined) return true;
    if (reported.has(path)) return false;
    reported.add(path);
    if (document.spec.limits.optional) {
      dropped.push({ what: path, reason: obstacle.reason, because: { kind: 'spec', path, at: document.where(path) } });
      return false;
    }
    // One that the file does not have was given by an option.
    const isInFile = document.where(path) !== undefined;
    const escape = 'or write `optional: true` beside the limits to go on without those that cannot be had';
    const hints = [obstacle.hint, isInFile ? escape : ''].filter(Boolean);
    const what = isInFile ? 'the limit' : path;
    const hint = hints.length === 0 ? undefined : hints.join('; ');
    problems.add('E_LIMIT_UNAVAILABLE', path, `${what} cannot be applied here: ${obstacle.reason}`, hint);
    return false;
  };
}

/** Those that a cgroup applies, in OCI's words. */
function compileCgroupLimits(scope: Scope): void {
  const { limits, host, reasons, canHave } = scope;
  const given = LIMIT_ROWS.flatMap(([key, row]) =>
    row.cgroup !== undefined && isGiven(key, row, limits) ? [{ key, row, cgroup: row.cgroup }] : [],
  );
  const controllers = given.map(({ cgroup }) => cgroup.controller);
  const obstacleOf = obstacles(host, controllers);
  const done = new Set<LimitKey>();
  for (const { key, row, cgroup } of given) {
    const { controller, path, v1, v2 } = cgroup;
    // Lists have a reason for each item.
    if (path !== 'hugepageLimits') reasons.set(`linux.resources.${path}`, `limits.${key}`, row.label);
    if (row.needs !== undefined && !done.has(row.needs)) {
      // Why there is none has been reported as a problem, if it is one.
      const nothing = { reason: `there is no limit of ${row.needs} for it to add to`, hint: '' };
      if (limits.optional) canHave(`limits.${key}`, nothing);
      continue;
    }
    // What keeps a controller away is reported once for all keys of a group.
    if (!canHave(`limits.${topOf(key)}`, obstacleOf(controller))) continue;
    const old = v1 === undefined && isVersionOne(host, controller);
    if (!canHave(`limits.${key}`, old ? { reason: `version 1 of cgroups has no ${v2}`, hint: VERSION_2 } : undefined)) {
      continue;
    }
    // Of devices, each is judged by itself.
    if (row.field !== 'ioDevices' && !canHave(`limits.${key}`, obstacleOfHost(key, limits, host))) continue;
    const setter = key === 'cpus' ? setCpus : (BY_KIND[row.kind] ?? setValue);
    setter(scope, { key, path });
    done.add(key);
  }
}

/** Queues of the pair of interfaces: every network has one, also that of an ordinary user (src/plan/network/router.ts). */
function compileRates({ limits }: Scope): Network['rates'] {
  const [egress, ingress] = [limits[LIMITS['network.egress'].field], limits[LIMITS['network.ingress'].field]];
  return { ...(egress === undefined ? {} : { egress }), ...(ingress === undefined ? {} : { ingress }) };
}

export function compileLimits(
  document: SpecDocument,
  host: HostFacts,
  reasons: Reasons,
  problems: Problems,
): CompiledLimits {
  const dropped: Dropped[] = [];
  const resources: OciResources = {};
  const canHave = reporter(document, problems, dropped);
  const scope: Scope = { limits: document.spec.limits, host, resources, reasons, problems, canHave };
  compileCgroupLimits(scope);
  const rates = compileRates(scope);
  return { resources: Object.keys(resources).length === 0 ? undefined : resources, dropped, rates };
}

function isVersionOne({ cgroup }: HostFacts, controller: CgroupController): boolean {
  const home = cgroup.controllers[controller];
  return home.usable && home.version === 1;
}
