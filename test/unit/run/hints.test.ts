/** What to do about a step that fails is planned with the step, and is told when it does. */
import { describe, expect, test } from 'vitest';
import { ERRNO } from '../../../src/kernel/constants.ts';
import type { Plan } from '../../../src/plan/plan.ts';
import { explainFailure } from '../../../src/run/explain.ts';
import { ROOT_HOST, USER_HOST } from '../../support/host-facts.ts';
import { planOf } from '../../support/plan.ts';

const FILE = `name: box
image: {host_tools: [sh]}
command: [sh, -c, "true"]
sysctls: {net.ipv4.ip_forward: "1"}
oom_score_adj: -5
volumes: [{type: volume, source: data, target: /data, volume: {subpath: part}}, "./:/src"]
`;

/** The hint for a failure of the step that fits, by the name of its error. */
function hintOf(plan: Plan, fits: (step: Plan['steps'][number]) => boolean, name: string): string | undefined {
  const index = plan.steps.findIndex((step) => fits(step));
  expect(index).toBeGreaterThanOrEqual(0);
  const errno = ERRNO[name];
  if (errno === undefined) throw new Error(`no error ${name}`);
  return explainFailure(plan, {
    kind: 'failed',
    status: 0,
    signal: 0,
    failed: { index, errno, detail: 0 },
    leaseBroken: false,
    undoFailures: [],
    timeLimit: false,
    graceOver: false,
    askedBy: 0,
    outputLost: [],
    reports: [],
    killedFor: undefined,
    syscalls: new Map(),
  })?.hint;
}

describe.each([
  ['root', ROOT_HOST],
  ['an ordinary user', USER_HOST],
])('for %s', (_, host) => {
  const plan = planOf(FILE, host);
  const ofSpec =
    (path: string, call: string) =>
    ({ call: { name }, because }: Plan['steps'][number]): boolean =>
      name === call && because.kind === 'spec' && because.path === path;

  test('an image that is being removed is started from again', () => {
    expect(hintOf(plan, ({ call }) => call.name === 'flock' && call.args.fd === 'image', 'EAGAIN')).toMatch(
      /just being removed: start the container again/u,
    );
  });

  test('a store without room can be another, or memory', () => {
    const folder = ({ id, call }: Plan['steps'][number]): boolean =>
      id.startsWith('upper') && call.name === 'mkdirat' && JSON.stringify(call.args.pathname).includes('box-$ID');
    for (const name of ['ENOSPC', 'EDQUOT', 'EROFS']) {
      expect(hintOf(plan, folder, name)).toMatch(/set BOXCTL_STORE to a folder with room/u);
    }
  });

  test('a store on a file system that overlays do not take is named', () => {
    const create = ({ call, group }: Plan['steps'][number]): boolean =>
      group === 'root' && call.name === 'fsconfig' && call.args.key === 'lowerdir';
    expect(hintOf(plan, create, 'EINVAL')).toMatch(/file system that overlays accept/u);
    expect(hintOf(plan, create, 'ENOMEM')).toBeUndefined();
  });

  test('a kernel parameter that is not there is told from one that is refused', () => {
    const open = ofSpec('sysctls.net.ipv4.ip_forward', 'openat2');
    const write = ofSpec('sysctls.net.ipv4.ip_forward', 'write');
    expect(hintOf(plan, open, 'ENOENT')).toMatch(/this kernel has no such parameter/u);
    expect(hintOf(plan, write, 'EPERM')).toMatch(/lets the container’s root not change it/u);
  });

  test('an OOM score below that of boxctl needs a privilege', () => {
    expect(hintOf(plan, ofSpec('oom_score_adj', 'write'), 'EACCES')).toMatch(/takes CAP_SYS_RESOURCE/u);
  });

  test('a folder of a volume has to be in it, and a mount that is covered is told of', () => {
    const part = ({ call }: Plan['steps'][number]): boolean => call.name === 'openat2' && call.args.pathname === 'part';
    expect(hintOf(plan, part, 'ENOENT')).toMatch(/must be in the volume/u);
    expect(hintOf(plan, ofSpec('volumes.1', 'statx'), 'EXDEV')).toMatch(/write the target without the link/u);
  });

  test('every planned hint is for an error that exists', () => {
    const names = plan.steps.flatMap(({ hints = {} }) => Object.keys(hints));
    expect(names.length).toBeGreaterThan(5);
    expect(names.filter((name) => name !== 'other' && ERRNO[name] === undefined)).toEqual([]);
  });
});
