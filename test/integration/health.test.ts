/** `healthcheck`, `post_start` and `pre_stop`: commands that the launcher runs in its own container. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { box, launcherOf, outputOf, until, type Box } from '../support/background.ts';
import { hasBusybox } from '../support/busybox.ts';
import { PROGRAM, run } from '../support/boxctl.ts';
import { callerOptions, callers, hasLimits, self, specFolder, up } from '../support/container.ts';
import { isRoot } from '../support/user.ts';
import { keptContainers } from '../../src/state/containers.ts';
import { gatherHostFacts } from '../../src/host/gather.ts';
import { readHealth, type Health } from '../../src/state/health.ts';

const script = (text: string): readonly string[] => ['sh', '-c', text.replaceAll('$', '$$$$')];
const shell = (text: string): readonly string[] => ['CMD', ...script(text)];
const WAITS = script('trap "exit 3" TERM; while :; do sleep 0.05; done');

const statusOf = async (one: Box): Promise<string> =>
  (await one.run(['ps', '--all', '--no-trunc'])).stdout.split('\n').find((line) => line.includes(` ${one.name} `)) ??
  '';
const folderOf = ({ caller }: Box, id: string): string => join(caller.store, 'containers', id);

function healthOf(one: Box): Health | undefined {
  const host = gatherHostFacts({ ...process.env, BOXCTL_STORE: one.caller.store });
  const found = keptContainers(host).find(({ name }) => name === one.name);
  return found === undefined ? undefined : readHealth(found);
}

/** Processes of this machine that have the text in their command line. */
function processesWith(text: string): readonly string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/u.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text);
    } catch {
      return false;
    }
  });
}

describe.skipIf(!hasBusybox).each(callers)('a health check, of a container that $title has started', (caller) => {
  test('makes it healthy, which `up --wait` waits for, and unhealthy when it fails as often as it says', async () => {
    const web = box(
      {
        command: script('sleep 0.3; touch /tmp/ok; trap "exit 3" TERM; while :; do sleep 0.05; done'),
        healthcheck: {
          test: shell('test -e /tmp/ok'),
          interval: '100ms',
          retries: 2,
          start_period: '10s',
          start_interval: '100ms',
        },
      },
      caller,
    );
    expect(await web.run(['up', '--wait', '--wait-timeout', '20'])).toMatchObject({
      status: 0,
      stdout: `${web.name}\n`,
      stderr: '',
    });
    expect(await statusOf(web)).toContain('running (healthy)');
    const { stdout: told } = await web.run(['inspect', web.name]);
    const [found] = JSON.parse(told) as { State: { Health: { Log: object[] } } }[];
    expect(found?.State.Health).toMatchObject({ Status: 'healthy', FailingStreak: 0 });
    expect(found?.State.Health.Log.at(-1)).toMatchObject({ ExitCode: 0, Output: '' });
    await web.run(['exec', web.name, 'rm', '/tmp/ok']);
    await until(async () => ((await statusOf(web)).includes('(unhealthy)') ? true : undefined));
    await web.run(['exec', web.name, 'touch', '/tmp/ok']);
    await until(async () => ((await statusOf(web)).includes('(healthy)') ? true : undefined));
    expect(await web.run(['stop', web.name])).toMatchObject({ status: 0 });
    expect(await web.listed()).toMatchObject({ status: 'exited', exit_status: 3 });
  });

  test('runs with the container’s user, environment and limits', async () => {
    const ids = caller.keys['uid_map'] === undefined ? { user: '1234:1234' } : {};
    const web = box(
      {
        ...ids,
        environment: { COLOUR: 'green' },
        command: WAITS,
        healthcheck: {
          test: 'id -u; echo $$COLOUR; grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status; cat /proc/1/comm',
          interval: '100ms',
        },
      },
      caller,
    );
    expect(await web.run(['up', '--wait'])).toMatchObject({ status: 0 });
    const inside = await web.run([
      'exec',
      web.name,
      'sh',
      '-c',
      'id -u; echo $COLOUR; grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status; cat /proc/1/comm',
    ]);
    if (caller.user !== undefined) return;
    expect(healthOf(web)?.results.at(-1)).toMatchObject({ status: 0, output: inside.stdout });
  });
});

