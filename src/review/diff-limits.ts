/** Limits that differ: more of one is a gain, and so is none. What more of a limit is, the table of limits says. */
import { LIMIT_ROWS, type LimitKey, type Row } from '../limits/table.ts';
import type { Limits } from '../spec/spec.ts';
import { formatBytes, formatRate } from '../text/sizes.ts';
import { both, type Change, type Comparison, type Direction } from './change.ts';

/** The value of a limit in one of the two files. */
interface Amount {
  readonly name: string;
  readonly path: `limits.${LimitKey}`;
  readonly value: number;
  /** The value that applies where the file has none. */
  readonly unset: number;
  readonly more: 'gains' | 'loses';
  readonly format: (value: number) => string;
}

const NONE = Number.POSITIVE_INFINITY;

const duration = (ms: number): string => (ms % 1000 === 0 ? `${ms / 1000} s` : `${ms} ms`);

const FORMATS: Readonly<Partial<Record<Row['kind'], (value: number) => string>>> = {
  size: formatBytes,
  byteRates: formatBytes,
  hugePages: formatBytes,
  duration,
  rate: formatRate,
};

/** The numbers of one row: one, or one for each device or size of page. */
function amountsOf(key: LimitKey, { field, kind, needs, diff }: Row, limits: Limits): readonly Amount[] {
  if (diff === 'set') return [];
  const rest = { path: `limits.${key}` as const, unset: diff.unset, more: diff.more, format: FORMATS[kind] ?? String };
  if (field === 'ioDevices') {
    const devices = (limits.ioDevices ?? []).filter((device) => key === `blkio_config.${device.kind}`);
    return devices.map(({ major, minor, value }) => ({ ...rest, name: `${diff.name} of ${major}:${minor}`, value }));
  }
  if (field === 'hugetlb') {
    const pages = limits.hugetlb ?? [];
    return pages.map(({ page, limit }) => ({ ...rest, name: `${diff.name} of ${formatBytes(page)}`, value: limit }));
  }
  const value = limits[field];
  if (typeof value !== 'number') return [];
  // What adds to another limit is compared with it.
  return [{ ...rest, name: diff.name, value: value + (needs === undefined ? 0 : (limits[needs] ?? 0)) }];
}

const compareAmounts: Comparison = (old, young) => {
  const [was, is] = [old, young].map(({ document }) => {
    const all = LIMIT_ROWS.flatMap(([key, row]) => amountsOf(key, row, document.spec.limits));
    return new Map(all.map((one) => [one.name, one]));
  });
  return [...new Map([...(was ?? []), ...(is ?? [])])].flatMap(([name, amount]): readonly Change[] => {
    const { path, unset, more, format } = amount;
    const [before, after] = [was?.get(name)?.value ?? unset, is?.get(name)?.value ?? unset];
    if (before === after) return [];
    const text = (value: number): string => (value === NONE ? 'no limit' : format(value));
    const message = `${name}: ${text(before)} → ${text(after)}`;
    const less = more === 'gains' ? 'loses' : 'gains';
    return [both(after > before ? more : less, message, old, young, path, 'limits')];
  });
};

/** The numbers of `0-3,7`. */
const numbersOf = (list: string): readonly number[] =>
  list.split(',').flatMap((part) => {
    const [first = 0, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });

const isPart = (list: string | undefined, of: string | undefined): boolean => {
  if (of === undefined || list === undefined) return of === undefined;
  const all = new Set(numbersOf(of));
  return numbersOf(list).every((number) => all.has(number));
};

const compareSets: Comparison = (old, young) =>
  LIMIT_ROWS.flatMap(([key, { field, diff }]): readonly Change[] => {
    const [was, is] = [old, young].map(({ document }) => document.spec.limits[field]);
    if (diff !== 'set' || was === is) return [];
    const [before, after] = [was, is].map((list) => (typeof list === 'string' ? list : undefined));
    const direction: Direction = isPart(before, after) ? 'gains' : isPart(after, before) ? 'loses' : 'changes';
    return [both(direction, `${key}: ${before ?? 'all'} → ${after ?? 'all'}`, old, young, `limits.${key}`, 'limits')];
  });

const compareOptional: Comparison = (old, young) => {
  const [was, is] = [old, young].map(({ document }) => document.spec.limits.optional);
  if (was === is) return [];
  const message = is === true ? 'starts without limits that cannot be had' : 'does not start without its limits';
  return [both(is === true ? 'gains' : 'loses', message, old, young, 'limits.optional', 'limits')];
};

export const compareLimits: readonly Comparison[] = [compareAmounts, compareSets, compareOptional];
