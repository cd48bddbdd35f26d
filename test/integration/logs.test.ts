/** What a container in the background has written: `boxctl logs`. */
import { execFileSync, type ChildProcess } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { box, launcherOf, outputOf, until, type Box } from '../support/background.ts';
import { hasBusybox } from '../support/busybox.ts';
import { PROGRAM } from '../support/boxctl.ts';
import { callers, self } from '../support/container.ts';

const script = (text: string, keys: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> => ({
  command: ['sh', '-c', text.replaceAll('$', '$$$$')],
  ...keys,
});

/** Starts it, and waits for its end. */
async function runs(one: Box): Promise<void> {
  expect(await one.run(['up', '--detach'])).toMatchObject({ status: 0, stderr: '' });
  await one.run(['wait', one.name]);
}

const STORIES = 'echo out; echo err >&2; printf "\\033[31m\\000\\377\\n"; printf end';
const OUT = Buffer.from('out\n\u001b[31m\0\xff\nend', 'latin1');

describe.skipIf(!hasBusybox).each(callers)('the log of a container of $title', (caller) => {
  test('has both streams, byte for byte, when it has ended', async () => {
    const web = box(script(STORIES), caller);
    await runs(web);
    const logs = await web.run(['logs', web.name]);
    expect(logs).toMatchObject({ status: 0, stderr: 'err\n' });
    expect(logs.stdoutBytes.equals(OUT)).toBe(true);
  });

  test('is followed until the container ends', async () => {
    const web = box(script('echo one; sleep 0.5; echo two; sleep 0.5; printf three'), caller);
    await web.run(['up', '--detach']);
    expect(await web.run(['logs', '--follow', web.name])).toMatchObject({
      status: 0,
      stdout: 'one\ntwo\nthree',
      stderr: '',
    });
  });
});

describe.skipIf(!hasBusybox)('the log of a container in the background', () => {
  test('has what was written last before it was killed', async () => {
    const web = box(script('seq 20000; echo ready; exec sleep 1000'));
    await web.run(['up', '--detach']);
    await until(async () => (await web.run(['logs', '--tail', '1', web.name])).stdout === 'ready\n' || undefined);
    await web.run(['stop', '--time', '0', web.name]);
    const { stdout } = await web.run(['logs', web.name]);
    expect(stdout).toBe(`${Array.from({ length: 20_000 }, (_, index) => `${index + 1}\n`).join('')}ready\n`);
  });

  test('has everything that a command writes in its last moment', async () => {
    const web = box(script('head -c 60000 /dev/zero; kill -9 $$'));
    await runs(web);
    expect((await web.run(['logs', web.name])).stdoutBytes.length).toBe(60_000);
  });

  test('has what other processes of it wrote when the first one ended', async () => {
    const web = box(script('(while :; do echo x; done) & sleep 0.2'));
    await runs(web);
    const { stdout } = await web.run(['logs', web.name]);
    expect(stdout.length).toBeGreaterThan(100);
    expect(stdout.replaceAll('x\n', '')).toBe('');
  });

  test('is followed through its files, however many there are', async () => {
    const keys = { logging: { options: { 'max-size': '64k', 'max-file': 1000 } } };
    const web = box(
      script('i=0; while [ $i -lt 30 ]; do seq $((i*500+1)) $((i*500+500)); sleep 0.02; i=$((i + 1)); done', keys),
    );
    await web.run(['up', '--detach']);
    const { stdout } = await web.run(['logs', '-f', web.name]);
    expect(stdout).toBe(Array.from({ length: 15_000 }, (_, index) => `${index + 1}\n`).join(''));
    const id = (await web.listed())?.id ?? '';
    expect(readdirSync(join(self.store, 'containers', id, 'log')).length).toBeGreaterThan(10);
  });

  test('of one that writes without end stays within its limits, and the container goes on', async () => {
    const keys = { logging: { options: { 'max-size': '100k', 'max-file': '3' } } };
    const web = box(
      script(
        'yes "some text that is written again and again" & sleep 1; kill $!; wait; echo over; exec sleep 1000',
        keys,
      ),
    );
    await web.run(['up', '--detach']);
    await until(async () => (await web.run(['logs', '--tail', '1', web.name])).stdout.endsWith('over\n') || undefined);
    const id = (await web.listed())?.id ?? '';
    const folder = join(self.store, 'containers', id, 'log');
    expect(readdirSync(folder).length).toBe(3);
    const size = Number(execFileSync('du', ['-sb', folder], { encoding: 'utf8' }).split('\t')[0]);
    expect(size).toBeLessThan(320_000);
  });

  test('has the beginning of a line at once, however much was written before it', async () => {
    // What is read at once depends on how fast it is written: of these sizes some make a full turn of reads.
    const sizes = Array.from({ length: 150 }, (_, at) => 8000 + at * 53);
    const text = `for n in ${sizes.join(' ')}; do
      head -c $n /dev/zero | tr '\\0' x; printf '\\nprompt %s: ' $n
      until [ -e /here/$n ]; do sleep 0.005; done
    done`;
    const web = box(script(text, { tty: true, volumes: ['./:/here:ro'] }));
    await web.run(['up', '--detach']);
    const id = (await web.listed())?.id ?? '';
    for (const size of sizes) {
      await until(() => outputOf(web, id).endsWith(`\nprompt ${size}: `) || undefined);
      writeFileSync(join(web.folder, String(size)), '');
    }
  });

  test('is cut to its last lines, and to times', async () => {
    const web = box(script('seq 3; sleep 1.2; seq 4 6'));
    await runs(web);
    expect((await web.run(['logs', '--tail', '2', web.name])).stdout).toBe('5\n6\n');
    expect((await web.run(['logs', '-n', '0', web.name])).stdout).toBe('');
    expect((await web.run(['logs', '-n', 'all', web.name])).stdout).toBe('1\n2\n3\n4\n5\n6\n');
    const { stdout } = await web.run(['logs', '-t', web.name]);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.map((line) => line.replace(/^\S{29}Z /u, ''))).toEqual(['1', '2', '3', '4', '5', '6']);
    const [fourth = ''] = lines[3]?.split(' ') ?? [];
    expect((await web.run(['logs', '--since', fourth, web.name])).stdout).toBe('4\n5\n6\n');
    const [third = ''] = lines[2]?.split(' ') ?? [];
    const between = new Date((Date.parse(third) + Date.parse(fourth)) / 2).toISOString();
    expect((await web.run(['logs', '--until', between, web.name])).stdout).toBe('1\n2\n3\n');
    expect((await web.run(['logs', '--since', between, '--until', between, web.name])).stdout).toBe('');
  });

  test('with words that are none is an error that says what to write', async () => {
    const web = box(script('true'));
    await runs(web);
    const since = await web.run(['logs', '--since', 'yesterday', web.name]);
    expect(since).toMatchObject({ status: 125, stdout: '' });
    expect(since.stderr).toContain('--since yesterday is no time');
    const tail = await web.run(['logs', '--tail', '-1', web.name]);
    expect(tail.stderr).toContain('--tail -1 is no number of lines');
  });

  test('is kept nowhere with the driver `none`, and the error says so', async () => {
    const web = box(script('echo text', { logging: { driver: 'none' } }));
    await runs(web);
    const logs = await web.run(['logs', web.name]);
    expect(logs).toMatchObject({ status: 125, stdout: '' });
    expect(logs.stderr).toContain(`the output of ${web.name} is not kept: \`logging: {driver: none}\``);
  });

  test('of one with a terminal is what the terminal shows', async () => {
    const web = box(script('[ -t 1 ] && echo terminal; echo err >&2', { tty: true }));
    await runs(web);
    expect(await web.run(['logs', web.name])).toMatchObject({ stdout: 'terminal\r\nerr\r\n', stderr: '' });
  });

  test('ends at what its launcher has read when that is killed, and a follower ends, too', async () => {
    const web = box(script('seq 1000; exec sleep 1000'));
    await web.run(['up', '--detach']);
    const id = (await web.listed())?.id ?? '';
    const follower = web.run(['logs', '-f', web.name]);
    await until(async () => (await web.run(['logs', '--tail', '1', web.name])).stdout === '1000\n' || undefined);
    process.kill(launcherOf(web, id), 'SIGKILL');
    const all = Array.from({ length: 1000 }, (_, index) => `${index + 1}\n`).join('');
    expect(await follower).toMatchObject({ status: 0, stdout: all });
    expect((await web.run(['logs', web.name])).stdout).toBe(all);
  });

  test('does not wait for a reader that stops', async () => {
    const web = box(script('seq 100000; echo over; exec sleep 1000'));
    await web.run(['up', '--detach']);
    let reader: ChildProcess | undefined;
    let heard = (): void => undefined;
    const first = new Promise<void>((resolve) => (heard = resolve));
    const onStart = (child: ChildProcess): void => {
      reader = child;
      child.stdout?.once('data', () => heard());
    };
    const stopped = web.run(['logs', '-f', web.name], { onStart });
    await first;
    reader?.kill('SIGSTOP');
    await until(async () => (await web.run(['logs', '--tail', '1', web.name])).stdout === 'over\n' || undefined);
    await web.run(['rm', '--force', web.name]);
    reader?.kill('SIGCONT');
    expect((await stopped).status).toBe(0);
  });

  test('is safe on a terminal, with its colours, unless it is to be raw', async () => {
    const web = box(script('printf "\\033[32mgreen\\033[0m \\033]0;title\\007\\033[8mhidden\\033[0m a\\tb\\rc\\n"'));
    await runs(web);
    const shown = (words: readonly string[]): string =>
      execFileSync('script', ['-qec', [process.execPath, PROGRAM, 'logs', ...words, web.name].join(' '), '/dev/null'], {
        encoding: 'utf8',
        env: { ...process.env, TERM: 'xterm', BOXCTL_STORE: self.store },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
    const safe = shown([]);
    expect(safe).toContain('\u001b[32mgreen\u001b[0m');
    expect(safe).toContain('\ufffd]0;title\ufffdhidden');
    expect(safe).toContain('a\tb\u001b[0m\r\nc');
    expect(shown(['--raw'])).toContain('\u001b]0;title\u0007\u001b[8mhidden\u001b[0m a\tb\rc');
  });
});
