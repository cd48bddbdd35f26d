/**
 * The processes of a container, by /proc: all in its process namespace, and their descendants, which may be in one of their own;
 * or all in its cgroups, where it shares the host's process namespace. Nothing is run in the container.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { containerCgroups } from '../host/cgroup-mounts.ts';
import { realHost } from '../host/read.ts';

/** USER_HZ: the same on x86-64 and arm64, whatever the kernel was built with. */
export const TICKS = 100;
const KIB = 1024;

export interface ContainerProcess {
  /** As the host numbers it. */
  readonly pid: number;
  readonly ppid: number;
  /** As its own process namespace numbers it. */
  readonly ownPid: number;
  /** Ids of the host. */
  readonly uid: number;
  readonly gid: number;
  /** The letter of proc_pid_stat(5). */
  readonly state: string;
  readonly nice: number;
  readonly threads: number;
  /** Bytes. */
  readonly virtual: number;
  readonly resident: number;
  /** `pts/0`, or `?`; as its number says. */
  readonly terminal: string;
  /** Processor time, ms; and when it was started, ms since 1970. */
  readonly cpuMs: number;
  readonly started: number;
  /** The name of the program, and its words. */
  readonly name: string;
  readonly command: readonly string[];
}

function text(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

const numbersIn = (folder: string): readonly number[] =>
  readdirSync(folder)
    .map(Number)
    .filter((number) => Number.isInteger(number) && number > 0);

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}

interface Stat {
  readonly name: string;
  readonly fields: readonly string[];
}

/** proc_pid_stat(5): `fields` begin with the state. */
function statOf(pid: number): Stat | undefined {
  const line = text(`/proc/${pid}/stat`);
  // The name of the program, in parentheses, can have any character.
  const found = /^\d+ \((.*)\) (.*)\n?$/su.exec(line ?? '');
  return found === null ? undefined : { name: found[1] ?? '', fields: (found[2] ?? '').split(' ') };
}

const parentOf = ({ fields }: Stat): number => Number(fields[1]);

function cgroupMembers(pid: number, id: string): ReadonlySet<number> {
  const { unified, versionOne } = containerCgroups(realHost, pid, id);
  const folder = unified ?? [...versionOne.values()][0];
  const members = new Set<number>();
  const add = (at: string): void => {
    for (const member of (text(`${at}/cgroup.procs`) ?? '').split('\n')) if (member !== '') members.add(Number(member));
    try {
      for (const entry of readdirSync(at, { withFileTypes: true })) if (entry.isDirectory()) add(`${at}/${entry.name}`);
    } catch {
      // It has just been removed.
    }
  };
  if (folder !== undefined) add(folder);
  return members;
}

/** The numbers of a container's processes, the first process among them. */
export function processNumbers(first: number, id: string): readonly number[] {
  const namespace = namespaceOf(first);
  const isPrivate = namespace !== undefined && namespace !== namespaceOf(process.pid);
  const inCgroup = isPrivate ? new Set<number>() : cgroupMembers(first, id);
  const parents = new Map<number, number>();
  const members = new Set<number>([first]);
  for (const pid of numbersIn('/proc')) {
    const stat = statOf(pid);
    if (stat === undefined) continue;
    parents.set(pid, parentOf(stat));
    if (inCgroup.has(pid) || (isPrivate && namespaceOf(pid) === namespace)) members.add(pid);
  }
  const belongs = (pid: number): boolean => {
    for (let at = pid, depth = 0; at > 1 && depth < 4096; at = parents.get(at) ?? 0, depth++) {
      if (members.has(at)) return true;
    }
    return false;
  };
  return [...parents.keys()].filter(belongs).toSorted((one, other) => one - other);
}

/** `tty_nr`: the minor number is in two parts. */
function terminalOf(number: number): string {
  if (number === 0) return '?';
  const major = (number >>> 8) & 0xfff;
  const minor = (number & 0xff) | ((number >>> 12) & 0xfff00);
  if (major >= 136 && major <= 143) return `pts/${(major - 136) * 256 + minor}`;
  return major === 4 ? `tty${minor}` : `${major}:${minor}`;
}

/** Milliseconds since 1970 at which the kernel began to count. */
function bootTime(): number {
  return Number(/^btime (\d+)$/mu.exec(text('/proc/stat') ?? '')?.[1] ?? 0) * 1000;
}

const idOf = (status: string, what: 'Uid' | 'Gid'): number =>
  Number(new RegExp(`^${what}:\\s+\\d+\\s+(\\d+)`, 'mu').exec(status)?.[1] ?? 0);

function describe(pid: number, boot: number): ContainerProcess | undefined {
  const stat = statOf(pid);
  const status = text(`/proc/${pid}/status`);
  if (stat === undefined || status === undefined) return undefined;
  const at = (field: number): number => Number(stat.fields[field - 3] ?? 0);
  const own = /^NSpid:.*?(\d+)$/mu.exec(status)?.[1];
  const command = (text(`/proc/${pid}/cmdline`) ?? '').replace(/\0+$/u, '');
  return {
    pid,
    ppid: at(4),
    ownPid: Number(own ?? pid),
    uid: idOf(status, 'Uid'),
    gid: idOf(status, 'Gid'),
    state: stat.fields[0] ?? '?',
    nice: at(19),
    threads: at(20),
    virtual: at(23),
    resident: Number(/^VmRSS:\s+(\d+) kB$/mu.exec(status)?.[1] ?? 0) * KIB,
    terminal: terminalOf(at(7)),
    cpuMs: ((at(14) + at(15)) * 1000) / TICKS,
    started: boot + (at(22) * 1000) / TICKS,
    name: stat.name,
    command: command === '' ? [`[${stat.name}]`] : command.split('\0'),
  };
}

export function containerProcesses(first: number, id: string): readonly ContainerProcess[] {
  const boot = bootTime();
  // Numbers begin anew after the greatest one.
  return processNumbers(first, id)
    .flatMap((pid) => describe(pid, boot) ?? [])
    .toSorted((one, other) => one.started - other.started || one.ownPid - other.ownPid);
}
