/** Why a container ended: what the launcher counted, as a sentence. */
import { describe, expect, test } from 'vitest';
import type { Outcome } from '../../../src/launcher/events.ts';
import { endingOf } from '../../../src/run/ending.ts';
import { ROOT_HOST, UNIFIED_HOMES, onUnified } from '../../support/host-facts.ts';
import { planOf } from '../../support/plan.ts';

const YAML = `image: {host_tools: [sh]}
command: [sh]
stop_signal: SIGINT
stop_grace_period: 2s
limits:
  memory: 64MiB
  pids: 50
  time: 10m
`;
const PLAN = planOf(YAML, onUnified(ROOT_HOST, UNIFIED_HOMES.parent));

const ended = (more: Partial<Outcome>): Outcome => ({
  kind: 'exited',
  status: 0,
  signal: 0,
  failed: undefined,
  hooks: [],
  undoFailures: [],
  said: '',
  reports: [],
  timeLimit: false,
  graceOver: false,
  askedBy: 0,
  graceMs: 0,
  outputLost: [],
  leaseBroken: false,
  killedFor: undefined,
  syscalls: new Map(),
  refused: { packets: 0, destinations: [] },
  swallowed: 0,
  ...more,
});

const counts = (values: Readonly<Record<string, number>>): Outcome['reports'] =>
  PLAN.reports.map(({ what }) => values[what] ?? 0);