describe.skipIf(!hasBusybox).each(callers)('a check that runs when the container ends, of $title,', (caller) => {
  test.each([{}, { init: true }])(
    'does not keep it from ending, with %j',
    async (keys) => {
      for (const command of [WAITS, ['sh', '-c', 'sleep 2; exit 3']]) {
        const check = { test: shell('echo there >/tmp/there; exec sleep 50'), interval: '50ms' };
        const web = box({ ...keys, command, healthcheck: check, tmpfs: ['/tmp'] }, caller);
        expect(await web.run(['up', '--detach'])).toMatchObject({ status: 0 });
        if (command === WAITS) {
          await until(
            async () => (await web.run(['exec', web.name, 'test', '-e', '/tmp/there'])).status === 0 || undefined,
          );
          expect(await web.run(['stop', '--time', '60', web.name])).toMatchObject({ status: 0 });
        }
        await until(async () => (await web.listed())?.status === 'exited' || undefined);
        expect(await web.listed()).toMatchObject({ exit_status: 3 });
      }
    },
    120_000,
  );
});

describe.skipIf(!hasBusybox).each(callers)('hooks, of a container that $title has started', (caller) => {
  test('are run after the start, which waits for them, and before the stop signal', async () => {
    const web = box(
      {
        command: script('trap "cat /tmp/log; exit 3" TERM; while :; do sleep 0.05; done'),
        post_start: [
          { command: ['sh', '-c', 'echo one >>/tmp/log'] },
          { command: 'sh -c "echo $$NAME $$PWD >>/tmp/log"', working_dir: '/tmp', environment: { NAME: 'two' } },
        ],
        pre_stop: [{ command: ['sh', '-c', 'sleep 0.3; echo three >>/tmp/log'] }],
      },
      caller,
    );
    expect(await web.run(['up', '--detach'])).toMatchObject({ status: 0, stderr: '' });
    const { id = '' } = (await web.listed()) ?? {};
    expect((await web.run(['exec', web.name, 'cat', '/tmp/log'])).stdout).toBe('one\ntwo /tmp\n');
    expect(await web.run(['stop', web.name])).toMatchObject({ status: 0 });
    expect(await web.listed()).toMatchObject({ status: 'exited', exit_status: 3 });
    if (caller.user === undefined) expect(outputOf(web, id)).toBe('one\ntwo /tmp\nthree\n');
  });

  test('stop the container when one after the start fails, with its line', async () => {
    const keys = {
      command: WAITS,
      stop_grace_period: '500ms',
      post_start: [{ command: ['true'] }, { command: ['sh', '-c', 'echo broken; exit 7'] }],
    };
    const web = box(keys, caller);
    const started = await web.run(['up', '--detach']);
    expect(started).toMatchObject({ status: 125, stdout: '' });
    expect(started.stderr).toMatch(
      /container\.yaml:\d+:\d+: error: post_start: `sh -c echo broken; exit 7` ended with status 7 \(it said: broken\), so the container was stopped/u,
    );
    expect(await web.listed()).toBeUndefined();
    const missing = await up({ ...keys, post_start: [{ command: ['/not-there'] }] }, caller);
    expect(missing.status).toBe(125);
    expect(missing.stderr).toMatch(/post_start: `\/not-there` could not be run: .*\(ENOENT\)/u);
  });

  test('are run in the foreground, too', async () => {
    const keys = {
      command: script('while ! test -e /tmp/ready; do sleep 0.05; done; cat /tmp/ready'),
      post_start: [{ command: ['sh', '-c', 'echo from the hook >/tmp/ready'] }],
    };
    expect(await up(keys, caller)).toMatchObject({ status: 0, stdout: 'from the hook\n', stderr: '' });
  });
});

