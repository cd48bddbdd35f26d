/** What is done to a container that runs, on each layout of cgroups: other limits, and pauses. Run by `npm run test:vm`, as root. */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { box, until } from '../support/background.ts';

const isUnified = existsSync('/sys/fs/cgroup/cgroup.controllers');
/** As the container sees them. */
const FILES = isUnified
  ? ['memory.max', 'pids.max', 'cpu.max']
  : ['memory/memory.limit_in_bytes', 'pids/pids.max', 'cpu/cpu.cfs_quota_us'];
const cpus = (quota: number): string => (isUnified ? `${quota} 100000` : String(quota));

test('limits of a running container are changed and read again, and all its processes pause and go on', async () => {
  const command = ['sh', '-c', 'i=0; while :; do i=$$((i+1)); echo $$i >/count; sleep 0.1; done'];
  const web = box({ limits: { memory: '64MiB', pids: 50, cpus: 0.5 }, command, stop_grace_period: '0s' });
  expect(await web.run(['up', '--detach'])).toMatchObject({ status: 0 });
  const inside = async (...words: readonly string[]): Promise<readonly string[]> =>
    (await web.run(['exec', web.name, ...words])).stdout.trim().split('\n');
  const limits = (): Promise<readonly string[]> => inside('cat', ...FILES.map((file) => `/sys/fs/cgroup/${file}`));
  expect(await limits()).toEqual([String(64 * 2 ** 20), '50', cpus(50_000)]);
  const updated = await web.run(['update', '--memory', '96m', '--pids-limit', '60', '--cpus', '0.8', web.name]);
  expect(updated).toMatchObject({ status: 0, stderr: '' });
  expect(await limits()).toEqual([String(96 * 2 ** 20), '60', cpus(80_000)]);

  expect(await web.run(['pause', web.name])).toMatchObject({ status: 0, stderr: '' });
  expect(await web.listed()).toMatchObject({ status: 'paused' });
  /** The whole archive: the number, and when it was written. */
  const counted = async (): Promise<string> => {
    const { status, stdout, stderr } = await web.run(['cp', `${web.name}:/count`, '-']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return stdout;
  };
  const before = await counted();
  await sleep(500);
  expect(await counted()).toBe(before);
  expect(await web.run(['unpause', web.name])).toMatchObject({ status: 0, stderr: '' });
  expect(await until(async () => ((await counted()) === before ? undefined : true))).toBe(true);
});
