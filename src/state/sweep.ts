/**
 * Removes what a killed launcher left: the cgroups and the writable layer that its record names. A record is locked as long as its launcher
 * lives, so one that can be locked is a leftover.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import type { HostFacts } from '../host/facts.ts';
import type { Ownership } from '../image/image.ts';
import { isRecord, isTextList } from '../image/json.ts';
import { parseOwnership } from '../image/owner.ts';
import { removeTree } from '../image/work.ts';
import { tryLock } from '../native.ts';

const RECORD = /^[A-Za-z0-9][A-Za-z0-9_.-]*-[0-9a-f]{12}$/u;
const MAX_RECORD = 64 * 1024;

function recordsIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => RECORD.test(name));
  } catch {
    return [];
  }
}

interface Leftovers {
  readonly rmdir: readonly string[];
  readonly rmtree: readonly string[];
  readonly ownership: Ownership | undefined;
}

const NOTHING: Leftovers = { rmdir: [], rmtree: [], ownership: undefined };

function readRecord(fd: number): Leftovers {
  const bytes = Buffer.alloc(MAX_RECORD);
  const size = readSync(fd, bytes, 0, MAX_RECORD, 0);
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8', 0, size));
  } catch {
    // Killed before it was written: then nothing was made yet.
    return NOTHING;
  }
  if (!isRecord(value)) return NOTHING;
  const { rmdir, rmtree, ownership } = value;
  return {
    rmdir: isTextList(rmdir) ? rmdir : [],
    rmtree: isTextList(rmtree) ? rmtree : [],
    ownership: parseOwnership(ownership),
  };
}

/** Only what boxctl makes: a folder named after the record in a hierarchy of cgroups, and the container's own in it. */
function isOwn(host: HostFacts, record: string, path: string): boolean {
  if (path !== normalize(path) || !host.cgroup.mounts.some((mount) => path.startsWith(`${mount}/`))) return false;
  const own = basename(path) === 'container' ? dirname(path) : path;
  return basename(own) === `boxctl-${record}`;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** Kills what is still in the cgroup and removes it. False: it is still there. */
function removeCgroup(folder: string): boolean {
  for (let attempt = 0; attempt < 200; attempt++) {
    try {
      for (const pid of readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n')) {
        if (Number(pid) > 1) killQuietly(Number(pid));
      }
      rmdirSync(folder);
      return true;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return true;
      if (codeOf(error) !== 'EBUSY') return false;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
  return false;
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended in between.
  }
}

/** A launcher makes its record, locks it and writes it, within microseconds. */
function isBeingMade(fd: number): boolean {
  const status = fstatSync(fd);
  return status.size === 0 && Date.now() - status.mtimeMs < 10_000;
}

/** The writable layer of the record's container, in the folder of such layers. */
async function removeUpper(host: HostFacts, name: string, path: string, maps: Ownership | undefined): Promise<boolean> {
  const folder = join(host.dirs.store, 'upper');
  if (path !== join(folder, name) || !existsSync(path)) return true;
  try {
    await removeTree(folder, name, maps, host);
    return true;
  } catch {
    return false;
  }
}

async function sweepRecord(host: HostFacts, name: string): Promise<boolean> {
  const path = join(host.dirs.state, name);
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return false;
  }
  try {
    if (!tryLock(fd, true) || isBeingMade(fd)) return false;
    const { rmdir, rmtree, ownership } = readRecord(fd);
    const removed = rmdir.filter((folder) => isOwn(host, name, folder)).map(removeCgroup);
    for (const upper of rmtree) removed.push(await removeUpper(host, name, upper, ownership));
    // What could not be removed stays written down for the next time.
    if (!removed.every(Boolean)) return false;
    unlinkSync(path);
    return true;
  } catch {
    return false;
  } finally {
    closeSync(fd);
  }
}

/** Removes leftovers and says how many there were. Never throws: it is not what the user asked for. */
export async function sweepState(host: HostFacts): Promise<number> {
  let swept = 0;
  for (const name of recordsIn(host.dirs.state)) if (await sweepRecord(host, name)) swept++;
  return swept;
}
