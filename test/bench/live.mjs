/**
 * A whole `boxctl exec` of /bin/true in a container in the background, by a kept plan and by Node, beside `crun exec` and `podman exec` in containers of
 * their own and `nsenter` into boxctl's; then a whole `boxctl ps` over many containers. Interleaved, as up.mjs.
 *
 *   npm run bench:live [-- ROUNDS [CONTAINERS]]
 *
 * Needs root and busybox-static; the other programs are left out where they are missing or do not work. Nothing is asserted.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { measure, report, seeUnifiedCgroups } from './measure.mjs';
import {
  BOXCTL,
  env,
  FRONT,
  makeBundle,
  makeRootfs,
  needRootAndBusybox,
  podmanIn,
  PROJECT,
  specText,
  withFolder,
  writeSpec,
} from './setup.mjs';

const [rounds = 30, many = 200] = process.argv.slice(2).map(Number);
const own = `bench-${process.pid}`;
const keysOf = (name) => ({ name, command: ['/bin/sleep', '100000'] });

needRootAndBusybox();
seeUnifiedCgroups(fileURLToPath(import.meta.url), env);
await withFolder(async (folder) => {
  const cleanups = [];
  try {
    await bench(folder, cleanups);
  } finally {
    for (const clean of cleanups.toReversed()) clean();
  }
});

async function bench(folder, cleanups) {
  const all = { ...env, BOXCTL_STORE: join(folder, 'store') };
  const boxctl = (...words) =>
    execFileSync(process.execPath, [BOXCTL, ...words], { cwd: folder, env: all, encoding: 'utf8' });
  const quietly = (program, ...words) => spawnSync(program, words, { env: all, stdio: 'ignore' });

  const rootfs = makeRootfs(folder, ['true', 'sleep']);
  const file = writeSpec(folder, keysOf(own));
  boxctl('up', '-d', '--allow', 'all');
  cleanups.push(() => boxctl('rm', '-f', own));
  const [{ pid }] = JSON.parse(boxctl('ps', '--json'));

  // crun's own container, of the same file.
  const bundle = makeBundle(folder, file, all);
  const crun = ['--root', join(folder, 'crun')];
  quietly('crun', ...crun, 'run', '-d', '--bundle', bundle, own);
  cleanups.push(() => quietly('crun', ...crun, 'delete', '-f', own));

  const podman = [...podmanIn(folder), '--storage-driver', 'vfs'];
  quietly(
    ...podman,
    'run',
    '-d',
    '--name',
    own,
    '--network',
    'none',
    // Root may not raise its limits everywhere.
    '--cgroups=disabled',
    '--ulimit=nofile=1024:1024',
    '--ulimit=nproc=1024:1024',
    '--rootfs',
    rootfs,
    '/bin/sleep',
    '100000',
  );
  cleanups.push(() => quietly(...podman, 'rm', '-f', '-t', '0', own));

  const kept = 'boxctl exec, kept plan';
  for (let at = 0; at < 3; at++) quietly(FRONT, 'exec', own, '/bin/true');
  const exec = measure(
    rounds,
    [
      ['node -e 0', () => [process.execPath, '-e', '0']],
      [kept, () => [FRONT, 'exec', own, '/bin/true']],
      ['boxctl exec, by Node', () => [process.execPath, BOXCTL, 'exec', own, '/bin/true']],
      ['crun exec', () => ['crun', ...crun, 'exec', own, '/bin/true']],
      ['podman exec', () => [...podman, 'exec', own, '/bin/true']],
      ['nsenter', () => ['nsenter', '-t', String(pid), '-a', '/bin/true']],
    ],
    all,
  );
  report(rounds, exec, kept);

  const { loadSpecText, startInBackground } = await import(pathToFileURL(join(PROJECT, 'dist/index.js')).href);
  Object.assign(process.env, all);
  const names = [];
  cleanups.push(() => names.length > 0 && boxctl('rm', '-f', ...names));
  for (let at = 1; at < many; at++) {
    const name = `${own}-${at}`;
    await startInBackground(loadSpecText(specText(keysOf(name)), file, { env: all, home: env.HOME }), {
      takesSignals: false,
      judge: () => undefined,
    });
    names.push(name);
  }
  process.stdout.write(`\nps over ${many} containers that run\n`);
  const ps = measure(
    rounds,
    [
      ['node -e 0', () => [process.execPath, '-e', '0']],
      ['boxctl ps', () => [process.execPath, BOXCTL, 'ps']],
      ['podman ps', () => [...podman, 'ps']],
    ],
    all,
  );
  report(rounds, ps, 'boxctl ps');
}
