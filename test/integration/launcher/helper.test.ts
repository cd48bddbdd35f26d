/** A program of the host that runs beside the container (spawn_helper). */
import { closeSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HostFacts } from '../../../src/host/facts.ts';
import { ERRNO } from '../../../src/kernel/constants.ts';
import type { LaunchEvent, Outcome } from '../../../src/launcher/events.ts';
import { launch } from '../../../src/launcher/launch.ts';
import { pipe } from '../../../src/native.ts';
import { planContainer } from '../../../src/plan/container.ts';
import type { Plan, Step } from '../../../src/plan/plan.ts';
import { byDefault, call } from '../../../src/plan/steps.ts';
import { explainFailure, helperEnded } from '../../../src/run/explain.ts';
import { sweepState } from '../../../src/state/sweep.ts';
import { hasBusybox } from '../../support/busybox.ts';
import { makeLauncherHost, type LauncherHost } from '../../support/launcher-host.ts';
import { testImage, testModel } from '../../support/model.ts';

let launcherHost: LauncherHost;
let folder: string;
let host: HostFacts;

beforeAll(() => {
  launcherHost = makeLauncherHost('helper');
  ({ folder, host } = launcherHost);
});
afterAll(() => launcherHost.remove());

interface Helper {
  readonly script: string;
  readonly path?: string;
  readonly ready?: number;
  readonly timeoutMs?: number;
}

/** A plan with a shell of the host beside the container, which runs `command`. */
function planWith({ script, path = '/bin/sh', ready = 3, timeoutMs = 10_000 }: Helper, command: string): Plan {
  const args = ['sh', '-c', command];
  const plan = planContainer(testModel({ host, args }), testImage(join(folder, 'rootfs')), host);
  const at = plan.steps.findIndex(({ id }) => id === 'record.child') + 1;
  const step = (id: string, made: Step['call'], undo: Step['undo'] = 'none'): Step => ({
    id,
    group: 'namespaces',
    side: 'host',
    call: made,
    because: byDefault('test'),
    undo,
  });
  const kill = call('pidfd_send_signal', { pidfd: 'helper', sig: 9 }, { allow: ['ESRCH'] });
  const spawn = { path, argv: ['sh', '-c', script], ready, timeout_ms: timeoutMs };
  const written = {
    dirfd: 'record',
    pathname: '',
    data: { template: '{"helper":$PID(helper),"birth":"$BIRTH(helper)"}\n' },
  };
  const added = [
    step('helper', call('spawn_helper', spawn, { returns: 'helper' }), [kill]),
    step('helper.record', call('write', written)),
  ];
  return { ...plan, steps: [...plan.steps.slice(0, at), ...added, ...plan.steps.slice(at)] };
}

interface Ended extends Outcome {
  readonly output: string;
  readonly helpers: readonly Extract<LaunchEvent, { kind: 'helper' }>[];
}

/** `endsWithHelper`: the command is killed once the end of the helper is told. */
async function run(plan: Plan, during?: () => void, endsWithHelper = false): Promise<Ended> {
  const [output, outputEnd] = pipe();
  const helpers: Extract<LaunchEvent, { kind: 'helper' }>[] = [];
  const onEvent = (event: LaunchEvent): void => {
    if (event.kind === 'helper') {
      helpers.push(event);
      if (endsWithHelper) started.signal(9);
    }
    if (event.kind === 'started') during?.();
  };
  const started = launch(plan, { stdio: [0, outputEnd, outputEnd], onEvent });
  closeSync(outputEnd);
  try {
    const outcome = await started.done;
    return { ...outcome, output: readFileSync(output, 'utf8'), helpers };
  } finally {
    closeSync(output);
  }
}

/** A process that nobody has waited for yet has ended as well. */
function isThere(pid: number): boolean {
  const path = `/proc/${pid}/stat`;
  return existsSync(path) && !/\) Z /u.test(readFileSync(path, 'utf8'));
}

async function awaitEnd(pid: number): Promise<boolean> {
  for (let waited = 0; waited < 20_000 && isThere(pid); waited += 10) await sleep(10);
  return !isThere(pid);
}

