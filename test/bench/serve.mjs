/**
 * From Node, many containers of one plan: a box of the library, beside spawning boxctl's launcher for each, crun, bwrap and
 * /bin/true on the same root file system. In each round every subject has its turn, so that what else the machine does falls on
 * all alike.
 *
 *   npm run bench:serve [-- ROUNDS [STARTS]]      a second, blocked and delay at 1, 8 and 16 in flight
 *   npm run bench:serve -- --many 10000           that many in a row: what grows in this process and on the host
 *
 * Needs root and the Debian packages busybox-static, bubblewrap and crun; what is missing is left out. Build first. Nothing is
 * asserted: times are for reading.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { launch, loadSpec, openTemplate } from '../../dist/index.js';
import { median } from './measure.mjs';
import { bwrap, env, makeBundle, makeRootfs, needRootAndBusybox, ociRun, openFolder, writeSpec } from './setup.mjs';

const self = fileURLToPath(import.meta.url);
const NEW_NAMESPACE = 'BOXCTL_BENCH_NAMESPACE';
const IN_FLIGHT = [1, 8, 16];

needRootAndBusybox();

// Debian's crun wants to see version 2 of cgroups alone; where it does not, the whole bench looks at a mount that has it. The
// root file system and what is written are in memory, since some disks make each removed folder wait.
if (process.env[NEW_NAMESPACE] === undefined) {
  const unified = existsSync('/sys/fs/cgroup/unified') ? 'mount -t cgroup2 none /sys/fs/cgroup && ' : '';
  const script = `${unified}mount -t tmpfs none "$0" && exec "$@"`;
  const folder = mkdtempSync(join(tmpdir(), 'boxctl-bench-'));
  const command = ['-m', '--propagation', 'private', 'sh', '-c', script, folder, process.execPath, self];
  const { status } = spawnSync('unshare', [...command, ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...env, [NEW_NAMESPACE]: folder },
  });
  rmSync(folder, { recursive: true, force: true });
  process.exit(status ?? 1);
}

const folder = process.env[NEW_NAMESPACE];
openFolder(folder);
const store = join(folder, 'store');
const all = { ...env, BOXCTL_STORE: store };

const rootfs = makeRootfs(folder);
const file = writeSpec(folder);
const template = await openTemplate(loadSpec(file, { env: all, home: env.HOME }), { env: all, judge: () => undefined });

/** Starts a program; resolves at its end. */
function spawned(program, ...words) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { env: all, stdio: 'ignore' });
    child.once('error', reject);
    child.once('exit', (status) => (status === 0 ? resolve() : reject(new Error(`${program}: status ${status}`))));
  });
}

function subjects() {
  const crun = ociRun('crun', folder, makeBundle(folder, file, all));
  const quiet = { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' };
  const { plan } = template;
  return [
    ['box', async () => void (await (await template.start(quiet)).ended)],
    ['a launcher for each', async () => void (await launch(plan, { by: 'own' }).done)],
    ['spawn crun', () => spawned(...crun())],
    ['spawn bwrap', () => spawned(...bwrap(rootfs))],
    ['spawn /bin/true', () => spawned('/bin/true')],
    ['nothing (a timer of 5 ms)', () => sleep(5)],
  ];
}

async function works([name, start]) {
  try {
    await start();
    return true;
  } catch (error) {
    process.stderr.write(`${name} is left out: ${error.message}\n`);
    return false;
  }
}

/** Of the thread that runs JavaScript: how long it has run, µs. */
const threadTime = () => Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e3;

/**
 * Runs `starts` of them, so many at a time. `blocked`: how long the call that starts one takes, µs. `used`: what this thread has
 * run for each, from its start to its end, µs.
 */
async function turn(start, inFlight, starts, watches) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  let begun = 0;
  const blocked = [];
  const worker = async () => {
    while (begun < starts) {
      begun++;
      const before = process.hrtime.bigint();
      const ended = start();
      blocked.push(Number(process.hrtime.bigint() - before) / 1e3);
      await ended;
    }
  };
  const used = threadTime();
  // It costs a tenth of the thread itself.
  if (watches) delay.enable();
  const began = process.hrtime.bigint();
  await Promise.all(Array.from({ length: inFlight }, worker));
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  delay.disable();
  return {
    rate: starts / seconds,
    blocked: median(blocked),
    used: (threadTime() - used) / starts,
    // Its own interval is a part of each.
    late: Math.max(0, delay.percentile(99) / 1e6 - 1),
  };
}

