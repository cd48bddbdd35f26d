/**
 * Whole plans, kept beside this file, and what each key and each kind of host changes in them. When a plan is meant to
 * change, `npm test -- --project unit plan -u` writes them anew, and the difference is for the reviewer to read.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import type { HostFacts, NetworkPrograms } from '../../../src/host/facts.ts';
import type { Overrides } from '../../../src/model/compile.ts';
import { encodePlan } from '../../../src/launcher/encode.ts';
import { planToJson } from '../../../src/show/plan-json.ts';
import type { Plan } from '../../../src/plan/plan.ts';
import {
  ROOT_HOST,
  ROOT_V2_HOST,
  UNIFIED_HOMES,
  onUnified,
  USER_ALONE_HOST,
  USER_HOST,
} from '../../support/host-facts.ts';
import { differences, linesOf, planOf } from '../../support/plan.ts';

const SCHEMA = join(import.meta.dirname, '../../../specs/plan.schema.json');
const isPlan = new Ajv({ allErrors: true }).compile(JSON.parse(readFileSync(SCHEMA, 'utf8')) as object);

const FILE = `name: box
image: {host_tools: [sh]}
command: [sh, -c, "true"]
`;
const LIMITS = `${FILE}limits: {memory: 64MiB, swap: 0, pids: 50, cpus: 1.5}\n`;

const ALL_LIMITS = `${FILE}limits:
  memory: 64MiB
  cpu_shares: 512
  cpuset: 0,1-2
  blkio_config:
    weight: 300
    weight_device: [{path: "8:0", weight: 20}]
    device_read_bps: [{path: "8:0", rate: 1MiB}]
    device_write_iops: [{path: "8:16", rate: 100}]
`;
const ALL_LIMITS_V2 = `${ALL_LIMITS}  memory_high: 48MiB
  memory_low: 16MiB
`;

const KINDS = ['pid', 'uts', 'ipc', 'net', 'user', 'cgroup', 'time', 'mount'] as const;
const ALL_JOINED = KINDS.map((kind) => `${kind}: /proc/5/ns/${kind === 'mount' ? 'mnt' : kind}`).join(', ');

const NETWORK = `${FILE}network_mode: bridge
ports: ["127.0.0.1:8080:80"]
egress: ["10.0.0.0/8:443/tcp", host-gateway]
limits: {network: {ingress: 10mbit}}
`;
const withPrograms = (programs: Partial<NetworkPrograms>): HostFacts => ({
  ...USER_HOST,
  networking: {
    uplinks: [
      { family: 4, device: 'up0' },
      { family: 6, device: 'up0' },
    ],
    addresses: [
      { family: 4, address: '127.0.0.1', device: 'lo' },
      { family: 4, address: '192.0.2.2', device: 'up0' },
      { family: 6, address: '2001:db8:1::2', device: 'up0' },
    ],
    routes: [],
    forwarding: [],
    forcesForwarding: true,
    state: '/run/user/1000/boxctl/network',
    netAdmin: false,
    programs: { install: 'apt install slirp4netns', ...programs },
  },
});

const ROOT_NETWORK = `${FILE}network_mode: bridge
ports: ["8080:80", "127.0.0.1:9000:90/udp"]
networks: {inner: {ipv4_address: 10.50.0.9, ipam: {config: [{subnet: 10.50.0.0/24}]}}}
egress: ["10.0.0.0/8:443/tcp", "198.51.100.7", "host-gateway:53/udp"]
limits: {network: {egress: 10mbit, ingress: 20mbit}}
`;
const forwarding = (family: 4 | 6, setting: string) => ({
  family,
  device: 'up0',
  setting: `/proc/sys/net/ipv${family}/conf/up0/${setting}`,
  value: '1',
  restore: '0',
  lock: `/run/boxctl/network/1/forwarding/ipv${family}.conf.up0.${setting}`,
  on: false,
  ours: false,
});
const ROOT_NETWORK_HOST: HostFacts = {
  ...ROOT_HOST,
  networking: {
    uplinks: [],
    addresses: [],
    routes: [],
    forwarding: [forwarding(4, 'forwarding'), forwarding(6, 'force_forwarding')],
    forcesForwarding: true,
    state: '/run/boxctl/network/1',
    netAdmin: true,
  },
};

/** What holds for every plan. */
function check(plan: Plan): void {
  isPlan(JSON.parse(JSON.stringify(planToJson(plan))));
  expect(isPlan.errors).toBeNull();
  expect(new Set(plan.steps.map(({ id }) => id)).size).toBe(plan.steps.length);
  expect(encodePlan(plan, { gate: true }).byteLength).toBeGreaterThan(0);
}

function checked(yaml: string, host: HostFacts, overrides: Overrides = {}): readonly string[] {
  const plan = planOf(yaml, host, overrides);
  check(plan);
  expect(linesOf(planOf(yaml, host, overrides)), 'the same input gives the same plan').toEqual(linesOf(plan));
  return linesOf(plan);
}

const snapshot = (name: string): string => join(import.meta.dirname, 'snapshots', `${name}.txt`);

