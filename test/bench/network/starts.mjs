/** What a network adds to a start, beside Podman's and one made by hand. Interleaved in one run; medians. */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BOXCTL, FRONT, document, env, pause, quantile, runContainer, say, shell } from './place.mjs';

/** Of the kernel's: it takes down the last container's network in the background, which would delay the next start. */
const PAUSE_MS = 60;
/** Of the kernel's: an interface that was just made gets addresses and routes of IPv6, and a kept plan depends on those of the host. */
const SETTLES_MS = 2500;

/** Milliseconds of processor time that this process and all that it starts have used. What the kernel's own threads do is not in it. */
function meter() {
  const cgroup = '/sys/fs/cgroup/boxctl-bench';
  const enter = (folder) => writeFileSync(join(folder, 'cgroup.procs'), String(process.pid));
  mkdirSync(cgroup, { recursive: true });
  enter(cgroup);
  process.on('exit', () => {
    enter(dirname(cgroup));
    rmdirSync(cgroup);
  });
  return () => Number(/^usage_usec (\d+)/mu.exec(readFileSync(join(cgroup, 'cpu.stat'), 'utf8'))?.[1]) / 1000;
}

let made = 0;
/** The interface has another name each time: the kernel removes the last one some time after its network namespace. */
const byHand = (rootfs) => `
ip netns add hand
ip link add hand${++made} type veth peer name eth0 netns hand
ip addr add 10.99.0.1/24 dev hand${made} && ip link set hand${made} up
ip -n hand addr add 10.99.0.2/24 dev eth0 && ip -n hand link set lo up && ip -n hand link set eth0 up
ip -n hand route add default via 10.99.0.1
nft 'add table inet hand; add chain inet hand post { type nat hook postrouting priority 100; }; add rule inet hand post ip saddr 10.99.0.0/24 oifname != "hand${made}" masquerade'
ip netns exec hand chroot ${rootfs} /bin/true
nft delete table inet hand
ip netns del hand`;
const ALONE = (rootfs) => `ip netns add hand; ip netns exec hand chroot ${rootfs} /bin/true; ip netns del hand`;

/** What Podman gives netavark for a container on its default network with a published port. */
const NETAVARK = {
  container_id: 'bench',
  container_name: 'bench',
  port_mappings: [{ container_port: 80, host_ip: '', host_port: 8090, protocol: 'tcp', range: 1 }],
  networks: { podman: { interface_name: 'eth0', static_ips: ['10.88.0.9'] } },
  network_info: {
    podman: {
      name: 'podman',
      id: '2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9',
      driver: 'bridge',
      network_interface: 'podman0',
      subnets: [{ subnet: '10.88.0.0/16', gateway: '10.88.0.1' }],
      ipv6_enabled: false,
      internal: false,
      dns_enabled: false,
      ipam_options: { driver: 'host-local' },
    },
  },
};

export function podman({ folder, rootfs }, network, words, command) {
  const place = join(folder, 'podman');
  // No more than the machine may give: neither cgroups nor larger limits.
  const globals = `--root ${place}/root --runroot ${place}/run --storage-driver vfs --cgroup-manager cgroupfs --events-backend none --runtime crun`;
  const limits =
    '--cgroups=disabled --security-opt seccomp=unconfined --ulimit nofile=1000:1000 --ulimit nproc=1000:1000';
  return `podman ${globals} run --rm ${limits} --network ${network} ${words} --rootfs ${rootfs} ${command}`;
}