describe.skipIf(!hasBusybox || !isRoot)('commands that the launcher runs (needs root and busybox-static)', () => {
  test('are ended at their time, and what they write is kept up to 4 KiB, five times', async () => {
    const marker = `hangs-${process.pid}`;
    const web = box({
      command: WAITS,
      healthcheck: {
        test: `yes ${marker} | head -c 100000; sleep 1000`,
        interval: '50ms',
        timeout: '1s',
        retries: 3,
      },
    });
    const started = await web.run(['up', '--wait']);
    expect(started.status).toBe(125);
    expect(started.stderr).toContain('is unhealthy');
    const health = await until(() => (healthOf(web)?.results.length === 5 ? healthOf(web) : undefined));
    for (const { status, output } of health?.results ?? []) {
      expect(status).toBe(-1);
      expect(output.startsWith(`${marker}\n`)).toBe(true);
      expect(output.endsWith('it did not end in time')).toBe(true);
      expect(output.length).toBeLessThan(4096 + 40);
    }
    await web.run(['stop', '--time', '0', web.name]);
  });

  test.skipIf(!hasLimits)('are in the container’s cgroup: its limit of processes is theirs', async () => {
    const web = box({
      command: WAITS,
      limits: { pids: 20 },
      healthcheck: {
        test: script('cat /proc/self/cgroup >/tmp/own; diff /tmp/own /proc/1/cgroup').slice(2).join(''),
        interval: '50ms',
      },
    });
    expect(await web.run(['up', '--wait'])).toMatchObject({ status: 0, stderr: '' });
  });

  test('are gone when the launcher is killed, and when the container is', async () => {
    for (const victim of ['launcher', 'command'] as const) {
      const marker = `probe-${victim}-${process.pid}`;
      const web = box({ command: WAITS, healthcheck: { test: `: ${marker}; sleep 1000; true`, interval: '50ms' } });
      await web.run(['up', '--detach']);
      await until(() => (processesWith(marker).length > 0 ? true : undefined));
      const { id = '', pid = 0 } = (await web.listed()) ?? {};
      process.kill(victim === 'launcher' ? launcherOf(web, id) : pid, 'SIGKILL');
      await until(async () => ((await web.listed())?.status === 'running' ? undefined : true));
      await until(() => processesWith(marker).length === 0 || undefined);
      expect(['exited', 'lost']).toContain((await web.listed())?.status);
    }
  });

  test('hold no descriptor, lock or socket of the launcher', async () => {
    const web = box({ command: WAITS, healthcheck: { test: 'ls /proc/self/fd', interval: '50ms' } });
    await web.run(['up', '--wait']);
    // 0, 1 and 2, and the folder that is listed.
    expect(healthOf(web)?.results.at(-1)?.output).toBe('0\n1\n2\n3\n');
  });

  test('before the stop are given no more than the grace period', async () => {
    const web = box({ command: WAITS, stop_grace_period: '500ms', pre_stop: [{ command: ['sleep', '1000'] }] });
    await web.run(['up', '--detach']);
    await web.run(['stop', web.name]);
    expect(await web.listed()).toMatchObject({ status: 'exited', exit_status: 137 });
  });

  const HANGS = { command: ['sh', '-c', 'sleep 1000; true'] };

  test.each([
    ['stop -t 1', ['stop', '--time', '1'], 'its command ended with status 3'],
    ['stop', ['stop'], 'its command ended with status 3'],
    ['kill', ['kill'], 'SIGKILL'],
    ['rm -f', ['rm', '--force'], 'SIGKILL'],
  ])('after the start that hang are ended by `boxctl %s`, and `up` says so', async (_title, words, why) => {
    const web = box({ command: WAITS, post_start: [HANGS] });
    const start = web.run(['up', '--detach'], { once: 'it is ended while it starts' });
    await until(async () => ((await web.listed())?.status === 'running' ? true : undefined));
    await web.run([...words, web.name]);
    const { status, stderr } = await start;
    expect(status).not.toBe(0);
    expect(stderr).toContain(why);
    expect(stderr).not.toContain('unexpected');
    expect(await web.listed()).toBeUndefined();
  });

  test('after the start that hang are ended by an interrupt of `up --detach` and of `start`', async () => {
    const web = box({ command: WAITS, post_start: [{ command: ['sh', '-c', '[ -e /hang ] && sleep 1000; true'] }] });
    const interrupted = async (words: readonly string[]): Promise<void> => {
      let child: ChildProcess | undefined;
      const start = web.run(words, { onStart: (one) => (child = one) });
      await until(async () => ((await web.listed())?.status === 'running' ? true : undefined));
      child?.kill('SIGINT');
      const { status, stderr } = await start;
      expect(status).toBe(125);
      expect(stderr).toContain(`${web.name} ended before its \`post_start\` had`);
    };
    await web.run(['up', '--detach']);
    await web.run(['exec', web.name, 'touch', '/hang']);
    await web.run(['stop', web.name]);
    await interrupted(['start', web.name]);
    expect(await web.listed()).toMatchObject({ status: 'exited', exit_status: 3 });
    const other = box({ command: WAITS, post_start: [HANGS] });
    let child: ChildProcess | undefined;
    const start = other.run(['up', '--detach'], {
      once: 'it is ended while it starts',
      onStart: (one) => (child = one),
    });
    await until(async () => ((await other.listed())?.status === 'running' ? true : undefined));
    child?.kill('SIGINT');
    expect((await start).stderr).toContain(`${other.name} ended before its \`post_start\` had`);
  });

  test.each([
    ['stop -t 0', ['stop', '--time', '0']],
    ['stop -t 1', ['stop', '--time', '1']],
    ['kill', ['kill']],
  ])('before the stop that hang are ended by another `boxctl %s`', async (_title, words) => {
    const marker = `hangs-before-${words.join('-')}-${process.pid}`;
    const hangs = { command: ['sh', '-c', `: ${marker}; sleep 1000; true`] };
    const web = box({ command: WAITS, stop_grace_period: '100s', pre_stop: [hangs] });
    await web.run(['up', '--detach']);
    const stop = web.run(['stop', web.name]);
    await until(() => processesWith(marker).length > 0 || undefined);
    await web.run([...words, web.name]);
    expect(await stop).toMatchObject({ status: 0 });
    expect((await web.listed())?.status).toBe('exited');
  });

  test('and a check whose process is killed do not keep the container from its end', async () => {
    const web = box({ command: WAITS, healthcheck: { test: 'sleep 1000', interval: '50ms', timeout: '1000s' } });
    await web.run(['up', '--detach']);
    const { id } = await until(() => web.listed());
    // It runs when the container is stopped, and its process when the machine is short of memory, say.
    const launcher = launcherOf(web, id);
    const first = (await web.listed())?.pid;
    const checks = await until(() => {
      const children = readFileSync(`/proc/${launcher}/task/${launcher}/children`, 'utf8').trim().split(' ');
      const found = children.map(Number).filter((pid) => pid !== first);
      return found.length > 0 ? found : undefined;
    });
    for (const pid of checks) process.kill(pid, 'SIGKILL');
    expect(await web.run(['stop', web.name])).toMatchObject({ status: 0 });
    expect(await web.listed()).toMatchObject({ status: 'exited', exit_status: 3 });
  });

  test('after a restart are run again', async () => {
    const web = box({
      restart: 'on-failure:1',
      command: script('sleep 0.5; exit 1'),
      post_start: [{ command: ['sh', '-c', 'echo run >>/var-log'] }],
    });
    await web.run(['up', '--detach']);
    const ended = await until(async () => {
      const listed = await web.listed();
      return listed?.status === 'exited' && listed.restarts === 1 ? listed : undefined;
    });
    expect(readFileSync(join(folderOf(web, ended.id), 'disk/upper/var-log'), 'utf8')).toBe('run\nrun\n');
  });

  test.each([
    [{ healthcheck: { interval: '1s' } }, 'there is nothing to check'],
    [{ post_start: [{ command: ['true'], user: 'nobody-here' }] }, 'no user "nobody-here"'],
    [{ pre_stop: [{ command: ['true'], privileged: true }] }, 'no more rights than the container itself'],
  ])('that cannot be as %j asks for are refused', async (keys, words) => {
    const { status, stderr } = await up(keys);
    expect(status).toBe(125);
    expect(stderr).toContain(words);
  });
});

