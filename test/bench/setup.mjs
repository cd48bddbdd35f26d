/** What benches start from: a root file system of busybox, a container's file and its bundle, and how other runtimes start it. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** boxctl by Node; `FRONT` is the program that starts a kept plan without it. */
export const BOXCTL = join(PROJECT, 'dist/boxctl.cjs');
export const FRONT = join(PROJECT, 'dist/boxctl');
const BUSYBOX = '/bin/busybox';

/** The whole environment of what is measured. A certificate that Node reads at its start costs more than a container. */
export const env = { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', HOME: process.env.HOME ?? '/root' };

/** Ends the bench where it is not run by root. */
export function needRoot() {
  if (process.geteuid() === 0) return;
  process.stderr.write('the bench needs root\n');
  process.exit(1);
}

/** Ends the bench where it is not run by root, or where there is no busybox. */
export function needRootAndBusybox() {
  needRoot();
  if (existsSync(BUSYBOX)) return;
  process.stderr.write('the bench needs busybox-static for a root file system\n');
  process.exit(1);
}

/** Gives a folder to `work`, and removes it afterwards. */
export async function withFolder(work) {
  const folder = mkdtempSync(join(tmpdir(), 'boxctl-bench-'));
  openFolder(folder);
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The root of a container's user namespace is an id that nobody has, and must reach the files. */
export const openFolder = (folder) => chmodSync(folder, 0o711);

/** `rootfs` in the folder: busybox, by these names. */
export function makeTree(folder, programs) {
  const rootfs = join(folder, 'rootfs');
  for (const name of ['bin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp'])
    mkdirSync(join(rootfs, name), { recursive: true });
  copyFileSync(BUSYBOX, join(rootfs, 'bin/busybox'));
  for (const name of programs) symlinkSync('busybox', join(rootfs, 'bin', name));
  return rootfs;
}

/** `rootfs.tar` in the folder, of its `rootfs`. */
export function packTree(folder) {
  execFileSync('tar', ['-C', join(folder, 'rootfs'), '--owner=0', '--group=0', '-cf', join(folder, 'rootfs.tar'), '.']);
}

/** Both; gives the tree's path. */
export function makeRootfs(folder, programs = ['true']) {
  const rootfs = makeTree(folder, programs);
  packTree(folder);
  return rootfs;
}

/** A container's file as text, with the folder's `rootfs.tar`. Debian 12's crun and runc know no time namespace. */
export const specText = (keys = {}) =>
  JSON.stringify({ image: './rootfs.tar', command: ['/bin/true'], namespaces: { time: 'host' }, ...keys });

/** Writes `container.yaml` into the folder, and gives its path. */
export function writeSpec(folder, keys) {
  const file = join(folder, 'container.yaml');
  writeFileSync(file, specText(keys));
  return file;
}

/** `bundle` in the folder: the file as an OCI bundle, with its filter and its masked paths, without limits. */
export function makeBundle(folder, file, environment) {
  const bundle = join(folder, 'bundle');
  const words = [BOXCTL, 'bundle', '--allow', 'all', file, bundle];
  execFileSync(process.execPath, words, { env: environment, stdio: 'inherit' });
  const path = join(bundle, 'config.json');
  const config = JSON.parse(readFileSync(path, 'utf8'));
  delete config.linux.resources;
  writeFileSync(path, JSON.stringify(config));
  return bundle;
}

let runs = 0;

/** The names that runs of crun and runc get. */
export const RUN = `bench-${process.pid}-`;

/** Gives, at each call, the command of one more run of a bundle by crun or runc. */
export const ociRun = (name, folder, bundle) => () => [
  name,
  '--root',
  join(folder, name),
  'run',
  '--bundle',
  bundle,
  `${RUN}${++runs}`,
];

/**
 * /bin/true of the tree by bubblewrap, as it is usually asked: the root is a read-only bind of the folder, and nothing is hidden of
 * /proc. There is no layer to write to, no /sys, no filter, no cgroup namespace.
 */
export const bwrap = (rootfs, more = []) => [
  'bwrap',
  '--unshare-all',
  '--ro-bind',
  rootfs,
  '/',
  '--proc',
  '/proc',
  '--dev',
  '/dev',
  ...more,
  '/bin/true',
];

const HIDDEN = ['acpi', 'kcore', 'keys', 'latency_stats', 'timer_list', 'timer_stats', 'sched_debug', 'scsi'];
const FIXED = ['bus', 'fs', 'irq', 'sys', 'sysrq-trigger'];

/**
 * The same with what bubblewrap can have of boxctl's default container: the filter (descriptor 3), the hidden and the read-only paths
 * of /proc (bubblewrap binds those of the host: as many mounts, though not the same), /dev/mqueue. Debian 12's bubblewrap makes no overlay.
 */
export function bwrapAlike(rootfs) {
  const there = (names) => names.map((name) => `/proc/${name}`).filter((path) => existsSync(path));
  const hide = (path) => (statSync(path).isDirectory() ? ['--tmpfs', path] : ['--ro-bind', '/dev/null', path]);
  const fix = (path) => ['--ro-bind', path, path];
  const more = ['--mqueue', '/dev/mqueue', ...there(FIXED).flatMap(fix), ...there(HIDDEN).flatMap(hide)];
  return bwrap(rootfs, [...more, '--cap-drop', 'ALL', '--seccomp', '3']);
}

/** Where podman keeps everything in the folder. */
export const podmanIn = (folder) => [
  'podman',
  '--root',
  join(folder, 'podman'),
  '--runroot',
  join(folder, 'podman-run'),
];
