/**
 * The limits of a container: a row for each key below `limits`, and all that boxctl knows of it. The schema and the reference
 * pages are generated from this table (specs/generate.mjs). The loader, the model, the planner, `diff`, `audit`, `doctor` and
 * the explanation of an end read it. The order is that of the schema and of its reference page. A limit that needs a calculation of its own has that where it is made, by its key.
 */
import { CGROUP_CONTROLLERS } from '../kernel/cgroup.ts';
import { MEMORY_COUNTERS, PIDS_COUNTERS, tellMemory, tellPids } from './reached.ts';
import type { ComposeName, LimitGroup, LimitRow } from './row.ts';
import type { LimitValues } from './values.ts';

const UNLIMITED = Number.POSITIVE_INFINITY;
/** The weights that the kernel gives to a new cgroup, of CPUs and of disks. */
const CPU_SHARES = 1024;
const DISK_WEIGHT = 100;
/** Below this no program starts; most likely the number lacks its unit. */
const LEAST_MEMORY = 1024 * 1024;

function amount(name: string, unset = UNLIMITED) {
  return { name, more: 'gains', unset } as const;
}
/** Bits in a second: below this, one full packet takes a second. */
const LEAST_RATE = 16_000;

export const LIMITS = {
  memory: {
    about: 'Memory; beyond it a process is killed.',
    kind: 'size',
    field: 'memory',
    words: ['mem_limit', 'memory', 'mem'],
    compose: {
      mem_limit: { note: '0 is no limit', none: [0] },
      'deploy.resources.limits.memory': { none: [0] },
    },
    option: { name: 'memory', none: [0, -1], example: '512m' },
    least: LEAST_MEMORY,
    label: 'memory limit',
    cgroup: {
      controller: 'memory',
      path: 'memory.limit',
      v1: 'memory.limit_in_bytes',
      v2: 'memory.max',
      readAgain: 'written',
      unlimited: { v1: '-1', v2: 'max' },
    },
    diff: amount('memory'),
    audit: {
      rule: 'no-memory-limit',
      severity: 'medium',
      open: 'memory.limit',
      message: 'can use all of the host’s memory',
      fix: '`limits: {memory: 512MiB}`',
    },
    trial: '64MiB',
    reached: { counters: MEMORY_COUNTERS, tell: tellMemory },
  },
  swap: {
    about: 'Swap beside the memory; 0 is none.',
    kind: 'size',
    field: 'swap',
    words: ['memswap_limit'],
    compose: {
      memswap_limit: {
        description:
          'Memory and swap together, of which `limits.swap` is what is over the memory; -1 and 0 are no limit.',
        schema: { type: ['string', 'integer'], examples: ['1g', -1] },
        convert: 'memory and swap',
      },
    },
    option: { name: 'memory-swap', none: [-1], example: '1g' },
    needs: 'memory',
    label: 'swap limit',
    cgroup: {
      controller: 'memory',
      path: 'memory.swap',
      v1: 'memory.memsw.limit_in_bytes',
      v2: 'memory.swap.max',
      readAgain: 'written',
      notes: { v1: 'memory and swap together' },
      unlimited: { v1: '-1', v2: 'max' },
    },
    diff: amount('memory with swap'),
  },
  pids: {
    about:
      'Processes and threads at a time. Without it a process namespace of its own has no more than 4096 (`kernel.pid_max`, Linux 6.14).',
    kind: 'integer',
    schema: { minimum: 1, maximum: 4_194_304, examples: [64] },
    field: 'pids',
    words: ['pids_limit', 'pids'],
    compose: {
      pids_limit: { note: '-1 and 0 are no limit', none: [0, -1] },
      'deploy.resources.limits.pids': { none: [0, -1] },
    },
    option: { name: 'pids-limit', none: [0, -1], example: '100' },
    label: 'pids limit',
    cgroup: {
      controller: 'pids',
      path: 'pids.limit',
      v1: 'pids.max',
      v2: 'pids.max',
      unlimited: { v1: 'max', v2: 'max' },
    },
    diff: amount('pids'),
    audit: {
      rule: 'no-pids-limit',
      severity: 'medium',
      open: 'pids',
      message: 'can use all process ids of the host',
      fix: '`limits: {pids: 256}`',
    },
    trial: '64',
    reached: { counters: PIDS_COUNTERS, tell: tellPids },
  },
  cpus: {
    about: 'CPUs; 1.5 is one and a half.',
    kind: 'number',
    schema: { minimum: 0.01, maximum: 8192, examples: [1.5] },
    field: 'cpus',
    words: ['cpus', 'cpu'],
    compose: {
      cpus: { note: '0 is no limit', schema: { type: ['number', 'string'], examples: ['0.5', 1.5] }, none: [0] },
      cpu_quota: {
        description:
          'Microseconds of CPU time in each `cpu_period`: `limits.cpus` is the one divided by the other; -1 and 0 are no limit.',
        schema: { type: ['number', 'string'], examples: [50_000] },
        convert: 'quota',
      },
      'deploy.resources.limits.cpus': { schema: { type: ['number', 'string'], examples: ['0.5'] }, none: [0] },
    },
    option: { name: 'cpus', none: [0], example: '1.5' },
    label: 'cpu limit',
    cgroup: {
      controller: 'cpu',
      path: 'cpu.quota',
      v1: 'cpu.cfs_quota_us',
      v2: 'cpu.max',
      notes: { v1: 'of `cpu.cfs_period_us`', v2: 'the quota and its period' },
      unlimited: { v1: '-1', v2: 'max 100000' },
    },
    diff: amount('cpus'),
    audit: {
      rule: 'no-cpu-limit',
      severity: 'low',
      open: 'cpu',
      message: 'can use all CPUs of the host',
      fix: '`limits: {cpus: 2}`',
    },
    trial: '1',
  },
  memory_high: {
    about: 'Memory beyond which the container is slowed down and its memory is reclaimed; version 2 of cgroups.',
    kind: 'size',
    field: 'memoryHigh',
    words: ['memory.high'],
    least: LEAST_MEMORY,
    within: 'memory',
    label: 'memory.high',
    cgroup: {
      controller: 'memory',
      path: 'unified.memory.high',
      v1: undefined,
      v2: 'memory.high',
      readAgain: 'written',
      unlimited: { v1: '', v2: 'max' },
    },
    diff: amount('memory_high'),
  },
  memory_low: {
    about: 'Memory that is kept from being reclaimed while others can give some; version 2 of cgroups.',
    kind: 'size',
    field: 'memoryLow',
    words: ['mem_reservation', 'memory_reservation', 'memory.low'],
    compose: {
      mem_reservation: { note: '0 is none', none: [0] },
      'deploy.resources.reservations.memory': { none: [0] },
    },
    option: { name: 'memory-reservation', none: [0], example: '256m' },
    within: 'memory',
    label: 'memory.low',
    cgroup: {
      controller: 'memory',
      path: 'memory.reservation',
      v1: undefined,
      v2: 'memory.low',
      readAgain: 'written',
      unlimited: { v1: '', v2: '0' },
    },
    diff: amount('memory_low', 0),
  },
  cpu_shares: {
    about: 'Weight of the container where processes compete for CPUs; 1024 is the usual one.',
    kind: 'integer',
    schema: { minimum: 2, maximum: 262_144, examples: [512] },
    field: 'cpuShares',
    words: ['cpu_shares', 'cpu_weight'],
    compose: { cpu_shares: { note: '0 is the usual one', none: [0] } },
    option: { name: 'cpu-shares', none: [0], example: '512' },
    label: 'cpu weight',
    cgroup: {
      controller: 'cpu',
      path: 'cpu.shares',
      v1: 'cpu.shares',
      v2: 'cpu.weight',
      weight: true,
      readAgain: 'written',
      notes: { v2: '2 … 262144 as 1 … 10000' },
      unlimited: { v1: '1024', v2: '100' },
    },
    diff: amount('cpu_shares', CPU_SHARES),
  },
  cpuset: {
    about: 'The CPUs that it may run on.',
    kind: 'numbers',
    schema: { maximum: 8191, 'x-expected': 'CPU numbers and ranges, such as "0-3,7"', examples: ['0-3,7'] },
    field: 'cpuset',
    words: ['cpuset', 'cpuset_cpus'],
    compose: { cpuset: {} },
    option: { name: 'cpuset-cpus', example: '0-1' },
    label: 'CPUs',
    cgroup: {
      controller: 'cpuset',
      path: 'cpu.cpus',
      v1: 'cpuset.cpus',
      v2: 'cpuset.cpus',
      readAgain: { v1: 'cpuset.effective_cpus', v2: 'cpuset.cpus.effective' },
    },
    diff: 'set',
  },
  cpuset_mems: {
    about: 'The memory nodes that it may use.',
    kind: 'numbers',
    schema: { maximum: 1023, 'x-expected': 'node numbers and ranges, such as "0-1"', examples: ['0'] },
    field: 'cpusetMems',
    option: { name: 'cpuset-mems', example: '0' },
    label: 'memory nodes of the parent',
    cgroup: {
      controller: 'cpuset',
      path: 'cpu.mems',
      v1: 'cpuset.mems',
      v2: 'cpuset.mems',
      readAgain: { v1: 'cpuset.effective_mems', v2: 'cpuset.mems.effective' },
    },
    diff: 'set',
  },
  'blkio_config.weight': {
    about: 'Weight where processes compete for a disk that weighs them; 100 is the usual one.',
    kind: 'integer',
    schema: { minimum: 10, maximum: 1000, examples: [300] },
    field: 'ioWeight',
    option: { name: 'blkio-weight', none: [0], example: '300' },
    label: 'weight of disks',
    cgroup: {
      controller: 'io',
      path: 'blockIO.weight',
      v1: 'blkio.bfq.weight',
      v2: 'io.bfq.weight',
      weight: true,
      notes: { v1: 'where BFQ is', v2: 'or `io.weight` with the cost model' },
      unlimited: { v1: '100', v2: '100' },
    },
    diff: amount('weight of disks', DISK_WEIGHT),
  },
  'blkio_config.weight_device': {
    about: 'The same for single devices.',
    kind: 'deviceWeights',
    field: 'ioDevices',
    label: 'weight_device',
    cgroup: {
      controller: 'io',
      path: 'blockIO.weightDevice',
      v1: 'blkio.bfq.weight_device',
      v2: 'io.bfq.weight',
      weight: true,
      notes: { v1: 'where BFQ is', v2: 'or `io.weight` with the cost model' },
    },
    diff: amount('weight_device', DISK_WEIGHT),
  },
  'blkio_config.device_read_bps': {
    about: 'Bytes read in a second.',
    kind: 'byteRates',
    field: 'ioDevices',
    label: 'device_read_bps',
    cgroup: {
      controller: 'io',
      path: 'blockIO.throttleReadBpsDevice',
      v1: 'blkio.throttle.read_bps_device',
      v2: 'io.max',
      v2Word: 'rbps',
    },
    diff: amount('device_read_bps'),
  },
  'blkio_config.device_write_bps': {
    about: 'Bytes written in a second.',
    kind: 'byteRates',
    field: 'ioDevices',
    label: 'device_write_bps',
    cgroup: {
      controller: 'io',
      path: 'blockIO.throttleWriteBpsDevice',
      v1: 'blkio.throttle.write_bps_device',
      v2: 'io.max',
      v2Word: 'wbps',
    },
    diff: amount('device_write_bps'),
  },
  'blkio_config.device_read_iops': {
    about: 'Reads in a second.',
    kind: 'operationRates',
    field: 'ioDevices',
    label: 'device_read_iops',
    cgroup: {
      controller: 'io',
      path: 'blockIO.throttleReadIOPSDevice',
      v1: 'blkio.throttle.read_iops_device',
      v2: 'io.max',
      v2Word: 'riops',
    },
    diff: amount('device_read_iops'),
  },
  'blkio_config.device_write_iops': {
    about: 'Writes in a second.',
    kind: 'operationRates',
    field: 'ioDevices',
    label: 'device_write_iops',
    cgroup: {
      controller: 'io',
      path: 'blockIO.throttleWriteIOPSDevice',
      v1: 'blkio.throttle.write_iops_device',
      v2: 'io.max',
      v2Word: 'wiops',
    },
    diff: amount('device_write_iops'),
  },
  hugetlb: {
    about: 'Memory in huge pages, by the size of the page.',
    kind: 'hugePages',
    schema: { examples: [{ '2MiB': '64MiB' }] },
    field: 'hugetlb',
    label: 'huge pages',
    cgroup: {
      controller: 'hugetlb',
      path: 'hugepageLimits',
      v1: 'hugetlb.SIZE.limit_in_bytes',
      v2: 'hugetlb.SIZE.max',
      readAgain: 'written',
    },
    diff: amount('huge pages'),
  },
  time: {
    about: 'How long the command may run; then it is stopped like by `stop_signal`, and boxctl ends with 124.',
    kind: 'duration',
    field: 'time',
    words: ['timeout'],
    notZero: 'no command can run in no time',
    label: 'time limit',
    appliedBy: 'the launcher’s own timer',
    diff: amount('time'),
  },
  'network.egress': {
    about: 'Bits in a second that the container sends to its network at most.',
    kind: 'rate',
    field: 'networkEgress',
    least: LEAST_RATE,
    label: 'rate of what is sent',
    appliedBy: 'a queueing discipline of the interface (tc-tbf(8))',
    diff: amount('rate of what is sent'),
  },
  'network.ingress': {
    about: 'The same for what it receives.',
    kind: 'rate',
    field: 'networkIngress',
    least: LEAST_RATE,
    label: 'rate of what is received',
    appliedBy: 'a queueing discipline of the interface (tc-tbf(8))',
    diff: amount('rate of what is received'),
  },
} as const satisfies Readonly<Record<string, LimitRow>>;

