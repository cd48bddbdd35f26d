/**
 * 100 MB of lines that a container in the background writes: the rate until the last one is in the log, the processor time of
 * the launcher and its writer, and whether a line is lost. Beside it `cat >file`, and Podman's k8s-file where Podman runs.
 *
 *   npm run bench:logs [-- ROUNDS]
 *
 * Needs busybox (static). Nothing is asserted: the other programs of the same run are what to compare with.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BOXCTL = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'dist/boxctl.cjs');
const rounds = Number(process.argv[2] ?? 3);
const MEGABYTES = 100;
const LINES = { '79 characters': 'x'.repeat(79), '9 characters': 'x'.repeat(9), 'one character': 'y' };
const folder = mkdtempSync(join(tmpdir(), 'boxctl-bench-logs-'));
const env = { PATH: process.env.PATH, HOME: process.env.HOME, BOXCTL_STORE: join(folder, 'store') };
const boxctl = (...words) =>
  execFileSync(process.execPath, [BOXCTL, ...words], { cwd: folder, env, encoding: 'utf8', maxBuffer: 2 ** 30 });
const write = (line) => `yes ${line} | head -c ${MEGABYTES * 2 ** 20}`;

/** Seconds of processor time of a process so far. */
function time(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function processes(id) {
  const lock = join(env.BOXCTL_STORE, 'containers', id, 'lock');
  const holders = execFileSync(
    'sh',
    ['-c', `ls -l /proc/[0-9]*/fd 2>/dev/null | awk '/^\\/proc/{p=$0} index($0,"${lock}"){print p}'`],
    { encoding: 'utf8' },
  );
  const launcher = /\/proc\/(\d+)\//u.exec(holders)?.[1];
  const children = readFileSync(`/proc/${launcher}/task/${launcher}/children`, 'utf8').trim().split(' ');
  return [launcher, ...children.filter((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'boxctl-log')];
}

function ours(line) {
  const command = `${write(line)}; echo; echo over; exec sleep 1000`;
  const keys = { name: 'bench-logs', image: { tar: 'rootfs.tar' }, logging: { options: { 'max-size': -1 } } };
  writeFileSync(join(folder, 'container.yaml'), JSON.stringify({ ...keys, command: ['sh', '-c', command] }));
  boxctl('up', '--detach');
  while (boxctl('logs', '--tail', '1', 'bench-logs') !== 'over\n');
  const { id } = JSON.parse(boxctl('ps', '--json')).find(({ name }) => name === 'bench-logs');
  const [first, last] = [
    ['head', '-n1'],
    ['tail', '-n1'],
  ].map(([program, count]) => {
    const file = join(env.BOXCTL_STORE, 'containers', id, 'log/00000001.json');
    return Date.parse(JSON.parse(execFileSync(program, [count, file], { encoding: 'utf8' })).time);
  });
  const seconds = (last - first) / 1000;
  const cpu = processes(id).map(time);
  const bytes = boxctl('logs', 'bench-logs').length - '\nover\n'.length;
  boxctl('rm', '--force', 'bench-logs');
  return { seconds, cpu: cpu.reduce((sum, one) => sum + one, 0), lost: MEGABYTES * 2 ** 20 - bytes };
}

function cat(line) {
  const began = performance.now();
  const script = `busybox ${write(line).replace('| head', '| busybox head')} | { cat >${join(folder, 'out')}; cat /proc/self/stat >${join(folder, 'none')}; }`;
  spawnSync('sh', ['-c', script]);
  const seconds = (performance.now() - began) / 1000;
  return { seconds, cpu: Number.NaN, lost: 0 };
}

function podman(line) {
  const root = [
    '--root',
    join(folder, 'podman'),
    '--runroot',
    join(folder, 'podman-run'),
    '--cgroup-manager',
    'cgroupfs',
  ];
  const words = [
    ...root,
    'run',
    '--rm',
    '--network',
    'none',
    '--log-driver',
    'k8s-file',
    '--rootfs',
    join(folder, 'rootfs'),
  ];
  const began = performance.now();
  const { status } = spawnSync('podman', [...words, 'sh', '-c', write(line)], { stdio: 'ignore', timeout: 120_000 });
  return status === 0 ? { seconds: (performance.now() - began) / 1000, cpu: Number.NaN, lost: 0 } : undefined;
}

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
try {
  const bin = join(folder, 'rootfs/bin');
  mkdirSync(bin, { recursive: true });
  cpSync(execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).trim(), join(bin, 'busybox'));
  for (const name of ['sh', 'yes', 'head', 'echo', 'sleep', 'cat']) symlinkSync('busybox', join(bin, name));
  execFileSync('tar', ['-C', join(folder, 'rootfs'), '-cf', join(folder, 'rootfs.tar'), '.']);
  for (const [what, line] of Object.entries(LINES)) {
    const ways = { boxctl: ours, 'cat >file': cat, podman };
    const all = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
    for (let round = 0; round < rounds; round += 1) {
      for (const [name, way] of Object.entries(ways)) {
        const result = way(line);
        if (result !== undefined) all[name].push(result);
      }
    }
    for (const [name, results] of Object.entries(all)) {
      if (results.length === 0) continue;
      const seconds = median(results.map((one) => one.seconds));
      const cpu = median(results.map((one) => one.cpu));
      const lost = results.reduce((sum, one) => sum + one.lost, 0);
      const rest = Number.isNaN(cpu) ? '' : `, ${cpu.toFixed(2)} s of processor time, ${lost} bytes lost`;
      console.log(`lines of ${what}, ${name}: ${(MEGABYTES / seconds).toFixed(0)} MB/s${rest}`);
    }
  }
} finally {
  // Podman mounts it over itself.
  spawnSync('umount', [join(folder, 'podman/overlay')], { stdio: 'ignore' });
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
}
