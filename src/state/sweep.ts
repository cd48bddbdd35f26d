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
  rmdirSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import type { HostFacts } from '../host/facts.ts';
import type { Ownership } from '../model/image.ts';
import { callerMaps } from '../model/ids.ts';
import { namesIn } from './names.ts';
import { behind, openUnlinked } from '../files/read.ts';
import { removeTree } from '../worker/work.ts';
import { readRecord, type RecordText } from './record.ts';
import { sweepForeground } from './sweep-foreground.ts';
import { connectTo, endNamespace, endProcess, openOwn, tryLock } from '../native.ts';

/** Of a record, and of a container's writable layer. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*-[0-9a-f]{12}$/u;

const runsIn = (folder: string): readonly string[] => namesIn(folder).filter((name) => NAME.test(name));

/** Ends what a killed launcher left running. False: something of it is still there. */
function endChild(child: RecordText['child']): boolean {
  if (child === undefined) return true;
  const ended = endProcess(child.pid, child.birth);
  return (child.mounts === undefined || endNamespace(child.mounts)) && ended;
}

/** Only what boxctl makes: a folder named after the record, and the container's own in it. */
function isOwn(record: string, path: string): boolean {
  const own = basename(path) === 'container' ? dirname(path) : path;
  return path === normalize(path) && basename(own) === `boxctl-${record}`;
}

/**
 * False: it is still there, or its hierarchy of cgroups cannot be seen from here, as by `ip netns exec` (ip-netns(8)), which
 * mounts /sys anew.
 */
const sweepCgroup = (host: HostFacts, path: string): boolean =>
  host.cgroup.mounts.some((mount) => path.startsWith(`${mount}/`)) && removeCgroup(path);

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** On version 1, what is frozen is not killed before it is thawed (freezer-subsystem.rst). */
function thaw(folder: string): void {
  const state = join(folder, 'freezer.state');
  try {
    if (existsSync(state)) writeFileSync(state, 'THAWED');
  } catch {
    // It is gone meanwhile.
  }
}

/** Kills what is still in the cgroup and removes it. False: it is still there. */
function removeCgroup(folder: string): boolean {
  thaw(folder);
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

async function sweepRecord(host: HostFacts, name: string, remove: boolean): Promise<boolean> {
  const path = join(host.dirs.state, name);
  let fd: number;
  try {
    fd = openOwn(path, 'file');
  } catch {
    return false;
  }
  try {
    if (!tryLock(fd, true) || isBeingMade(fd)) return false;
    if (!remove) return true;
    const { rmdir, rmtree, ownership, made, helpers, child } = readRecord(fd);
    if (!endChild(child) || !helpers.every(({ pid, birth }) => endProcess(pid, birth))) return false;
    const removed = rmdir.filter((folder) => isOwn(name, folder)).map((folder) => sweepCgroup(host, folder));
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
async function sweepUpper(host: HostFacts, name: string, remove: boolean): Promise<boolean> {
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
    if (remove) await removeTree(folder, name, callerMaps(host), host);
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

export interface Leftover {
  readonly kind: 'run' | 'layer' | 'foreground' | 'folder' | 'socket';
  /** The path of its record, or of itself. */
  readonly path: string;
}

export interface SweepOptions {
  /** False: leftovers are listed, and stay. */
  readonly remove?: boolean;
  /** Folders of containers in the background that a killed command left half made or half removed are leftovers, too. */
  readonly places?: boolean;
}

/** Sockets of launchers in the background that were killed. */
function sweepSockets(host: HostFacts, remove: boolean): readonly string[] {
  const folder = join(host.dirs.state, 'control');
  return namesIn(folder)
    .map((id) => join(folder, id))
    .filter((path) => {
      // A launcher makes its socket a moment before it listens there.
      const status = lstatSync(path, { throwIfNoEntry: false });
      if (status?.isSocket() !== true || Date.now() - status.mtimeMs < 10_000) return false;
      try {
        closeSync(connectTo(folder, basename(path)));
        return false;
      } catch (error) {
        if (codeOf(error) !== 'ECONNREFUSED') return false;
      }
      if (remove) rmSync(path, { force: true });
      return true;
    });
}

/** Removes what killed commands have left behind, and gives it. Never throws: it is not what the user asked for. */
export async function sweepLeftovers(host: HostFacts, options: SweepOptions = {}): Promise<readonly Leftover[]> {
  const { remove = true, places = false } = options;
  const swept: Leftover[] = [];
  // Listed before the records: a launcher makes its record first, so a layer of this list has one, or is a leftover.
  const uppers = runsIn(uppersOf(host));
  for (const name of runsIn(host.dirs.state)) {
    if (await sweepRecord(host, name, remove)) swept.push({ kind: 'run', path: join(host.dirs.state, name) });
  }
  for (const name of uppers) {
    if (await sweepUpper(host, name, remove)) swept.push({ kind: 'layer', path: join(uppersOf(host), name) });
  }
  if (remove && swept.length > 0) await sweepAddresses(host);
  try {
    for (const path of sweepForeground(host, remove)) swept.push({ kind: 'foreground', path });
    if (!places) return swept;
    for (const path of sweepSockets(host, remove)) swept.push({ kind: 'socket', path });
    if (!existsSync(join(host.dirs.store, 'containers'))) return swept;
    const { sweepHalf } = await import('./half-folders.ts');
    for (const path of await sweepHalf(host, remove)) swept.push({ kind: 'folder', path });
  } catch {
    // The next command tries it again.
  }
  return swept;
}

/** The same, and says how many there were. */
export const sweepState = async (host: HostFacts): Promise<number> => (await sweepLeftovers(host)).length;
