/**
 * 100 MB of lines that a container in the background writes: the rate until the last one is in its log, the processor time of what
 * writes the log, how long reading it back takes, and whether a byte is lost. By boxctl, by Podman with its json-file driver, and by
 * `cat >file`, in turn.
 *
 *   npm run bench:logs [-- ROUNDS [CHARACTERS…]]     CHARACTERS: how long a line is, 79 and 1 where nothing is said
 *
 * Needs root and the Debian packages busybox-static, and podman and crun, which are left out where they do not work. A log of lines
 * of one character takes some 5 GB and minutes. Nothing is asserted.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { median, seeUnifiedCgroups } from './measure.mjs';
import { BOXCTL, env, makeRootfs, needRootAndBusybox, podmanIn, withFolder, writeSpec } from './setup.mjs';

const [rounds = 3, ...lengths] = process.argv.slice(2).map(Number);
const BYTES = 100 * 2 ** 20;
const NAME = `bench-${process.pid}`;
const OVER = '\nover\n';

needRootAndBusybox();
seeUnifiedCgroups(fileURLToPath(import.meta.url), env);

const writing = (length) => `busybox yes ${'y'.repeat(length)} | busybox head -c ${BYTES}; echo; echo over`;
/** What the container runs. It stays, so that what writes its log can be looked at. */
const command = (length) => ['/bin/sh', '-c', `${writing(length)}; exec sleep 100000`];

/** Seconds of processor time of a process; `ofChildren`: of those that it has waited for. */
function timeOf(stat, ofChildren = false) {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const first = ofChildren ? 13 : 11;
  return (Number(fields[first]) + Number(fields[first + 1])) / 100;
}
const timesOf = (pids) => pids.reduce((sum, pid) => sum + timeOf(readFileSync(`/proc/${pid}/stat`, 'latin1')), 0);

/** The first and the last line of a file. */
function ends(path) {
  const file = openSync(path, 'r');
  const { size } = fstatSync(file);
  const bytes = Buffer.alloc(Math.min(size, 4096));
  const at = (position) => bytes.toString('latin1', 0, readSync(file, bytes, 0, bytes.length, position)).split('\n');
  const found = { first: at(0)[0], last: at(size - bytes.length).at(-2) ?? '' };
  closeSync(file);
  return found;
}

/** Waits for the last line in the log. Seconds between the times that the log has for the first and the last one. */
async function written(log, timeIn) {
  for (;;) {
    const { first, last } = ends(log);
    if (last.includes('over')) return (Date.parse(timeIn(last)) - Date.parse(timeIn(first))) / 1000;
    await sleep(50);
  }
}

