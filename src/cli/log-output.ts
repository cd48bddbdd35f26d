/** What a container has written, on descriptors 1 and 2: as it is, or made safe where that is a terminal. */
import { errnoName } from '../kernel/errno.ts';
import type { LogEntry, LogPiece } from '../state/log-files.ts';
import { safeOutput } from '../text/safe.ts';
import { isTerminal, wantsColor, writeForeign, writeMessage } from './output.ts';

export interface LogOutputOptions {
  readonly timestamps: boolean;
  /** A terminal gets everything as it is, too. */
  readonly raw: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

interface Target {
  readonly fd: 1 | 2;
  readonly isSafe: boolean;
  readonly colours: boolean;
  /** The next byte begins a line. */
  atStart: boolean;
  /** Bytes of a character that is cut off, for a terminal. */
  readonly decoder: InstanceType<typeof TextDecoder>;
}

const LINE_FEED = 10;

export class LogOutput {
  readonly #targets: Readonly<Record<LogPiece['stream'], Target>>;
  readonly #timestamps: boolean;

  constructor({ timestamps, raw, env }: LogOutputOptions) {
    const target = (fd: 1 | 2): Target => ({
      fd,
      isSafe: !raw && isTerminal(fd),
      colours: wantsColor(fd, env),
      atStart: true,
      decoder: new TextDecoder(),
    });
    this.#targets = { stdout: target(1), stderr: target(2) };
    this.#timestamps = timestamps;
  }

  write(entries: readonly LogEntry[]): void {
    let pending: Uint8Array[] = [];
    let last: Target | undefined;
    const flush = (): void => {
      if (last !== undefined && pending.length > 0) writeForeign(last.fd, Buffer.concat(pending));
      pending = [];
    };
    for (const entry of entries) {
      if (entry.kind === 'lost') {
        flush();
        writeMessage(
          `boxctl: ${entry.bytes} bytes that the container wrote are not in its log (${errnoName(entry.errno)})\n`,
        );
        continue;
      }
      const target = this.#targets[entry.stream];
      if (target !== last) flush();
      last = target;
      if (this.#timestamps && target.atStart) pending.push(Buffer.from(`${entry.time} `));
      target.atStart = entry.bytes.at(-1) === LINE_FEED;
      pending.push(shown(target, entry.bytes));
    }
    flush();
  }
}

function shown({ isSafe, decoder, colours }: Target, bytes: Buffer): Uint8Array {
  return isSafe ? Buffer.from(safeOutput(decoder.decode(bytes, { stream: true }), colours)) : bytes;
}
