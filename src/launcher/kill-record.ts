/**
 * Which system call a filter ended a process for. Nobody is told by the process's end; but the kernel writes an audit
 * record (AUDIT_SECCOMP) of each process that a filter kills, into its log where no audit daemon takes it. The log is only
 * read once a command has ended by SIGSYS, so that nothing is watched before.
 */
import { closeSync, constants, openSync, readlinkSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { numbersOf } from '../kernel/machines.ts';

/** Records count processes as the first process namespace does (PROC_PID_INIT_INO). */
const INITIAL = 'pid:[4026531836]';
/** The kernel writes its records a moment later, by a thread of its own. */
const PATIENCE_MS = 100;
const INTERVAL_MS = 5;
/** How far the clock of the records, which ticks, may be behind. */
const TICK_MS = 20;
/** More than any record of the log. */
const MAX_RECORD = 16_384;

/**
 * A record of the kernel's own as dev-kmsg (ABI/testing) gives it: what others write there has a facility. Names that a
 * process can choose are quoted, or in hexadecimal where they have a blank or a quotation mark.
 */
const RECORD =
  /^[0-7],[^;]*;audit: type=1326 audit\((\d+)\.(\d{3}):\d+\): .* pid=(\d+) comm=\S+ exe=\S+ sig=31 arch=([0-9a-f]+) syscall=(\d+) /u;

/** The call's name, or its number where it has none, if the record is of this process and not from before `since` (ms). */
export function callOf(record: string, pid: number, since: number): string | undefined {
  const [match, seconds, ms, who, arch, number] = RECORD.exec(record) ?? [];
  if (match === undefined || Number(who) !== pid) return undefined;
  if (Number(seconds) * 1000 + Number(ms) < since - TICK_MS) return undefined;
  const numbers = numbersOf(Number.parseInt(arch ?? '', 16)) ?? {};
  return Object.entries(numbers).find(([, known]) => known === Number(number))?.[0] ?? number;
}

function* records(log: number): Generator<string> {
  const buffer = Buffer.alloc(MAX_RECORD);
  for (;;) {
    try {
      yield buffer.toString('utf8', 0, readSync(log, buffer));
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'EAGAIN') return;
      // EPIPE: some were overwritten before they could be read.
      if (code !== 'EPIPE') throw error;
    }
  }
}

async function search(log: number, pid: number, since: number): Promise<string | undefined> {
  for (let waited = 0; waited <= PATIENCE_MS; waited += INTERVAL_MS) {
    // Threads of it may have been killed before: the last one ended it.
    const found = [...records(log)].map((record) => callOf(record, pid, since)).filter((name) => name !== undefined);
    if (found.length > 0) return found.at(-1);
    await sleep(INTERVAL_MS);
  }
  return undefined;
}

/**
 * The system call that the process `pid` was ended for by a filter after `since` (ms since 1970). Undefined where the
 * kernel's log does not tell: it may not be read, an audit daemon has the record, or there were too many at once.
 */
export async function killedFor(pid: number, since: number): Promise<string | undefined> {
  let log: number | undefined;
  try {
    if (readlinkSync('/proc/self/ns/pid') !== INITIAL) return undefined;
    log = openSync('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK);
    return await search(log, pid, since);
  } catch {
    // How the command ended is known without it.
    return undefined;
  } finally {
    if (log !== undefined) closeSync(log);
  }
}
