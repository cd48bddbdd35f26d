/** The standard files of a box: pipes as Node's streams, or descriptors of the caller's. */
import { closeSync, constants, fchmodSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { Readable, Writable } from 'node:stream';
import { pipe } from '../native.ts';

/**
 * `pipe`: a stream of the box. `ignore`: /dev/null. `inherit`: that of this process. A number: a descriptor of this process,
 * which stays open here.
 */
export type StandardFile = 'pipe' | 'ignore' | 'inherit' | number;

export interface StandardFiles {
  /** Default `ignore`. */
  readonly stdin?: StandardFile;
  /** Default `pipe`. */
  readonly stdout?: StandardFile;
  /** Default `pipe`. */
  readonly stderr?: StandardFile;
}

/** As much as a pipe holds. */
const PIPE_BYTES = 65_536;
/**
 * A command that has changed its user may open the pipe again by its name (/dev/stdout). Nobody else can: only a process that
 * has the pipe already is a way to it (/proc/PID/fd).
 */
const FOR_WRITERS = 0o622;
const FOR_READERS = 0o644;

/** What a command writes. It stays readable after the command's end, when its descriptor is closed already. */
class Output extends Readable {
  readonly #socket: Socket;
  #isDraining = false;

  constructor(fd: number) {
    super({ highWaterMark: PIPE_BYTES });
    this.#socket = new Socket({ fd, readable: true, writable: false });
    this.#socket.on('data', (chunk) => {
      if (!this.push(chunk) && !this.#isDraining) this.#socket.pause();
    });
    this.#socket.on('end', () => this.push(null));
    this.#socket.on('error', (error) => this.destroy(error));
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }

  /** Nothing more is written: takes what is left of it into memory, which is no more than a pipe holds. */
  drain(): void {
    this.#isDraining = true;
    this.#socket.resume();
  }
}

/** What a command reads. One that does not read all of it is no error of the caller's. */
class Input extends Writable {
  readonly #socket: Socket;

  constructor(fd: number) {
    super();
    this.#socket = new Socket({ fd, readable: false, writable: true });
    this.#socket.on('error', () => this.destroy());
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, () => done());
  }

  override _final(done: () => void): void {
    this.#socket.destroy();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}

let nothing: number | undefined;

/** /dev/null, which this process opens once. */
function devNull(): number {
  nothing ??= openSync('/dev/null', constants.O_RDWR);
  return nothing;
}

export class BoxStreams {
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  /** What become the command's 0, 1 and 2. */
  readonly descriptors: readonly [number, number, number];
  readonly #outputs: Output[] = [];
  #theirs: number[] = [];

  constructor({ stdin = 'ignore', stdout = 'pipe', stderr = 'pipe' }: StandardFiles) {
    const input = this.#input(stdin);
    const outputs = [this.#output(1, stdout), this.#output(2, stderr)] as const;
    this.stdin = input.stream;
    this.stdout = outputs[0].stream;
    this.stderr = outputs[1].stream;
    this.descriptors = [input.fd, outputs[0].fd, outputs[1].fd];
  }

  #input(file: StandardFile): { readonly fd: number; readonly stream: Writable | null } {
    if (file !== 'pipe') return { fd: this.#given(0, file), stream: null };
    const [fd, ours] = pipe();
    fchmodSync(fd, FOR_READERS);
    this.#theirs.push(fd);
    return { fd, stream: new Input(ours) };
  }

  #output(number: 1 | 2, file: StandardFile): { readonly fd: number; readonly stream: Readable | null } {
    if (file !== 'pipe') return { fd: this.#given(number, file), stream: null };
    const [ours, fd] = pipe();
    fchmodSync(fd, FOR_WRITERS);
    this.#theirs.push(fd);
    const stream = new Output(ours);
    this.#outputs.push(stream);
    return { fd, stream };
  }

  #given(number: 0 | 1 | 2, file: 'ignore' | 'inherit' | number): number {
    if (file === 'ignore') return devNull();
    return file === 'inherit' ? number : file;
  }

  /** The launcher has the descriptors. */
  taken(): void {
    for (const fd of this.#theirs.splice(0)) closeSync(fd);
  }

  /** The command has ended. */
  drain(): void {
    this.stdin?.destroy();
    for (const output of this.#outputs) output.drain();
  }

  destroy(): void {
    this.taken();
    for (const stream of [this.stdin, ...this.#outputs]) stream?.destroy();
  }
}
