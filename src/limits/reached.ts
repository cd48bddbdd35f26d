/** Which numbers of the kernel tell that a limit was reached, and the sentences for that. */
import { formatBytes } from '../text/sizes.ts';
import type { Counter, Reached } from './row.ts';

type Counts = Readonly<Record<string, number | undefined>>;

export const MEMORY_COUNTERS = [
  {
    what: 'oom_kill',
    v1: { file: 'memory.oom_control', key: 'oom_kill' },
    v2: { file: 'memory.events', key: 'oom_kill' },
  },
  // How often the limit itself was in the way: 0 where the whole host, or a cgroup above, was out of memory.
  { what: 'memory_max', v1: { file: 'memory.failcnt', key: '' }, v2: { file: 'memory.events', key: 'max' } },
  { what: 'memory_peak', v1: { file: 'memory.max_usage_in_bytes', key: '' }, v2: { file: 'memory.peak', key: '' } },
] as const satisfies readonly Counter[];

/** The kernel charges memory in batches of up to 64 pages on each CPU: the peak can stay this far below the limit. */
const BATCHES = 1 << 20;

export function tellMemory(counts: Counts, limit: number | undefined): Reached | undefined {
  const { oom_kill: count = 0, memory_max: failures, memory_peak: peak } = counts;
  if (count === 0) return undefined;
  const rest = { count, ...(peak === undefined ? {} : { peak }) };
  const processes = count === 1 ? 'a process' : `${count} processes`;
  // Version 1 does not count what ran into the limit of swap; but then all of the memory was in use.
  const own = failures !== 0 || (peak ?? 0) > (limit ?? 0) - BATCHES;
  if (limit === undefined || !own) {
    const message = `out of memory: the kernel killed ${processes}, since the host or a cgroup further above had none left`;
    return { ...rest, own: false, message };
  }
  const most = peak === undefined ? '' : ` (${formatBytes(peak)} at the most)`;
  const message = `out of memory: the kernel killed ${processes} at the memory limit of ${formatBytes(limit)}${most}`;
  return { ...rest, own: true, message };
}

const PIDS_EVENTS = { file: 'pids.events', key: 'max' };
export const PIDS_COUNTERS = [
  { what: 'pids_max', v1: PIDS_EVENTS, v2: PIDS_EVENTS },
] as const satisfies readonly Counter[];

export function tellPids({ pids_max: count = 0 }: Counts, limit: number | undefined): Reached | undefined {
  if (count === 0) return undefined;
  const times = count === 1 ? 'once' : `${count} times`;
  const message = `the limit of ${limit ?? 'some'} processes was reached: fork failed ${times}`;
  return { count, own: true, message };
}
