/** Why it ended is known, told in one line, and an object for programs. */
import { describe, expect, test } from 'vitest';
import { hasBusybox } from '../support/busybox.ts';
import { callers, self, sh, state, up } from '../support/container.ts';
import { isRoot } from '../support/user.ts';

/** The object of the last line of `up --json`. */
function lastEvent(stderr: string): Record<string, unknown> {
  return JSON.parse(stderr.trim().split('\n').at(-1) ?? '{}') as Record<string, unknown>;
}

const WAIT = 'echo ready; while :; do sleep 0.05; done';
const DEAF = `trap "" TERM INT; ${WAIT}`;
const JSON_RUN = { args: ['up', '--json'] };

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test('the end of a command by itself has no message', async () => {
    const { stderr, status } = await sh('exit 3', {}, caller);
    expect({ stderr, status }).toEqual({ stderr: '', status: 3 });
    const json = await sh('exit 3', {}, caller, JSON_RUN);
    expect(lastEvent(json.stderr)).toEqual({ event: 'exited', reason: 'exited', status: 3, limits: [] });
  });

  test('a signal that ends the command is named', async () => {
    // Process 1 of a namespace is spared what it has no handler for.
    const spec = { namespaces: { pid: 'host' } };
    const one = async () => {
      const { stderr, status } = await sh('echo ready; exec sleep 100', spec, caller, {
        args: ['up', '--allow', 'namespace=pid'],
        onStart: (child) => child.stdout?.once('data', () => child.kill('SIGALRM')),
      });
      return { stderr, status };
    };
    // Several at once: then a signal often comes before the launcher has seen that the command runs.
    const named = { stderr: 'boxctl: the command was ended by SIGALRM\n', status: 142 };
    expect(await Promise.all(Array.from({ length: 8 }, one))).toEqual(Array.from({ length: 8 }, () => named));
  });

  test('a command that reaches limits.time gets the stop signal, and the exit status is 124', async () => {
    const script = 'trap "echo told; exit 0" INT; echo ready; while :; do sleep 0.05; done';
    const spec = { limits: { time: '1s' }, stop_signal: 'SIGINT' };
    const { stdout, stderr, status } = await sh(script, spec, caller);
    expect({ stdout, status }).toEqual({ stdout: 'ready\ntold\n', status: 124 });
    expect(stderr).toMatch(/^boxctl: container\.yaml:\d+:\d+: the time limit of 1s was reached: SIGINT\n$/u);
  });

  test('a command that does not end when its time is over is killed', async () => {
    const before = state(caller);
    const spec = { limits: { time: '300ms' }, stop_grace_period: '200ms' };
    const { stderr, status } = await sh(DEAF, spec, caller, JSON_RUN);
    expect(status).toBe(124);
    expect(lastEvent(stderr)).toMatchObject({
      event: 'exited',
      reason: 'time_limit',
      status: 124,
      signal: 'SIGKILL',
      at: { file: 'container.yaml' },
      limits: [{ limit: 'time', value: 300 }],
    });
    await expect.poll(() => state(caller)).toEqual(before);
  });

  test('a command that ends before its time does not wait for it', async () => {
    const { stderr, status } = await sh('exit 0', { limits: { time: '1h' } }, caller);
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  });

  test('SIGTERM to boxctl sends the command its stop signal', async () => {
    const script = 'trap "echo usr1; exit 4" USR1; echo ready; while :; do sleep 0.05; done';
    const { stdout, status } = await sh(script, { stop_signal: 'USR1' }, caller, {
      onStart: (child) => child.stdout?.once('data', () => child.kill('SIGTERM')),
    });
    expect({ stdout, status }).toEqual({ stdout: 'ready\nusr1\n', status: 4 });
  });

  test('SIGKILL follows after the grace period, also for a process 1 without a handler', async () => {
    const { stderr, status } = await sh(WAIT, { stop_grace_period: '200ms' }, caller, {
      onStart: (child) => child.stdout?.once('data', () => child.kill('SIGTERM')),
    });
    expect({ stderr, status }).toEqual({
      stderr: 'boxctl: SIGTERM did not end the command within 200ms: SIGKILL\n',
      status: 137,
    });
  });
});

describe.skipIf(!isRoot || !hasBusybox)('limits (need root and busybox-static)', () => {
  test('a command that was killed for its memory is told with the limit, the most that was used, and the line', async () => {
    const limits = { memory: '32MiB', swap: 0 };
    const { stderr, status } = await up({ command: ['tail', '/dev/zero'], limits }, self, JSON_RUN);
    expect(status).toBe(137);
    const event = lastEvent(stderr);
    expect(event).toMatchObject({
      reason: 'out_of_memory',
      signal: 'SIGKILL',
      at: { file: 'container.yaml' },
      limits: [{ limit: 'memory', value: 32 << 20, count: 1 }],
    });
    const [hit] = event['limits'] as { peak?: number }[];
    // memory.peak is of Linux 5.19; version 1 has always had it.
    if (hit?.peak !== undefined) expect(hit.peak).toBeGreaterThan(24 << 20);
  });

  test('a time limit and a cgroup together are undone together', async () => {
    const before = state(self);
    const spec = { limits: { time: '200ms', memory: '64MiB', pids: 20 }, stop_grace_period: '0s' };
    const { status } = await sh('sleep 100 & sleep 100 & wait', spec);
    expect(status).toBe(124);
    expect(state(self)).toEqual(before);
  });
});
