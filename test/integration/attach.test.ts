/** The caller's streams or terminal at a container in the background: `boxctl attach`. */
import type { ChildProcess } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { box, until, type Box } from '../support/background.ts';
import { hasBusybox } from '../support/busybox.ts';
import { PROGRAM, run, type RunOptions } from '../support/boxctl.ts';
import { callers, self } from '../support/container.ts';
import { whenSeen } from '../support/when-seen.ts';

const script = (text: string): readonly string[] => ['sh', '-c', text.replaceAll('$', '$$$$')];
/** Answers each line on both streams, until it is told to end. */
const ANSWERS = 'while read -r l; do echo "got $l"; echo "heard $l" >&2; [ "$l" = bye ] && exit 7; done';

describe.skipIf(!hasBusybox).each(callers)('attached to a container of $title (needs busybox-static)', (caller) => {
  test('one types to the command, sees both streams, and ends with its status', async () => {
    const web = box({ stdin_open: true, command: script(ANSWERS) }, caller);
    await web.run(['up', '--detach']);
    const attached = await web.run(['attach', '--quiet', web.name], { stdin: 'one\nbye\n' });
    expect(attached).toMatchObject({ status: 7, stdout: 'got one\ngot bye\n' });
    expect(attached.stderr).toContain('heard one\nheard bye\n');
    expect((await web.run(['logs', web.name])).stdout).toBe('got one\ngot bye\n');
  });

  test('one leaves by Ctrl-P Ctrl-Q, and the container goes on', async () => {
    const web = box({ stdin_open: true, command: script(ANSWERS) }, caller);
    await web.run(['up', '--detach']);
    const left = await web.run(['attach', web.name], { stdin: 'one\n\u0010\u0011' });
    expect(left.status).toBe(0);
    expect(left.stderr).toContain(`detached from ${web.name}, which goes on`);
    expect(await web.run(['attach', '--quiet', web.name], { stdin: '\u0010x\nbye\n' })).toMatchObject({
      status: 7,
      stdout: 'got \u0010x\ngot bye\n',
    });
  });
});

/** One that is attached to a container that writes lines again and again: whoever sees the first one is attached. */
function attaching(one: Box, words: readonly string[], options: RunOptions = {}) {
  let child: ChildProcess | undefined;
  let seesMore = false;
  const onStart = (started: ChildProcess): void => {
    child = started;
    started.stdout?.once('data', () => (seesMore = true));
  };
  const ended = one.run(['attach', ...words, one.name], { ...options, onStart });
  const isAttached = until(() => (seesMore ? child : undefined));
  return { ended, isAttached };
}
const withoutTicks = (text: string): string => text.replaceAll('tick\n', '');

describe.skipIf(!hasBusybox)('attached to a container in the background (needs busybox-static)', () => {
  test('a reader that stops is cut off with words, and the container goes on', async () => {
    const many = 'seq 300000; echo over; exec sleep 1000';
    const web = box({ command: script(`until [ -e /go ]; do echo tick; sleep 0.05; done; ${many}`) });
    await web.run(['up', '--detach']);
    const { ended: stopped, isAttached } = attaching(web, []);
    const reader = await isAttached;
    reader.kill('SIGSTOP');
    await web.run(['exec', web.name, 'touch', '/go']);
    await until(async () => (await web.run(['logs', '--tail', '1', web.name])).stdout === 'over\n' || undefined);
    reader.kill('SIGCONT');
    const { status, stderr } = await stopped;
    expect(status).toBe(125);
    expect(stderr).toContain(`cut off from ${web.name}`);
    expect(await web.listed()).toMatchObject({ status: 'running' });
  }, 120_000);

  test('many at once see the same, and one that is killed takes nothing along', async () => {
    const web = box({ stdin_open: true, command: script(`while :; do echo tick; sleep 0.1; done & ${ANSWERS}`) });
    await web.run(['up', '--detach']);
    const victim = attaching(web, [], { stdin: new Promise<string>(() => undefined) });
    const watchers = [1, 2, 3].map(() => attaching(web, ['--quiet', '--no-stdin']));
    for (const { isAttached } of watchers) await isAttached;
    (await victim.isAttached).kill('SIGKILL');
    await victim.ended;
    await web.run(['attach', '--quiet', web.name], { stdin: 'hello\nbye\n' });
    for (const watcher of watchers) {
      const { status, stdout } = await watcher.ended;
      expect({ status, stdout: withoutTicks(stdout) }).toEqual({ status: 7, stdout: 'got hello\ngot bye\n' });
    }
  });

  test('signals go to the command, unless they are to stay here', async () => {
    const web = box({ command: script('trap "echo hup" HUP; while :; do echo tick; sleep 0.05; done') });
    await web.run(['up', '--detach']);
    const kept = attaching(web, ['--sig-proxy', 'false']);
    (await kept.isAttached).kill('SIGHUP');
    const { status, stdout } = await kept.ended;
    expect({ status, stdout: withoutTicks(stdout) }).toEqual({ status: 129, stdout: '' });
    const passing = attaching(web, []);
    (await passing.isAttached).kill('SIGHUP');
    const logs = async (): Promise<string> => withoutTicks((await web.run(['logs', web.name])).stdout);
    await until(async () => (await logs()) === 'hup\n' || undefined);
    await web.run(['rm', '--force', web.name]);
    expect(withoutTicks((await passing.ended).stdout)).toBe('hup\n');
  });

  test('the terminal is that of the command, with its size, and as it was when one leaves', async () => {
    const web = box({ stdin_open: true, tty: true, command: ['sh'] });
    await web.run(['up', '--detach']);
    const attach = [process.execPath, PROGRAM, 'attach', web.name].join(' ');
    const command = `stty rows 33 cols 77; ${attach}; stty -a | grep -o '.icanon'`;
    const { stdout: shown } = await run(['script', '-qec', command, '/dev/null'], {
      env: { TERM: 'xterm', BOXCTL_STORE: self.store },
      stdin: new Promise<string>(() => undefined),
      onStart: (child) => {
        // What is typed before it is attached may be lost.
        const asking = setInterval(() => child.stdin?.write('stty size\n'), 500);
        whenSeen('33 77', () => {
          clearInterval(asking);
          child.stdin?.write('\u0010\u0011');
        })(child);
        child.once('exit', () => clearInterval(asking));
      },
    });
    expect(shown).toContain('33 77');
    expect(shown).toContain(' icanon');
  });

  test('that does not run, or with keys that are none, is an error that says so', async () => {
    const web = box({ command: ['true'] });
    await web.run(['up', '--detach']);
    await web.run(['wait', web.name]);
    const ended = await web.run(['attach', web.name]);
    expect(ended.status).toBe(125);
    expect(ended.stderr).toContain(`the container ${web.name} does not run`);
    const keys = await web.run(['attach', '--detach-keys', 'ctrl-', web.name]);
    expect(keys.stderr).toContain('--detach-keys ctrl- are no keys');
  });
});