export async function starts(files, rounds) {
  const { rootfs, folder, store } = files;
  const run = (script) => () => void shell(script);
  const own = { ...env, BOXCTL_STORE: store };
  const keys = {
    none: { command: ['/bin/true'] },
    bridge: { command: ['/bin/true'], network_mode: 'bridge' },
    port: { command: ['/bin/true'], network_mode: 'bridge', ports: ['8080:80'] },
  };
  const documents = Object.fromEntries(Object.entries(keys).map(([name, one]) => [name, document(files, name, one)]));
  const library = (name) => () => runContainer(documents[name].loaded, { env: own, judge: () => undefined });
  const command = (name) =>
    run(`BOXCTL_STORE=${store} ${process.execPath} ${BOXCTL} up --quiet --allow all ${documents[name].file}`);
  // Where the host's network has changed, as by the first start of Podman, the plan is made and kept once more.
  const kept = (name) => () => {
    const start = (path) =>
      void shell(`BOXCTL_STORE=${store} ${path} ${FRONT} up --quiet --allow all ${documents[name].file}`);
    try {
      start('PATH=/nowhere');
    } catch (error) {
      start('');
      start('');
      throw error;
    }
  };
  writeFileSync(join(folder, 'netavark.json'), JSON.stringify(NETAVARK));
  const netavark = `ip netns add bench; /usr/lib/podman/netavark setup /run/netns/bench < ${folder}/netavark.json; /usr/lib/podman/netavark teardown /run/netns/bench < ${folder}/netavark.json; ip netns del bench`;

  // Each with what it is compared to: the same without a network.
  const candidates = {
    'boxctl (library), none': [library('none')],
    'boxctl (library), bridge': [library('bridge'), 'boxctl (library), none'],
    'boxctl (library), bridge and a published port': [library('port'), 'boxctl (library), none'],
    'boxctl up, none': [command('none')],
    'boxctl up, bridge': [command('bridge'), 'boxctl up, none'],
    'boxctl up, bridge and a published port': [command('port'), 'boxctl up, none'],
    'boxctl up from a kept plan, none': [kept('none')],
    'boxctl up from a kept plan, bridge': [kept('bridge'), 'boxctl up from a kept plan, none'],
    'boxctl up from a kept plan, bridge and a published port': [kept('port'), 'boxctl up from a kept plan, none'],
    'by hand (ip, chroot), a network namespace alone': [run(ALONE(rootfs))],
    'by hand, ip and nft': [() => void shell(byHand(rootfs)), 'by hand (ip, chroot), a network namespace alone'],
    'podman run, none': [run(podman(files, 'none', '', '/bin/true'))],
    'podman run, bridge': [run(podman(files, 'bridge', '', '/bin/true')), 'podman run, none'],
    'podman run, bridge and a published port': [
      run(podman(files, 'bridge', '-p 8090:80', '/bin/true')),
      'podman run, none',
    ],
    'podman run, pasta': [run(podman(files, 'pasta', '', '/bin/true')), 'podman run, none'],
    'netavark setup and teardown alone, a namespace of ip': [run(netavark)],
  };
  const times = {};
  const processor = {};
  const used = meter();
  await pause(SETTLES_MS);
  for (const [name, [start]] of Object.entries(candidates)) {
    try {
      // The first start from a kept plan keeps it.
      await (async () => start())().catch(() => undefined);
      await pause(PAUSE_MS);
      await start();
      times[name] = [];
      processor[name] = [];
    } catch (error) {
      const why = String(error.stderr ?? error.message)
        .trim()
        .split('\n')
        .at(-1);
      process.stdout.write(`left out: ${name}: ${why}\n`);
      shell('ip netns del hand || true; nft delete table inet hand || true; ip netns del bench || true');
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (const [name, list] of Object.entries(times)) {
      await pause(PAUSE_MS);
      const before = used();
      const from = performance.now();
      try {
        await candidates[name][0]();
        list.push(performance.now() - from);
        // What a launcher does after the end counts, too.
        await pause(PAUSE_MS);
        processor[name].push(used() - before);
      } catch (error) {
        // Podman fails now and then on a busy machine.
        process.stdout.write(
          `failed once: ${name}: ${String(error.stderr ?? error.message)
            .trim()
            .split('\n')
            .at(-1)}\n`,
        );
      }
    }
  }
  say(`Starts, ${rounds} rounds, ms`, 'median', 'best tenth', 'adds', 'best tenth', 'processor', 'adds');
  for (const [name, list] of Object.entries(times)) {
    const base = times[candidates[name][1]];
    const cells = [0.5, 0.1].map((part) => quantile(list, part));
    const added = base === undefined ? [] : [0.5, 0.1].map((part, i) => cells[i] - quantile(base, part));
    const cost = quantile(processor[name], 0.5);
    const costAdded = base === undefined ? [] : [cost - quantile(processor[candidates[name][1]], 0.5)];
    const shown = (numbers) => numbers.map((ms) => ms.toFixed(1));
    say(
      `  ${name}`,
      ...shown(cells),
      ...(base === undefined ? ['', ''] : shown(added)),
      ...shown([cost, ...costAdded]),
    );
  }
}