test.each([
  ['root', FILE, ROOT_HOST],
  ['user', FILE, USER_HOST],
  ['root-host-mount', `name: box\ncommand: [sh]\nnamespaces: {mount: host}\n`, ROOT_HOST],
  ['root-joined-mount', `name: box\ncommand: [sh]\nnamespaces: {user: host, mount: /proc/5/ns/mnt}\n`, ROOT_HOST],
  ['root-joined-all', `name: box\ncommand: [sh]\nnamespaces: {${ALL_JOINED}}\n`, ROOT_HOST],
])('the whole plan: %s', async (name, yaml, host) => {
  await expect(`${checked(yaml, host).join('\n')}\n`).toMatchFileSnapshot(snapshot(name));
});

describe('what changes for root', () => {
  test.each<[name: string, yaml: string, host?: HostFacts, overrides?: Overrides]>([
    ['limits-v1', LIMITS],
    ['limits-v2', LIMITS, ROOT_V2_HOST],
    ['all-limits-v1', ALL_LIMITS],
    ['all-limits-v2', ALL_LIMITS_V2, ROOT_V2_HOST],
    ['limits-own-cgroup', LIMITS, onUnified(ROOT_HOST, UNIFIED_HOMES.own)],
    ['v2', FILE, ROOT_V2_HOST],
    ['read-only', `${FILE}read_only: true\n`],
    ['init', `${FILE}init: true\n`],
    ['init-host-pid', `${FILE}init: true\nnamespaces: {pid: host}\n`],
    ['tty', FILE, ROOT_HOST, { tty: true, stdinOpen: true }],
    ['user-key', `${FILE}user: app\n`],
    ['working-dir', `${FILE}working_dir: /a/b\n`],
    ['names', `${FILE}hostname: inside\ndomainname: example.internal\n`],
    ['maps', `${FILE}uid_map: ["0:200000:10", "10:5:1"]\ngid_map: [{container: 0, host: 300000, size: 10}]\n`],
    ['volumes', `${FILE}volumes: ["./:/src:ro", "/etc/passwd:/etc/passwd", "~/:/home/me"]\n`],
    ['volume-made', `${FILE}volumes: [{type: bind, source: ./new, target: /n, bind: {create_host_path: true}}]\n`],
    ['tmpfs', `${FILE}tmpfs: ["/tmp:size=1m,mode=700", "/run/x:ro"]\n`],
    ['no-namespace-but-mount', `${FILE}namespaces: [mount]\n`],
    ['devices', `${FILE}devices: ["/dev/full:/dev/mine:r", "/dev/random:/dev/a/random"]\n`],
    ['devices-v2', `${LIMITS}devices: ["/dev/full:/dev/mine:r"]\n`, ROOT_V2_HOST],
    ['host-user-v2', `${FILE}namespaces: {user: host}\n`, ROOT_V2_HOST],
    ['privileged', `${FILE}privileged: this container may harm the host\nnamespaces: {user: host}\n`],
    ['network', `${FILE}network_mode: bridge\n`, ROOT_NETWORK_HOST],
    ['network-all', ROOT_NETWORK, ROOT_NETWORK_HOST],
    ['joined-net', `${FILE}namespaces: {net: /proc/5/ns/net}\n`],
    ['joined-pid-and-user', `${FILE}namespaces: {pid: /proc/5/ns/pid, user: /proc/5/ns/user}\n`],
    ['joined-user', `${FILE}namespaces: {user: /proc/5/ns/user}\n`],
    ['joined-time', `${FILE}namespaces: {time: /proc/5/ns/time}\n`],
    ['joined-cgroup', `${FILE}namespaces: {cgroup: /proc/5/ns/cgroup}\n`],
    ...(['pid', 'uts', 'ipc', 'net', 'user', 'cgroup', 'time'] as const).map((kind): [string, string] => [
      `host-${kind}`,
      `${FILE}namespaces: {${kind}: host}\n`,
    ]),
  ])('%s', async (name, yaml, host = ROOT_HOST, overrides = {}) => {
    const lines = differences(checked(FILE, ROOT_HOST), checked(yaml, host, overrides));
    await expect(lines).toMatchFileSnapshot(snapshot(`root-${name}`));
  });
});

describe('what changes for an ordinary user', () => {
  test.each<[name: string, yaml: string, host?: HostFacts]>([
    ['alone', FILE, USER_ALONE_HOST],
    ['limits-scope', LIMITS, onUnified(USER_HOST, UNIFIED_HOMES.scope)],
    ['optional-limits', `${FILE}limits: {memory: 64MiB, pids: 5, optional: true}\n`],
    ['volumes', `${FILE}volumes: ["./:/src:ro"]\n`],
    ['host-net', `${FILE}namespaces: {net: host}\n`],
    ['user-key', `${FILE}user: app\n`],
    ['network-slirp4netns', NETWORK, withPrograms({ slirp4netns: '/usr/bin/slirp4netns' })],
    ['network-pasta', NETWORK, withPrograms({ pasta: '/usr/bin/passt' })],
  ])('%s', async (name, yaml, host = USER_HOST) => {
    const lines = differences(checked(FILE, USER_HOST), checked(yaml, host));
    await expect(lines).toMatchFileSnapshot(snapshot(`user-${name}`));
  });
});