async function bench(rounds, starts) {
  const running = [];
  for (const subject of subjects()) if (await works(subject)) running.push(subject);
  for (const inFlight of IN_FLIGHT) {
    const found = new Map(running.map(([name]) => [name, []]));
    for (let round = 0; round < rounds; round++) {
      for (const [name, start] of running) {
        const measured = await turn(start, inFlight, starts, false);
        const { late } = await turn(start, inFlight, starts, true);
        found.get(name).push({ ...measured, late });
      }
    }
    const of = (name, key) => median(found.get(name).map((result) => result[key]));
    process.stdout.write(`${inFlight} in flight, ${rounds} rounds of ${starts}`.padEnd(42));
    process.stdout.write('a second   box is   blocked µs   used µs   delay p99 ms\n');
    for (const [name] of running) {
      const ratio = `${(of('box', 'rate') / of(name, 'rate')).toFixed(2)}×`;
      const columns = [
        of(name, 'rate').toFixed(0).padStart(8),
        ratio.padStart(9),
        of(name, 'blocked').toFixed(0).padStart(13),
      ];
      process.stdout.write(
        `  ${name.padEnd(40)}${columns.join('')}${of(name, 'used').toFixed(0).padStart(10)}${of(name, 'late').toFixed(1).padStart(15)}\n`,
      );
    }
  }
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

/** What may grow. */
function state() {
  const list = (path) => (existsSync(path) ? readdirSync(path).length : 0);
  const cgroups = () => {
    let count = 0;
    const walk = (path, depth) => {
      for (const entry of readdirSync(path, { withFileTypes: true })) {
        if (!entry.isDirectory()) continue;
        count++;
        if (depth > 0) walk(join(path, entry.name), depth - 1);
      }
    };
    walk('/sys/fs/cgroup', 4);
    return count;
  };
  const memory = readFileSync('/proc/self/status', 'utf8').match(/^VmRSS:\s+(\d+)/mu)[1];
  return {
    'resident memory, MB': Number(memory) / 1024,
    'heap in use, MB': process.memoryUsage().heapUsed / 2 ** 20,
    descriptors: list('/proc/self/fd'),
    threads: list('/proc/self/task'),
    children: readFileSync('/proc/thread-self/children', 'utf8').split(' ').filter(Boolean).length,
    mounts: readFileSync('/proc/self/mountinfo', 'utf8').split('\n').length - 1,
    cgroups: cgroups(),
    records: list('/run/boxctl'),
    'folders of the store': list(join(store, 'upper')),
  };
}

async function many(count) {
  const rows = [];
  const began = Date.now();
  for (let done = 0; done <= count; done++) {
    if (done === Math.floor(count / 10) || done === count) {
      collectGarbage();
      rows.push(state());
    }
    const box = await template.start();
    box.stdout.resume();
    const { status } = await box.ended;
    if (status !== 0) throw new Error(`status ${status}`);
  }
  const seconds = (Date.now() - began) / 1000;
  process.stdout.write(
    `${count} containers in a row in ${seconds.toFixed(0)} s${' '.repeat(6)}after a tenth   after all\n`,
  );
  for (const key of Object.keys(rows[0])) {
    const format = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(1));
    process.stdout.write(
      `  ${key.padEnd(32)}${format(rows[0][key]).padStart(15)}${format(rows[1][key]).padStart(12)}\n`,
    );
  }
}

const args = process.argv.slice(2);
if (args[0] === '--many') await many(Number(args[1] ?? 10_000));
else await bench(Number(args[0] ?? 5), Number(args[1] ?? 48));
template.close();
