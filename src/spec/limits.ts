/** `limits`, and how a container is stopped: units parsed, devices looked up, and what no schema can check. */
import { statSync } from 'node:fs';
import type { ContainerFile } from '../generated/container.ts';
import { clip, clipKey, each, hostPath, report, type Context } from './context.ts';
import { whyNot } from '../files/read.ts';
import type { HugePageLimit, IoDeviceLimit, IoLimitKind, Limits, Spec } from './spec.ts';
import { didYouMean } from './suggest.ts';
import { parseDuration, parseNumbers, parseSignal, parseSize } from '../text/units.ts';
import { sizeAt } from './values.ts';

type RawLimits = NonNullable<ContainerFile['limits']>;
type RawIo = NonNullable<RawLimits['blkio_config']>;

/** Below this no program starts, and the number lacks its unit. */
const LEAST_MEMORY = 1024 * 1024;

export const normaliseLimits = (context: Context, raw: ContainerFile['limits']): Limits => {
  const memory = sizeAt(context, raw?.memory, 'limits.memory');
  const swap = sizeAt(context, raw?.swap, 'limits.swap');
  const memoryHigh = sizeAt(context, raw?.memory_high, 'limits.memory_high');
  const memoryLow = sizeAt(context, raw?.memory_low, 'limits.memory_low');
  const cpuset = numbersAt(context, raw?.cpuset, 'limits.cpuset');
  const cpusetMems = numbersAt(context, raw?.cpuset_mems, 'limits.cpuset_mems');
  const ioDevices = ioDevicesAt(context, raw?.blkio_config);
  const hugetlb = hugetlbAt(context, raw?.hugetlb);
  const time = durationAt(context, raw?.time, 'limits.time');
  checkLeast(context, memory, 'limits.memory');
  checkLeast(context, memoryHigh, 'limits.memory_high');
  if (swap !== undefined && raw?.memory === undefined && !context.bad.has('limits.memory')) {
    report(context, 'limits.swap', 'E_SPEC_CONFLICT', '`limits.swap` needs `limits.memory` beside it');
  }
  for (const [value, key] of [
    [memoryHigh, 'memory_high'],
    [memoryLow, 'memory_low'],
  ] as const) {
    if (memory === undefined || value === undefined || value <= memory) continue;
    report(
      context,
      `limits.${key}`,
      'E_SPEC_CONFLICT',
      `\`limits.${key}\` is beyond \`limits.memory\`, and is never reached`,
    );
  }
  if (time === 0) report(context, 'limits.time', 'E_SPEC_RANGE', 'no command can run in no time');
  return {
    ...(memory === undefined ? {} : { memory }),
    ...(swap === undefined ? {} : { swap }),
    ...(memoryHigh === undefined ? {} : { memoryHigh }),
    ...(memoryLow === undefined ? {} : { memoryLow }),
    ...(raw?.pids === undefined ? {} : { pids: raw.pids }),
    ...(raw?.cpus === undefined ? {} : { cpus: raw.cpus }),
    ...(raw?.cpu_shares === undefined ? {} : { cpuShares: raw.cpu_shares }),
    ...(cpuset === undefined ? {} : { cpuset }),
    ...(cpusetMems === undefined ? {} : { cpusetMems }),
    ...(raw?.blkio_config?.weight === undefined ? {} : { ioWeight: raw.blkio_config.weight }),
    ...(ioDevices.length === 0 ? {} : { ioDevices }),
    ...(hugetlb.length === 0 ? {} : { hugetlb }),
    ...(time === undefined ? {} : { time }),
    optional: raw?.optional ?? false,
  };
};

/** A number without its unit is what people forget; with one, the number is meant. */
const checkLeast = (context: Context, bytes: number | undefined, path: string): void => {
  if (bytes === undefined || bytes >= LEAST_MEMORY) return;
  const text = context.paths.text(path) ?? '';
  const bare = /^[1-9]\d*$/.test(text) ? `with a unit: ${clip(`${text}MiB`)}` : 'the least is 1MiB';
  report(context, path, 'E_SPEC_SIZE', `${clip(bytes)} bytes of memory are too few for any program`, {
    hint: bytes === 0 ? 'leave it out where there is no limit' : bare,
  });
};

/** `stop_signal` and `stop_grace_period`. */
export const normaliseStop = (context: Context, raw: ContainerFile): Pick<Spec, 'stopSignal' | 'stopGracePeriod'> => {
  const stopSignal = signalAt(context, raw.stop_signal);
  const stopGracePeriod = durationAt(context, raw.stop_grace_period, 'stop_grace_period');
  return {
    ...(stopSignal === undefined ? {} : { stopSignal }),
    ...(stopGracePeriod === undefined ? {} : { stopGracePeriod }),
  };
};

const COMMON_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGKILL', 'SIGWINCH'];

