/** The launcher's log, as a program of its own (log-main.cc) with the sanitizers. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished, describe, expect, test, vi } from 'vitest';
import { lastLines, LogReader, type LogEntry, type LogPiece } from '../../../src/state/log-files.ts';
import { tempFolder } from '../../support/temp.ts';
import { isRoot } from '../../support/user.ts';
import { sanitized } from '../image/worker.ts';

const NATIVE = join(import.meta.dirname, '../../../native/launcher');
const SOURCES = ['console', 'control', 'log', 'log_line', 'log_writer', 'journal', 'events', 'poller'];
// Before the tests begin, whose time is limited.
const program = sanitized(
  join(import.meta.dirname, 'log-main.cc'),
  SOURCES.map((name) => join(NATIVE, `${name}.cc`)),
);

/** Writes the pieces one after the other, and resolves with what the program says. */
async function record(words: readonly (string | number)[], pieces: readonly (Buffer | string)[]): Promise<string> {
  const child = spawn(program, words.map(String), { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const said: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => said.push(chunk));
  for (const piece of pieces) {
    if (!child.stdin.write(piece)) await once(child.stdin, 'drain');
    if (pieces.length < 20) await sleep(20);
  }
  child.stdin.end();
  const [status] = (await once(child, 'close')) as [number | null];
  expect(status).toBe(0);
  return Buffer.concat(said).toString('latin1');
}

/** The folder of a container whose log it is. */
function place(): { readonly folder: string; readonly log: string } {
  const folder = tempFolder();
  const log = join(folder, 'log');
  mkdirSync(log, { mode: 0o700 });
  return { folder, log };
}

function entriesOf(folder: string): readonly LogEntry[] {
  const reader = new LogReader(folder);
  const all: LogEntry[] = [];
  for (let some = reader.next(); some !== undefined; some = reader.next()) all.push(...some);
  reader.close();
  return all;
}
const piecesOf = (folder: string): readonly LogPiece[] =>
  entriesOf(folder).flatMap((entry) => (entry.kind === 'piece' ? [entry] : []));
const bytesOf = (folder: string): Buffer => Buffer.concat(piecesOf(folder).map(({ bytes }) => bytes));
/** The bytes that a process has given to write(2) so far (proc_pid_io(5)). */
const bytesWrittenBy = (pid = 0): number =>
  Number(/^wchar: (\d+)$/mu.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]);
const linesOf = (log: string): readonly string[] =>
  readdirSync(log)
    .toSorted()
    .flatMap((name) => readFileSync(join(log, name), 'utf8').split('\n').slice(0, -1));

/** Numbers that are the same in each run. */
function* numbers(seed: number): Generator<number> {
  for (let state = seed; ;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state >>> 8;
  }
}
function noise(seed: number, size: number, pick: (number: number) => number = (number) => number & 255): Buffer {
  const random = numbers(seed);
  return Buffer.from(Array.from({ length: size }, () => pick(random.next().value ?? 0)));
}

const OF_EVERY_KIND: readonly (readonly [string, readonly (Buffer | string)[]])[] = [
  ['lines', ['one\ntwo\n', 'three\n']],
  ['a line in two pieces', ['one ', 'line\n']],
  ['nothing', []],
  ['a line without an end', ['end']],
  ['all bytes', [Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))]],
  ['escape sequences, quotes and tabs', ['\u001b[31mred\u001b[0m "q" \\ \t\r\n\u0007\u007f\n']],
  ['NUL', ['a\0b\n\0\0\n']],
  ['characters of two, three and four bytes', ['é€𐍈 \ufffd\n'.repeat(20_000)]],
  ['a character in two pieces', [Buffer.from('é€').subarray(0, 3), Buffer.from('é€').subarray(3), '\n']],
  ['a character that is cut off', [Buffer.from('é€').subarray(0, 3)]],
  ['what only looks like UTF-8', [Buffer.from('c080\ned9f\neda080\nf4908080\nc3\ne282\n', 'hex'), '\n']],
  ['a line of a megabyte', ['x'.repeat(1 << 20), '\ny\n']],
  ['a megabyte of NUL', [Buffer.alloc(1 << 20)]],
  ['a megabyte of noise', [noise(1, 1 << 20)]],
  ['empty lines', ['\n'.repeat(100_000)]],
  ['many lines', ['0123456789 abcdefghij "\n'.repeat(50_000)]],
  [
    'text with a byte that is none',
    [noise(2, 1 << 19, (number) => (number % 5000 === 0 ? 0xff : 10 + (number % 100)))],
  ],
];

