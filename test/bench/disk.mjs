/** For benches of images: an archive of a Debian userland, and a disk of the bench's own, a journaled ext4 on a loop device. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { once as onceOf } from './measure.mjs';
import { BOXCTL, env } from './setup.mjs';

const DISK = 'BOXCTL_BENCH_DISK';
const CACHE = '/var/tmp/boxctl-bench';
/** Made once, by mmdebstrap. */
export const ARCHIVE = join(CACHE, 'debian.tar');

/** Runs the bench, the program `self`, again with the disk, and gives where that is mounted. */
export function ownDisk(self, size) {
  const disk = process.env[DISK];
  if (disk !== undefined) return disk;
  makeArchive();
  // The image is deleted as soon as it is mounted, so that nothing stays whatever happens. Podman's crun wants to see
  // version 2 of cgroups alone.
  const image = join(CACHE, `${process.pid}.img`);
  const script = `set -e
    mkdir -p ${CACHE}/disk
    truncate -s ${size} ${image}
    mkfs.ext4 -q -F ${image}
    mount -o loop ${image} ${CACHE}/disk
    rm ${image}
    if [ -d /sys/fs/cgroup/unified ]; then mount -t cgroup2 none /sys/fs/cgroup; fi
    exec "$@"`;
  const command = ['-m', '--propagation', 'private', 'sh', '-c', script, 'sh', process.execPath, self];
  const options = { stdio: 'inherit', env: { ...env, [DISK]: `${CACHE}/disk` } };
  process.exit(spawnSync('unshare', [...command, ...process.argv.slice(2)], options).status ?? 1);
}

function makeArchive() {
  mkdirSync(CACHE, { recursive: true });
  if (existsSync(ARCHIVE)) return;
  const packages = '--include=vim-tiny,less,procps,ncurses-base';
  execFileSync('mmdebstrap', ['--variant=minbase', packages, 'bookworm', ARCHIVE], { stdio: 'inherit' });
}

/** Milliseconds of a subject: its `command`, what is added to `env`, and where its output goes. */
export const once = (name, { command, env: more = {}, output }) => onceOf(name, command, { ...env, ...more }, output);

/**
 * Each subject, [name, a function that prepares it], as often as there are rounds, in turn. What was written before is on the
 * disk before the clock starts.
 */
export function measureOnDisk(disk, rounds, subjects) {
  const working = subjects.filter(([name, prepared]) => once(name, prepared()) !== undefined);
  const times = new Map(working.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, prepared] of working) {
      const subject = prepared();
      spawnSync('sync', ['-f', disk]);
      times.get(name).push(once(name, subject) ?? Number.NaN);
    }
  }
  return times;
}

/** Runs boxctl. The most memory, in MB, that it (`node`) and any one of its workers (`worker`) had at once. */
export function peaksOf(words, more) {
  return new Promise((resolve) => {
    const peaks = { node: 0, worker: 0 };
    const child = spawn(process.execPath, [BOXCTL, ...words], { env: { ...env, ...more }, stdio: 'ignore' });
    const peakOf = (pid) =>
      Number(/VmHWM:\s+(\d+)/u.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
    const timer = setInterval(() => {
      for (const pid of readdirSync('/proc').filter((each) => /^\d+$/u.test(each))) {
        try {
          const isWorker = /boxctl-la/u.test(readFileSync(`/proc/${pid}/comm`, 'utf8'));
          if (isWorker) peaks.worker = Math.max(peaks.worker, peakOf(pid));
          else if (Number(pid) === child.pid) peaks.node = Math.max(peaks.node, peakOf(pid));
        } catch {
          // It has ended.
        }
      }
    }, 2);
    child.once('close', () => {
      clearInterval(timer);
      resolve(peaks);
    });
  });
}
