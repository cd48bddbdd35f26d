/** Writes the members of an archive to a descriptor: a tar that depends on nothing but them. */
import { read, write } from 'node:fs';
import { promisify } from 'node:util';
import { BoxctlError } from '../errors.ts';
import { reasonOf } from '../kernel/errno.ts';
import { endOfArchive, header, padding } from './tarwriter.ts';

const PIECE = 1 << 20;
const FULL_PIPE_MS = 5;
const reading = promisify(read);
const writing = promisify(write);

/** A part of an open file. */
export interface Content {
  readonly fd: number;
  readonly offset: number;
  readonly size: number;
}

export class ArchiveWriter {
  readonly #fd: number;
  readonly #name: string;
  readonly #signal: AbortSignal | undefined;
  readonly #written = new Set<string>();

  /** `name`: what the archive is called in messages. */
  constructor(fd: number, name: string, signal?: AbortSignal) {
    this.#fd = fd;
    this.#name = name;
    this.#signal = signal;
  }

  /** Whether the archive has such a member. */
  has(path: string): boolean {
    return this.#written.has(path);
  }

  /** A small file. One of the same name is written once. */
  async text(path: string, data: Buffer): Promise<void> {
    if (!this.#begin(path)) return;
    await this.#put(Buffer.concat([this.#header(path, data.length), data, padding(data.length)]));
  }

  async file(path: string, { fd, offset, size }: Content, onWritten?: (bytes: number) => void): Promise<void> {
    if (!this.#begin(path)) return;
    await this.#put(this.#header(path, size));
    const buffer = Buffer.allocUnsafe(PIECE);
    for (let done = 0; done < size;) {
      this.#signal?.throwIfAborted();
      const { bytesRead } = await reading(fd, buffer, 0, Math.min(PIECE, size - done), offset + done);
      if (bytesRead === 0) throw new BoxctlError('E_IMAGE_CHANGED', `${path} became shorter while it was written`);
      await this.#put(buffer.subarray(0, bytesRead));
      done += bytesRead;
      onWritten?.(done);
    }
    await this.#put(padding(size));
  }

  end(): Promise<void> {
    return this.#put(endOfArchive());
  }

  #begin(path: string): boolean {
    if (this.#written.has(path)) return false;
    this.#written.add(path);
    return true;
  }

  #header(path: string, size: number): Buffer {
    return header({ path, type: 'file', mode: 0o644, mtime: 0, size, link: '' });
  }

  async #put(data: Buffer): Promise<void> {
    for (let done = 0; done < data.length;) {
      try {
        done += (await writing(this.#fd, data, done, data.length - done)).bytesWritten;
      } catch (cause) {
        // Another process has set O_NONBLOCK on the open file that is shared with it, and the pipe is full.
        if (cause instanceof Error && 'code' in cause && cause.code === 'EAGAIN') {
          this.#signal?.throwIfAborted();
          await new Promise((resolve) => setTimeout(resolve, FULL_PIPE_MS));
          continue;
        }
        throw new BoxctlError(
          'E_IMAGE_UNWRITABLE',
          `The image cannot be written to ${this.#name}: ${reasonOf(cause)}`,
          {
            cause,
          },
        );
      }
    }
  }
}