describe('the log in files', () => {
  test.each(OF_EVERY_KIND)('gives back exactly what was written: %s', async (_name, pieces) => {
    const { folder, log } = place();
    expect(await record(['files', log, 0, 1], pieces)).toBe('lost 0 0\n');
    const written = Buffer.concat(pieces.map((piece) => Buffer.from(piece)));
    expect(bytesOf(folder).equals(written)).toBe(true);
    for (const line of linesOf(log)) {
      const { time } = JSON.parse(line) as { time: string };
      expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(60_000);
    }
  });

  test('has text as text, and other bytes in a key of their own', async () => {
    const { log } = place();
    await record(['files', log, 0, 1], ['é "\\\u001b\n', Buffer.from([0xff, 10]), 'open']);
    const lines = linesOf(log).map((line) => JSON.parse(line) as Record<string, unknown>);
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/u) as unknown;
    expect(lines).toEqual([
      { log: 'é "\\\u001b\n', stream: 'stdout', time },
      { log_base64: '/wo=', stream: 'stdout', time },
      { log: 'open', stream: 'stdout', time },
    ]);
  });

  test('begins another file when one is full, never in a line, and keeps the last ones', async () => {
    const { folder, log } = place();
    const lines = Array.from({ length: 5000 }, (_, index) => `line ${index}\n`);
    await record(['files', log, 10_000, 3], [lines.join('')]);
    const files = readdirSync(log).toSorted();
    expect(files.length).toBe(3);
    for (const file of files) {
      const text = readFileSync(join(log, file), 'utf8');
      expect(text.length).toBeLessThanOrEqual(10_000);
      expect(text.endsWith('}\n')).toBe(true);
    }
    const kept = bytesOf(folder).toString();
    expect(lines.join('').endsWith(kept)).toBe(true);
    expect(kept.length).toBeGreaterThan(1000);
  });

  test('gives a line that is longer than a file a file of its own', async () => {
    const { folder, log } = place();
    await record(['files', log, 1024, 20], ['short\n', 'x'.repeat(40_000), '\nshort\n']);
    expect(bytesOf(folder).toString()).toBe(`short\n${'x'.repeat(40_000)}\nshort\n`);
  });

  test('goes on where the last run ended, also behind a line that was cut off', async () => {
    const { folder, log } = place();
    await record(['files', log, 0, 3], ['first\n']);
    appendFileSync(join(log, '00000001.json'), '{"log":"cut o');
    await record(['files', log, 0, 3], ['second\n']);
    expect(bytesOf(folder).toString()).toBe('first\nsecond\n');
  });

  test('passes over what is no line of it', async () => {
    const { folder, log } = place();
    writeFileSync(join(log, '00000001.json'), 'x\n[]\n{"log":1}\n{"log":"a","stream":"stdin","time":"x"}\n\0\n', {
      mode: 0o600,
    });
    await record(['files', log, 0, 3], ['text\n']);
    expect(bytesOf(folder).toString()).toBe('text\n');
  });

  test('has all that the writer was given when the launcher is killed', async () => {
    const { folder, log } = place();
    const child = spawn(program, ['files', log, '0', '1'], { stdio: ['pipe', 'ignore', 'inherit'] });
    child.stdin.on('error', () => undefined);
    child.stdin.write('x'.repeat(99).concat('\n').repeat(3000));
    await vi.waitFor(() => expect(bytesWrittenBy(child.pid)).toBeGreaterThanOrEqual(300_000), 20_000);
    child.kill('SIGKILL');
    await once(child, 'close');
    await vi.waitFor(() => expect(bytesOf(folder).length).toBe(300_000), 20_000);
  });

  test.skipIf(!isRoot)('goes on without what a full disk does not take, and tells how much that is', async () => {
    const { folder, log } = place();
    const input = join(folder, 'input');
    writeFileSync(input, `${'x'.repeat(99)}\n`.repeat(2000));
    const script = 'mount -t tmpfs -o size=64k none "$1" && "$2" files "$1" 0 5 <"$3" && cp "$1"/* "$4"';
    const words = ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', log, program, input, folder];
    const said = execFileSync('unshare', words, { encoding: 'utf8' });
    const lost = Number(/^lost (\d+) 28\n$/u.exec(said)?.[1]);
    const kept = readFileSync(join(folder, '00000001.json'), 'utf8').split('\n').slice(0, -1);
    const pieces = kept.map((line) => JSON.parse(line) as { log?: string }).flatMap(({ log: text }) => text ?? []);
    // Of what the disk takes, less than a page is not used.
    expect(pieces.length).toBeGreaterThan(330);
    expect(new Set(pieces)).toEqual(new Set([`${'x'.repeat(99)}\n`]));
    expect(pieces.length * 100 + lost).toBe(200_000);
  });

  test.each([1, 2, 3, 10])('can be read from its last lines on: %s', async (count) => {
    const { folder, log } = place();
    const lines = ['one\n', `${'long '.repeat(20_000)}\n`, 'three\n', '\n', 'end'];
    await record(['files', log, 5000, 100], [lines.join('')]);
    const reader = new LogReader(folder, lastLines(folder, count));
    const found: Buffer[] = [];
    for (let some = reader.next(); some !== undefined; some = reader.next()) {
      for (const entry of some) if (entry.kind === 'piece') found.push(entry.bytes);
    }
    expect(Buffer.concat(found).toString()).toBe(lines.slice(-count).join(''));
  });
});

