/**
 * What one system call costs under boxctl's filter, a tree, beside the filter that libseccomp makes of the same profile
 * for crun, and beside none. Interleaved, so that what else the machine does falls on all alike.
 *
 *   node test/bench/seccomp.mjs [ROUNDS]
 *
 * Needs root, a C compiler with a static C library, and crun. Nothing is asserted: times are for reading.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median } from './measure.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const BOXCTL = join(dirname(dirname(here)), 'dist/boxctl.cjs');
const rounds = Number(process.argv[2] ?? 7);
const folder = mkdtempSync(join(tmpdir(), 'boxctl-bench-'));
const env = { PATH: process.env.PATH, HOME: process.env.HOME ?? '/root', BOXCTL_STORE: join(folder, 'store') };

/** A folder with a container.yaml whose root has nothing but the program. */
function container(name, more) {
  const path = join(folder, name);
  mkdirSync(join(path, 'tree/bin'), { recursive: true });
  for (const inside of ['proc', 'sys', 'dev']) mkdirSync(join(path, 'tree', inside));
  copyFileSync(join(folder, 'calls'), join(path, 'tree/bin/calls'));
  execFileSync('chmod', ['755', join(path, 'tree/bin/calls')]);
  execFileSync('tar', ['-C', join(path, 'tree'), '-cf', join(path, 'image.tar'), '.']);
  // Debian 12's crun knows no time namespace.
  const lines = ['image: ./image.tar', 'command: [/bin/calls]', 'namespaces: {time: host}', more];
  writeFileSync(join(path, 'container.yaml'), lines.join('\n'));
  return join(path, 'container.yaml');
}

const boxctl = (...args) =>
  execFileSync(process.execPath, [BOXCTL, ...args, '--allow', 'all'], { env, encoding: 'utf8' });

/** crun with the bundle, where it sees version 2 of cgroups alone and no limits, which Debian's wants. */
function crun(file) {
  const dir = join(folder, 'bundle');
  if (!existsSync(dir)) {
    boxctl('bundle', file, dir);
    const path = join(dir, 'config.json');
    const config = JSON.parse(readFileSync(path, 'utf8'));
    delete config.linux.resources;
    writeFileSync(path, JSON.stringify(config));
  }
  const script = 'mount -t cgroup2 none /sys/fs/cgroup && exec crun --root "$1" run --bundle "$2" boxctl-bench';
  return execFileSync('unshare', ['-m', 'sh', '-c', script, 'sh', join(folder, 'crun'), dir], {
    encoding: 'utf8',
    stdio: 'pipe',
  });
}

try {
  execFileSync('cc', ['-static', '-O2', '-o', join(folder, 'calls'), join(here, 'calls.c')]);
  const confined = container('confined', '');
  const free = container('free', 'seccomp: unconfined');
  const ways = {
    'no filter': () => boxctl('up', '--quiet', free),
    'boxctl, a tree': () => boxctl('up', '--quiet', confined),
    'crun, libseccomp': () => crun(confined),
  };
  const found = Object.fromEntries(Object.keys(ways).map((name) => [name, {}]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, measure] of Object.entries(ways)) {
      for (const line of measure().trim().split('\n')) {
        const [call, time] = line.split(' ');
        (found[name][call] ??= []).push(Number(time));
      }
    }
  }
  const calls = Object.keys(found['no filter']);
  console.log(`ns for one call, median of ${rounds} rounds; in brackets what the filter adds`);
  console.log(['', ...calls].map((word) => word.padEnd(20)).join(''));
  for (const [name, times] of Object.entries(found)) {
    const cells = calls.map((call) => {
      const more = median(times[call]) - median(found['no filter'][call]);
      return `${median(times[call]).toFixed(0)}${name === 'no filter' ? '' : ` (${more.toFixed(0)})`}`;
    });
    console.log([name, ...cells].map((word) => word.padEnd(20)).join(''));
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
