/**
 * A whole `boxctl up --quiet` of /bin/true beside other runtimes on the same root file system, and beside `node -e 0`,
 * below which boxctl cannot go. Interleaved in one run, so that what else the machine does falls on all alike. Then the
 * launcher alone (launcher.mjs).
 *
 *   npm run bench [-- ROUNDS]
 *
 * Needs root and the Debian packages busybox-static, bubblewrap, crun and runc; what is missing is left out. crun and runc
 * run the bundle of the same container, with its filter and its masked paths. Nothing is asserted: times are for reading.
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
import { benchLauncher } from './launcher.mjs';
import { measure, report, seeUnifiedCgroups } from './measure.mjs';

const self = fileURLToPath(import.meta.url);
const BOXCTL = join(dirname(dirname(dirname(self))), 'dist/boxctl.cjs');
const BUSYBOX = '/bin/busybox';

// A certificate that Node reads at its start costs more than a container.
const env = { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', HOME: process.env.HOME ?? '/root' };

if (process.geteuid() !== 0 || !existsSync(BUSYBOX)) {
  process.stderr.write('the bench needs root, and busybox-static for a root file system\n');
  process.exit(1);
}

seeUnifiedCgroups(self, env);

const folder = mkdtempSync(join(tmpdir(), 'boxctl-bench-'));
// The root of a user namespace, nobody out here, has to come to the files.
chmodSync(folder, 0o711);
try {
  await bench(Number(process.argv[2] ?? 30));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function bench(rounds) {
  const rootfs = join(folder, 'rootfs');
  for (const name of ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp']) mkdirSync(join(rootfs, name), { recursive: true });
  copyFileSync(BUSYBOX, join(rootfs, 'bin/busybox'));
  symlinkSync('busybox', join(rootfs, 'bin/true'));
  execFileSync('tar', ['-C', rootfs, '--owner=0', '--group=0', '-cf', join(folder, 'rootfs.tar'), '.']);
  const file = join(folder, 'container.yaml');
  // Debian 12's runc knows no time namespace.
  writeFileSync(file, 'image: ./rootfs.tar\ncommand: [/bin/true]\nnamespaces: {time: host}\n');
  const allow = ['--allow', 'all'];
  const all = { ...env, BOXCTL_STORE: join(folder, 'store') };

  const bundle = join(folder, 'bundle');
  execFileSync(process.execPath, [BOXCTL, 'bundle', ...allow, file, bundle], { env: all, stdio: 'inherit' });
  const config = JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8'));
  delete config.linux.resources;
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));

  let run = 0;
  const oci = (name) => () => [
    name,
    '--root',
    join(folder, name),
    'run',
    '--bundle',
    bundle,
    `bench-${process.pid}-${++run}`,
  ];
  const subjects = [
    ['node -e 0', () => [process.execPath, '-e', '0']],
    ['boxctl up --quiet', () => [process.execPath, BOXCTL, 'up', '--quiet', ...allow, file]],
    [
      'bwrap',
      () => ['bwrap', '--unshare-all', '--ro-bind', rootfs, '/', '--proc', '/proc', '--dev', '/dev', '/bin/true'],
    ],
    ['crun run', oci('crun')],
    ['runc run', oci('runc')],
  ];

  const times = measure(rounds, subjects, all);
  report(rounds, times, 'boxctl up --quiet');
  await benchLauncher({ rounds, folder, file, env: all, others: programs(subjects, times) });
}

/** The other runtimes that work here, for the driver of launcher.mjs: it starts programs by path, and gives each run a name. */
function programs(subjects, times) {
  return subjects
    .filter(([name]) => /^(?:bwrap|crun|runc)/u.test(name) && times.has(name))
    .map(([, command]) => {
      const [program, ...args] = command();
      const path = execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();
      return ['run', program, path, ...args.map((arg) => (arg.startsWith(`bench-${process.pid}-`) ? '%' : arg))];
    });
}
