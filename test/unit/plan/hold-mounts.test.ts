/** When the end of a container is told before the kernel takes its mounts and its network namespace down. */
import { expect, test } from 'vitest';
import type { HostFacts } from '../../../src/host/facts.ts';
import type { Layer } from '../../../src/model/image.ts';
import type { PlanOptions } from '../../../src/plan/container.ts';
import type { Step } from '../../../src/plan/plan.ts';
import { ROOT_HOST, USER_HOST } from '../../support/host-facts.ts';
import { FILE } from '../../support/network-plans.ts';
import { planOf } from '../../support/plan.ts';

const ARCHIVE: Layer = { kind: 'erofs', index: '/store/index', data: '/srv/rootfs.tar', identity: '1 2 3 4 5' };

/** Whether the launcher is a user of the mount namespace, and stays one until it has told of the end. */
function holds(keys: string, host: HostFacts = ROOT_HOST, layers?: readonly Layer[]): boolean {
  const step = planOf(`${FILE}${keys}`, host, {}, layers).steps.find(({ id }) => id === 'mounts');
  if (step !== undefined) expect(step).toMatchObject({ late: true, undo: [{ name: 'close', args: { fd: 'mounts' } }] });
  return step !== undefined;
}

test('what the kernel has made for the container alone goes after the end was told', () => {
  for (const keys of ['', 'tmpfs: [/tmp]\n', 'read_only: true\n', 'init: true\n']) {
    for (const host of [ROOT_HOST, USER_HOST]) expect([keys, holds(keys, host)]).toEqual([keys, true]);
  }
  expect(holds('', ROOT_HOST, [ARCHIVE])).toBe(true);
});

test('the network namespace goes after the end was told, where the first process has made it and the launcher is not to run it again', () => {
  const held = (keys: string, options?: PlanOptions): Step | undefined =>
    planOf(`${FILE}${keys}`, ROOT_HOST, {}, undefined, options).steps.find(({ id }) => id === 'network');
  expect(held('')).toMatchObject({ late: true, meanwhile: true, undo: [{ name: 'close', args: { fd: 'network' } }] });
  expect(held('', { kept: true })).toBeUndefined();
  for (const keys of ['network_mode: bridge\n', 'network_mode: host\n', 'namespaces: {net: /proc/1/ns/net}\n']) {
    expect([keys, held(keys)]).toEqual([keys, undefined]);
  }
});

test('what is the caller’s own is not in use any more when the end is told', () => {
  for (const keys of ['volumes: [./:/w]\n', 'volumes: [data:/data]\n']) {
    for (const host of [ROOT_HOST, USER_HOST]) expect([keys, holds(keys, host)]).toEqual([keys, false]);
  }
  expect(holds('', ROOT_HOST, [{ kind: 'tree', path: '/srv/rootfs', named: true }])).toBe(false);
  expect(holds('', ROOT_HOST, [{ ...ARCHIVE, apart: true }])).toBe(false);
  expect(holds('', { ...ROOT_HOST, erofs: { usable: true, loop: true } }, [ARCHIVE])).toBe(false);
});
