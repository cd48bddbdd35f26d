/**
 * `boxctl up --quiet` of a file that has run before, which needs no Node, beside bwrap, crun and runc on the same root file system,
 * and where the time of it goes. Interleaved in one run.
 *
 *   npm run bench:front [-- ROUNDS]
 *
 * Needs root and the Debian packages busybox-static, bubblewrap, crun and runc; what is missing is left out.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measure, median, once, seeUnifiedCgroups } from './measure.mjs';
import {
  BOXCTL,
  bwrap,
  env,
  FRONT,
  makeBundle,
  makeRootfs,
  needRootAndBusybox,
  ociRun,
  withFolder,
  writeSpec,
} from './setup.mjs';

needRootAndBusybox();
seeUnifiedCgroups(fileURLToPath(import.meta.url), env);
await withFolder((folder) => bench(folder, Number(process.argv[2] ?? 30)));

function bench(folder, rounds) {
  const rootfs = makeRootfs(folder);
  const file = writeSpec(folder);
  const all = { ...env, BOXCTL_STORE: join(folder, 'store') };
  const words = ['up', '--quiet', '--allow', 'all', file];
  const bundle = makeBundle(folder, file, all);
  // The first makes the image, the second keeps the plan.
  for (let start = 0; start < 3; start++) once('boxctl', [FRONT, ...words], all);
  const own = 'boxctl up, kept plan';
  const subjects = [
    [own, () => [FRONT, ...words]],
    ['boxctl up, by Node', () => [process.execPath, BOXCTL, ...words]],
    ['boxctl --version, by Node', () => [process.execPath, BOXCTL, '--version']],
    ['node -e 0', () => [process.execPath, '-e', '0']],
    ['bwrap', () => bwrap(rootfs)],
    ['crun run', ociRun('crun', folder, bundle)],
    ['runc run', ociRun('runc', folder, bundle)],
    ['the command alone', () => [join(rootfs, 'bin/busybox'), 'true']],
  ];
  const times = measure(rounds, subjects, all);
  process.stdout.write(`${rounds} rounds, interleaved${' '.repeat(8)}ms   boxctl is\n`);
  for (const [name, list] of times) {
    const ratio = name === own ? '' : `${(median(times.get(own)) / median(list)).toFixed(2)} ×`;
    process.stdout.write(`  ${name.padEnd(28)}${median(list).toFixed(2).padStart(8)}${ratio.padStart(12)}\n`);
  }
  whereItGoes((name) => median(times.get(name)), own);
}

/** Each part is a whole command or the difference of several, so the parts add up to what was measured. */
function whereItGoes(of, own) {
  const command = of('the command alone');
  const parts = [
    ['the command by itself', command],
    ['front, launcher and kernel', of(own) - command],
    ['Node’s own start and end', of('node -e 0')],
    ['boxctl’s code is loaded', of('boxctl --version, by Node') - of('node -e 0')],
    ['file, plan and Node’s waiting', of('boxctl up, by Node') - of('boxctl --version, by Node') - of(own)],
  ];
  process.stdout.write(`where the time goes${' '.repeat(13)}ms   kept plan   by Node\n`);
  for (const [index, [name, ms]] of parts.entries()) {
    const kept = index < 2 ? ' yes' : '';
    process.stdout.write(`  ${name.padEnd(28)}${ms.toFixed(2).padStart(8)}${kept.padStart(9)}${' yes'.padStart(10)}\n`);
  }
}
