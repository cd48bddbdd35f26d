/**
 * `boxctl up --quiet` of a file that has run before, which needs no Node, beside bwrap, crun and runc on the same root file system,
 * and where the time of it goes. Interleaved in one run.
 *
 *   npm run bench:front [-- ROUNDS]
 *
 * Needs root and the Debian packages busybox-static, bubblewrap, crun and runc; what is missing is left out.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measure, once, seeUnifiedCgroups } from './measure.mjs';

const self = fileURLToPath(import.meta.url);
const dist = join(dirname(dirname(dirname(self))), 'dist');
const BUSYBOX = '/bin/busybox';
const env = { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', HOME: process.env.HOME ?? '/root' };

if (process.geteuid() !== 0 || !existsSync(BUSYBOX)) {
  process.stderr.write('the bench needs root, and busybox-static for a root file system\n');
  process.exit(1);
}
seeUnifiedCgroups(self, env);

const folder = mkdtempSync(join(tmpdir(), 'boxctl-bench-'));
chmodSync(folder, 0o711);
try {
  bench(Number(process.argv[2] ?? 30));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function bench(rounds) {
  const rootfs = join(folder, 'rootfs');
  for (const name of ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp']) mkdirSync(join(rootfs, name), { recursive: true });
  copyFileSync(BUSYBOX, join(rootfs, 'bin/busybox'));
  symlinkSync('busybox', join(rootfs, 'bin/true'));
  execFileSync('tar', ['-C', rootfs, '--owner=0', '--group=0', '-cf', join(folder, 'rootfs.tar'), '.']);
  const file = join(folder, 'container.yaml');
  // Debian 12's runc knows no time namespace.
  writeFileSync(file, 'image: ./rootfs.tar\ncommand: [/bin/true]\nnamespaces: {time: host}\n');
  const all = { ...env, BOXCTL_STORE: join(folder, 'store') };
  const words = ['up', '--quiet', '--allow', 'all', file];
  const bundle = join(folder, 'bundle');
  execFileSync(process.execPath, [join(dist, 'boxctl.cjs'), 'bundle', '--allow', 'all', file, bundle], { env: all });
  const config = JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8'));
  delete config.linux.resources;
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
  let run = 0;
  const oci = (name) => () => {
    const id = `bench-${process.pid}-${++run}`;
    return [name, '--root', join(folder, name), 'run', '--bundle', bundle, id];
  };
  const front = join(dist, 'boxctl');
  // The first makes the image, the second keeps the plan.
  for (let start = 0; start < 3; start++) once('boxctl', [front, ...words], all);
  const bwrap = ['--unshare-all', '--ro-bind', rootfs, '/', '--proc', '/proc', '--dev', '/dev', '/bin/true'];
  const subjects = [
    ['boxctl up, kept plan', () => [front, ...words]],
    ['boxctl up, by Node', () => [process.execPath, join(dist, 'boxctl.cjs'), ...words]],
    ['bwrap', () => ['bwrap', ...bwrap]],
    ['crun run', oci('crun')],
    ['runc run', oci('runc')],
    ['the command alone', () => [join(rootfs, 'bin/busybox'), 'true']],
  ];
  const times = measure(rounds, subjects, all);
  const median = (name) => times.get(name)?.toSorted((a, b) => a - b)[Math.floor((rounds - 1) / 2)];
  const own = median('boxctl up, kept plan');
  process.stdout.write(`${rounds} rounds, interleaved${' '.repeat(8)}ms   boxctl is\n`);
  for (const name of times.keys()) {
    const ratio = name.startsWith('boxctl up, kept') ? '' : `${(own / median(name)).toFixed(2)} ×`;
    process.stdout.write(`  ${name.padEnd(24)}${median(name).toFixed(2).padStart(8)}${ratio.padStart(12)}\n`);
  }
}
