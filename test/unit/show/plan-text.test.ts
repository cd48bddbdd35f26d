/** A plan as a person reads it. */
import { expect, test } from 'vitest';
import type { Because } from '../../../src/model/because.ts';
import { PR } from '../../../src/kernel/constants.ts';
import type { Plan } from '../../../src/plan/plan.ts';
import { printPlan } from '../../../src/show/plan-text.ts';
import { byDefault, call, Steps, type Place } from '../../../src/plan/steps.ts';

const line = (number: number, path: string): Because => ({
  kind: 'spec',
  path,
  at: { file: 'dir/container.yaml', line: number, column: 1, length: 1 },
});

function plan(): Plan {
  const steps = new Steps();
  const host: Place = { group: 'cgroup', side: 'host', because: line(3, 'limits.memory') };
  steps.add(
    host,
    'mkdir',
    'mkdirat',
    { dirfd: 'AT_FDCWD', pathname: { template: '/sys/fs/cgroup/x-$ID' }, mode: 0o755 },
    { undo: [call('unlinkat', { dirfd: 'AT_FDCWD', pathname: { template: '/sys/fs/cgroup/x-$ID' }, flags: 0x200 })] },
  );
  const inside: Place = { group: 'security', side: 'container', because: byDefault('capabilities') };
  for (const capability of [2, 5, 7]) {
    steps.add(inside, 'drop', 'prctl', { option: PR.PR_CAPBSET_DROP, arg2: capability, arg3: 0, arg4: 0, arg5: 0 });
  }
  steps.add(inside, 'nnp', 'prctl', { option: PR.PR_SET_NO_NEW_PRIVS, arg2: 1, arg3: 0, arg4: 0, arg5: 0 });
  const command: Place = { group: 'command', side: 'container', because: line(9, 'command') };
  const words = Array.from({ length: 12 }, (_, index) => `word ${index}`);
  steps.add(command, 'execve', 'execve', { pathname: ['/bin/x'], argv: ['x\u001b[2J"\n'], envp: words });
  const dropped = [{ what: 'limits.swap', reason: 'this kernel does not count swap', because: line(4, 'limits.swap') }];
  const stop = { signal: 2, graceMs: 1500 };
  const timeLimit = { ms: 5_400_000, because: line(5, 'limits.time') };
  const rest = { reports: [], terminal: undefined, stop, timeLimit, dropped, demands: [], warnings: [], borrowed: [] };
  return { version: 1, name: 'box', steps: steps.list, ...rest };
}

test('groups, folded runs, wrapped calls, undo, who asked, and what is left out', () => {
  expect(printPlan(plan(), { color: false, width: 80, file: 'dir/container.yaml' })).toBe(`\
box: 6 steps, 1 on the host and 5 inside

limits (on the host)
  mkdirat(AT_FDCWD, "/sys/fs/cgroup/x-$ID", 0755)               container.yaml:3
      undo: unlinkat(AT_FDCWD, "/sys/fs/cgroup/x-$ID", AT_REMOVEDIR)

privileges
  prctl(PR_CAPBSET_DROP, {CAP_DAC_READ_SEARCH, CAP_KILL,   default: capabilities
      CAP_SETUID}) × 3
  prctl(PR_SET_NO_NEW_PRIVS, 1)                            default: capabilities

command
  execve(["/bin/x"], ["x\\x1b[2J\\"\\n"], ["word 0", "word 1",     container.yaml:9
      "word 2", "word 3", "word 4", "word 5", "word 6", "word 7", "word 8",
      "word 9", "word 10", "word 11"])

how long
  after 1h30m: SIGINT, and SIGKILL 1s500ms later  container.yaml:5

left out
  limits.swap: this kernel does not count swap  container.yaml:4
`);
});

test('colours mark headings and who asked, and nothing else', () => {
  const colored = printPlan(plan(), { color: true, width: 80, file: 'dir/container.yaml' });
  // eslint-disable-next-line no-control-regex -- it is what is looked for
  const plain = colored.replaceAll(/\u001b\[\d+m/gu, '');
  expect(plain).toBe(printPlan(plan(), { color: false, width: 80, file: 'dir/container.yaml' }));
  expect(colored).toContain('\u001b[1mcommand\u001b[0m');
});
