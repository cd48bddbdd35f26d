/** The launcher, started as boxctl starts it, with plans of the real planner. */
import { closeSync, createReadStream } from 'node:fs';
import { join } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HostFacts } from '../../../src/host/facts.ts';
import { planContainer } from '../../../src/plan/container.ts';
import type { Plan } from '../../../src/plan/plan.ts';
import type { LaunchEvent, Outcome } from '../../../src/launcher/events.ts';
import { launch } from '../../../src/launcher/launch.ts';
import { pipe } from '../../../src/native.ts';
import { hasBusybox } from '../../support/busybox.ts';
import { makeLauncherHost, type LauncherHost } from '../../support/launcher-host.ts';
import { testImage, testModel, type ModelOptions } from '../../support/model.ts';

let launcherHost: LauncherHost;
let folder: string;
let host: HostFacts;

beforeAll(() => {
  launcherHost = makeLauncherHost('launcher');
  ({ folder, host } = launcherHost);
});
afterAll(() => launcherHost.remove());

function planFor(options: Omit<ModelOptions, 'host'>): Plan {
  return planContainer(testModel({ host, ...options }), testImage(join(folder, 'rootfs')), host);
}

interface Ended extends Outcome {
  readonly output: string;
  readonly events: readonly LaunchEvent[];
}

/** `signal` is sent once the command has written something. */
async function run(plan: Plan, signal?: number): Promise<Ended> {
  const [output, outputEnd] = pipe();
  const events: LaunchEvent[] = [];
  const started = launch(plan, { stdio: [0, outputEnd, outputEnd], onEvent: (event) => events.push(event) });
  closeSync(outputEnd);
  const stream = createReadStream('', { fd: output });
  if (signal !== undefined) stream.once('data', () => started.signal(signal));
  const written = readAll(stream);
  const outcome = await started.done;
  const text = await written;
  return { ...outcome, output: text, events };
}

describe.skipIf(!hasBusybox)('launcher (needs the Debian package busybox-static)', () => {
  test('runs a command in namespaces of its own and tells its status', async () => {
    const script = 'hostname; echo $$; id -u; cat /proc/self/uid_map; ls /; exit 7';
    const { output, kind, status } = await run(planFor({ args: ['sh', '-c', script] }));
    expect({ kind, status }).toEqual({ kind: 'exited', status: 7 });
    const lines = output.split('\n').map((line) => line.trim().replaceAll(/\s+/gu, ' '));
    expect(lines.slice(0, 3)).toEqual(['inside', '1', '0']);
    expect(lines[3]).toBe(host.privileged ? '0 524288 65536' : `0 ${host.euid} 1`);
    expect(lines.slice(4).filter(Boolean).toSorted()).toEqual(['bin', 'dev', 'proc', 'sys']);
  });

  test('reports each step once and those of each side in order, then the start of the command', async () => {
    const plan = planFor({ args: ['true'] });
    const { events } = await run(plan);
    const steps = events.flatMap((event) => (event.kind === 'step' ? [event.index] : []));
    const all = plan.steps.slice(0, -1).map((_, index) => index);
    expect(steps.toSorted((a, b) => a - b)).toEqual(all);
    for (const side of ['host', 'container']) {
      const isOfSide = (index: number): boolean => plan.steps[index]?.side === side;
      expect(steps.filter(isOfSide)).toEqual(all.filter(isOfSide));
    }
    expect(events.filter((event) => event.kind === 'started')).toHaveLength(1);
  });

  test('the signal that ends the command is in the outcome', async () => {
    const { kind, signal } = await run(planFor({ args: ['sh', '-c', 'echo ready; sleep 100'] }), 9);
    expect({ kind, signal }).toEqual({ kind: 'signaled', signal: 9 });
  });

  test('init passes on signals and reaps orphans', async () => {
    const script = 'trap "echo got; exit 3" TERM; (sleep 0.01 &); echo ready; while :; do sleep 0.05; done';
    const ended = await run(planFor({ args: ['sh', '-c', script], init: true }), 15);
    expect(ended.output).toBe('ready\ngot\n');
    expect(ended).toMatchObject({ kind: 'exited', status: 3 });
  });

  test('the command inherits no descriptor, no blocked and no ignored signal', async () => {
    const files = await run(planFor({ args: ['sh', '-c', 'cd /proc/self/fd; echo *'] }));
    // The shell's own, by which it reads the folder, comes beside the three.
    expect(files.output).toMatch(/^0 1 2( 3)?\n$/u);
    const signals = await run(planFor({ args: ['grep', '-E', 'Sig(Blk|Ign)', '/proc/self/status'] }));
    expect(signals.output).toBe(`SigBlk:\t${'0'.repeat(16)}\nSigIgn:\t${'0'.repeat(16)}\n`);
  });

  test('a command that is not there fails the last step', async () => {
    const plan = planFor({ args: ['no-such-command'] });
    const { kind, failed } = await run(plan);
    expect(kind).toBe('failed');
    expect(failed).toMatchObject({ index: plan.steps.length - 1, errno: 2 });
  });

  test('a working directory that is missing is made, one through /proc/self/fd is refused', async () => {
    expect((await run(planFor({ args: ['pwd'], cwd: '/a/b/c' }))).output).toBe('/a/b/c\n');
    for (let fd = 3; fd < 20; fd++) {
      const { kind } = await run(planFor({ args: ['pwd'], cwd: `/proc/self/fd/${fd}` }));
      expect(kind).toBe('failed');
    }
  });

  test('nothing that is written reaches the image or the next container', async () => {
    await run(planFor({ args: ['sh', '-c', 'echo x > /bin/new; rm /bin/ls'] }));
    const { output } = await run(planFor({ args: ['sh', '-c', 'ls /bin/new /bin/ls'] }));
    expect(output).toContain('/bin/ls\n');
    expect(output).toContain('/bin/new: No such file');
  });

  test.skipIf(!(process.geteuid?.() === 0))('a fork bomb stops at the limit (needs root)', async () => {
    const script = 'i=0; while [ $i -lt 60 ]; do sleep 3 & i=$((i+1)); done; echo survived';
    const ended = await run(planFor({ args: ['sh', '-c', script], pids: 20 }));
    expect(ended.output).toContain("can't fork");
    const index = planFor({ args: ['true'], pids: 20 }).reports.findIndex((report) => report.what === 'pids_max');
    expect(ended.reports[index]).toBeGreaterThan(0);
  });

  test.skipIf(!(process.geteuid?.() === 0))('an allocation beyond the limit is counted (needs root)', async () => {
    const plan = planFor({ args: ['sh', '-c', 'tail /dev/zero'], memory: 32 << 20 });
    const ended = await run(plan);
    const index = plan.reports.findIndex((report) => report.what === 'oom_kill');
    expect(ended.reports[index]).toBeGreaterThan(0);
  });
});
