/**
 * `limits`, by the table of limits: units are parsed, devices looked up, and what no schema can check is checked. Also
 * `stop_signal` and `stop_grace_period`.
 */
import { statSync } from '../inputs/outside.ts';
import type { ContainerFile } from '../generated/container.ts';
import { clip, clipKey, each, hostPath, addProblem, type Context } from './context.ts';
import { deviceNumbers } from '../kernel/device-number.ts';
import { whyNot } from '../files/read.ts';
import { LIMIT_ROWS, type LimitFields, type LimitKey, type Row } from '../limits/table.ts';
import type { HugePageLimit, IoDeviceLimit, IoLimitKind, LimitValues, ValueKind } from '../limits/values.ts';
import { checkRate, rateAt } from './network/rates.ts';
import type { Limits, Spec } from './spec.ts';
import { didYouMean } from './suggest.ts';
import { formatBytes } from '../text/sizes.ts';
import { parseDuration, parseNumbers, parseSignal, parseSize } from '../text/units.ts';
import { sizeAt } from './values.ts';

type RawDevice = { readonly path: string };
/** The types that the validator allows for each kind of limit. */
interface RawValues {
  size: string | number;
  integer: number;
  number: number;
  numbers: string | number;
  duration: string;
  rate: string;
  deviceWeights: readonly (RawDevice & { readonly weight: number })[];
  byteRates: readonly (RawDevice & { readonly rate: string | number })[];
  operationRates: readonly (RawDevice & { readonly rate: number })[];
  hugePages: Readonly<Record<string, unknown>>;
}

/** Reads a value; undefined where there is none, or where its problem has been reported at `path`. */
type Parser<Raw, Value> = (context: Context, raw: Raw | undefined, path: string) => Value | undefined;

const asItIs = <Value>(_context: Context, raw: Value | undefined): Value | undefined => raw;

const PARSERS: { readonly [Kind in ValueKind]: Parser<RawValues[Kind], LimitValues[Kind]> } = {
  size: sizeAt,
  integer: asItIs,
  number: asItIs,
  numbers: (context, raw, path) => numbersAt(context, raw, path),
  duration: (context, raw, path) => durationAt(context, raw, path),
  rate: rateAt,
  deviceWeights: (context, raw, path) => weightsAt(context, raw, path),
  byteRates: (context, raw, path) => ratesAt(context, raw, path),
  operationRates: (context, raw, path) => ratesAt(context, raw, path),
  hugePages: (context, raw, path) => hugePagesAt(context, raw, path),
};

/** The value of a key below `limits`. The validator has checked its type. */
function rawAt(limits: ContainerFile['limits'], key: LimitKey): unknown {
  let value: unknown = limits;
  for (const name of key.split('.')) value = (value as Readonly<Record<string, unknown>> | undefined)?.[name];
  return value;
}

export function normaliseLimits(context: Context, raw: ContainerFile['limits']): Limits {
  const limits: Record<string, unknown> = {};
  for (const [key, row] of LIMIT_ROWS) {
    const parse = PARSERS[row.kind] as Parser<unknown, unknown>;
    const value = parse(context, rawAt(raw, key), `limits.${key}`);
    const before = limits[row.field];
    // Several rows may name one list.
    if (value !== undefined)
      limits[row.field] = Array.isArray(before) ? [...(before as unknown[]), value].flat() : value;
  }
  const fields: LimitFields = limits;
  for (const [key, row] of LIMIT_ROWS) checkLimit(context, fields, raw, key, row);
  return { ...fields, optional: raw?.optional ?? false };
}

/** What no schema can check: that a value fits the others, and is not below the least that makes sense. */
function checkLimit(
  context: Context,
  fields: LimitFields,
  raw: ContainerFile['limits'],
  key: LimitKey,
  row: Row,
): void {
  const path = `limits.${key}`;
  const value = fields[row.field];
  if (value === undefined) return;
  if (row.kind === 'size' && row.least !== undefined && typeof value === 'number') {
    checkLeast(context, value, row.least, path);
  }
  if (row.kind === 'rate' && row.least !== undefined && typeof value === 'number') {
    checkRate(context, value, row.least, path);
  }
  if (row.needs !== undefined && raw?.[row.needs] === undefined && !context.bad.has(`limits.${row.needs}`)) {
    addProblem(context, path, 'E_SPEC_CONFLICT', `\`${path}\` needs \`limits.${row.needs}\` beside it`);
  }
  const most = row.within === undefined ? undefined : fields[row.within];
  if (most !== undefined && typeof value === 'number' && value > most) {
    const message = `\`${path}\` is beyond \`limits.${row.within ?? ''}\`, and is never reached`;
    addProblem(context, path, 'E_SPEC_CONFLICT', message);
  }
  if (row.notZero !== undefined && value === 0) addProblem(context, path, 'E_SPEC_RANGE', row.notZero);
}

/** A bare number most likely lacks its unit: the hint adds one. */
function checkLeast(context: Context, bytes: number, least: number, path: string): void {
  if (bytes >= least) return;
  const text = context.paths.text(path) ?? '';
  const bare = /^[1-9]\d*$/.test(text)
    ? `with a unit: ${clip(`${text}MiB`)}`
    : `the least is ${formatBytes(least).replace(' ', '')}`;
  addProblem(context, path, 'E_SPEC_SIZE', `${clip(bytes)} B of memory is too little for any program`, {
    hint: bytes === 0 ? 'leave it out where there is no limit' : bare,
  });
}

