/** Every step of a full plan fails in turn: the host is as it was, and the error says what failed, and for whom. */
import { closeSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { HostFacts } from '../../src/host/facts.ts';
import { gatherHostFacts } from '../../src/host/gather.ts';
import { compile } from '../../src/model/compile.ts';
import { planContainer } from '../../src/plan/container.ts';
import { formatCall } from '../../src/show/call-text.ts';
import { messageWriter } from '../../src/show/netlink-text.ts';
import type { Plan } from '../../src/plan/plan.ts';
import { explainFailure } from '../../src/run/explain.ts';
import { launch } from '../../src/launcher/launch.ts';
import { pipe } from '../../src/native.ts';
import { loadSpecText } from '../../src/spec/load.ts';
import { boxctl, PROGRAM, run } from '../support/boxctl.ts';
import { hasBusybox, makeBusyboxTree } from '../support/busybox.ts';
import { callerOptions, self, specFolder, state } from '../support/container.ts';
import { CONTAINER_NAME, hostState } from '../support/host-state.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot } from '../support/user.ts';

const FILE = `name: faults
image: {host_tools: [sh]}
command: [sh, -c, "true"]
hostname: inside
domainname: example.internal
working_dir: /a/b
user: "5:6"
limits: {memory: 64MiB, pids: 50, cpus: 1}
volumes:
  - ./:/src:ro
  - ./file:/etc/file
tmpfs: ["/tmp:size=1m"]
devices: ["/dev/full:/dev/a/mine:r"]
read_only: true
init: true
tty: true
`;

/** Rules for devices as this host makes them, and as a program, where it can have both. */
const UNIFIED = /^\S+ \S+ \S+ \/ (\S+) .* - cgroup2 /mu.exec(readFileSync('/proc/self/mountinfo', 'utf8'))?.[1];
const RULES: readonly (readonly [title: string, devices: Partial<HostFacts['cgroup']>])[] = [
  ['as this host is', {}],
  ...(UNIFIED === undefined || UNIFIED === '/sys/fs/cgroup'
    ? []
    : [['with a program for devices', { devices: { version: 2, dir: UNIFIED } }] as const]),
];

/** The plan of the file above on this very host, with an image and a store in the folder. */
function fullPlan(folder: string, devices: Partial<HostFacts['cgroup']>): Plan {
  for (const name of ['store/mnt', 'state', 'rootfs/proc', 'rootfs/etc']) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  makeBusyboxTree(join(folder, 'rootfs'));
  writeFileSync(join(folder, 'file'), '');
  const facts = gatherHostFacts(process.env);
  const dirs = { store: join(folder, 'store'), state: join(folder, 'state') };
  const host: HostFacts = { ...facts, cgroup: { ...facts.cgroup, ...devices }, dirs };
  const document = loadSpecText(FILE, join(folder, 'container.yaml'), { env: {}, home: '/' });
  const rootfs = join(folder, 'rootfs');
  const layers = [{ kind: 'tree', path: rootfs }] as const;
  const texts = { digest: '0'.repeat(64), record: '', passwd: '', group: '', shell: '' };
  const image = { ...texts, layers, ownership: undefined, defaults: {} };
  return planContainer(compile(document, image, host), image, host);
}

/** The plan with a step put before the one at `index`, in its place and on its side, that cannot work. */
function failingAt(plan: Plan, index: number): Plan {
  const call = { name: 'chdir', args: { path: '/no/such/place' } } as const;
  const failing = plan.steps.slice(index, index + 1).map((step) => {
    const { dependent: _, ...rest } = step;
    return { ...rest, id: 'fails', call, undo: 'none' as const };
  });
  return { ...plan, steps: plan.steps.toSpliced(index, 0, ...failing) };
}

describe.skipIf(!isRoot || !hasBusybox)('a full plan (needs root and busybox-static)', () => {
  test.each(RULES)(
    '%s, whichever step fails, it is named with its call, errno and line, and the host is as it was',
    { timeout: 120_000 },
    async (_title, devices) => {
      const folder = tempFolder({ open: true });
      const plan = fullPlan(folder, devices);
      expect(plan.steps.map(({ id }) => id)).toContain('cgroup.devices');
      expect(plan.steps.length).toBeGreaterThan(250);
      const look = (): object => hostState({ stateFolder: join(folder, 'state'), store: join(folder, 'store') });
      const before = look();
      for (const [index, step] of plan.steps.entries()) {
        const [output, outputEnd] = pipe();
        const outcome = await launch(failingAt(plan, index), { stdio: [outputEnd, outputEnd, outputEnd] }).done;
        closeSync(outputEnd);
        const text = readFileSync(output, 'utf8');
        closeSync(output);
        const { kind, failed, undoFailures } = outcome;
        const expected = { step: step.id, kind: 'failed', failed: index, undoFailures: [], text: '' };
        expect({ step: step.id, kind, failed: failed?.index, undoFailures, text }).toEqual(expected);
        expect({ step: step.id, state: look() }).toEqual({ step: step.id, state: before });

        const error = explainFailure(plan, outcome);
        const line = step.because.kind === 'spec' ? step.because.at?.line : undefined;
        expect({ step: step.id, line: error?.at?.line }).toEqual({ step: step.id, line });
        if (step.call.name === 'execve') {
          expect(error).toMatchObject({ code: 'E_COMMAND_NOT_FOUND', exitCode: 127 });
        } else {
          const message = `the step ${step.id} failed: ${formatCall(step.call, messageWriter(plan))}: ENOENT (no such file or directory)`;
          expect(error?.message).toContain(message);
          expect(error).toMatchObject({ code: 'E_STEP_FAILED', exitCode: 125 });
        }
      }
    },
  );
});

describe.skipIf(!isRoot || !hasBusybox || !existsSync('/usr/bin/strace'))(
  'a call that the kernel refuses (needs root, busybox-static and strace)',
  () => {
    const LIMITS = { memory: '64MiB', pids: 20 };
    test.each([
      [
        'pivot_root',
        'EPERM',
        /error: the step pivot_root failed: pivot_root\("\.", "\."\): EPERM \(operation not permitted\)\n/u,
      ],
      [
        'sethostname',
        'EINVAL',
        /^boxctl: container\.yaml:\d+:\d+: error: the step hostname failed: sethostname\("inside"\): EINVAL/mu,
      ],
      ['seccomp', 'ENOSYS', /error: the step seccomp failed: .*: ENOSYS \(this kernel does not have the call\)/u],
      ['setgroups', 'EPERM', /error: the step setgroups\.user failed: setgroups\(\[\]\): EPERM/u],
      ['capset', 'EPERM', /error: the step capset failed: capset\(/u],
      [
        'fsmount',
        'EPERM',
        /error: the step .* failed: fsmount\(.*: EPERM .*\n(?:.*\n)* {2}the kernel makes another \/proc or \/sys only where /u,
      ],
    ])('%s: %s', async (name, errno, message) => {
      const folder = specFolder({ command: ['true'], hostname: 'inside', limits: LIMITS });
      await boxctl(['up'], callerOptions(self, folder));
      const before = state(self);
      const strace = ['strace', '-f', '-qq', '-o', join(tempFolder(), 'trace'), '-e', `inject=${name}:error=${errno}`];
      const options = callerOptions(self, folder);
      const { stdout, stderr, status } = await run([...strace, process.execPath, PROGRAM, 'up'], options);
      expect({ stdout, status, stderr }).toEqual({ stdout: '', status: 125, stderr: expect.stringMatching(message) });
      expect(state(self)).toEqual(before);
    });

    test('a step that cannot be undone is reported, and the next run removes what it left', async () => {
      const folder = specFolder({ command: ['true'], limits: LIMITS, hostname: 'inside' });
      await boxctl(['up'], callerOptions(self, folder));
      const before = state(self);
      const inject = ['-e', 'inject=unlinkat:error=EIO', '-e', 'inject=sethostname:error=EPERM'];
      const strace = ['strace', '-f', '-qq', '-o', join(tempFolder(), 'trace'), ...inject];
      // Records of its own: any command of root's could be the next run.
      const left = `ls /run/boxctl | grep -c '^${CONTAINER_NAME}-'; find /sys/fs/cgroup -name 'boxctl-${CONTAINER_NAME}-*' | grep -c .`;
      const script = `mount -t tmpfs -o mode=700 none /run/boxctl && "$@" up; ${left}; shift ${strace.length}; "$@" up; echo $?; ${left}`;
      const command = ['unshare', '--mount', 'sh', '-c', script, 'sh', ...strace, process.execPath, PROGRAM];
      const { stdout, stderr } = await run(command, callerOptions(self, folder));
      expect(stderr).toMatch(/^ *not everything could be undone: .*cgroup\.\w+\.mkdir \(EIO\)/mu);
      expect(stdout).toMatch(/^1\n[1-9]\d*\n0\n0\n0\n$/u);
      expect(state(self)).toEqual(before);
    });
  },
);
