/** `start` and `restart` with `--attach` and `--wait`: what is done once the container is started again. */
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { box, outputOf, until, type Box, type Listed } from '../support/background.ts';
import { hasBusybox } from '../support/busybox.ts';
import { PROGRAM, run } from '../support/boxctl.ts';
import { callers, self } from '../support/container.ts';
import { whenSeen } from '../support/when-seen.ts';

const script = (text: string): readonly string[] => ['sh', '-c', text.replaceAll('$', '$$$$')];
/** Ends at once the first time, and does `text` each time after that. */
const later = (text: string): readonly string[] => script(`[ -e /ran ] || { touch /ran; exit 0; }; ${text}`);
const ANSWERS = 'while read -r l; do echo "got $l"; [ "$l" = bye ] && exit 7; done';

async function ended(one: Box): Promise<Listed> {
  return until(async () => {
    const listed = await one.listed();
    return listed !== undefined && ['exited', 'failed', 'lost'].includes(listed.status) ? listed : undefined;
  });
}

/** Started, and ended. */
async function ran(one: Box): Promise<Listed> {
  expect(await one.run(['up', '--detach'])).toMatchObject({ status: 0 });
  return ended(one);
}

describe.skipIf(!hasBusybox).each(callers)('a container of $title that has ended', (caller) => {
  test.each(['start', 'restart'])('is seen from its first byte to its status by `boxctl %s --attach`', async (verb) => {
    const web = box({ command: later('echo out; echo err >&2; exit 7') }, caller);
    const { id } = await ran(web);
    for (let times = 0; times < 5; times++) {
      const attached = await web.run([verb, '--attach', web.name]);
      expect(attached).toMatchObject({ status: 7, stdout: 'out\n', stderr: 'err\n' });
    }
    expect(outputOf(web, id)).toBe('out\n'.repeat(5));
    expect(await web.listed()).toMatchObject({ id, status: 'exited', exit_status: 7 });
  });

  test('takes what is typed by `boxctl start -ai`, and is left by the keys', async () => {
    const web = box({ stdin_open: true, command: later(ANSWERS) }, caller);
    await ran(web);
    const left = await web.run(['start', '-ai', web.name], { stdin: 'one\n\u0010\u0011' });
    expect(left).toMatchObject({ status: 0 });
    expect(left.stderr).toContain(`detached from ${web.name}, which goes on`);
    // One that runs is gone to.
    const again = await web.run(['start', '--attach', web.name], { stdin: 'bye\n' });
    expect(again).toMatchObject({ status: 7, stdout: 'got bye\n' });
    expect(again.stderr).toContain(`${web.name} runs already`);
    const other = await web.run(['start', '-a', '--detach-keys', 'ctrl-x', web.name], { stdin: 'one\n\u0018' });
    expect(other).toMatchObject({ status: 0 });
  });

  test.each(['start', 'restart'])('is healthy when `boxctl %s --wait` returns', async (verb) => {
    const web = box(
      {
        command: later('sleep 0.3; touch /tmp/ok; trap "exit 3" TERM; while :; do sleep 0.05; done'),
        healthcheck: { test: ['CMD', 'test', '-e', '/tmp/ok'], interval: '100ms', retries: 100 },
      },
      caller,
    );
    await ran(web);
    expect(await web.run([verb, '--wait', '--wait-timeout', '30', web.name])).toMatchObject({
      status: 0,
      stdout: `${web.name}\n`,
      stderr: '',
    });
    expect((await web.run(['ps'])).stdout).toContain('running (healthy)');
  });
});

