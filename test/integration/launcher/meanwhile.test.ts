/** Steps that the launcher makes while the container's first process makes those before them. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HostFacts } from '../../../src/host/facts.ts';
import type { LaunchEvent, Outcome } from '../../../src/launcher/events.ts';
import { launch } from '../../../src/launcher/launch.ts';
import { planContainer } from '../../../src/plan/container.ts';
import type { Plan, Step } from '../../../src/plan/plan.ts';
import { byDefault, call } from '../../../src/plan/steps.ts';
import { hasBusybox } from '../../support/busybox.ts';
import { makeLauncherHost, type LauncherHost } from '../../support/launcher-host.ts';
import { testImage, testModel } from '../../support/model.ts';

let launcherHost: LauncherHost;
let folder: string;
let host: HostFacts;

beforeAll(() => {
  launcherHost = makeLauncherHost('meanwhile');
  ({ folder, host } = launcherHost);
});
afterAll(() => launcherHost.remove());

const step = (id: string, side: Step['side'], made: Step['call'], meanwhile?: true): Step => ({
  id,
  group: 'namespaces',
  side,
  ...(meanwhile === undefined ? {} : { meanwhile }),
  call: made,
  because: byDefault('test'),
  undo: 'none',
});
const shell = (script: string): Step['call'] => call('posix_spawn', { path: '/bin/sh', argv: ['sh', '-c', script] });
const nothing = call('umask', { mask: 0o22 });
const missing = call('chdir', { path: '/no/such/place' });

/** A plan with these steps before the first one of the container's side. */
function planWith(...added: readonly Step[]): Plan {
  const plan = planContainer(testModel({ host, args: ['true'] }), testImage(join(folder, 'rootfs')), host);
  const at = plan.steps.findIndex(({ side }) => side === 'container');
  return { ...plan, steps: plan.steps.toSpliced(at, 0, ...added) };
}

interface Made extends Outcome {
  /** The id of the step that failed. */
  readonly failedStep: string | undefined;
  readonly times: ReadonlyMap<string, Extract<LaunchEvent, { kind: 'step' }>>;
}

async function run(plan: Plan): Promise<Made> {
  const times = new Map<string, Extract<LaunchEvent, { kind: 'step' }>>();
  const onEvent = (event: LaunchEvent): void => {
    if (event.kind === 'step') times.set(plan.steps[event.index]?.id ?? '', event);
  };
  const outcome = await launch(plan, { onEvent }).done;
  return { ...outcome, times, failedStep: plan.steps[outcome.failed?.index ?? -1]?.id };
}

describe.skipIf(!hasBusybox)('a step of the launcher (needs the Debian package busybox-static)', () => {
  test.each([
    ['is made while the container’s side makes those before it, if it is marked so', true],
    ['waits for the container’s side if it is not marked', undefined],
  ] as const)('%s', async (_, meanwhile) => {
    const plan = planWith(
      step('slow', 'container', shell('sleep 0.3')),
      step('one', 'host', nothing, meanwhile),
      step('two', 'host', nothing, meanwhile),
    );
    const { kind, status, times } = await run(plan);
    expect({ kind, status }).toEqual({ kind: 'exited', status: 0 });
    const [slow, one, two] = ['slow', 'one', 'two'].map((id) => times.get(id));
    expect((one?.startNs ?? 0) < (slow?.endNs ?? 0)).toBe(meanwhile === true);
    expect((two?.startNs ?? 0) < (slow?.endNs ?? 0)).toBe(meanwhile === true);
    expect(times.size).toBe(plan.steps.length - 1);
  });

  test('waits for the container’s side after marked ones, and lets that wait', async () => {
    const plan = planWith(
      step('slow', 'container', shell('sleep 0.2')),
      step('early', 'host', nothing, true),
      step('late', 'host', shell('sleep 0.2')),
      step('after', 'container', nothing),
    );
    const { status, times } = await run(plan);
    expect(status).toBe(0);
    expect(times.get('early')?.endNs).toBeLessThan(times.get('slow')?.endNs ?? 0);
    expect(times.get('late')?.startNs).toBeGreaterThan(times.get('slow')?.endNs ?? 0);
    expect(times.get('after')?.startNs).toBeGreaterThan(times.get('late')?.endNs ?? Infinity);
  });

  test('that fails meanwhile ends the start with its own error', async () => {
    const plan = planWith(step('slow', 'container', shell('sleep 0.2')), step('fails', 'host', missing, true));
    expect(await run(plan)).toMatchObject({ kind: 'failed', failedStep: 'fails' });
  });

  test('that fails after the container’s side has failed leaves that error as the reason', async () => {
    const plan = planWith(
      step('first', 'container', missing),
      step('second', 'host', shell('sleep 0.3; exit 1'), true),
    );
    expect(await run(plan)).toMatchObject({ kind: 'failed', failedStep: 'first' });
  });

  test('does not fail for a container’s side that has failed: that error ends the start', async () => {
    const plan = planWith(step('first', 'container', missing), step('second', 'host', nothing, true));
    expect(await run(plan)).toMatchObject({ kind: 'failed', failedStep: 'first' });
  });

  test('is refused as marked where the container’s side would make it, or where there is no such side yet', async () => {
    const refused = { code: 'E_LAUNCHER_REFUSED' };
    await expect(run(planWith(step('inside', 'container', nothing, true)))).rejects.toMatchObject(refused);
    const plan = planWith();
    const first = { ...plan, steps: [step('first', 'host', nothing, true), ...plan.steps] };
    await expect(run(first)).rejects.toMatchObject(refused);
  });
});
