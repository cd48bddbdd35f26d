/**
 * Ends and removes what a killed launcher left: the container's processes, and the cgroups and the writable layer that
 * its record names. A record is locked as long as its launcher lives, so one that can be locked is a leftover. Records are
 * gone after a reboot. Writable layers lie on the disk and are not, so each has a lock of its own.
 */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import type { HostFacts } from '../host/facts.ts';
import type { Ownership } from '../model/image.ts';
import { callerMaps } from '../model/ids.ts';
import { behind, openUnlinked } from '../files/read.ts';
import { isRecord, isTextList } from '../text/json.ts';
import { parseOwnership } from '../worker/owner.ts';
import { removeTree } from '../worker/work.ts';
import { endNamespace, endProcess, openOwn, tryLock } from '../native.ts';

/** Of a record, and of a container's writable layer. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*-[0-9a-f]{12}$/u;
const MAX_RECORD = 64 * 1024;

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => NAME.test(name));
  } catch {
    return [];
  }
}

export interface Leftovers {
  readonly rmdir: readonly string[];
  readonly rmtree: readonly string[];
  readonly ownership: Ownership | undefined;
  /** Files and folders that were made in the user's own folders. */
  readonly made: readonly string[];
  /** Programs beside the container that may have outlived the launcher. */
  readonly helpers: readonly Process[];
  /** The first process, and the mount namespace that its others are found by where they have no namespace of their own. */
  readonly child: (Process & { readonly mounts: string | undefined }) | undefined;
}

/** `birth` tells it from every other process that has had or will have its number. */
interface Process {
  readonly pid: number;
  readonly birth: string;
}

const NOTHING: Leftovers = { rmdir: [], rmtree: [], ownership: undefined, made: [], helpers: [], child: undefined };

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `key` is what the line calls the process's number. */
function parseProcess(value: unknown, key: 'pid' | 'helper'): Process | undefined {
  if (!isRecord(value)) return undefined;
  const { [key]: pid, birth } = value;
  if (typeof pid !== 'number' || !Number.isInteger(pid) || pid <= 1 || typeof birth !== 'string') return undefined;
  return { pid, birth };
}

function parseChild(value: unknown): Leftovers['child'] {
  const process = parseProcess(value, 'pid');
  if (process === undefined || !isRecord(value)) return undefined;
  const { mounts } = value;
  return { ...process, mounts: typeof mounts === 'string' ? mounts : undefined };
}

/** Ends what a killed launcher left running. False: something of it is still there. */
function endChild(child: Leftovers['child']): boolean {
  if (child === undefined) return true;
  const ended = endProcess(child.pid, child.birth);
  return (child.mounts === undefined || endNamespace(child.mounts)) && ended;
}