describe.skipIf(!hasBusybox)('`boxctl start` and `restart` (needs busybox-static)', () => {
  test('show the new run alone of a container that runs', async () => {
    const web = box({
      command: script(
        '[ -e /ran ] && { echo new; exit 5; }; touch /ran; trap "echo old; exit 3" TERM; sleep 1000 & wait',
      ),
    });
    await web.run(['up', '--detach']);
    const { id } = await until(async () =>
      (await web.run(['exec', web.name, 'test', '-e', '/ran'])).status === 0 ? web.listed() : undefined,
    );
    expect(await web.run(['restart', '--attach', web.name])).toMatchObject({ status: 5, stdout: 'new\n', stderr: '' });
    expect(outputOf(web, id)).toBe('old\nnew\n');
  });

  test('pass signals on, and a second start is not held up by the first', async () => {
    const web = box({
      restart: 'on-failure:2',
      command: later('trap "echo term; exit 4" TERM; echo up; sleep 1000 & wait'),
    });
    await ran(web);
    let child: ChildProcess | undefined;
    const attached = web.run(['start', '--attach', web.name], { onStart: (one) => (child = one) });
    await until(async () => ((await web.run(['logs', web.name])).stdout === 'up\n' ? true : undefined));
    child?.kill('SIGTERM');
    expect(await attached).toMatchObject({ status: 4, stdout: 'up\nterm\n' });
    expect(await ended(web)).toMatchObject({ restarts: 0, exit_status: 4 });
    // Its launcher starts it again by itself, where nobody is left who could let it go on.
    const fails = box({ restart: 'on-failure:2', command: later('exit 6') });
    await ran(fails);
    expect(await fails.run(['start', '--attach', fails.name])).toMatchObject({ status: 6 });
    const last = await until(async () => {
      const listed = await fails.listed();
      return listed?.status === 'exited' ? listed : undefined;
    });
    expect(last).toMatchObject({ restarts: 2, exit_status: 6 });
  });

  test('tell that a step or a hook has failed, and nothing else', async () => {
    const web = box({
      post_start: [{ command: ['sh', '-c', '! test -e /ran'] }],
      command: script('echo here; sleep 1000'),
      stop_grace_period: '100ms',
    });
    expect(await web.run(['up', '--detach'])).toMatchObject({ status: 0 });
    await web.run(['exec', web.name, 'touch', '/ran']);
    await web.run(['stop', '--time', '0', web.name]);
    const failed = await web.run(['start', '--attach', web.name]);
    expect(failed.status).toBe(125);
    expect(failed.stderr).toContain('post_start');
    expect(failed.stderr.match(/^boxctl: /gmu)).toHaveLength(1);
    expect((await web.listed())?.status).toBe('exited');
  });

  test('wait for the health of the new run, and not of the last', async () => {
    const web = box({
      command: script('[ -e /ran ] || touch /dev/shm/ok; touch /ran; sleep 1000'),
      stop_grace_period: '100ms',
      healthcheck: { test: ['CMD', 'test', '-e', '/dev/shm/ok'], interval: '100ms', retries: 1000 },
    });
    await web.run(['up', '--wait']);
    for (const verb of ['restart', 'start']) {
      if (verb === 'start') await web.run(['stop', '--time', '0', web.name]);
      const late = await web.run([verb, '--wait', '--wait-timeout', '1', web.name]);
      expect(late).toMatchObject({ status: 125, stdout: `${web.name}\n` });
      expect(late.stderr).toContain(`the container ${web.name} is not healthy after 1 seconds`);
    }
  });

  test('fail where one that is waited for becomes unhealthy or ends, and wait for the others', async () => {
    const sick = box({
      command: later('sleep 1000'),
      healthcheck: { test: ['CMD', 'false'], interval: '50ms', retries: 1 },
    });
    const gone = box({ command: later('sleep 0.5; exit 9'), healthcheck: { test: ['CMD', 'true'], interval: '1h' } });
    const well = box({ command: later('sleep 1000'), healthcheck: { test: ['CMD', 'true'], interval: '1s' } });
    for (const one of [sick, gone, well]) await ran(one);
    const all = await sick.run(['start', '--wait', sick.name, gone.name, well.name]);
    expect(all).toMatchObject({ status: 125, stdout: `${sick.name}\n${gone.name}\n${well.name}\n` });
    expect(all.stderr).toContain(`the container ${sick.name} is unhealthy`);
    expect(all.stderr).toContain(`the container ${gone.name} did not become healthy`);
    expect((await well.run(['ps'])).stdout).toMatch(new RegExp(`${well.name}.*\\(healthy\\)`, 'u'));
  });

  test('say which options do not go together', async () => {
    const web = box({ command: ['true'] });
    await ran(web);
    const both = await web.run(['start', '--attach', '--wait', web.name]);
    expect(both).toMatchObject({ stdout: '' });
    expect(both.stderr).toContain('--attach and --wait exclude each other');
    expect((await web.run(['restart', '-a', web.name, web.name])).stderr).toContain('--attach is for one container');
    expect((await web.run(['restart', '--wait-timeout', '3', web.name])).stderr).toContain(
      '--wait-timeout is for --wait',
    );
    expect((await web.run(['start', '-a', '--detach-keys', 'nothing', web.name])).stderr).toContain('are no keys');
    expect(existsSync(join(web.caller.store, 'containers'))).toBe(true);
  });

  test('give the command the terminal and its size', async () => {
    const web = box({ stdin_open: true, tty: true, command: later('stty size; read -r l; exit 7') });
    await ran(web);
    const attach = [process.execPath, PROGRAM, 'start', '--attach', web.name].join(' ');
    const command = `stty rows 33 cols 77; ${attach}; echo "status $?"; stty -a | grep -o '.icanon'`;
    const { stdout: shown } = await run(['script', '-qec', command, '/dev/null'], {
      env: { TERM: 'xterm', BOXCTL_STORE: self.store },
      stdin: new Promise<string>(() => undefined),
      onStart: whenSeen('33 77', (child) => child.stdin?.write('x\r')),
    });
    expect(shown).toContain('33 77');
    expect(shown).toContain('status 7');
    expect(shown).toContain(' icanon');
  });
});