/** `stop_signal` and `stop_grace_period`. */
export function normaliseStop(context: Context, raw: ContainerFile): Pick<Spec, 'stopSignal' | 'stopGracePeriod'> {
  const stopSignal = signalAt(context, raw.stop_signal);
  const stopGracePeriod = durationAt(context, raw.stop_grace_period, 'stop_grace_period');
  return {
    ...(stopSignal === undefined ? {} : { stopSignal }),
    ...(stopGracePeriod === undefined ? {} : { stopGracePeriod }),
  };
}

const COMMON_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGKILL', 'SIGWINCH'];

function signalAt(context: Context, value: string | number | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = parseSignal(String(value));
  if (number === undefined) {
    const meant = didYouMean(String(value).toUpperCase(), COMMON_SIGNALS);
    addProblem(context, 'stop_signal', 'E_SPEC_VALUE', `there is no signal "${clip(String(value))}"`, {
      hint: meant === undefined ? 'see `kill -l`' : `did you mean \`${meant}\`?`,
    });
  }
  return number;
}

/** Milliseconds, or undefined with the problem reported at `path`. */
export function durationAt(context: Context, text: string | undefined, path: string): number | undefined {
  if (text === undefined) return undefined;
  const duration = parseDuration(text);
  if (duration === undefined) {
    const number = /^\d+(\.\d+)?/.exec(text)?.[0];
    addProblem(context, path, 'E_SPEC_DURATION', `"${clip(text)}" is not a duration`, {
      hint: `units are h, m, s and ms, in this order: ${number === undefined ? '1h30m' : `${clip(`${number}s`)}, ${clip(`${number}m`)}`}`,
    });
  }
  return duration;
}

function numbersAt(context: Context, value: string | number | undefined, path: string): string | undefined {
  if (value === undefined) return undefined;
  const numbers = parseNumbers(String(value));
  if (numbers === undefined) {
    addProblem(context, path, 'E_SPEC_VALUE', `"${clip(String(value))}" is not a list of numbers and ranges`, {
      hint: 'for example "0-3,7"',
    });
  }
  return numbers;
}

/** The kind of a limit of devices is its key: `device_read_bps` of `limits.blkio_config.device_read_bps`. */
const kindOf = (path: string): IoLimitKind => path.slice(path.lastIndexOf('.') + 1) as IoLimitKind;

/** The items of a list of devices; `valueOf` gives the number of an item. */
function devicesAt<Raw extends RawDevice>(
  context: Context,
  raw: readonly Raw[] | undefined,
  path: string,
  valueOf: (item: Raw, specPath: string) => number | undefined,
): readonly IoDeviceLimit[] | undefined {
  const kind = kindOf(path);
  const items = each(context, raw ?? [], `limits.blkio_config.${kind}` as const);
  const found = items.flatMap(([item, specPath]): readonly IoDeviceLimit[] => {
    const device = deviceAt(context, item.path, `${specPath}.path`);
    const value = valueOf(item, specPath);
    return device === undefined || value === undefined ? [] : [{ kind, ...device, value, specPath }];
  });
  return unlessEmpty(found);
}

const weightsAt: Parser<RawValues['deviceWeights'], readonly IoDeviceLimit[]> = (context, raw, path) =>
  devicesAt(context, raw, path, ({ weight }) => weight);

const ratesAt: Parser<RawValues['byteRates'], readonly IoDeviceLimit[]> = (context, raw, path) =>
  devicesAt(context, raw, path, ({ rate }, specPath) => {
    const value = sizeAt(context, rate, `${specPath}.rate`);
    if (value === 0)
      addProblem(context, `${specPath}.rate`, 'E_SPEC_RANGE', 'at a rate of 0 nothing would ever be done');
    return value;
  });

function unlessEmpty<Item>(list: readonly Item[]): readonly Item[] | undefined {
  return list.length === 0 ? undefined : list;
}

function deviceAt(
  context: Context,
  text: string,
  path: string,
): { readonly major: number; readonly minor: number } | undefined {
  const numbers = /^(\d{1,4}):(\d{1,7})$/.exec(text);
  if (numbers !== null) return { major: Number(numbers[1]), minor: Number(numbers[2]) };
  const file = hostPath(context, text);
  try {
    const status = statSync(file);
    if (status.isBlockDevice()) return deviceNumbers(status.rdev);
    addProblem(context, path, 'E_SPEC_DEVICE', `"${clip(text)}" is not a block device`, {
      hint: '`lsblk` shows them; a whole disk, not one of its partitions',
    });
  } catch (error) {
    addProblem(
      context,
      path,
      'E_SPEC_MISSING_FILE',
      `the device "${clip(text)}" cannot be used: ${whyNot(error).problem}`,
      {
        hint: 'a path such as /dev/sda, or MAJOR:MINOR such as "8:0"',
      },
    );
  }
  return undefined;
}

const hugePagesAt: Parser<RawValues['hugePages'], readonly HugePageLimit[]> = (context, raw) => {
  const found = Object.entries(raw ?? {}).flatMap(([key, value]): readonly HugePageLimit[] => {
    const specPath = `limits.hugetlb.${key}` as const;
    if (key.startsWith('x-') || context.bad.has(specPath)) return [];
    const limit = sizeAt(context, value as string | number, specPath);
    const page = parseSize(key);
    if (page === undefined || page === 0 || Math.log2(page) % 1 !== 0) {
      addProblem(context, specPath, 'E_SPEC_SIZE', `"${clipKey(key)}" is not the size of a page`, {
        hint: 'for example 2MiB or 1GiB; `ls /sys/kernel/mm/hugepages` shows what there is',
      });
      return [];
    }
    if (limit === undefined) return [];
    if (limit % page !== 0) {
      addProblem(
        context,
        specPath,
        'E_SPEC_RANGE',
        `${clip(limit)} bytes are no whole number of pages of ${clipKey(key)}`,
      );
    }
    return [{ page, limit, specPath }];
  });
  return unlessEmpty(found);
};
