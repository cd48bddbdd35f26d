/**
 * What a container uses. The kernel's counters of its cgroups tell it where it has any; else it is the sum over its processes,
 * which has nothing of those that have ended, and counts memory that they share once for each.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { totalmem } from 'node:os';
import { containerCgroups, type ContainerCgroups } from '../host/cgroup-mounts.ts';
import { realHost } from '../host/read.ts';
import type { RunningContainer } from './existing.ts';
import { containerProcesses, type ContainerProcess } from './processes.ts';

/** Percent of the last 10 seconds in which some process waited (psi.rst). */
export interface Pressure {
  readonly cpu?: number;
  readonly memory?: number;
  readonly io?: number;
}

/** What of a container has to be known. */
type Measured = Pick<RunningContainer, 'id' | 'first'>;

export interface Sample {
  /** Milliseconds of a clock that only goes on. */
  readonly at: number;
  /** Processor time since the start, ms. */
  readonly cpuMs: number;
  /** Bytes. Without a limit of its own, the limit is the memory of the host. */
  readonly memory: { readonly usage: number; readonly limit: number };
  /** Processes and threads. Without a limit of its own there is none. */
  readonly pids: { readonly current: number; readonly limit: number | undefined };
  /** Bytes from and to disks; undefined: nobody counts them. */
  readonly io: { readonly read: number; readonly written: number } | undefined;
  /** Bytes through all interfaces but `lo`; undefined: it has the network of the host. */
  readonly network: { readonly received: number; readonly sent: number } | undefined;
  readonly pressure: Pressure;
}

function text(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** The number that is the file; undefined where there is none, or it says `max`. */
function numberIn(path: string): number | undefined {
  const found = text(path)?.trim();
  return found === undefined || !/^\d+$/u.test(found) ? undefined : Number(found);
}

const keyed = (content: string | undefined, key: string): number | undefined => {
  const found = new RegExp(`^${key} (\\d+)$`, 'mu').exec(content ?? '')?.[1];
  return found === undefined ? undefined : Number(found);
};

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

/** The processes are read once, and not where no counter is missing. */
class Reader {
  readonly #cgroups: ContainerCgroups;
  readonly #container: Measured;
  #processes: readonly ContainerProcess[] | undefined;

  constructor(container: Measured) {
    this.#container = container;
    this.#cgroups = containerCgroups(realHost, container.first.pid, container.id);
  }

  get #all(): readonly ContainerProcess[] {
    return (this.#processes ??= containerProcesses(this.#container.first.pid, this.#container.id));
  }

  #second(file: string): string {
    return `${this.#cgroups.unified ?? '/nonexistent'}/${file}`;
  }

  #first(controller: string, file: string): string {
    return `${this.#cgroups.versionOne.get(controller) ?? '/nonexistent'}/${file}`;
  }

  cpuMs(): number {
    const second = keyed(text(this.#second('cpu.stat')), 'usage_usec');
    if (second !== undefined) return second / 1000;
    const first = numberIn(this.#first('cpuacct', 'cpuacct.usage'));
    return first === undefined ? sum(this.#all.map(({ cpuMs }) => cpuMs)) : first / 1e6;
  }

  memory(): Sample['memory'] {
    const all = totalmem();
    const within = (limit: number | undefined): number => (limit === undefined || limit > all ? all : limit);
    const second = numberIn(this.#second('memory.current'));
    if (second !== undefined) {
      // As docker counts: what the kernel can drop at once is not used.
      const cache = keyed(text(this.#second('memory.stat')), 'inactive_file') ?? 0;
      return { usage: Math.max(0, second - cache), limit: within(numberIn(this.#second('memory.max'))) };
    }
    const first = numberIn(this.#first('memory', 'memory.usage_in_bytes'));
    if (first === undefined) return { usage: sum(this.#all.map(({ resident }) => resident)), limit: all };
    const cache = keyed(text(this.#first('memory', 'memory.stat')), 'total_inactive_file') ?? 0;
    const limit = numberIn(this.#first('memory', 'memory.limit_in_bytes'));
    return { usage: Math.max(0, first - cache), limit: within(limit) };
  }

  pids(): Sample['pids'] {
    const places = [(file: string) => this.#second(file), (file: string) => this.#first('pids', file)];
    for (const place of places) {
      const current = numberIn(place('pids.current'));
      if (current !== undefined) return { current, limit: numberIn(place('pids.max')) };
    }
    return { current: sum(this.#all.map(({ threads }) => threads)), limit: undefined };
  }

  io(): Sample['io'] {
    const second = text(this.#second('io.stat'));
    if (second !== undefined) {
      const total = (key: string): number =>
        sum([...second.matchAll(new RegExp(`\\b${key}=(\\d+)`, 'gu'))].map(([, value]) => Number(value)));
      return { read: total('rbytes'), written: total('wbytes') };
    }
    const first = text(this.#first('blkio', 'blkio.throttle.io_service_bytes'));
    if (first !== undefined) {
      const total = (key: string): number =>
        sum([...first.matchAll(new RegExp(`^\\d+:\\d+ ${key} (\\d+)$`, 'gmu'))].map(([, value]) => Number(value)));
      return { read: total('Read'), written: total('Write') };
    }
    const all = this.#all.flatMap(({ pid }) => text(`/proc/${pid}/io`) ?? []);
    if (all.length === 0) return undefined;
    const total = (key: string): number =>
      sum(all.map((one) => Number(new RegExp(`^${key}: (\\d+)$`, 'mu').exec(one)?.[1] ?? 0)));
    return { read: total('read_bytes'), written: total('write_bytes') };
  }

  network(): Sample['network'] {
    const { pid } = this.#container.first;
    try {
      if (readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync('/proc/self/ns/net')) return undefined;
    } catch {
      return undefined;
    }
    // proc_pid_net(5): the name, then eight numbers of what was received, and eight of what was sent.
    const rows = (text(`/proc/${pid}/net/dev`) ?? '')
      .split('\n')
      .slice(2)
      .map((line) => /^\s*([^:]+):\s*(.*)$/u.exec(line))
      .filter((found) => found !== null && found[1] !== 'lo')
      .map((found) => (found?.[2] ?? '').trim().split(/\s+/u).map(Number));
    return { received: sum(rows.map((row) => row[0] ?? 0)), sent: sum(rows.map((row) => row[8] ?? 0)) };
  }

  pressure(): Pressure {
    const of = (what: keyof Pressure): Pressure => {
      const found = /^some avg10=([\d.]+)/mu.exec(text(this.#second(`${what}.pressure`)) ?? '')?.[1];
      return found === undefined ? {} : { [what]: Number(found) };
    };
    return { ...of('cpu'), ...of('memory'), ...of('io') };
  }
}

/** Undefined: it has ended. */
export function sampleOf(container: Measured): Sample | undefined {
  const reader = new Reader(container);
  const sample = {
    at: performance.now(),
    cpuMs: reader.cpuMs(),
    memory: reader.memory(),
    pids: reader.pids(),
    io: reader.io(),
    network: reader.network(),
    pressure: reader.pressure(),
  };
  try {
    // What was read of a process that has ended meanwhile is nothing, or is of another.
    readdirSync(`/proc/${container.first.pid}/task`);
    return sample;
  } catch {
    return undefined;
  }
}

/** Percent of one processor in between. */
export function cpuPercent(before: Sample | undefined, now: Sample): number {
  if (before === undefined || now.at <= before.at) return 0;
  return Math.max(0, ((now.cpuMs - before.cpuMs) * 100) / (now.at - before.at));
}
