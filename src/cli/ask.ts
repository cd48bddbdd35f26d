/** Questions to the person at the terminal. */
import { openSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { BoxctlError } from '../errors.ts';
import { isTerminal, writeMessage } from './output.ts';

const MAX_ANSWER = 64 * 1024;
const [CTRL_C, CTRL_D, BACKSPACE, CTRL_U, CTRL_BACKSLASH, DELETE] = [0x03, 0x04, 0x08, 0x15, 0x1c, 0x7f];

/** Whether somebody can be asked. */
export const canAsk = (): boolean => isTerminal(0) && isTerminal(2);

/**
 * A line that is typed. `secret`: nothing of it is shown. The terminal is opened anew, so that what others have open of it stays
 * as it is.
 *
 * @throws BoxctlError E_NOT_A_TERMINAL
 */
export async function askLine(question: string, { secret }: { readonly secret: boolean }): Promise<string> {
  let terminal: ReadStream;
  try {
    terminal = new ReadStream(openSync('/dev/tty', 'r+'));
  } catch (error) {
    throw new BoxctlError('E_NOT_A_TERMINAL', 'there is no terminal at which you could be asked', { cause: error });
  }
  // In raw mode nothing is echoed, and keys that send signals are read as bytes.
  if (secret) terminal.setRawMode(true);
  writeMessage(question);
  try {
    return await new Promise<string>((resolve, reject) => {
      const line = new Line();
      const finish = (): void => resolve(line.text);
      terminal.on('data', (bytes: Buffer) => {
        const end = line.add(bytes);
        if (end === 'done') finish();
        else if (end !== undefined) reject(interrupted(end));
      });
      terminal.once('end', finish);
      terminal.once('error', reject);
    });
  } finally {
    if (secret) {
      terminal.setRawMode(false);
      writeMessage('\n');
    }
    terminal.destroy();
  }
}

const interrupted = (signal: number): BoxctlError =>
  new BoxctlError('E_INTERRUPTED', 'nothing was answered', { signal });

/** What is typed, with the keys by which a terminal edits a line. */
export class Line {
  readonly #typed: number[] = [];

  get text(): string {
    return Buffer.from(this.#typed).toString('utf8');
  }

  /** `done` at its end, or the number of the signal that a key stands for. What follows is left out. */
  add(bytes: Uint8Array): 'done' | number | undefined {
    for (const byte of bytes) {
      if (byte === CTRL_C) return 2;
      if (byte === CTRL_BACKSLASH) return 3;
      if (byte === 0x0d || byte === 0x0a || byte === CTRL_D) return 'done';
      if (byte === CTRL_U) this.#typed.length = 0;
      else if (byte === BACKSPACE || byte === DELETE) this.#dropLast();
      else if (byte >= 0x20 && this.#typed.length < MAX_ANSWER) this.#typed.push(byte);
    }
    return undefined;
  }

  /** The last character, of as many bytes as UTF-8 has for it. */
  #dropLast(): void {
    while (((this.#typed.pop() ?? 0) & 0xc0) === 0x80);
  }
}