/** A key below `limits`, such as `memory` or `blkio_config.weight`. */
export type LimitKey = keyof typeof LIMITS;

type Rows = (typeof LIMITS)[LimitKey];
type CgroupRows = Extract<Rows, { readonly cgroup: object }>;
type CountedRows = Extract<Rows, { readonly reached: object }>;
export type LimitPath = CgroupRows['cgroup']['path'];
/** Those that are lists of devices. */
export type DevicePath = Extract<LimitPath, `blockIO.${string}Device`>;
export type AuditRule = Extract<Rows, { readonly audit: object }>['audit']['rule'];
export type CounterName = CountedRows['reached']['counters'][number]['what'];
/** The limits of which it is known whether they were reached, by counters of the kernel. */
export type CountedLimit = { [Key in LimitKey]: (typeof LIMITS)[Key] extends CountedRows ? Key : never }[LimitKey];

/** What a file limits, by the rows' `field`. */
export type LimitFields = {
  readonly [Key in LimitKey as (typeof LIMITS)[Key]['field']]?: LimitValues[(typeof LIMITS)[Key]['kind']];
};

export type Row = LimitRow<LimitPath, keyof LimitFields, AuditRule>;
type KeyedRow = readonly [key: LimitKey, row: Row];
const ROWS = Object.entries(LIMITS) as unknown as readonly KeyedRow[];

