/** Reads what a container with `logging: {driver: journald}` has written, by journalctl(1). */
import { spawn, type ChildProcess } from 'node:child_process';
import { BoxctlError } from '../errors.ts';
import { lookUp } from '../files/programs.ts';
import { environment } from '../inputs/environment.ts';
import { isLocked, type KeptContainer } from '../state/containers.ts';
import { ExportReader, FIELDS, type JournalPiece } from '../state/journal-export.ts';
import { msOf } from '../text/moments.ts';
import type { LogOptions } from './log-options.ts';

/** Milliseconds after which the end of the container is looked for, where nothing comes. */
const LOOK = 250;
const LINE_FEED = 10;
/** The journal's own time of a message is a little later than that of the launcher, by which messages are told apart. */
const SLACK_S = 2;

class Journal {
  readonly #child: ChildProcess;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #reader = new ExportReader();
  #said = '';
  #next: Promise<IteratorResult<Buffer>> | undefined;

  constructor(program: string, { id }: KeptContainer, options: readonly string[]) {
    // Anybody can send such an id to the journal, but nobody another's user.
    const matches = [`_UID=${process.geteuid?.() ?? 0}`, `CONTAINER_ID_FULL=${id}`];
    const words = ['--no-pager', '--output=export', `--output-fields=${FIELDS.join(',')}`, ...options, ...matches];
    this.#child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'], env: {} });
    this.#child.stderr?.on('data', (data: Buffer) => (this.#said += data.toString()));
    if (this.#child.stdout === null) throw new Error('a process without its pipe');
    this.#chunks = this.#child.stdout[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** Undefined: journalctl has ended. An empty list: nothing has come within `ms`. */
  async next(ms?: number): Promise<readonly JournalPiece[] | undefined> {
    this.#next ??= this.#chunks.next();
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<'over'>((resolve) => {
      if (ms !== undefined) timer = setTimeout(() => resolve('over'), ms);
    });
    const first = await Promise.race([this.#next, over]);
    clearTimeout(timer);
    if (first === 'over') return [];
    this.#next = undefined;
    if (first.done !== true) return this.#reader.take(first.value);
    await this.#check();
    return undefined;
  }

  async #check(): Promise<void> {
    const { exitCode, signalCode } = this.#child;
    const status =
      exitCode ?? signalCode ?? (await new Promise((resolve) => this.#child.once('close', (code) => resolve(code))));
    const none = /^No journal files were .*$/mu.exec(this.#said)?.[0];
    if (status === 0 && none === undefined) return;
    const said = none ?? this.#said.trim().split('\n')[0] ?? '';
    throw new BoxctlError('E_JOURNAL', `systemd’s journal cannot be read: ${said === '' ? `status ${status}` : said}`, {
      hint: 'your own messages can be read by you with `Storage=persistent` (journald.conf(5)), and all by the group systemd-journal and by root; `driver: json-file` needs no journal',
    });
  }

  close(): void {
    this.#child.kill();
  }
}

function journalctl({ name, id }: KeptContainer): string {
  const { found } = lookUp('journalctl', environment['PATH'] ?? '');
  if (found !== undefined) return found;
  throw new BoxctlError('E_JOURNAL', `the output of ${name} is in systemd’s journal, and there is no journalctl here`, {
    hint: `install it (Debian: systemd), or read the journal on its own machine: journalctl CONTAINER_ID_FULL=${id}`,
  });
}

const secondsOf = (moment: string): number => Math.floor(msOf(moment) / 1000);

/** Those that it has now. */
async function* read(journal: Journal): AsyncGenerator<readonly JournalPiece[]> {
  try {
    for (let some = await journal.next(); some !== undefined; some = await journal.next()) yield some;
  } finally {
    journal.close();
  }
}

/** The last lines. What is written of a line without its end is a line. */
async function lastOf(
  open: (options: readonly string[]) => Journal,
  count: number,
): Promise<{ readonly pieces: readonly JournalPiece[]; readonly newest: JournalPiece | undefined }> {
  const journal = open(['--reverse']);
  const pieces: JournalPiece[] = [];
  let newest: JournalPiece | undefined;
  let found = 0;
  try {
    for (let some = await journal.next(); some !== undefined; some = await journal.next()) {
      for (const piece of some) {
        newest ??= piece;
        const endsLine = piece.bytes.at(-1) === LINE_FEED;
        if (count === 0 || (endsLine && found === count)) return { pieces: pieces.toReversed(), newest };
        if (endsLine || found === 0) found += 1;
        pieces.push(piece);
      }
    }
    return { pieces: pieces.toReversed(), newest };
  } finally {
    journal.close();
  }
}

/** @throws BoxctlError `E_JOURNAL` where it cannot be read */
export async function* readJournal(
  container: KeptContainer,
  options: LogOptions,
): AsyncGenerator<readonly JournalPiece[]> {
  const program = journalctl(container);
  const open = (words: readonly string[]): Journal => new Journal(program, container, words);
  const { follow = false, tail, since, until } = options;
  const from = since === undefined ? [] : [`--since=@${Math.max(0, secondsOf(since) - SLACK_S)}`];
  let newest: JournalPiece | undefined;
  if (tail === undefined) {
    const to = until === undefined ? [] : [`--until=@${secondsOf(until) + SLACK_S}`];
    for await (const some of read(open([...from, ...to]))) {
      newest = some.at(-1) ?? newest;
      yield some;
    }
  } else {
    const last = await lastOf(open, tail);
    newest = last.newest;
    yield last.pieces;
  }
  if (!follow) return;
  const later = (): readonly string[] => (newest === undefined ? from : [`--after-cursor=${newest.cursor}`]);
  const journal = open(['--follow', '--no-tail', ...later()]);
  try {
    let isOver = false;
    for (;;) {
      const some = await journal.next(LOOK);
      if (some === undefined || (some.length === 0 && isOver)) break;
      newest = some.at(-1) ?? newest;
      yield some;
      // What comes from then on is later than what is asked for.
      if (until !== undefined && msOf(until) + SLACK_S * 1000 < Date.now()) break;
      isOver = !isLocked(container.folder);
    }
  } finally {
    journal.close();
  }
  // The journal tells its followers a quarter of a second late.
  yield* read(open(later()));
}