describe.skipIf(!hasBusybox)('a program beside the container (needs the Debian package busybox-static)', () => {
  test('runs until the container has ended, and no longer', async () => {
    const file = join(folder, 'pid');
    const plan = planWith({ script: `echo $$ > ${file}; echo >&3; exec sleep 1000` }, 'sleep 0.3; echo inside');
    let during = false;
    const { output, status, undoFailures, helpers } = await run(plan, () => {
      during = isThere(Number(readFileSync(file, 'utf8')));
    });
    expect({ output, status, undoFailures, helpers, during }).toEqual({
      output: 'inside\n',
      status: 0,
      undoFailures: [],
      helpers: [],
      during: true,
    });
    expect(isThere(Number(readFileSync(file, 'utf8')))).toBe(false);
  });

  test('has four descriptors, no environment, a session of its own and no blocked signal', async () => {
    const file = join(folder, 'seen');
    const seen: unknown[] = [];
    await run(planWith({ script: `echo $$ > ${file}; echo >&3; exec sleep 1000` }, 'sleep 0.3'), () => {
      const proc = `/proc/${readFileSync(file, 'utf8').trim()}`;
      const [, session] = / \S+ (\d+) /u.exec(readFileSync(`${proc}/stat`, 'utf8').split(')')[1]?.slice(3) ?? '') ?? [];
      seen.push(readdirSync(`${proc}/fd`), readFileSync(`${proc}/environ`, 'utf8'), session);
      seen.push(/SigBlk.*\nSigIgn.*/u.exec(readFileSync(`${proc}/status`, 'utf8'))?.[0]);
    });
    const pid = readFileSync(file, 'utf8').trim();
    const none = '0'.repeat(16);
    // The shell adds what it knows of its folder to the environment of what it executes.
    expect(seen).toEqual([
      ['0', '1', '2', '3'],
      expect.stringMatching(/^(PWD=[^\0]*\0)?$/u),
      pid,
      `SigBlk:\t${none}\nSigIgn:\t${none}`,
    ]);
  });

  test('that ends before it is ready fails the step, and the error has its last words', async () => {
    const plan = planWith({ script: 'echo first; echo "no \\033[31mtun" >&2; exit 3' }, 'echo inside');
    const outcome = await run(plan);
    expect(outcome).toMatchObject({ kind: 'failed', output: '', failed: { errno: ERRNO['ECANCELED'], detail: 3 } });
    const failure = explainFailure(plan, outcome);
    expect(failure?.message).toContain('it said: first\n  no \ufffd[31mtun');
    expect(failure?.hint).toContain('ended with status 3');
  });

  test('that does not become ready in time is killed, and fails the step', async () => {
    const file = join(folder, 'slow');
    const plan = planWith({ script: `echo $$ > ${file}; exec sleep 1000`, timeoutMs: 2000 }, 'true');
    expect(await run(plan)).toMatchObject({ kind: 'failed', failed: { errno: ERRNO['ETIMEDOUT'] } });
    expect(isThere(Number(readFileSync(file, 'utf8')))).toBe(false);
  });

  test('that is not there, or closes its descriptor without a word, fails the step', async () => {
    const missing = await run(planWith({ script: '', path: '/nowhere/pasta' }, 'true'));
    expect(missing.failed).toMatchObject({ errno: ERRNO['ENOENT'] });
    const silent = await run(planWith({ script: 'exec 3>&-; sleep 1000' }, 'true'));
    expect(silent.failed).toMatchObject({ errno: ERRNO['EPROTO'] });
  });

  test('may be ready by what it writes to its standard output', async () => {
    const script = 'echo 1234; exec sleep 1000';
    expect(await run(planWith({ script, ready: 1 }, 'echo inside'))).toMatchObject({
      kind: 'exited',
      output: 'inside\n',
    });
  });

  test('that ends while the container runs is told of at once, with its last words', async () => {
    const plan = planWith({ script: 'echo >&3; sleep 0.1; echo broken; kill -9 $$' }, 'sleep 1000');
    const { helpers, kind, signal } = await run(plan, undefined, true);
    expect({ kind, signal }).toEqual({ kind: 'signaled', signal: 9 });
    expect(helpers).toMatchObject([{ status: 137, said: 'broken' }]);
    const [event] = helpers;
    expect(event === undefined ? '' : helperEnded(plan, event)).toBe(
      '/bin/sh has ended (signal 9), and the container’s network with it; it said: broken',
    );
  });

  test('may write without end: the last of it is kept', async () => {
    const script = 'echo >&3; i=0; while [ $i -lt 500 ]; do echo "line $i"; i=$((i+1)); done; exit 1';
    const { helpers } = await run(planWith({ script }, 'sleep 1000'), undefined, true);
    expect(helpers[0]?.said.endsWith('line 498\nline 499')).toBe(true);
    expect(helpers[0]?.said.length).toBeLessThanOrEqual(1024);
  });

  test('that does not die with its killed launcher is ended by the next command', async () => {
    const file = join(folder, 'outlives');
    const script = `echo $$ $PPID > ${file}; echo >&3; exec setpriv --pdeathsig clear sleep 1000`;
    let pids: readonly number[] = [];
    const ended = run(planWith({ script }, 'sleep 1000'), () => {
      pids = readFileSync(file, 'utf8').trim().split(' ').map(Number);
      process.kill(pids[1] ?? 0, 'SIGKILL');
    });
    await expect(ended).rejects.toThrow(/launcher ended before/u);
    expect(isThere(pids[0] ?? 0)).toBe(true);
    expect(await sweepState(host)).toBe(1);
    expect(isThere(pids[0] ?? 0)).toBe(false);
  });

  test('ends with a launcher that is killed', async () => {
    const file = join(folder, 'killed');
    const script = `echo $$ $PPID > ${file}; echo >&3; exec sleep 1000`;
    let pids: readonly number[] = [];
    const ended = run(planWith({ script }, 'sleep 1000'), () => {
      pids = readFileSync(file, 'utf8').trim().split(' ').map(Number);
      process.kill(pids[1] ?? 0, 'SIGKILL');
    });
    await expect(ended).rejects.toThrow(/launcher ended before/u);
    expect(await awaitEnd(pids[0] ?? 0)).toBe(true);
  });
});
