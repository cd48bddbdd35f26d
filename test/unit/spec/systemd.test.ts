/** systemd as the command is told before it hangs. */
import { describe, expect, test } from 'vitest';
import { startsSystemd } from '../../../src/spec/systemd.ts';
import { problemsOf, problemText } from '../../support/spec.ts';
import { ROOT_HOST, ROOT_V2_HOST, USER_HOST } from '../../support/host-facts.ts';
import { linesOf, planOf } from '../../support/plan.ts';

const FILE = 'image: {host_tools: [sh]}\n';
const LACKS =
  'it needs a control group to write to, and tmpfs at /run and /tmp; without them it starts no service and says nothing';
const HINT = 'say `init: systemd`';

test.each([
  [['/lib/systemd/systemd'], 'yes'],
  [['/usr/lib/systemd/systemd', '--system', '--log-target=console'], 'yes'],
  [['systemd'], 'yes'],
  [['/sbin/init'], 'maybe'],
  [['/usr/sbin/init'], 'maybe'],
  [['systemd', '--version'], 'no'],
  [['/lib/systemd/systemd', '--user'], 'no'],
  [['/lib/systemd/systemd-journald'], 'no'],
  [['init'], 'no'],
  [['sh', '-c', 'systemd'], 'no'],
  [[], 'no'],
] as const)('%j is told for systemd: %s', (words, expected) => {
  expect(startsSystemd(words)).toBe(expected);
});

describe('a file', () => {
  test.each([
    ['command: [/lib/systemd/systemd]'],
    ['entrypoint: [systemd]'],
    ['entrypoint: [systemd]\ncommand: [--log-level=debug]'],
  ])('%s is an error at its place', (text) => {
    const [problem] = problemsOf(`${FILE}${text}\n`).map(problemText);
    expect(problem).toContain(`E_SYSTEMD: systemd cannot be the command: ${LACKS} = ${HINT}`);
    expect(problem).toMatch(/^2:1\+/u);
  });

  test('with an init that may be another is none', () => {
    expect(problemsOf(`${FILE}command: [/sbin/init]\n`)).toEqual([]);
  });
});

test('a command line that starts systemd is refused too', () => {
  expect(() => planOf(`${FILE}command: [sh]\n`, ROOT_HOST, { command: ['/lib/systemd/systemd'] })).toThrow(
    'systemd cannot be the command',
  );
});

describe('init: systemd', () => {
  const text = `${FILE}init: systemd\n`;
  const lines = (host = ROOT_HOST, more = ''): readonly string[] => linesOf(planOf(`${text}${more}`, host));
  const has = (list: readonly string[], part: string): boolean => list.some((line) => line.includes(part));

  test('starts /sbin/init with a cgroup that is its own, tmpfs where it wants them, and its name for containers', () => {
    const list = lines();
    expect(has(list, 'execve(["/sbin/init"], ["/sbin/init"]')).toBe(true);
    expect(has(list, '"container=boxctl"')).toBe(true);
    expect(has(list, 'fchownat(AT_FDCWD, "/sys/fs/cgroup/systemd/boxctl-')).toBe(true);
    for (const folder of ['run', 'run.lock', 'tmp', 'var.log.journal']) {
      expect([folder, has(list, `mount.${folder}.attach`)]).toEqual([folder, true]);
    }
    expect(planOf(text, ROOT_HOST).stop.signal).toBe(37);
  });

  test('has the same on version 2, whose files of limits stay the host’s', () => {
    const given = lines(ROOT_V2_HOST).filter((line) => line.includes('cgroup.own.'));
    expect(given.map((line) => /fchownat\(cgroup, "([^"]*)"/u.exec(line)?.[1])).toEqual([
      '',
      'cgroup.procs',
      'cgroup.threads',
      'cgroup.subtree_control',
    ]);
  });

  test('leaves what the file mounts, runs and stops by', () => {
    const list = lines(ROOT_HOST, 'command: [/lib/systemd/systemd]\nstop_signal: SIGTERM\ntmpfs: ["/tmp:size=1m"]\n');
    expect(list.filter((line) => line.includes('mount.tmp.attach')).length).toBe(1);
    expect(has(list, 'execve(["/lib/systemd/systemd"]')).toBe(true);
  });

  test.each([
    ['namespaces: {user: host}', 'systemd needs namespaces of its own for: user'],
    ['namespaces: {pid: host, cgroup: host}', 'systemd needs namespaces of its own for: pid, cgroup'],
    ['user: "1000"', 'systemd runs as root of the container'],
  ])('with %s is an error', (more, message) => {
    expect(() => lines(ROOT_HOST, `${more}\n`)).toThrow(message);
  });

  test('without a cgroup to give is an error', () => {
    expect(() => lines(USER_HOST)).toThrow('systemd needs a control group to write to');
  });
});
