// What a machine like this one cannot show: other layouts of cgroups, systemd's delegation, and a user's session, in a
// virtual machine with a stock kernel, and AppArmor. `npm run test:vm [LAYOUT…]`; the layouts are v2, hybrid and v1.
// Two machines run at a time: most of the time, one uses one processor.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const project = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/u, '');
const vm = process.env.BOXCTL_VM_SCRIPT ?? `${project}/../shared/vm/vm`;
const SECONDS = '600';
const MACHINES_AT_ONCE = 2;
/** What a machine prints before its tests. On a busy host an emulated machine may miss its first timer interrupt, and end. */
const IS_UP = 'the machine is up';
const STARTS = 3;

/** Of the tests of a whole run, those that another kernel and another kind of login could change. */
const ROOTLESS = [
  'test/integration/up',
  '-t',
  'namespaces are its own|root inside is|blocks is blocked|takes the container|stays behind',
];
/** The ordinary user whom tests of root start boxctl as, with a range of subordinate ids (useradd(8)). */
const TEST_USER = 'useradd --create-home boxctl-test';
/** What each machine runs, the longest first, and what it needs for that. Root and the user do not need the same machine. */
const MACHINES = [
  [
    'v2',
    [
      [
        'root',
        [
          'test/integration/limits',
          'test/integration/devices',
          'test/vm/delegation',
          'test/vm/apparmor',
          'test/vm/live',
        ],
      ],
    ],
  ],
  [
    'v2',
    [
      ['dev', ['test/vm/apparmor', 'test/integration/ending', 'test/vm/delegation']],
      ['dev', ROOTLESS],
    ],
  ],
  [
    'v2',
    [
      ['root', ['test/vm/units']],
      ['dev', ['test/vm/units']],
    ],
  ],
  ['v2', [['root', ['test/vm/network']]], TEST_USER],
  [
    'v2',
    [
      ['root', ['test/vm/reboot']],
      ['dev', ['test/vm/reboot']],
    ],
    'node test/vm/reboot.mjs',
  ],
  ...['hybrid', 'v1'].map((layout) => [
    layout,
    [
      ['root', ['test/integration/limits', 'test/vm/live']],
      ['dev', ['test/vm/refused']],
    ],
  ]),
];
const LAYOUTS = [...new Set(MACHINES.map(([layout]) => layout))];

/** Compiled here for the oldest set of features, since the guest has the kernel's part of AppArmor alone. */
function compileProfile(folder) {
  const features = ['--kernel-features', '/etc/apparmor.d/abi/3.0'];
  const out = ['--skip-kernel-load', '--skip-cache', '--ofile', join(folder, 'profile')];
  const { error, status } = spawnSync('apparmor_parser', [...features, ...out, `${project}/test/vm/apparmor.profile`], {
    stdio: 'inherit',
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
  });
  if (error === undefined && status === 0) return;
  process.stderr.write('test/vm/apparmor.profile was not compiled: apt-get install apparmor\n');
  process.exit(1);
}

const quote = (word) => `'${word.replaceAll("'", `'\\''`)}'`;

/** As root in the guest; the user has a session of his own, as after a login over ssh. */
function command([user, filters]) {
  const vitest = ['node', 'node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.config.ts', ...filters]
    .map(quote)
    .join(' ');
  const line = `cd ${quote(project)} && BOXCTL_VM=1 CI=1 ${vitest}`;
  return user === 'root' ? `(${line})` : `su -l ${user} --command=${quote(line)}`;
}

/** Resolves with whether all of it passed. A machine that did not come as far as its tests is started again. */
async function runIn(layout, runs, policy, needs) {
  for (let start = 1; ; start++) {
    const { passed, output } = await runOnce(layout, runs, policy, needs);
    if (passed || start === STARTS || output.includes(IS_UP)) return passed;
  }
}

/** What the machine prints is printed when it has ended. */
function runOnce(layout, runs, policy, needs = 'true') {
  const said = runs.map(([user, filters]) => `  as ${user}: ${filters.join(' ')}\n`).join('');
  // What a test runner writes beside its sources must be writable for the user, too.
  const prepare =
    'cat /run/policy/profile >/sys/kernel/security/apparmor/.load || exit; mkdir -p node_modules/.vite-temp node_modules/.vite && chmod 1777 node_modules/.vite-temp node_modules/.vite';
  const script = `echo ${quote(IS_UP)}; ${prepare}; ${needs}; status=0; ${runs.map((run) => `${command(run)} || status=1`).join('; ')}; exit $status`;
  const args = [
    'run',
    '--cgroup',
    layout,
    '--timeout',
    SECONDS,
    '--mount',
    `${project}:${project}`,
    '--mount',
    `${policy}:/run/policy:ro`,
    '--',
    'bash',
    '-c',
    script,
  ];
  return new Promise((resolve) => {
    const machine = spawn(vm, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const output = [];
    machine.stdout.on('data', (data) => output.push(data));
    machine.stderr.on('data', (data) => output.push(data));
    machine.on('error', (error) => output.push(Buffer.from(`${vm}: ${error.message}\n`)));
    machine.on('close', (status) => {
      process.stdout.write(`\n== a virtual machine with cgroups ${layout}\n${said}`);
      process.stdout.write(Buffer.concat(output));
      resolve({ passed: status === 0, output: Buffer.concat(output).toString() });
    });
  });
}

const unknown = process.argv.slice(2).filter((layout) => !LAYOUTS.includes(layout));
if (unknown.length > 0) {
  process.stderr.write(`there is no layout ${unknown.join(', ')}: ${LAYOUTS.join(', ')}\n`);
  process.exit(1);
}
if (!existsSync(vm)) {
  process.stdout.write(
    `test:vm is left out: there is no ${vm}; set BOXCTL_VM_SCRIPT to the program that starts the machine\n`,
  );
  process.exit(0);
}
const layouts = process.argv.length > 2 ? process.argv.slice(2) : LAYOUTS;
const policy = mkdtempSync(join(tmpdir(), 'boxctl-vm-'));
process.on('exit', () => rmSync(policy, { recursive: true, force: true }));
compileProfile(policy);
const waiting = MACHINES.filter(([layout]) => layouts.includes(layout));
const failed = [];
const runNext = async () => {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const [layout, runs, needs] = next;
    if (!(await runIn(layout, runs, policy, needs))) failed.push(layout);
  }
};
await Promise.all(Array.from({ length: MACHINES_AT_ONCE }, runNext));
process.stdout.write(
  failed.length === 0 ? `\nall passed: ${layouts.join(', ')}\n` : `\nfailed: ${failed.join(', ')}\n`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
