/** `logging: {driver: journald}`: what is written to systemd's journal, and read from it again by `boxctl logs`. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { box, until, type Box } from '../support/background.ts';
import type { Ended } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callers, self } from '../support/container.ts';
import { startJournal, type Journal } from '../support/journal.ts';
import { isRoot } from '../support/user.ts';

const script = (text: string): Readonly<Record<string, unknown>> => ({
  logging: { driver: 'journald' },
  command: ['sh', '-c', text.replaceAll('$', '$$$$')],
});

const STORIES =
  'echo out; sleep 0.05; echo err >&2; echo; printf "\\033[31m\\000\\377\\n"; yes é | head -c 60001 | tr -d "\\n"; echo; printf end';
const OUT = Buffer.concat([Buffer.from('out\n\n\u001b[31m\0\xff\n', 'latin1'), longLine(), Buffer.from('\nend')]);

/** `é` is two bytes; of the last one there is half. */
function longLine(): Buffer {
  const lines = Buffer.from('é\n'.repeat(20_001)).subarray(0, 60_001);
  return Buffer.from(lines.filter((byte) => byte !== 10));
}

/** How many journalctl there are that follow this container. */
function followersOf(id: string): number {
  const words = ['--follow', `CONTAINER_ID_FULL=${id}`];
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/u.test(pid)) return false;
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return words.every((word) => line.includes(word));
    } catch {
      // It has ended meanwhile.
      return false;
    }
  }).length;
}

const users = callers.filter(({ user }) => user !== undefined);

describe.skipIf(!hasBusybox || !isRoot)('the log of a container in systemd’s journal (needs root)', () => {
  let journal: Journal;
  beforeAll(async () => {
    journal = await startJournal('persistent');
  });
  afterAll(() => journal.end());

  async function runs(web: Box): Promise<void> {
    expect(await journal.run(web, ['up', '--detach'])).toMatchObject({ status: 0, stderr: '' });
    await journal.run(web, ['wait', web.name]);
  }
  /** The journal may be a moment behind the container. */
  const readUntil = (web: Box, words: readonly string[], isDone: (ended: Ended) => boolean): Promise<Ended> =>
    until(async () => {
      const ended = await journal.run(web, ['logs', ...words, web.name]);
      return ended.status !== 0 || isDone(ended) ? ended : undefined;
    }, 10_000);

  test.each(callers)('of $title has both streams, byte for byte, and no other container’s', async (caller) => {
    const [web, other] = [box(script(STORIES), caller), box(script('echo other'), caller)];
    await runs(other);
    await runs(web);
    const logs = await readUntil(web, [], ({ stdout }) => stdout.endsWith('end'));
    expect(logs).toMatchObject({ status: 0, stderr: 'err\n' });
    expect(logs.stdoutBytes.equals(OUT)).toBe(true);
    expect((await readUntil(other, [], ({ stdout }) => stdout !== '')).stdout).toBe('other\n');
  });

  test('is read from a time on, to a time, by its last lines, and with times', async () => {
    const web = box(script('echo one; sleep 1.2; echo two; echo three; printf four'));
    await runs(web);
    const all = await readUntil(web, ['--timestamps'], ({ stdout }) => stdout.endsWith('four'));
    const lines = all.stdout.split('\n').map((line) => /^(\d{4}-\d\d-\d\dT[\d:]{8}\.\d{9}Z) (\w+)$/u.exec(line) ?? []);
    expect(lines.map(([, , word]) => word)).toEqual(['one', 'two', 'three', 'four']);
    const second = lines[1]?.[1] ?? '';
    const logs = async (...words: readonly string[]): Promise<string> =>
      (await journal.run(web, ['logs', ...words, web.name])).stdout;
    expect(await logs('--since', second)).toBe('two\nthree\nfour');
    expect(await logs('--until', lines[0]?.[1] ?? '')).toBe('one\n');
    expect(await logs('--tail', '2')).toBe('three\nfour');
    expect(await logs('--tail', '0')).toBe('');
    expect(await logs('--tail', '100', '--until', second)).toBe('one\ntwo\n');
  });

  test.each([self, ...users.slice(0, 1)])('of $title is followed until the container ends', async (caller) => {
    const story = 'echo one; echo two; until [ -e /w/go ]; do sleep 0.05; done; echo three; sleep 0.5; printf four';
    const web = box({ ...script(story), volumes: ['./:/w:ro'] }, caller);
    expect(await journal.run(web, ['up', '--detach'])).toMatchObject({ status: 0 });
    await readUntil(web, [], ({ stdout }) => stdout.includes('two'));
    const followers = Promise.all(
      [[], ['--tail', '1'], ['--tail', '0']].map((words) => journal.run(web, ['logs', '--follow', ...words, web.name])),
    );
    // Each has read what was there before it follows.
    const id = (await web.listed())?.id ?? '';
    await until(() => followersOf(id) === 3 || undefined);
    writeFileSync(join(web.folder, 'go'), '');
    const [all, last, none] = await followers;
    expect(all).toMatchObject({ status: 0, stdout: 'one\ntwo\nthree\nfour', stderr: '' });
    expect(last?.stdout).toBe('two\nthree\nfour');
    expect(none?.stdout).toBe('three\nfour');
  });

  test('has nothing of what another user says in the container’s name', async () => {
    const web = box(script('echo mine'));
    await runs(web);
    await readUntil(web, [], ({ stdout }) => stdout !== '');
    const id = (await web.listed())?.id ?? '';
    const liar = box({}, users[0]);
    const message = `printf 'MESSAGE=lie\\nPRIORITY=6\\nCONTAINER_ID_FULL=${id}\\n' >/tmp/lie-${id}`;
    const told = await journal.run(
      liar,
      ['--version'],
      `${message}; setpriv --reuid=${liar.caller.uid} logger --journald=/tmp/lie-${id}; rm /tmp/lie-${id}; sleep 0.3`,
    );
    expect(told.status).toBe(0);
    expect((await journal.run(web, ['logs', web.name])).stdout).toBe('mine\n');
  });

  test('needs journalctl, and says so', async () => {
    const web = box(script('echo out'));
    await runs(web);
    const { status, stderr } = await journal.run(
      web,
      ['logs', web.name],
      'mount --bind /dev/null "$(command -v journalctl)"',
    );
    expect(status).toBe(125);
    expect(stderr).toContain('systemd’s journal, and there is no journalctl here');
    expect(stderr).toContain('journalctl CONTAINER_ID_FULL=');
  });
});

describe.skipIf(!hasBusybox || !isRoot || users.length === 0)(
  'a journal that the caller may not read (needs root)',
  () => {
    test('is an error that says what to do', async () => {
      const journal = await startJournal('volatile');
      try {
        const web = box(script('echo out'), users[0]);
        expect(await journal.run(web, ['up', '--detach'])).toMatchObject({ status: 0 });
        const { status, stderr } = await journal.run(web, ['logs', web.name]);
        expect(status).toBe(125);
        expect(stderr).toContain('systemd’s journal cannot be read: No journal files were opened');
        expect(stderr).toContain('Storage=persistent');
      } finally {
        journal.end();
      }
    });
  },
);
