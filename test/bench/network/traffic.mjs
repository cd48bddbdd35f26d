/** What packets cost: by a container's pair beside one made by hand, and at published ports beside netavark's rules. */
import { spawnSync } from 'node:child_process';
import {
  background,
  document,
  HOST,
  measure,
  pause,
  PORT,
  quantile,
  say,
  shell,
  startContainer,
  WORLD,
} from './place.mjs';
import { podman } from './starts.mjs';

const STREAM_MS = 700;
const TRIPS = 3000;
const OPENS = 400;
const WORLDS = ['ip', 'netns', 'exec', 'world'];

/** A network namespace with the same way out as a container: a pair, forwarding and masquerade. */
const BY_HAND = `
ip netns add hand
ip link add hand0 type veth peer name eth0 netns hand
ip addr add 10.99.0.1/24 dev hand0 && ip link set hand0 up
ip -n hand addr add 10.99.0.2/24 dev eth0 && ip -n hand link set lo up && ip -n hand link set eth0 up
ip -n hand route add default via 10.99.0.1
echo 1 > /proc/sys/net/ipv4/ip_forward
nft 'add table inet hand; add chain inet hand post { type nat hook postrouting priority 100; }; add rule inet hand post ip saddr 10.99.0.0/24 oifname != "hand0" masquerade'`;

/** Everything that is measured, round by round, so that all have the same machine. */
export async function traffic(files, rounds) {
  const { roundtrip } = files;
  const serve = ['/bin/roundtrip', 'serve', String(PORT)];
  const ended = [background([...WORLDS, roundtrip, 'serve', String(PORT)])];
  shell(BY_HAND);
  ended.push(background(['ip', 'netns', 'exec', 'hand', roundtrip, 'serve', String(PORT)]));
  const keys = { network_mode: 'bridge', ports: ['8080:7'], command: serve, egress: [`${WORLD}:7`] };
  const own = await startContainer(files, document(files, 'traffic', keys));
  const open = await startContainer(files, document(files, 'traffic-open', { ...keys, ports: [], egress: undefined }));
  const inside = (container) => ['nsenter', `--net=/proc/${container.pid}/ns/net`];

  const streams = {};
  const add = (group, name, enter, address, port, kinds = ['sends', 'takes', 'trips', 'opens']) => {
    for (const kind of kinds) (streams[`${group}: ${kind}`] ??= {})[name] = { enter, address, port, kind, values: [] };
  };
  add('to the world', 'by hand', ['ip', 'netns', 'exec', 'hand'], WORLD, PORT);
  add('to the world', 'boxctl', inside(open), WORLD, PORT);
  add('to the world', 'boxctl, egress: one address', inside(own), WORLD, PORT);
  add('a published port, from outside', 'boxctl', WORLDS, HOST, 8080);
  add('a published port, from 127.0.0.1', 'boxctl', [], '127.0.0.1', 8080);
  add('a published port, from the host’s address', 'boxctl', [], HOST, 8080);
  if (spawnSync('podman', ['--version']).status === 0) {
    ended.push(background(['sh', '-c', podman(files, 'bridge', '-p 8090:7', serve.join(' '))]));
    await pause(4000);
    add('a published port, from outside', 'netavark', WORLDS, HOST, 8090);
    add('a published port, from 127.0.0.1', 'netavark', [], '127.0.0.1', 8090);
    add('a published port, from the host’s address', 'netavark', [], HOST, 8090);
  }

  const amounts = { sends: STREAM_MS, takes: STREAM_MS, trips: TRIPS, opens: OPENS };
  for (let round = 0; round < rounds; round++) {
    for (const group of Object.values(streams)) {
      for (const [name, one] of Object.entries(group)) {
        try {
          one.values.push(measure(one.enter, roundtrip, one.kind, one.address, one.port, amounts[one.kind]));
        } catch (error) {
          if (round === 0) process.stdout.write(`left out: ${name}, ${one.kind}: ${String(error.stderr).trim()}\n`);
          delete group[name];
        }
      }
    }
  }
  const units = { sends: 'Gbit/s', takes: 'Gbit/s', trips: 'µs', opens: 'µs' };
  say(`Traffic, ${rounds} rounds: medians, and ratios of each round`, 'median', 'best', 'ratio');
  for (const [title, group] of Object.entries(streams)) {
    const [, kind] = title.split(': ');
    const base = group['by hand'] ?? group['netavark'];
    for (const [name, { values }] of Object.entries(group)) {
      const ratio = base === undefined ? '' : quantile(values.map((value, i) => value / base.values[i])).toFixed(2);
      const best = units[kind] === 'µs' ? quantile(values, 0) : quantile(values, 1);
      say(`  ${title}: ${name}`, `${quantile(values).toFixed(1)} ${units[kind]}`, best.toFixed(1), ratio);
    }
  }
  await own.end();
  await open.end();
  for (const one of ended) one.end();
  shell('ip netns del hand; nft delete table inet hand');
}