describe('the log in systemd’s journal', () => {
  /** The messages, each with its fields. */
  function parse(said: string): readonly ReadonlyMap<string, string>[] {
    const messages: Map<string, string>[] = [];
    for (let at = 0; !said.startsWith('lost ', at);) {
      const head = /^(?:file )?(\d+)\n/u.exec(said.slice(at, at + 40));
      if (head === null) throw new Error(`no message at ${at}`);
      at += head[0].length;
      const end = at + Number(head[1]);
      const fields = new Map<string, string>([['WAY', head[0].startsWith('file') ? 'file' : 'datagram']]);
      while (at < end) {
        const line = said.slice(at, said.indexOf('\n', at));
        at += line.length + 1;
        const equals = line.indexOf('=');
        if (equals !== -1) {
          fields.set(line.slice(0, equals), line.slice(equals + 1));
          continue;
        }
        const size = Number(Buffer.from(said.slice(at, at + 8), 'latin1').readBigUInt64LE());
        fields.set(line, Buffer.from(said.slice(at + 8, at + 8 + size), 'latin1').toString());
        at += 8 + size + 1;
      }
      messages.push(fields);
    }
    return messages;
  }

  test('is a message for each line, with the container’s name and id', async () => {
    const said = await record(['journal', join(tempFolder(), 'socket'), 'reads'], ['one é\n', 'A=B\n', 'open']);
    const messages = parse(said);
    expect(messages.map((fields) => fields.get('MESSAGE'))).toEqual(['one é', 'A=B', 'open']);
    expect(Object.fromEntries(messages[0] ?? [])).toMatchObject({
      PRIORITY: '6',
      CONTAINER_NAME: 'web',
      CONTAINER_ID: '0123456789ab',
    });
    expect(said.endsWith('lost 0 0\n')).toBe(true);
  });

  test('gets long lines in parts that are marked, and loses nothing while the journal is slow', async () => {
    const text = `${'x'.repeat(100_000)}\n${'y\n'.repeat(3000)}`;
    const said = await record(['journal', join(tempFolder(), 'socket'), 'reads'], [text]);
    const messages = parse(said);
    const joined = messages.map(
      (fields) => `${fields.get('MESSAGE')}${fields.has('CONTAINER_PARTIAL_MESSAGE') ? '' : '\n'}`,
    );
    expect(joined.join('')).toBe(text);
    expect(said.endsWith('lost 0 0\n')).toBe(true);
  });

  test('does not hold the container up for ever when the journal does not answer, and tells what is lost', async () => {
    const lines = Array.from({ length: 30_000 }, (_, index) => `line ${index}\n`).join('');
    const said = await record(['journal', join(tempFolder(), 'socket'), 'late'], [lines]);
    const messages = parse(said).map((fields) => `${fields.get('MESSAGE')}\n`);
    const lost = /lost (\d+) 110\n$/u.exec(said);
    expect(messages.join('').length + Number(lost?.[1])).toBe(lines.length);
    expect(Number(lost?.[1])).toBeGreaterThan(100_000);
  }, 30_000);
});