/** Runs a command whose output goes into a file: seconds, its processor time, and how much it wrote. */
function reading(folder, all, words) {
  const out = join(folder, 'read');
  const began = performance.now();
  const script = 'out=$1; shift; "$@" >"$out" && cat /proc/$$/stat';
  const { status, stdout, stderr } = spawnSync('sh', ['-c', script, 'sh', out, ...words], {
    env: all,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr.trim());
  return { seconds: (performance.now() - began) / 1000, cpu: timeOf(stdout, true), bytes: statSync(out).size };
}

async function boxctl({ folder, all }, length) {
  const words = (...more) => [process.execPath, BOXCTL, ...more];
  const run = (...more) => {
    const [program, ...args] = words(...more);
    return execFileSync(program, args, { cwd: folder, env: all, encoding: 'utf8' });
  };
  writeSpec(folder, { name: NAME, logging: { options: { 'max-size': -1 } }, command: command(length) });
  run('up', '--detach', '--allow', 'all');
  try {
    const { id } = JSON.parse(run('ps', '--json')).find(({ name }) => name === NAME);
    const container = join(all.BOXCTL_STORE, 'containers', id);
    const seconds = await written(join(container, 'log/00000001.json'), (line) => JSON.parse(line).time);
    const cpu = timesOf(writersOf(join(container, 'lock')));
    return { seconds, cpu, read: reading(folder, all, words('logs', NAME)) };
  } finally {
    run('rm', '--force', NAME);
  }
}

/** The launcher, which has this lock, and the process that writes the log for it. */
function writersOf(lock) {
  const script = `for fd in /proc/[0-9]*/fd/*; do [ "$(readlink $fd)" != "$1" ] || echo $fd; done 2>/dev/null`;
  const found = execFileSync('sh', ['-c', script, 'sh', lock], { encoding: 'utf8' });
  const launcher = found.split('/')[2];
  const children = readFileSync(`/proc/${launcher}/task/${launcher}/children`, 'utf8').trim().split(' ');
  return [launcher, ...children.filter((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'boxctl-log')];
}

async function podman({ folder, rootfs, all }, length) {
  const own = [...podmanIn(folder), '--cgroup-manager', 'cgroupfs', '--storage-driver', 'vfs'];
  const run = (...more) =>
    execFileSync(own[0], [...own.slice(1), ...more], { env: all, encoding: 'utf8', stdio: 'pipe' });
  // Root may not raise its limits everywhere.
  const limits = ['--cgroups=disabled', '--ulimit=nofile=1024:1024', '--ulimit=nproc=1024:1024'];
  const options = ['--detach', '--name', NAME, '--network', 'none', '--log-driver', 'json-file', ...limits];
  try {
    run('run', ...options, '--rootfs', rootfs, ...command(length));
    const [{ HostConfig, State }] = JSON.parse(run('inspect', NAME));
    const seconds = await written(HostConfig.LogConfig.Path, (line) => line.split(' ')[0]);
    return { seconds, cpu: timesOf([State.ConmonPid]), read: reading(folder, all, [...own, 'logs', NAME]) };
  } finally {
    run('rm', '--force', '--time', '0', NAME);
  }
}

/** From a pipe into a file. */
function cat({ folder, all }, length) {
  const began = performance.now();
  const script = `(${writing(length)}) | sh -c 'cat >"$1" && cat /proc/$$/stat' sh "$0"`;
  const out = join(folder, 'out');
  const stat = execFileSync('sh', ['-c', script, out], { env: all, encoding: 'utf8' });
  const seconds = (performance.now() - began) / 1000;
  return { seconds, cpu: timeOf(stat, true), read: reading(folder, all, ['cat', out]) };
}

async function bench(folder) {
  const place = {
    folder,
    rootfs: makeRootfs(folder, ['sh', 'sleep']),
    all: { ...env, BOXCTL_STORE: join(folder, 'store') },
  };
  for (const length of lengths.length > 0 ? lengths : [79, 1]) {
    const found = new Map([boxctl, podman, cat].map((way) => [way, []]));
    for (let round = 0; round < rounds; round++) {
      for (const [way, results] of found) {
        try {
          results.push(await way(place, length));
        } catch (error) {
          process.stderr.write(`${way.name} is left out: ${error.message}\n`);
          found.delete(way);
        }
      }
    }
    report(length, found);
  }
}

function report(length, found) {
  const title = `100 MiB in lines of ${length + 1} bytes, ${rounds} rounds`;
  const columns = ['MiB/s', 'CPU s', 'read s', 'CPU s', 'bytes lost'];
  const print = (first, cells) =>
    process.stdout.write(`${first.padEnd(44)}${cells.map((cell) => String(cell).padStart(11)).join('')}\n`);
  print(title, columns);
  for (const [{ name }, results] of found) {
    const of = (value) => median(results.map(value));
    const lost = results.reduce((sum, { read }) => sum + BYTES + OVER.length - read.bytes, 0);
    const figures = [of(({ seconds }) => BYTES / 2 ** 20 / seconds).toFixed(0), of(({ cpu }) => cpu).toFixed(2)];
    const read = [of((one) => one.read.seconds), of((one) => one.read.cpu)].map((value) => value.toFixed(2));
    print(`  ${name}`, [...figures, ...read, lost]);
  }
}

await withFolder((folder) => bench(folder));
