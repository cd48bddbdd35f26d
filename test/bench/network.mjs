/**
 * What a network adds to a start: boxctl's `none`, `bridge`, and `bridge` with a published port, beside the same by hand
 * (unshare, ip, nft) and Podman's networks. Interleaved in one run, in a network namespace of its own, which has no way out.
 *
 *   npm run bench:network [-- ROUNDS]
 *
 * Needs root and the Debian packages busybox-static, iproute2 and nftables; Podman, if it is there and can run here. Nothing is
 * asserted: times are for reading.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const self = fileURLToPath(import.meta.url);
const LIBRARY = join(dirname(dirname(dirname(self))), 'dist/index.js');
const OWN_NAMESPACE = 'BOXCTL_BENCH_NETWORK';
const BUSYBOX = '/bin/busybox';
// A certificate that Node reads at its start costs more than a container.
const env = { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', HOME: process.env.HOME ?? '/root' };

if (process.geteuid() !== 0 || !existsSync(BUSYBOX)) {
  process.stderr.write('the bench needs root, and busybox-static for a root file system\n');
  process.exit(1);
}

if (process.env[OWN_NAMESPACE] === undefined) {
  // Debian's crun wants to see version 2 of cgroups alone, and Podman brings limits that not every root may set.
  const script = `mount --make-rprivate / && mount -t sysfs sysfs /sys && mount -t cgroup2 none /sys/fs/cgroup && ip link set lo up &&
    ip link add up0 type veth peer name other && ip addr add 192.0.2.2/24 dev up0 && ip link set up0 up && ip link set other up &&
    ip route add default via 192.0.2.1 && exec "$@"`;
  const command = ['--net', '--mount', 'sh', '-c', script, 'sh', process.execPath, self, ...process.argv.slice(2)];
  const { status } = spawnSync('unshare', command, { stdio: 'inherit', env: { ...env, [OWN_NAMESPACE]: '1' } });
  process.exit(status ?? 1);
}

const rounds = Number(process.argv[2] ?? 30);
const folder = mkdtempSync(join(tmpdir(), 'boxctl-bench-'));
const rootfs = join(folder, 'rootfs');
for (const name of ['bin', 'dev', 'proc', 'sys', 'etc', 'tmp']) mkdirSync(join(rootfs, name), { recursive: true });
copyFileSync(BUSYBOX, join(rootfs, 'bin/busybox'));
symlinkSync('busybox', join(rootfs, 'bin/true'));

const BY_HAND = `
ip netns add hand
ip link add hand0 type veth peer name eth0 netns hand
ip addr add 10.99.0.1/24 dev hand0 && ip link set hand0 up
ip -n hand addr add 10.99.0.2/24 dev eth0 && ip -n hand link set lo up && ip -n hand link set eth0 up
ip -n hand route add default via 10.99.0.1
nft 'add table inet hand; add chain inet hand post { type nat hook postrouting priority 100; }; add rule inet hand post ip saddr 10.99.0.0/24 oifname != "hand0" masquerade'
ip netns exec hand chroot ${rootfs} /bin/true
nft delete table inet hand
ip netns del hand`;
const ALONE = `ip netns add hand; ip netns exec hand chroot ${rootfs} /bin/true; ip netns del hand`;

const { loadSpec, runContainer } = await import(LIBRARY);
execFileSync('tar', ['-C', rootfs, '-cf', join(folder, 'image.tar'), '.']);
function document(name, keys) {
  mkdirSync(join(folder, name));
  const file = join(folder, name, 'container.yaml');
  copyFileSync(join(folder, 'image.tar'), join(folder, name, 'image.tar'));
  writeFileSync(file, `name: bench\nimage: ./image.tar\ncommand: [/bin/true]\n${keys}`);
  return loadSpec(file, { env, home: '/root' });
}

const shell = (script) => () => void execFileSync('sh', ['-c', script], { stdio: ['ignore', 'ignore', 'pipe'], env });
const boxctl = (name, keys) => {
  const loaded = document(name, keys);
  const options = { env: { ...env, BOXCTL_STORE: join(folder, 'store') }, judge: () => undefined };
  return () => runContainer(loaded, options);
};
const podman = (...network) =>
  shell(`podman run --rm --cgroups=disabled --ulimit host ${network.join(' ')} --rootfs ${rootfs} /bin/true`);

const candidates = {
  'boxctl (library), network_mode: none': boxctl('none', ''),
  'boxctl (library), network_mode: bridge': boxctl('bridge', 'network_mode: bridge\n'),
  'boxctl (library), bridge and a published port': boxctl('port', 'network_mode: bridge\nports: ["8080:80"]\n'),
  'by hand, a network namespace alone': shell(ALONE),
  'by hand, ip and nft': shell(BY_HAND),
  'podman, --network none': podman('--network', 'none'),
  'podman, --network bridge': podman('--network', 'bridge'),
  'podman, --network pasta': podman('--network', 'pasta'),
};

const times = {};
for (const [name, start] of Object.entries(candidates)) {
  try {
    await start();
    times[name] = [];
  } catch (error) {
    const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : '';
    process.stdout.write(`${name}: cannot run here (${why})\n`);
    spawnSync('sh', ['-c', 'ip netns del hand; nft delete table inet hand'], { stdio: 'ignore', env });
  }
}
for (let round = 0; round < rounds; round++) {
  for (const [name, list] of Object.entries(times)) {
    const from = performance.now();
    await candidates[name]();
    list.push(performance.now() - from);
  }
}
const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
for (const [name, list] of Object.entries(times)) {
  process.stdout.write(`${name.padEnd(48)} ${median(list).toFixed(1).padStart(8)} ms\n`);
}
rmSync(folder, { recursive: true, force: true });
process.exit(0);
