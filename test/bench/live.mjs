/**
 * A whole `boxctl exec` of /bin/true in a container in the background, beside `crun exec` and `podman exec` in containers of
 * their own and `nsenter` into boxctl's; then a whole `boxctl ps` over many containers. Interleaved, as up.mjs.
 *
 *   npm run bench:live [-- ROUNDS [CONTAINERS]]
 *
 * Needs root and busybox-static; the other programs are left out where they are missing or do not work. Nothing is asserted.
 */
import { execFileSync, spawnSync } from 'node:child_process';
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
import { fileURLToPath, pathToFileURL } from 'node:url';
import { measure, report, seeUnifiedCgroups } from './measure.mjs';

const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const BOXCTL = join(PROJECT, 'dist/boxctl.cjs');
const BUSYBOX = '/bin/busybox';
const [rounds = 30, many = 200] = process.argv.slice(2).map(Number);

if (process.geteuid() !== 0 || !existsSync(BUSYBOX)) {
  process.stderr.write('the bench needs root, and busybox-static for a root file system\n');
  process.exit(1);
}

seeUnifiedCgroups(fileURLToPath(import.meta.url), process.env);

const folder = mkdtempSync(join(tmpdir(), 'boxctl-bench-'));
chmodSync(folder, 0o711);
const env = {
  PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: process.env.HOME ?? '/root',
  BOXCTL_STORE: join(folder, 'store'),
};
const boxctl = (...words) => execFileSync(process.execPath, [BOXCTL, ...words], { cwd: folder, env, encoding: 'utf8' });
const quietly = (program, ...words) => spawnSync(program, words, { env, stdio: 'ignore' });
const own = `bench-${process.pid}`;
const specOf = (name) =>
  `name: ${name}\nimage: ./rootfs.tar\ncommand: [/bin/sleep, '100000']\nnamespaces: {time: host}\n`;
const cleanups = [];

try {
  await bench();
} finally {
  for (const clean of cleanups.toReversed()) clean();
  rmSync(folder, { recursive: true, force: true });
}

function makeRootfs() {
  const rootfs = join(folder, 'rootfs');
  for (const name of ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp']) mkdirSync(join(rootfs, name), { recursive: true });
  copyFileSync(BUSYBOX, join(rootfs, 'bin/busybox'));
  for (const name of ['true', 'sleep']) symlinkSync('busybox', join(rootfs, 'bin', name));
  execFileSync('tar', ['-C', rootfs, '--owner=0', '--group=0', '-cf', join(folder, 'rootfs.tar'), '.']);
  return rootfs;
}

async function bench() {
  const rootfs = makeRootfs();
  writeFileSync(join(folder, 'container.yaml'), specOf(own));
  boxctl('up', '-d', '--allow', 'all');
  cleanups.push(() => boxctl('rm', '-f', own));
  const [{ pid }] = JSON.parse(boxctl('ps', '--json'));

  // crun's own container, of the same file.
  const bundle = join(folder, 'bundle');
  boxctl('bundle', '--allow', 'all', 'container.yaml', bundle);
  const config = JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8'));
  delete config.linux.resources;
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
  const crun = ['--root', join(folder, 'crun')];
  quietly('crun', ...crun, 'run', '-d', '--bundle', bundle, own);
  cleanups.push(() => quietly('crun', ...crun, 'delete', '-f', own));

  const podman = ['--root', join(folder, 'podman'), '--runroot', join(folder, 'podman-run'), '--storage-driver', 'vfs'];
  quietly(
    'podman',
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
  cleanups.push(() => quietly('podman', ...podman, 'rm', '-f', '-t', '0', own));

  const exec = measure(
    rounds,
    [
      ['node -e 0', () => [process.execPath, '-e', '0']],
      ['boxctl exec', () => [process.execPath, BOXCTL, 'exec', own, '/bin/true']],
      ['crun exec', () => ['crun', ...crun, 'exec', own, '/bin/true']],
      ['podman exec', () => ['podman', ...podman, 'exec', own, '/bin/true']],
      ['nsenter', () => ['nsenter', '-t', String(pid), '-a', '/bin/true']],
    ],
    env,
  );
  report(rounds, exec, 'boxctl exec');

  const { loadSpecText, startInBackground } = await import(pathToFileURL(join(PROJECT, 'dist/index.js')).href);
  Object.assign(process.env, env);
  const names = [];
  cleanups.push(() => names.length > 0 && boxctl('rm', '-f', ...names));
  for (let at = 1; at < many; at++) {
    const name = `${own}-${at}`;
    await startInBackground(loadSpecText(specOf(name), join(folder, 'container.yaml'), { env, home: env.HOME }), {
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
      ['podman ps', () => ['podman', ...podman, 'ps']],
    ],
    env,
  );
  report(rounds, ps, 'boxctl ps');
}
