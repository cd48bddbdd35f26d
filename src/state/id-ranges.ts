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
import { autoPool, type IdPool } from '../model/ids.ts';
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

/** Takes a range whose container does not run. The descriptor, and with it the lock, is kept until this process ends. */
function take({ path }: Entry): boolean {
  const fd = openSync(path, 'r');
  if (tryLock(fd, true)) return true;
  closeSync(fd);
  return false;
}

function overlaps(a: IdRange, b: IdRange): boolean {
  return a.start < b.start + b.size && b.start < a.start + a.size;
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

/** Ranges of containers whose folder is gone. */
function forgotten(all: readonly Entry[]): readonly Entry[] {
  return all.filter((entry) => !existsSync(readFileSync(entry.path, 'utf8').split('\n', 1)[0] ?? '') && take(entry));
}

/**
 * The host's facts with a range for a container that asks for one (`host.autoIds`); unchanged for others.
 *
 * @throws BoxctlError `E_NO_FREE_IDS` where all ids of the pool are given away, `E_IDS_LOCKED`
 */
export function claimIds(document: SpecDocument, host: HostFacts): HostFacts {
  const { autoIds: size, name } = document.spec;
  const pool = autoPool(host);
  // What cannot be had at all is told by the compiler, at its line.
  if (size === undefined || pool === undefined) return host;
  const dir = join(host.dirs.store, 'id-ranges');
  makeFolders(dir, 0o700);
  const lock = lockFolder(dir);
  try {
    const owner = `${document.folder}\n${name}\n`;
    let all = entries(dir);
    const own = all.find((entry) => entry.size === size && readFileSync(entry.path, 'utf8') === owner && take(entry));
    if (own !== undefined) return { ...host, autoIds: { offset: own.start } };
    let offset = freePlace(pool, size, [...all, ...pool.taken]);
    if (offset === undefined) {
      for (const { path } of forgotten(all)) unlinkSync(path);
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
    take(made);
    return { ...host, autoIds: { offset } };
  } finally {
    closeSync(lock);
  }
}
