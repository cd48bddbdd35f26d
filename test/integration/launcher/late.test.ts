/** What is undone after the end of the container was told, so that nobody waits for it. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HostFacts } from '../../../src/host/facts.ts';
import { launch } from '../../../src/launcher/launch.ts';
import { planContainer } from '../../../src/plan/container.ts';
import type { Plan } from '../../../src/plan/plan.ts';
import { byDefault, call } from '../../../src/plan/steps.ts';
import { hasBusybox } from '../../support/busybox.ts';
import { makeLauncherHost, type LauncherHost } from '../../support/launcher-host.ts';
import { testImage, testModel } from '../../support/model.ts';

let launcherHost: LauncherHost;
let folder: string;
let host: HostFacts;

beforeAll(() => {
  launcherHost = makeLauncherHost('late');
  ({ folder, host } = launcherHost);
});
afterAll(() => launcherHost.remove());

const planOf = (...args: readonly string[]): Plan =>
  planContainer({ ...testModel({ host, args }), writable: 'disk' }, testImage(join(folder, 'rootfs')), host);

interface Course {
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/** The ids of steps that were undone before and after the end was told. */
async function undone(plan: Plan): Promise<Course> {
  const before: string[] = [];
  const after: string[] = [];
  let isTold = false;
  const { kind, undoFailures } = await launch(plan, {
    onEvent: (event) => {
      if (event.kind === 'ended') isTold = true;
      if (event.kind === 'undo') (isTold ? after : before).push(plan.steps[event.index]?.id ?? '');
    },
  }).done;
  expect({ kind, undoFailures }).toEqual({ kind: 'exited', undoFailures: [] });
  return { before, after };
}

describe.skipIf(!hasBusybox)('the launcher (needs the Debian package busybox-static)', () => {
  test('tells of the end before the mounts, the writable layer and the record go, and after it undid the rest', async () => {
    const plan = planOf('true');
    const { before, after } = await undone(plan);
    const late = plan.steps.filter(({ late: isLate }) => isLate === true).map(({ id }) => id);
    expect(new Set(late)).toEqual(new Set(['record', 'record.flock', 'upper.mkdir', 'mounts', 'network']));
    expect(new Set(after)).toEqual(new Set(late));
    expect(before).not.toEqual([]);
    // The record covers the layer: it is the last to go.
    expect(after.lastIndexOf('upper.mkdir')).toBeLessThan(after.indexOf('record.flock'));
    expect(readdirSync(join(host.dirs.store, 'upper'))).toEqual([]);
    expect(readdirSync(host.dirs.state)).toEqual([]);
  });

  test('undoes everything where a step fails before the command starts', async () => {
    const plan = planOf('true');
    const at = plan.steps.findIndex(({ side }) => side === 'container');
    const failing = {
      id: 'failing',
      group: 'namespaces',
      side: 'host',
      call: call('chdir', { path: '/no/such/place' }),
      because: byDefault('test'),
      undo: 'none',
    } as const;
    const { kind, undoFailures } = await launch({ ...plan, steps: plan.steps.toSpliced(at, 0, failing) }).done;
    expect({ kind, undoFailures }).toEqual({ kind: 'failed', undoFailures: [] });
    expect(readdirSync(join(host.dirs.store, 'upper'))).toEqual([]);
  });
});
