/** Files with a network, and hosts for them, of which plans are made. */
import type { HostFacts, NetworkPrograms } from '../../src/host/facts.ts';
import type { Plan } from '../../src/plan/plan.ts';
import { ROOT_HOST, USER_HOST } from './host-facts.ts';
import { planOf } from './plan.ts';

export const FILE = `name: box
image: {host_tools: [sh]}
command: [sh, -c, "true"]
`;
export const OPEN_NETWORK = `${FILE}network_mode: bridge\n`;
export const NETWORK = `${FILE}network_mode: bridge
ports: ["127.0.0.1:8080:80"]
egress: ["10.0.0.0/8:443/tcp", host-gateway]
limits: {network: {ingress: 10mbit}}
`;
export const withPrograms = (programs: Partial<NetworkPrograms>): HostFacts => ({
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

export const ROOT_NETWORK = `${FILE}network_mode: bridge
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
export const ROOT_NETWORK_HOST: HostFacts = {
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

const NETWORKS = `${FILE}networks: {back: {}, inner: {internal: true}}
ports: ["8080:80", "53:53/udp"]
egress: [10.0.0.0/8, "198.51.100.10:80-90", "*:53/udp", "[2001:db8::/32]:443", host-gateway]
limits: {network: {egress: 10mbit, ingress: 1.5gbit}}
`;

/** Plans that have each kind of netlink message that there is. */
export const NETWORK_PLANS: readonly (readonly [name: string, make: () => Plan])[] = [
  ['root, that may reach the world', () => planOf(OPEN_NETWORK, ROOT_NETWORK_HOST)],
  ['root, with all keys', () => planOf(ROOT_NETWORK, ROOT_NETWORK_HOST)],
  ['root, on several networks', () => planOf(NETWORKS, ROOT_NETWORK_HOST)],
  ['an ordinary user', () => planOf(NETWORK, withPrograms({ slirp4netns: '/usr/bin/slirp4netns' }))],
];