// A command that the launcher cannot start has no end that would wake it. It rests before it waits, so that the signal of the end of
// the command before has come by then; and its input stays open.
test.skipIf(!hasBusybox || !existsSync('/usr/bin/strace')).each([
  ['the first', 2],
  ['the second', 3],
])('hooks stop the container at once when %s cannot be started (needs strace)', async (_which, pair) => {
  const keys = {
    command: ['sleep', '60'],
    stop_grace_period: '0s',
    post_start: [{ command: 'true' }, { command: 'true' }],
  };
  const folder = specFolder(keys, self);
  // The image is in the store then.
  await up({ command: ['true'] }, self);
  const faults = [`socketpair:error=EMFILE:when=${pair}+`, 'poll:delay_enter=100ms'];
  const traced = ['strace', '-f', '-qq', '-o', '/dev/null', ...faults.flatMap((fault) => ['-e', `inject=${fault}`])];
  const options = callerOptions(self, folder, {
    stdin: () => new Promise<never>(() => undefined),
    once: 'which call fails is told by its number, and a start from a kept plan makes others',
  });
  const ended = await run([...traced, process.execPath, PROGRAM, 'up', '--quiet'], options);
  expect(ended.status).toBe(125);
  expect(ended.stderr).toMatch(/post_start: `true` could not be run .*\(EMFILE\)/u);
});
