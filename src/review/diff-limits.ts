/** Limits that differ: more of one is a gain, and so is none. */
import { pathOfFile } from '../spec/spec-path.ts';
import { formatBytes } from '../run/ending.ts';
import type { Limits } from '../spec/spec.ts';
import { both, type Change, type Comparison, type Direction } from './change.ts';

/** A number of which more is more for the container. */
interface Amount {
  readonly name: string;
  readonly path: string;
  readonly value: number;
  /** What holds where the file says nothing. */
  readonly unset: number;
  readonly format: (value: number) => string;
}

const NONE = Number.POSITIVE_INFINITY;
/** The kernel's usual weights, of CPUs and of disks. */
const SHARES = 1024;
const DISK_WEIGHT = 100;

const amount = (
  name: string,
  path: string,
  value: number | undefined,
  unset: number,
  format: (value: number) => string = String,
): readonly Amount[] => (value === undefined ? [] : [{ name, path: `limits.${path}`, value, unset, format }]);

const duration = (ms: number): string => (ms % 1000 === 0 ? `${ms / 1000} s` : `${ms} ms`);

/** Lists of CPUs and nodes are sets, and `optional` is no amount. */
type Amounts = Exclude<keyof Limits, 'cpuset' | 'cpusetMems' | 'optional'>;

const AMOUNTS: Readonly<Record<Amounts, (limits: Limits) => readonly Amount[]>> = {
  memory: ({ memory }) => amount('memory', 'memory', memory, NONE, formatBytes),
  swap: ({ memory = 0, swap }) =>
    amount('memory with swap', 'swap', swap === undefined ? undefined : memory + swap, NONE, formatBytes),
  memoryHigh: ({ memoryHigh }) => amount('memory_high', 'memory_high', memoryHigh, NONE, formatBytes),
  memoryLow: ({ memoryLow }) => amount('memory_low', 'memory_low', memoryLow, 0, formatBytes),
  pids: ({ pids }) => amount('pids', 'pids', pids, NONE),
  cpus: ({ cpus }) => amount('cpus', 'cpus', cpus, NONE),
  cpuShares: ({ cpuShares }) => amount('cpu_shares', 'cpu_shares', cpuShares, SHARES),
  ioWeight: ({ ioWeight }) => amount('weight of disks', 'blkio_config.weight', ioWeight, DISK_WEIGHT),
  ioDevices: ({ ioDevices }) =>
    (ioDevices ?? []).flatMap(({ kind, major, minor, value }) => {
      const [unset, format] = kind.endsWith('bps') ? [NONE, formatBytes] : [NONE, String];
      const of = `${kind} of ${major}:${minor}`;
      return amount(of, `blkio_config.${kind}`, value, kind === 'weight_device' ? DISK_WEIGHT : unset, format);
    }),
  hugetlb: ({ hugetlb }) =>
    (hugetlb ?? []).flatMap(({ page, limit }) =>
      amount(`huge pages of ${formatBytes(page)}`, 'hugetlb', limit, NONE, formatBytes),
    ),
  time: ({ time }) => amount('time', 'time', time, NONE, duration),
};

export const compareAmounts: Comparison = (old, young) => {
  const [was, is] = [old, young].map(({ document }) => {
    const all = Object.values(AMOUNTS).flatMap((of) => of(document.spec.limits));
    return new Map(all.map((one) => [one.name, one]));
  });
  return [...new Map([...(was ?? []), ...(is ?? [])])].flatMap(([name, { path, unset, format }]): readonly Change[] => {
    const [before, after] = [was?.get(name)?.value ?? unset, is?.get(name)?.value ?? unset];
    if (before === after) return [];
    const text = (value: number): string => (value === NONE ? 'no limit' : format(value));
    const message = `${name}: ${text(before)} → ${text(after)}`;
    return [both(after > before ? 'gains' : 'loses', message, old, young, pathOfFile(path), 'limits')];
  });
};

/** The numbers of `0-3,7`. */
const numbersOf = (list: string): readonly number[] =>
  list.split(',').flatMap((part) => {
    const [first = 0, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });

const compareSet =
  (key: 'cpuset' | 'cpusetMems', name: 'cpuset' | 'cpuset_mems'): Comparison =>
  (old, young) => {
    const [was, is] = [old.document.spec.limits[key], young.document.spec.limits[key]];
    if (was === is) return [];
    const isPart = (list: string | undefined, of: string | undefined): boolean => {
      if (of === undefined || list === undefined) return of === undefined;
      const all = new Set(numbersOf(of));
      return numbersOf(list).every((number) => all.has(number));
    };
    const direction: Direction = isPart(was, is) ? 'gains' : isPart(is, was) ? 'loses' : 'changes';
    return [both(direction, `${name}: ${was ?? 'all'} → ${is ?? 'all'}`, old, young, `limits.${name}`, 'limits')];
  };

export const compareCpus = compareSet('cpuset', 'cpuset');
export const compareNodes = compareSet('cpusetMems', 'cpuset_mems');

export const compareOptional: Comparison = (old, young) => {
  const [was, is] = [old, young].map(({ document }) => document.spec.limits.optional);
  if (was === is) return [];
  const message = is === true ? 'starts without limits that cannot be had' : 'does not start without its limits';
  return [both(is === true ? 'gains' : 'loses', message, old, young, 'limits.optional', 'limits')];
};
