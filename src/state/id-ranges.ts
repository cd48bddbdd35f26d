/**
 * Ranges of ids for `uid_map: auto`: each container is given one of its own and keeps it, so that no two ever share an
 * id, and what one has left in a volume belongs to it the next time. A range is a file in the store, named by its place
 * in the pool, whose text is the container that it belongs to; while a container runs, the file is locked.
 */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolders } from '../files/folders.ts';
import { BoxctlError } from '../errors.ts';
import type { HostFacts, IdRange } from '../host/facts.ts';
import { overlaps } from '../host/id-range.ts';
import { noteGap } from '../inputs/record.ts';
import type { Claims } from '../model/claims.ts';
import { autoPool, type IdPool } from '../model/auto-ids.ts';
import { tryLock } from '../native.ts';
import type { SpecDocument } from '../spec/spec.ts';

const NAME = /^(\d{1,10})-(\d{1,10})$/u;
const PATIENCE_MS = 5000;

interface Entry extends IdRange {
  readonly path: string;
}

function entries(dir: string): readonly Entry[] {
  return readdirSync(dir).flatMap((name) => {
    const match = NAME.exec(name);
    return match === null ? [] : [{ start: Number(match[1]), size: Number(match[2]), path: join(dir, name) }];
  });
}

/** One process at a time looks for a range. Gives the descriptor that holds the lock. */
function lockFolder(dir: string): number {
  const fd = openSync(join(dir, 'lock'), 'a', 0o600);
  for (const until = Date.now() + PATIENCE_MS; !tryLock(fd, true);) {
    if (Date.now() > until) {
      closeSync(fd);
      throw new BoxctlError('E_IDS_LOCKED', `another boxctl has held ${dir}/lock for ${PATIENCE_MS / 1000} seconds`);
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  }
  return fd;
}

/** Locks a range whose container does not run. Gives the descriptor that holds the lock; undefined: the container runs. */
function take({ path }: Entry): number | undefined {
  const fd = openSync(path, 'r');
  if (tryLock(fd, true)) return fd;
  closeSync(fd);
  return undefined;
}

/** The first place in the pool that nobody has. */
function freePlace(pool: IdPool, size: number, taken: readonly IdRange[]): number | undefined {
  for (let start = 0; start + size <= pool.size;) {
    const other = taken.find((range) => overlaps(range, { start, size }));
    if (other === undefined) return start;
    start = other.start + other.size;
  }
  return undefined;
}

/** Removes the ranges of containers whose folder is gone. */
function removeForgotten(all: readonly Entry[]): void {
  for (const entry of all) {
    const folder = readFileSync(entry.path, 'utf8').split('\n', 1)[0] ?? '';
    const fd = existsSync(folder) ? undefined : take(entry);
    if (fd === undefined) continue;
    unlinkSync(entry.path);
    closeSync(fd);
  }
}

/** The container's own range, locked. */
function takeOwn(all: readonly Entry[], size: number, owner: string): IdClaim | undefined {
  for (const entry of all) {
    if (entry.size !== size || readFileSync(entry.path, 'utf8') !== owner) continue;
    const fd = take(entry);
    if (fd !== undefined) return claimOf(entry.start, fd);
  }
  return undefined;
}

/** What a run has claimed, for `compile` and `imageOwnership`. */
export interface IdClaim extends Claims {
  /** Descriptors that hold the claim: it is taken as long as one process has them open. */
  readonly locks: readonly number[];
  /** To be called once at the end of the run. The container keeps its range, and its next run can lock it. */
  release(): void;
}

const NOTHING: IdClaim = { locks: [], release: () => undefined };

const claimOf = (offset: number, lock: number): IdClaim => ({
  ids: { offset },
  locks: [lock],
  release: () => closeSync(lock),
});

/**
 * Claims a range of ids for a container that asks for one. The range stays locked until `release`, or until this process
 * ends.
 *
 * @throws BoxctlError `E_NO_FREE_IDS` where all ids of the pool are given away, `E_IDS_LOCKED`
 */
export function claimIds(document: SpecDocument, host: HostFacts): IdClaim {
  const { autoIds: size, name } = document.spec;
  const pool = autoPool(host);
  // What cannot be had at all is told by the compiler, at its line.
  if (size === undefined || pool === undefined) return NOTHING;
  noteGap('a range of ids is claimed for each start');
  const dir = join(host.dirs.store, 'id-ranges');
  makeFolders(dir, 0o700);
  const lock = lockFolder(dir);
  try {
    const owner = `${document.folder}\n${name}\n`;
    let all = entries(dir);
    const own = takeOwn(all, size, owner);
    if (own !== undefined) return own;
    let offset = freePlace(pool, size, [...all, ...pool.taken]);
    if (offset === undefined) {
      removeForgotten(all);
      all = entries(dir);
      offset = freePlace(pool, size, [...all, ...pool.taken]);
    }
    if (offset === undefined) {
      const at = document.where('uid_map') ?? document.where('gid_map');
      throw new BoxctlError(
        'E_NO_FREE_IDS',
        `no range of ${size} ids is free: ${all.length} are given away of ${pool.size} ids`,
        {
          ...(at === undefined ? {} : { at }),
          hint: `ask for fewer (\`uid_map: auto:4096\`), have a larger range in /etc/subuid and /etc/subgid, or remove files of ${dir} whose containers you do not need`,
        },
      );
    }
    const made = { start: offset, size, path: join(dir, `${offset}-${size}`) };
    writeFileSync(made.path, owner, { flag: 'wx', mode: 0o600 });
    const fd = take(made);
    // Only the holder of the folder's lock opens ranges, so this cannot happen.
    if (fd === undefined) throw new Error(`${made.path} was locked while it was made`);
    return claimOf(offset, fd);
  } finally {
    closeSync(lock);
  }
}