describe('why a container ended', () => {
  test('a command that just ended has no message', () => {
    expect(endingOf(PLAN, ended({ status: 7 }))).toEqual({ reason: 'exited', status: 7, limits: [] });
  });

  test('packets that were refused are told with the destinations that had most of them, and as data', () => {
    const to = (address: string, port: number, protocol = 'tcp') => ({ address, protocol, port });
    const destinations = [
      { to: to('10.0.0.1', 25), packets: 2 },
      { to: to('169.254.169.254', 80), packets: 40 },
      { to: to('fe80::1', 0, 'icmpv6'), packets: 3 },
      { to: to('2001:db8::1', 53, 'udp'), packets: 7 },
    ];
    const because = { kind: 'default', name: 'network' } as const;
    const question = { type: 'NFT_MSG_GETOBJ', flags: 'NLM_F_REQUEST', header: {}, attributes: {} };
    const plan = { ...PLAN, tallies: [{ of: 'refused' as const, socket: 'network', question, because }] };
    const ending = endingOf(plan, ended({ refused: { packets: 60, destinations } }));
    expect(ending?.refused?.message).toBe(
      '60 packets of the container were refused by the rules of its network, to 169.254.169.254:80/tcp, [2001:db8::1]:53/udp, fe80::1/icmpv6 and others',
    );
    expect(ending?.refused?.destinations.map(({ packets }) => packets)).toEqual([40, 7, 3, 2]);
    expect(endingOf(plan, ended({}))).toEqual({ reason: 'exited', status: 0, limits: [] });
    expect(endingOf(plan, ended({ refused: { packets: 1, destinations: [] } }))?.refused?.message).toBe(
      'a packet of the container was refused by the rules of its network',
    );
  });

  test('a command that did not start has no ending', () => {
    expect(endingOf(PLAN, ended({ kind: 'failed' }))).toBeUndefined();
  });

  test.each<[string, Partial<Outcome>, object, string, line?: number]>([
    [
      'a signal is named',
      { kind: 'signaled', signal: 11 },
      { reason: 'signaled', status: 139, signal: 'SIGSEGV' },
      'the command was ended by SIGSEGV',
    ],
    [
      'a real-time signal is named by its distance from the first',
      { kind: 'signaled', signal: 37 },
      { reason: 'signaled', status: 165, signal: 'SIGRTMIN+3' },
      'the command was ended by SIGRTMIN+3',
    ],
    [
      'SIGSYS is the end by the filter',
      { kind: 'signaled', signal: 31 },
      { reason: 'system_call', status: 159, signal: 'SIGSYS' },
      'the command was ended by SIGSYS: it made a system call that its filter ends it for',
    ],
    [
      'the call that the filter ended it for is named where the kernel told it',
      { kind: 'signaled', signal: 31, killedFor: 'mkdir' },
      { reason: 'system_call', status: 159, systemCall: 'mkdir' },
      'the command was ended by SIGSYS: it made the system call mkdir, which its filter ends it for',
    ],
    [
      'the image has changed where somebody opened its archive for writing',
      { kind: 'signaled', signal: 9, leaseBroken: true },
      { reason: 'image_changed', status: 137 },
      'the archive of the image was opened for writing, which the container ran from: it was killed',
    ],
    [
      'the kernel killed processes at the limit of memory, whose line is told',
      { kind: 'signaled', signal: 9, reports: counts({ oom_kill: 2, memory_max: 5, memory_peak: 64 << 20 }) },
      { reason: 'out_of_memory', status: 137 },
      'out of memory: the kernel killed 2 processes at the memory limit of 64 MiB (64 MiB at the most)',
      6,
    ],
    [
      'a shell or an init that ends with 137 tells of a process that was killed for memory',
      { status: 137, reports: counts({ oom_kill: 1, memory_max: 1, memory_peak: 4097 }) },
      { reason: 'out_of_memory', status: 137 },
      'out of memory: the kernel killed a process at the memory limit of 64 MiB (4097 bytes at the most)',
      6,
    ],
    [
      'the limit is not blamed where the host had no memory left',
      { kind: 'signaled', signal: 9, reports: counts({ oom_kill: 1 }) },
      { reason: 'out_of_memory', status: 137 },
      'out of memory: the kernel killed a process, since the host or a cgroup further above had none left',
    ],
    [
      'the time was over',
      { kind: 'signaled', signal: 2, timeLimit: true },
      { reason: 'time_limit', status: 124, signal: 'SIGINT' },
      'the time limit of 10m was reached: SIGINT',
      8,
    ],
    [
      'the time was over, also for a command that ended by itself at its stop signal',
      { status: 0, timeLimit: true },
      { reason: 'time_limit', status: 124 },
      'the time limit of 10m was reached: SIGINT',
      8,
    ],
    [
      'the time was over, and SIGKILL followed where the command did not end',
      { kind: 'signaled', signal: 9, timeLimit: true, graceOver: true, graceMs: 3000 },
      { reason: 'time_limit', status: 124, signal: 'SIGKILL' },
      'the time limit of 10m was reached: SIGINT, and SIGKILL after 3s more',
      8,
    ],
    [
      'it was stopped: SIGKILL followed a SIGTERM to boxctl at which the command did not end',
      { kind: 'signaled', signal: 9, graceOver: true, askedBy: 2, graceMs: 1500 },
      { reason: 'stopped', status: 137 },
      'SIGINT did not end the command within 1s500ms: SIGKILL',
    ],
  ])('%s', (_title, outcome, expected, message, line) => {
    const ending = endingOf(PLAN, ended(outcome));
    expect(ending).toMatchObject({ ...expected, message });
    const because = ending?.because;
    expect(because?.kind === 'spec' ? because.at?.line : undefined).toBe(line);
  });
});

test('limits that were reached are told also where they did not end the command', () => {
  const reports = counts({ oom_kill: 1, memory_max: 3, memory_peak: 64 << 20, pids_max: 4 });
  const ending = endingOf(PLAN, ended({ status: 1, reports }));
  expect(ending).toMatchObject({ reason: 'exited', status: 1 });
  expect(ending).not.toHaveProperty('message');
  expect(ending?.limits).toMatchObject([
    { limit: 'memory', value: 64 << 20, count: 1, peak: 64 << 20 },
    { limit: 'pids', value: 50, count: 4, message: 'the limit of 50 processes was reached: fork failed 4 times' },
  ]);
});
