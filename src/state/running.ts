/** Containers of the caller's that run, by their records (src/plan/record.ts). */
import { closeSync, existsSync, fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { namesIn } from './names.ts';
import type { HostFacts } from '../host/facts.ts';
import { openOwn, tryLock } from '../native.ts';
import { readRecord, type RecordText } from './record.ts';

export interface RunningNetwork {
  /** The first process of the container. */
  readonly pid: number;
  /** Undefined where the kernel does not let the caller open them (src/container/closed.ts). */
  readonly opened?: OpenedNetwork;
}

interface OpenedNetwork {
  /** Its network namespace, which stays the same one as long as this is open. */
  readonly fd: number;
  /** Its user namespace, open as well, and whether setgroups(2) is allowed there. */
  readonly user: { readonly fd: number; readonly setsGroups: boolean };
  /** It is that of the caller, too. */
  readonly isOwn: boolean;
}

/** As native/shared/birth.h has it; undefined where there is no such process. */
export function birthOf(pid: number): string | undefined {
  try {
    // The name of the program, in parentheses, can have any character.
    const rest = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/su, '');
    const start = rest.trim().split(' ')[19] ?? '';
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${start}-${boot}-${statSync('/proc/self/ns/pid').ino}`;
  } catch {
    return undefined;
  }
}

function openNamespaces(pid: number): OpenedNetwork | undefined {
  const all: number[] = [];
  const open = (kind: string): number => {
    const fd = openSync(`/proc/${pid}/ns/${kind}`, 'r');
    all.push(fd);
    return fd;
  };
  try {
    const [fd, user] = [open('net'), open('user')];
    const setsGroups = readFileSync(`/proc/${pid}/setgroups`, 'utf8').trim() !== 'deny';
    return { fd, user: { fd: user, setsGroups }, isOwn: fstatSync(fd).ino === statSync('/proc/self/ns/net').ino };
  } catch (error) {
    for (const fd of all) closeSync(fd);
    if (error instanceof Error && 'code' in error && error.code === 'EACCES') return undefined;
    throw error;
  }
}

export function closeNetwork({ fd, user }: OpenedNetwork): void {
  for (const one of [fd, user.fd]) closeSync(one);
}

/** Opens the network namespace of the record's container; undefined where it does not run. */
function openNetwork(path: string): RunningNetwork | undefined {
  const record = openOwn(path, 'file');
  try {
    // As long as its launcher lives, nobody else has the lock, and the process is not waited for by others.
    const { child } = readRecord(record);
    if (child === undefined || tryLock(record, true)) return undefined;
    const first = insideOf(child);
    if (first === undefined) return undefined;
    const opened = openNamespaces(first.pid);
    // Read after the namespaces are open: a later process of this number has another birth.
    if (birthOf(first.pid) === first.birth) return { pid: first.pid, ...(opened === undefined ? {} : { opened }) };
    if (opened !== undefined) closeNetwork(opened);
  } catch {
    // It has ended meanwhile.
  } finally {
    closeSync(record);
  }
  return undefined;
}

interface Process {
  readonly pid: number;
  readonly birth: string;
}

/** A process that was told from every other when it was looked at. */
export interface FirstProcess extends Process {
  /** Its parent, where it is not the launcher's own child: that waits for it, and passes on signals to it. */
  readonly outer?: Process;
}

/**
 * The first process inside, by what the launcher has made. A process that joins a process namespace does not become a member: its
 * child is the first one (`forksInside` of src/plan/namespaces.ts), and its only one.
 */
function insideOf({ pid, birth, forks }: NonNullable<RecordText['child']>): FirstProcess | undefined {
  if (!forks) return { pid, birth };
  const only = () => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
  try {
    const inside = only();
    const itsBirth = inside > 0 ? birthOf(inside) : undefined;
    // Asked again: somebody else may have got the number meanwhile.
    if (itsBirth === undefined || only() !== inside || birthOf(pid) !== birth) return undefined;
    return { pid: inside, birth: itsBirth, outer: { pid, birth } };
  } catch {
    return undefined;
  }
}

const RUN = /-([0-9a-f]{12})$/u;

/** The record of a run. A container that was renamed has that of its old name. */
export function recordPath({ dirs }: HostFacts, name: string, id: string): string {
  const path = join(dirs.state, `${name}-${id}`);
  if (existsSync(path)) return path;
  const found = namesIn(dirs.state).find((entry) => RUN.exec(entry)?.[1] === id);
  return found === undefined ? path : join(dirs.state, found);
}

/** The first process of a run; undefined where its launcher does not live, or has not started it yet. */
export function firstProcess(host: HostFacts, name: string, id: string): FirstProcess | undefined {
  return processOf(recordPath(host, name, id));
}

function processOf(path: string): (FirstProcess & { readonly isKept: boolean }) | undefined {
  let record: number;
  try {
    record = openOwn(path, 'file');
  } catch {
    return undefined;
  }
  try {
    const { child, isKept } = readRecord(record);
    if (child === undefined || tryLock(record, true)) return undefined;
    const first = insideOf(child);
    return first === undefined ? undefined : { ...first, isKept };
  } finally {
    closeSync(record);
  }
}

/** A run whose launcher lives. */
export interface RunningRecord {
  readonly id: string;
  readonly name: string;
  readonly first: FirstProcess;
  /** When the record was last written to, which is just before the command was started: milliseconds since 1970. */
  readonly started: number;
}

/** All runs of the caller's in the foreground that have a first process, but those of `except`. */
export function runningRecords({ dirs }: HostFacts, except: (id: string) => boolean): readonly RunningRecord[] {
  return namesIn(dirs.state).flatMap((entry): readonly RunningRecord[] => {
    const id = RUN.exec(entry)?.[1];
    if (id === undefined || except(id)) return [];
    const path = join(dirs.state, entry);
    try {
      const first = processOf(path);
      if (first === undefined || first.isKept) return [];
      return [{ id, name: entry.slice(0, -id.length - 1), first, started: statSync(path).mtimeMs }];
    } catch {
      // It has ended meanwhile.
      return [];
    }
  });
}

/** The network namespaces of the caller's running containers of this name. Each is to be closed. */
export function runningNetworks({ dirs }: HostFacts, name: string): readonly RunningNetwork[] {
  return namesIn(dirs.state)
    .filter((record) => record.startsWith(`${name}-`) && /^[0-9a-f]{12}$/u.test(record.slice(name.length + 1)))
    .flatMap((record) => openNetwork(join(dirs.state, record)) ?? []);
}
