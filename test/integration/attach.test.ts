/** The caller's streams or terminal at a container in the background: `boxctl attach`. */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { box, until } from '../support/background.ts';
import { hasBusybox } from '../support/busybox.ts';
import { PROGRAM, run } from '../support/boxctl.ts';
import { callers, self } from '../support/container.ts';

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

describe.skipIf(!hasBusybox)('attached to a container in the background (needs busybox-static)', () => {
  test('a reader that stops is cut off with words, and the container goes on', async () => {
    const web = box({ command: script('sleep 1; seq 300000; echo over; exec sleep 1000') });
    await web.run(['up', '--detach']);
    let reader: ChildProcess | undefined;
    const stopped = web.run(['attach', web.name], { onStart: (child) => (reader = child) });
    await sleep(600);
    reader?.kill('SIGSTOP');
    await until(async () => (await web.run(['logs', '--tail', '1', web.name])).stdout === 'over\n' || undefined);
    reader?.kill('SIGCONT');
    const { status, stderr } = await stopped;
    expect(status).toBe(125);
    expect(stderr).toContain(`cut off from ${web.name}`);
    expect(await web.listed()).toMatchObject({ status: 'running' });
  }, 60_000);

  test('many at once see the same, and one that is killed takes nothing along', async () => {
    const web = box({ stdin_open: true, command: script(ANSWERS) });
    await web.run(['up', '--detach']);
    let victim: ChildProcess | undefined;
    const killed = web.run(['attach', web.name], {
      stdin: sleep(5000).then(() => ''),
      onStart: (one) => (victim = one),
    });
    const watchers = [1, 2, 3].map(() => web.run(['attach', '--quiet', '--no-stdin', web.name]));
    await sleep(1000);
    victim?.kill('SIGKILL');
    await killed;
    await web.run(['attach', '--quiet', web.name], { stdin: 'hello\nbye\n' });
    for (const watcher of watchers) expect(await watcher).toMatchObject({ status: 7, stdout: 'got hello\ngot bye\n' });
  });

  test('signals go to the command, unless they are to stay here', async () => {
    const web = box({ command: script('trap "echo hup" HUP; while :; do sleep 0.05; done') });
    await web.run(['up', '--detach']);
    const kept = web.run(['attach', '--sig-proxy', 'false', web.name], {
      onStart: (child) => void setTimeout(() => child.kill('SIGHUP'), 700),
    });
    expect(await kept).toMatchObject({ status: 129, stdout: '' });
    let passing: ChildProcess | undefined;
    const passed = web.run(['attach', web.name], { onStart: (child) => (passing = child) });
    await sleep(700);
    passing?.kill('SIGHUP');
    await until(async () => (await web.run(['logs', web.name])).stdout === 'hup\n' || undefined);
    await web.run(['rm', '--force', web.name]);
    expect((await passed).stdout).toBe('hup\n');
  });

  test('the terminal is that of the command, with its size, and as it was when one leaves', async () => {
    const web = box({ stdin_open: true, tty: true, command: ['sh'] });
    await web.run(['up', '--detach']);
    const attach = [process.execPath, PROGRAM, 'attach', web.name].join(' ');
    const command = `stty rows 33 cols 77; ${attach}; stty -a | grep -o '.icanon'`;
    const typing = '(sleep 2; printf "stty size\\n"; sleep 1; printf "\\020\\021"; sleep 1)';
    const { stdout: shown } = await run(['sh', '-c', `${typing} | script -qec "$1" /dev/null`, 'sh', command], {
      env: { TERM: 'xterm', BOXCTL_STORE: self.store },
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
