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
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchLauncher } from './launcher.mjs';
import { measure, report, seeUnifiedCgroups } from './measure.mjs';
import {
  BOXCTL,
  bwrap,
  bwrapAlike,
  env,
  makeBundle,
  makeRootfs,
  needRootAndBusybox,
  ociRun,
  RUN,
  withFolder,
  writeSpec,
} from './setup.mjs';

needRootAndBusybox();
seeUnifiedCgroups(fileURLToPath(import.meta.url), env);
await withFolder((folder) => bench(folder, Number(process.argv[2] ?? 30)));

async function bench(folder, rounds) {
  const rootfs = makeRootfs(folder);
  const file = writeSpec(folder);
  const all = { ...env, BOXCTL_STORE: join(folder, 'store') };
  const bundle = makeBundle(folder, file, all);
  const subjects = [
    ['node -e 0', () => [process.execPath, '-e', '0']],
    ['boxctl up --quiet', () => [process.execPath, BOXCTL, 'up', '--quiet', '--allow', 'all', file]],
    ['bwrap', () => bwrap(rootfs)],
    ['crun run', ociRun('crun', folder, bundle)],
    ['runc run', ociRun('runc', folder, bundle)],
  ];

  const times = measure(rounds, subjects, all);
  report(rounds, times, 'boxctl up --quiet');
  await benchLauncher({ rounds, folder, file, env: all, others: programs(subjects, times, folder, rootfs) });
}

/** The other runtimes that work here, for the driver of launcher.mjs: it starts programs by path, and gives each run a name. */
function programs(subjects, times, folder, rootfs) {
  const path = (program) => execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();
  const found = subjects
    .filter(([name]) => /^(?:bwrap|crun|runc)/u.test(name) && times.has(name))
    .map(([, command]) => {
      const [program, ...args] = command();
      return ['run', program, path(program), ...args.map((arg) => (arg.startsWith(RUN) ? '%' : arg))];
    });
  if (!times.has('bwrap')) return found;
  const [program, ...args] = bwrapAlike(rootfs);
  return [...found, ['fed', 'bwrap+', join(folder, 'filter'), path(program), ...args]];
}
