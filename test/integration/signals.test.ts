/** What a signal to boxctl becomes for the command. */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { PROGRAM, run } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, self, sh, specFolder } from '../support/container.ts';

const WAIT = 'echo ready; while :; do sleep 0.02; done';
/** What ends or stops the command is sent apart; what cannot be caught, and SIGCHLD, are not passed on. */
const APART = new Set([9, 15, 17, 19, 20, 21, 22, 32, 33]);
const PASSED = Array.from({ length: 64 }, (_, index) => index + 1).filter((signal) => !APART.has(signal));

/** Does something with boxctl's process when the command has said that it is ready. */
const whenReady = (act: (child: ChildProcess) => void) => ({
  onStart: (child: ChildProcess): void => void child.stdout?.once('data', () => act(child)),
});

const send = (child: ChildProcess, signal: number): void => void process.kill(child.pid ?? 0, signal);

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test.each([{}, { init: true }])(
    'every signal that can be caught is passed on by its number, with %o',
    async (keys) => {
      const traps = PASSED.map((signal) => `trap "echo ${signal}" ${signal}`).join('\n');
      const script = `${traps}\ntrap "exit 5" TERM\n${WAIT}`;
      const { stdout, status } = await sh(script, keys, caller, {
        onStart: (child) => {
          let seen = '';
          const waiting = [...PASSED];
          child.stdout?.on('data', (chunk: Buffer) => {
            seen += chunk.toString();
            if (!seen.endsWith('\n')) return;
            // One after the other: of several at once, a shell tells in the order of their numbers.
            const next = waiting.shift();
            send(child, next ?? 15);
          });
        },
      });
      expect(status).toBe(5);
      expect(stdout).toBe(['ready', ...PASSED, ''].join('\n'));
    },
  );

  test('a signal from before the command’s start is passed on when it runs', async () => {
    const { status } = await sh('sleep 100', { init: true }, caller, {
      args: ['up', '--verbose'],
      onStart: (child) => void child.stderr?.once('data', () => send(child, 10)),
    });
    expect(status).toBe(138);
  });

  test.each([
    ['SIGHUP', 1],
    ['SIGQUIT', 3],
  ])('a command that %s does not end is killed after the grace period', async (name, signal) => {
    const { stderr, status } = await sh(
      WAIT,
      { stop_grace_period: '200ms' },
      caller,
      whenReady((child) => send(child, signal)),
    );
    expect({ stderr, status }).toEqual({
      stderr: `boxctl: ${name} did not end the command within 200ms: SIGKILL\n`,
      status: 137,
    });
  });

  test.each([{}, { init: true }])('a command that has a handler for SIGHUP goes on, with %o', async (keys) => {
    const script = `trap "echo again" HUP; trap "exit 3" TERM; ${WAIT}`;
    const { stdout, status } = await sh(script, { ...keys, stop_grace_period: '20s' }, caller, {
      ...whenReady((child) => {
        child.stdout?.on('data', (text) => String(text).includes('again') && send(child, 15));
        send(child, 1);
      }),
    });
    expect({ stdout, status }).toEqual({ stdout: 'ready\nagain\n', status: 3 });
  });

  test('SIGTSTP stops boxctl and all of the container, and SIGCONT lets both go on', async () => {
    const count = 'i=0; while :; do i=$((i+1)); echo $1$i; sleep 0.02; done';
    let seen = '';
    let pid = 0;
    const ended = sh(`sh -c '${count}' a a & sh -c '${count}' b b & wait`, {}, caller, {
      held: true,
      onStart: (child) => {
        pid = child.pid ?? 0;
        onTestFinished(() => void child.kill('SIGKILL'));
        child.stdout?.on('data', (chunk: Buffer) => (seen += chunk.toString()));
      },
    });
    await expect.poll(() => /a[\s\S]*b|b[\s\S]*a/u.test(seen), { timeout: 15_000 }).toBe(true);
    process.kill(pid, 20);
    const stateOf = (): string | undefined => /\) (\w)/u.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1];
    await expect.poll(stateOf).toBe('T');
    await sleep(300);
    const before = seen;
    await sleep(500);
    expect(seen).toBe(before);
    process.kill(pid, 18);
    await expect.poll(() => /a[\s\S]*b|b[\s\S]*a/u.test(seen.slice(before.length))).toBe(true);
    process.kill(pid, 9);
    expect(await ended).toMatchObject({ signal: 'SIGKILL' });
  });

  test('under nohup, SIGHUP is ignored', async () => {
    const folder = specFolder(
      { command: ['sh', '-c', 'trap "echo hup" HUP; trap "exit 0" TERM; echo ready; while :; do sleep 0.02; done'] },
      caller,
    );
    const line = `nohup sh -c '${process.execPath} ${PROGRAM} up & wait; wait'`;
    const { stdout } = await run(['sh', '-c', line], {
      ...callerOptions(caller, folder),
      once: 'it looks for the process of Node',
      onStart: (child) => {
        child.stdout?.once('data', () => {
          const tree = descendants(child.pid ?? 0);
          for (const pid of tree.filter(isBoxctl)) {
            process.kill(pid, 1);
            setTimeout(() => process.kill(pid, 15), 1000);
          }
        });
      },
    });
    expect(stdout).toBe('ready\n');
  });
});

/** Nothing of a process that has ended meanwhile. */
function fileOf(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}

function descendants(pid: number): readonly number[] {
  const children = fileOf(pid, `task/${pid}/children`).trim().split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(descendants)];
}

const isBoxctl = (pid: number): boolean => fileOf(pid, 'cmdline').startsWith(`${process.execPath}\0${PROGRAM}`);

test.skipIf(!hasBusybox)('a real-time signal as stop_signal reaches the command (needs busybox-static)', async () => {
  const script = 'trap "echo stopped; exit 0" 37; echo ready; while :; do sleep 0.02; done';
  const { stdout, status } = await sh(
    script,
    { stop_signal: 'SIGRTMIN+3' },
    self,
    whenReady((child) => send(child, 15)),
  );
  expect({ stdout, status }).toEqual({ stdout: 'ready\nstopped\n', status: 0 });
});