/** What a record says, as far as it can be read. */
export function readRecord(fd: number): Leftovers {
  const bytes = Buffer.alloc(MAX_RECORD);
  const size = readSync(fd, bytes, 0, MAX_RECORD, 0);
  const [first = '', ...rest] = bytes.toString('utf8', 0, size).split('\n');
  // The launcher was killed before it wrote the record. It had made nothing yet.
  const value = parse(first);
  if (!isRecord(value)) return NOTHING;
  const { rmdir, rmtree, ownership } = value;
  const lines = rest.map(parse);
  return {
    rmdir: isTextList(rmdir) ? rmdir : [],
    rmtree: isTextList(rmtree) ? rmtree : [],
    ownership: parseOwnership(ownership),
    made: lines.flatMap((line) => (isRecord(line) && typeof line['made'] === 'string' ? [line['made']] : [])),
    helpers: lines.map((line) => parseProcess(line, 'helper')).filter((helper) => helper !== undefined),
    child: lines.map(parseChild).find((child) => child !== undefined),
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
      for (const inner of readdirSync(folder, { withFileTypes: true })) {
        if (inner.isDirectory()) removeCgroup(join(folder, inner.name));
      }
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

const uppersOf = (host: HostFacts): string => join(host.dirs.store, 'upper');

/** The writable layer of the record's container, in the folder of such layers. One of another store is swept there. */
async function removeUpper(host: HostFacts, name: string, path: string, maps: Ownership | undefined): Promise<boolean> {
  const folder = uppersOf(host);
  if (path !== join(folder, name) || !existsSync(path)) return true;
  try {
    await removeTree(folder, name, maps, host);
    return true;
  } catch {
    return false;
  }
}

/** The file or folder that a container's bind covers against git (src/spec/guards.ts). */
const COVER = { name: 'commondir', text: '.\n', unless: 'HEAD' };

/** Removes a cover for git, unless another container uses it, or it is not what boxctl made. The user may have removed it. */
function removeMade(path: string): void {
  if (basename(path) !== COVER.name) return;
  const opened: number[] = [];
  const keep = (fd: number): number => (opened.push(fd), fd);
  try {
    // The container could write there: no link is followed, and nothing is removed but in the folder that was opened.
    const folder = behind(keep(openUnlinked(dirname(path))));
    const name = join(folder, COVER.name);
    const fd = keep(openSync(name, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK));
    if (!tryLock(fd, true)) return;
    const status = fstatSync(fd);
    if (status.isDirectory()) {
      if (lstatSync(join(folder, COVER.unless), { throwIfNoEntry: false }) === undefined) rmdirSync(name);
    } else if (status.size === 0 || (status.size === COVER.text.length && readFileSync(fd, 'utf8') === COVER.text)) {
      unlinkSync(name);
    }
  } catch {
    // It is gone, or not empty, or not the caller's any more.
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

async function sweepRecord(host: HostFacts, name: string): Promise<boolean> {
  const path = join(host.dirs.state, name);
  let fd: number;
  try {
    fd = openOwn(path, 'file');
  } catch {
    return false;
  }
  try {
    if (!tryLock(fd, true) || isBeingMade(fd)) return false;
    const { rmdir, rmtree, ownership, made, helpers, child } = readRecord(fd);
    if (!endChild(child) || !helpers.every(({ pid, birth }) => endProcess(pid, birth))) return false;
    const removed = rmdir.filter((folder) => isOwn(host, name, folder)).map(removeCgroup);
    for (const upper of rmtree) removed.push(await removeUpper(host, name, upper, ownership));
    for (const one of made) removeMade(one);
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

/** Before its mode is this, it may not be locked yet (src/plan/root.ts). */
const LOCKED_MODE = 0o777;

/** A writable layer that no record tells of: the machine went down, or the record was made for another store. */
async function sweepUpper(host: HostFacts, name: string): Promise<boolean> {
  if (existsSync(join(host.dirs.state, name))) return false;
  const folder = uppersOf(host);
  let fd: number;
  try {
    fd = openSync(join(folder, name), constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch {
    return false;
  }
  try {
    if ((fstatSync(fd).mode & 0o777) !== LOCKED_MODE || !tryLock(fd, true)) return false;
    await removeTree(folder, name, callerMaps(host), host);
    return true;
  } catch {
    return false;
  } finally {
    closeSync(fd);
  }
}

/** A launcher that was killed with its container's record has left these, too, if it had a network. */
async function sweepAddresses({ dirs }: HostFacts): Promise<void> {
  const { sweepNetwork } = await import('./addresses.ts');
  try {
    sweepNetwork(dirs.state);
  } catch {
    // It is tried again by the next.
  }
}

/** Removes leftovers and says how many there were. Never throws: it is not what the user asked for. */
export async function sweepState(host: HostFacts): Promise<number> {
  let swept = 0;
  // Listed before the records: a launcher makes its record first, so a layer of this list has one, or is a leftover.
  const uppers = namesIn(uppersOf(host));
  for (const name of namesIn(host.dirs.state)) if (await sweepRecord(host, name)) swept++;
  for (const name of uppers) if (await sweepUpper(host, name)) swept++;
  if (swept > 0) await sweepAddresses(host);
  return swept;
}
