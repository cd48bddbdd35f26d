/** What is written to the files of a cgroup for each limit of a configuration, by the row that the table of limits has for it. */
import type { CgroupLimit } from '../limits/row.ts';
import { LIMIT_ROWS, type DevicePath, type LimitKey, type LimitPath } from '../limits/table.ts';
import type { ConfigPath } from '../oci/config-path.ts';
import type { OciBlockIo, OciResources } from '../oci/config.ts';
import { valueAt } from '../oci/resources.ts';

/** A limit that the configuration has. */
export interface Wanted {
  readonly key: LimitKey;
  readonly row: CgroupLimit<LimitPath>;
  /** OCI's value at the path of the row: a number, a text, or a list with an item for each device or size of page. */
  readonly value: unknown;
}

const isWeight = ({ row }: Wanted): boolean => row.weight === true;

/** The limits of a configuration, weights before maxima. */
export function wantedOf(resources: OciResources): readonly Wanted[] {
  const wanted = LIMIT_ROWS.flatMap(([key, { cgroup }]): readonly Wanted[] => {
    const value = cgroup === undefined ? undefined : valueAt(resources, cgroup.path);
    return cgroup === undefined || value === undefined ? [] : [{ key, row: cgroup, value }];
  });
  return [...wanted.filter(isWeight), ...wanted.filter((one) => !isWeight(one))];
}

/** What a row's files have on a host. */
export interface FilesOf {
  readonly version: 1 | 2;
  /** The file of version 2 that weighs disks there. */
  readonly weigher: string | undefined;
}

/** runc's and crun's conversion: from 2 … 262144 to 1 … 10000. */
function weightOfShares(shares: number): number {
  return 1 + Math.floor(((shares - 2) * 9999) / 262_142);
}

/** BFQ takes 10 … 1000 as they are; the cost model has the same as 1 … 10000. */
function diskWeight(file: string, weight: number): number {
  return file === 'io.weight' ? 1 + Math.floor(((weight - 10) * 9999) / 990) : weight;
}

type Throttle = NonNullable<OciBlockIo['throttleReadBpsDevice']>[number];
type DeviceWeight = NonNullable<OciBlockIo['weightDevice']>[number];
type HugePages = NonNullable<OciResources['hugepageLimits']>[number];

/** A file, what is written to it, and which part of the configuration says so. */
export interface Line {
  readonly path: ConfigPath;
  readonly file: string;
  readonly value: string;
}

/** A line for each item of a list, as `of` has it. */
function linesOf<One>({ row, value }: Wanted, of: (item: One) => Omit<Line, 'path'>): readonly Line[] {
  const path = row.path as DevicePath | 'hugepageLimits';
  return (value as readonly One[]).map((item, index) => ({ path: `linux.resources.${path}.${index}`, ...of(item) }));
}

/** What is written for a limit: in most cases, its value to its file. */
export function written(wanted: Wanted, resources: OciResources, { version, weigher }: FilesOf): readonly Line[] {
  const { key, row, value } = wanted;
  const file = version === 1 ? row.v1 : row.v2;
  if (file === undefined) throw new Error(`version 1 of cgroups has no ${row.v2}`);
  const line = (text: unknown, name = file): Line => ({
    path: `linux.resources.${row.path}`,
    file: name,
    value: String(text),
  });
  const disks = version === 1 ? file : (weigher ?? file);
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
      return [line(diskWeight(disks, Number(value)), disks)];
    case 'blkio_config.weight_device':
      return linesOf<DeviceWeight>(wanted, ({ major, minor, weight }) => ({
        file: disks,
        value: `${major}:${minor} ${diskWeight(disks, weight)}`,
      }));
    case 'blkio_config.device_read_bps':
    case 'blkio_config.device_write_bps':
    case 'blkio_config.device_read_iops':
    case 'blkio_config.device_write_iops':
      return linesOf<Throttle>(wanted, ({ major, minor, rate }) => ({
        file,
        value: `${major}:${minor} ${version === 1 ? '' : `${row.v2Word ?? ''}=`}${rate}`,
      }));
    case 'hugetlb':
      return linesOf<HugePages>(wanted, ({ pageSize, limit }) => ({
        file: file.replace('SIZE', pageSize),
        value: String(limit),
      }));
    default:
      if (typeof value === 'object') throw new Error(`it is not said how the list of limits.${key} is written`);
      return [line(value)];
  }
}