/** By controller, and last those that no cgroup applies: the order in which they are compiled, written and compared. */
export const LIMIT_ROWS: readonly KeyedRow[] = [...CGROUP_CONTROLLERS, undefined].flatMap((controller) =>
  ROWS.filter(([, { cgroup }]) => cgroup?.controller === controller),
);

/** The limits that the kernel counts, with their keys. */
export const COUNTED_LIMITS = Object.entries(LIMITS).flatMap(([key, row]) =>
  'reached' in row ? [{ key: key as CountedLimit, cgroup: row.cgroup, reached: row.reached }] : [],
);

/** Keys that have limits below them. */
export const LIMIT_GROUPS: Readonly<Record<Exclude<TopKey, LimitKey>, LimitGroup>> = {
  blkio_config: {
    about: 'Weight and rates of block devices. A device is a path, or MAJOR:MINOR.',
    words: ['blkio_config', 'io'],
    compose: { blkio_config: { schema: { type: 'object', examples: [{ weight: 300 }] } } },
    examples: [{ device_write_bps: [{ path: '/dev/sda', rate: '10MiB' }] }],
  },
  network: {
    about: 'Rates of the container’s network (network.md).',
    words: ['bandwidth'],
    compose: {},
    examples: [{ egress: '10mbit', ingress: '50mbit' }],
  },
};

/** The keys that stand right below `limits`. */
export type TopKey = LimitKey extends infer Key ? (Key extends `${infer Top}.${string}` ? Top : Key) : never;

/** The top key that a key is, or is below: `blkio_config` of `blkio_config.weight`. */
export function topOf(key: LimitKey): TopKey {
  return key.split('.', 1)[0] as TopKey;
}

const GROUP_ROWS = Object.entries(LIMIT_GROUPS) as readonly (readonly [TopKey, LimitGroup])[];

/** Every name that Compose has for a limit, with the key that it is moved to. */
export function composeNames(): readonly (readonly [name: string, key: LimitKey | TopKey, how: ComposeName])[] {
  return [...LIMIT_ROWS, ...GROUP_ROWS].flatMap(([key, { compose = {} }]) =>
    Object.entries(compose).map(([name, how]) => [name, key, how] as const),
  );
}

/** Words that other programs or Compose have for a limit, and its path in a file. */
export function otherWords(): Readonly<Record<string, string>> {
  const rows = [...LIMIT_ROWS, ...GROUP_ROWS];
  return Object.fromEntries(rows.flatMap(([key, { words = [] }]) => words.map((word) => [word, `limits.${key}`])));
}