const signalAt = (context: Context, value: string | number | undefined): number | undefined => {
  if (value === undefined) return undefined;
  const number = parseSignal(String(value));
  if (number === undefined) {
    const meant = didYouMean(String(value).toUpperCase(), COMMON_SIGNALS);
    report(context, 'stop_signal', 'E_SPEC_VALUE', `there is no signal "${clip(String(value))}"`, {
      hint: meant === undefined ? 'see `kill -l`' : `did you mean \`${meant}\`?`,
    });
  }
  return number;
};

/** Milliseconds, or undefined with the problem reported at `path`. */
const durationAt = (context: Context, text: string | undefined, path: string): number | undefined => {
  if (text === undefined) return undefined;
  const duration = parseDuration(text);
  if (duration === undefined) {
    const number = /^\d+(\.\d+)?/.exec(text)?.[0];
    report(context, path, 'E_SPEC_DURATION', `"${clip(text)}" is not a duration`, {
      hint: `units are h, m, s and ms, in this order: ${number === undefined ? '1h30m' : `${clip(`${number}s`)}, ${clip(`${number}m`)}`}`,
    });
  }
  return duration;
};

const numbersAt = (context: Context, value: string | number | undefined, path: string): string | undefined => {
  if (value === undefined) return undefined;
  const numbers = parseNumbers(String(value));
  if (numbers === undefined) {
    report(context, path, 'E_SPEC_VALUE', `"${clip(String(value))}" is not a list of numbers and ranges`, {
      hint: 'for example "0-3,7"',
    });
  }
  return numbers;
};

const ioDevicesAt = (context: Context, raw: RawIo | undefined): readonly IoDeviceLimit[] => {
  const path = 'limits.blkio_config';
  const rates = (kind: Exclude<IoLimitKind, 'weight_device'>): readonly IoDeviceLimit[] =>
    each<{ path: string; rate: string | number }, `${typeof path}.${typeof kind}`>(
      context,
      raw?.[kind] ?? [],
      `${path}.${kind}`,
    ).flatMap(([item, specPath]) => {
      const device = deviceAt(context, item.path, `${specPath}.path`);
      const value = sizeAt(context, item.rate, `${specPath}.rate`);
      if (value === 0) report(context, `${specPath}.rate`, 'E_SPEC_RANGE', 'at a rate of 0 nothing would ever be done');
      return device === undefined || value === undefined ? [] : [{ kind, ...device, value, specPath }];
    });
  const weights = each(context, raw?.weight_device ?? [], `${path}.weight_device`).flatMap(
    ([item, specPath]): IoDeviceLimit[] => {
      const device = deviceAt(context, item.path, `${specPath}.path`);
      return device === undefined ? [] : [{ kind: 'weight_device', ...device, value: item.weight, specPath }];
    },
  );
  return [
    ...weights,
    ...rates('device_read_bps'),
    ...rates('device_write_bps'),
    ...rates('device_read_iops'),
    ...rates('device_write_iops'),
  ];
};

/** glibc's encoding of a device's number (makedev(3)). */
const major = (device: number): number =>
  Number((BigInt(device) >> 8n) & 0xfffn) + Number((BigInt(device) >> 44n) << 12n);
const minor = (device: number): number => Number((BigInt(device) & 0xffn) | ((BigInt(device) >> 12n) & 0xffffff00n));

const deviceAt = (
  context: Context,
  text: string,
  path: string,
): { readonly major: number; readonly minor: number } | undefined => {
  const numbers = /^(\d{1,4}):(\d{1,7})$/.exec(text);
  if (numbers !== null) return { major: Number(numbers[1]), minor: Number(numbers[2]) };
  const file = hostPath(context, text);
  try {
    const status = statSync(file);
    if (status.isBlockDevice()) return { major: major(status.rdev), minor: minor(status.rdev) };
    report(context, path, 'E_SPEC_DEVICE', `"${clip(text)}" is not a block device`, {
      hint: '`lsblk` shows them; a whole disk, not one of its partitions',
    });
  } catch (error) {
    report(
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
};

const hugetlbAt = (context: Context, raw: RawLimits['hugetlb']): readonly HugePageLimit[] =>
  Object.entries(raw ?? {}).flatMap(([key, value]): HugePageLimit[] => {
    const specPath = `limits.hugetlb.${key}` as const;
    if (key.startsWith('x-') || context.bad.has(specPath)) return [];
    const limit = sizeAt(context, value, specPath);
    const page = parseSize(key);
    if (page === undefined || page === 0 || Math.log2(page) % 1 !== 0) {
      report(context, specPath, 'E_SPEC_SIZE', `"${clipKey(key)}" is not the size of a page`, {
        hint: 'for example 2MiB or 1GiB; `ls /sys/kernel/mm/hugepages` shows what there is',
      });
      return [];
    }
    if (limit === undefined) return [];
    if (limit % page !== 0) {
      report(context, specPath, 'E_SPEC_RANGE', `${clip(limit)} bytes are no whole number of pages of ${clipKey(key)}`);
    }
    return [{ page, limit, specPath }];
  });
