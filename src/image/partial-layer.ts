/**
 * What was received of a layer before its pull was interrupted, so that the next pull goes on from there. The bytes are not
 * verified: who goes on with them computes the digest of all.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { makeFolders } from '../files/folders.ts';
import { tryLock } from '../native.ts';

const folderOf = (store: string): string => join(store, 'partial');

/** As much of a layer as is kept in memory. A layer that is over sooner is never written to the disk twice. */
const IN_MEMORY = 16 << 20;
/** A layer that takes no longer is not written to the disk twice either. */
const SHORT_MS = 1000;
/** What is older is not gone on with: the image was given up, or is another one by now. */
const KEPT_MS = 7 * 24 * 60 * 60 * 1000;

/** The file of one layer, which nobody else uses as long as this is open. */
export class PartialLayer {
  readonly #path: string;
  readonly #total: number;
  #fd: number | undefined;
  /** How much of the layer is in the file. */
  #size: number;
  /** What follows that, and is in memory. */
  #kept: Uint8Array[] = [];
  #inMemory = 0;
  #state: 'memory' | 'file' | 'given up' = 'memory';
  readonly #begun = performance.now();

  constructor(path: string, fd: number | undefined, total: number) {
    this.#path = path;
    this.#fd = fd;
    this.#total = total;
    this.#size = fd === undefined ? 0 : Math.min(fstatSync(fd).size, total);
  }

  /** Bytes that are there already. */
  get size(): number {
    return this.#size;
  }

  /** What is there already, in pieces. */
  *pieces(): Generator<Uint8Array, void> {
    const end = this.#size;
    for (let at = 0; at < end && this.#fd !== undefined;) {
      const piece = Buffer.allocUnsafe(Math.min(1 << 18, end - at));
      const got = readSync(this.#fd, piece, 0, piece.length, at);
      if (got === 0) throw new Error(`${this.#path} was cut while it was read`);
      at += got;
      yield piece.subarray(0, got);
    }
  }

  /** What has come after that. */
  add(chunk: Uint8Array): void {
    if (this.#state === 'given up' || this.#fd === undefined) return;
    this.#kept.push(chunk);
    this.#inMemory += chunk.length;
    if (this.#state === 'memory') this.#decide();
    if (this.#state === 'file') this.#write();
  }

  /** A layer that is over in a moment stays in memory; of a longer one, all that comes is written down. */
  #decide(): void {
    const passed = performance.now() - this.#begun;
    if (passed < SHORT_MS && this.#inMemory < IN_MEMORY) return;
    const left = this.#total - this.#size - this.#inMemory;
    const isShort = (left * passed) / this.#inMemory < SHORT_MS;
    if (!isShort) this.#state = 'file';
    // The beginning is worth keeping, and what follows is not without a gap.
    else if (this.#inMemory >= IN_MEMORY) this.#state = 'given up';
  }

  #write(): void {
    const fd = this.#fd;
    if (fd === undefined) return;
    try {
      for (const chunk of this.#kept) {
        for (let done = 0; done < chunk.length;) {
          const wrote = writeSync(fd, chunk, done, chunk.length - done, this.#size);
          done += wrote;
          this.#size += wrote;
        }
      }
      this.#kept = [];
      this.#inMemory = 0;
    } catch {
      // The disk is full, for example: the layer itself needs the room.
      this.drop();
    }
  }

  /** Keeps what has been received. */
  save(): void {
    if (this.#fd === undefined) return;
    this.#write();
    if (this.#fd === undefined) return;
    if (this.#size === 0) return this.drop();
    // What lies behind it may be of a longer file that was there before.
    ftruncateSync(this.#fd, this.#size);
    this.#close();
  }

  /** Removes the file. */
  drop(): void {
    if (this.#fd === undefined) return;
    try {
      unlinkSync(this.#path);
    } catch {
      // It is gone.
    }
    this.#close();
  }

  #close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#kept = [];
    this.#state = 'given up';
  }
}

/** The partial layer of a digest (64 hex digits), which may be empty. While somebody else has it, nothing of it is kept. */
export function openPartial(store: string, digest: string, total: number): PartialLayer {
  const path = join(folderOf(store), digest);
  return new PartialLayer(path, openLocked(path), total);
}

function openLocked(path: string): number | undefined {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
  let fd: number;
  try {
    makeFolders(join(path, '..'), 0o700);
    fd = openSync(path, flags, 0o600);
  } catch {
    // The disk is full, for example. A pull goes without it.
    return undefined;
  }
  // Who removes it holds the lock until it is gone.
  if (fstatSync(fd).isFile() && tryLock(fd, true) && fstatSync(fd).nlink === 1) return fd;
  closeSync(fd);
  return undefined;
}

/** Removes the partial layers that nobody uses, and that are older than a week; with `all`, however old. */
export function sweepPartials(store: string, all: boolean): void {
  let names: readonly string[];
  try {
    names = readdirSync(folderOf(store));
  } catch {
    return;
  }
  for (const name of names) {
    const path = join(folderOf(store), name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined || (!all && Date.now() - stat.mtimeMs < KEPT_MS)) continue;
    const fd = openLocked(path);
    if (fd === undefined) continue;
    unlinkSync(path);
    closeSync(fd);
  }
}
