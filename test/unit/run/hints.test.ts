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
working_dir: /work
masked_paths: [/srv/secret]
volumes: [{type: volume, source: data, target: /data, volume: {subpath: part}}, "./:/src"]
`;

/** The hint for a failure of the step that fits, by the name of its error. */
function hintOf(
  plan: Plan,
  fits: (step: Plan['steps'][number]) => boolean,
  name: string,
  detail = 0,
): string | undefined {
  const index = plan.steps.findIndex((step) => fits(step));
  expect(index).toBeGreaterThanOrEqual(0);
  const errno = ERRNO[name];
  if (errno === undefined) throw new Error(`no error ${name}`);
  return explainFailure(plan, {
    kind: 'failed',
    status: 0,
    signal: 0,
    failed: { index, errno, detail },
    leaseBroken: false,
    hooks: [],
    undoFailures: [],
    said: '',
    timeLimit: false,
    graceOver: false,
    askedBy: 0,
    graceMs: 0,
    outputLost: [],
    reports: [],
    killedFor: undefined,
    syscalls: new Map(),
    refused: { packets: 0, destinations: [] },
    swallowed: 0,
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

  test('a namespace that cannot be joined is told from one that is not there, and from what is none', () => {
    const joining = planOf('name: box\nimage: {host_tools: [sh]}\nnetwork_mode: /run/netns/lab\ncommand: [sh]\n', host);
    const opens = ({ id }: Plan['steps'][number]): boolean => id === 'join.network';
    expect(hintOf(joining, opens, 'ENOENT')).toMatch(/there as long as a process is in it, or is mounted/u);
    expect(hintOf(joining, opens, 'EACCES')).toMatch(/somebody else/u);
    const joins = ({ call }: Plan['steps'][number]): boolean => call.name === 'setns';
    expect(hintOf(joining, joins, 'EINVAL')).toMatch(/no namespace of this kind/u);
    expect(hintOf(joining, joins, 'EPERM')).toMatch(/belong to you/u);
  });

  test('rates are told apart from the rest of a network where the kernel lacks them', () => {
    const rates = 'limits: {network: {egress: 10mbit, ingress: 10mbit}}\n';
    const limited = planOf(`name: box\nimage: {host_tools: [sh]}\nnetwork_mode: bridge\ncommand: [sh]\n${rates}`, host);
    for (const direction of ['egress', 'ingress']) {
      const limits = ({ id }: Plan['steps'][number]): boolean => id.endsWith(`rate.${direction}`);
      expect(hintOf(limited, limits, 'ENOENT')).toMatch(/no queueing discipline tbf .*leave `limits\.network` out/u);
    }
    const pair = ({ id }: Plan['steps'][number]): boolean => id === 'veth' || id === 'router.pair';
    expect(hintOf(limited, pair, 'EOPNOTSUPP')).toMatch(/no veth interfaces/u);
  });

  test('a port of the host that is root’s is told with the setting that gives it', () => {
    const file =
      'name: box\nimage: {host_tools: [sh]}\nnetwork_mode: bridge\nports: ["127.0.0.1:80:80"]\ncommand: [sh]\n';
    const binds = ({ call }: Plan['steps'][number]): boolean => call.name === 'bind' && call.args.port === 80;
    expect(hintOf(planOf(file, host), binds, 'EACCES')).toMatch(
      /publish a higher one, or, as root: sysctl net\.ipv4\.ip_unprivileged_port_start=80$/u,
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

  test('arguments that are too long can be in a file', () => {
    const executes = ({ call }: Plan['steps'][number]): boolean => call.name === 'execve';
    expect(hintOf(plan, executes, 'E2BIG')).toMatch(/pass what is longer in a file/u);
  });

  test('an OOM score below that of boxctl needs a privilege', () => {
    expect(hintOf(plan, ofSpec('oom_score_adj', 'write'), 'EACCES')).toMatch(/takes CAP_SYS_RESOURCE/u);
  });

  test('a folder of a volume has to be in it, and a mount that is covered is told of', () => {
    const part = ({ call }: Plan['steps'][number]): boolean => call.name === 'openat2' && call.args.pathname === 'part';
    expect(hintOf(plan, part, 'ENOENT')).toMatch(/must be in the volume/u);
    expect(hintOf(plan, ofSpec('volumes.1', 'statx'), 'EXDEV')).toMatch(/write the target without the link/u);
  });

  test('a hint belongs to its step, whatever the step and its group are called', () => {
    const renamed = planOf(FILE, host);
    const steps = renamed.steps.map((step, index) => ({ ...step, id: `s${index}`, group: 'record' as const }));
    for (const [index, step] of plan.steps.entries()) {
      for (const name of ['EPERM', 'ENOENT', 'EINVAL', 'ELOOP']) {
        const same = hintOf({ ...renamed, steps }, ({ id }) => id === `s${index}`, name);
        expect([step.id, name, same]).toEqual([step.id, name, hintOf(plan, ({ id }) => id === step.id, name)]);
      }
    }
  });

  test('a target that cannot be made, and a source that is gone, are told from each other', () => {
    const target = ofSpec('volumes.1', 'make_in_root');
    expect(hintOf(plan, target, 'EROFS')).toMatch(/^the target is missing on a read-only mount/u);
    expect(hintOf(plan, target, 'ELOOP')).toMatch(/links of the image on the way to the target/u);
    const attached = ofSpec('volumes.1', 'move_mount');
    expect(hintOf(plan, attached, 'ENOTDIR')).toMatch(/target is a folder in the image, and the source is a file/u);
    const source = ofSpec('volumes.1', 'openat2');
    expect(hintOf(plan, source, 'ENOENT')).toBe('the source is not there');
    expect(hintOf(plan, source, 'ELOOP')).toMatch(/became a symbolic link after the file was checked/u);
    expect(hintOf(plan, ofSpec('working_dir', 'make_in_root'), 'EROFS')).toMatch(/^the folder is missing/u);
  });

  test('a path that is masked as another kind of file than it is says how it is written', () => {
    const masked = ofSpec('masked_paths', 'openat2');
    expect(hintOf(plan, masked, 'ENOTDIR')).toMatch(/with a slash at the end of its path/u);
  });

  test('a hint of a bind is not told of a mount that boxctl makes by default', () => {
    const attached = ({ call, because }: Plan['steps'][number]): boolean =>
      call.name === 'move_mount' && because.kind === 'default' && because.name === 'mount /proc';
    expect(hintOf(plan, attached, 'ENOTDIR')).toBeUndefined();
  });

  test('a helper that fails is told with the status that it ended with', () => {
    const helper = plan.steps.findIndex(({ call }) => call.name === 'posix_spawn');
    if (host.privileged) expect(helper).toBe(-1);
    else expect(hintOf(plan, ({ call }) => call.name === 'posix_spawn', 'EPERM', 3)).toMatch(/ended with status 3:/u);
  });

  test('every planned hint is for an error that exists', () => {
    const names = plan.steps.flatMap(({ hints = {} }) => Object.keys(hints));
    expect(names.length).toBeGreaterThan(5);
    expect(names.filter((name) => name !== 'other' && ERRNO[name] === undefined)).toEqual([]);
  });
});

test('a limit that the kernel does not take has a hint, and what else is written for a cgroup does not have it', () => {
  const plan = planOf(`${FILE}limits: {memory: 64MiB}\n`, ROOT_HOST);
  const written = ({ call, because }: Plan['steps'][number]): boolean =>
    call.name === 'write' && because.kind === 'spec' && because.path === 'limits.memory';
  expect(hintOf(plan, written, 'EBUSY')).toMatch(/may be less than what is in use/u);
  expect(hintOf(plan, written, 'ENOENT')).toBe('this kernel does not have this limit');
  const joined = ({ call, side }: Plan['steps'][number]): boolean =>
    side === 'container' && call.name === 'write' && call.args.data === '0';
  expect(hintOf(plan, joined, 'EBUSY')).toBeUndefined();
});
