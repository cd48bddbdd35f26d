/**
 * Keys of Compose that boxctl does not have, by path, with the hint of the error: what to write instead, or why there is no
 * such key. `*` is any item of a list, or any network.
 */
import { composeNames } from '../../limits/table.ts';

const ONE_CONTAINER = 'one file is one container; it starts no others and waits for none';
const BY_NETWORK = 'containers on one network find each other by their names: `networks: [NAME]` in both files';
const ONE_INTERFACE = 'a container has one interface, with the addresses of all its networks';
const NO_OPTIONS = 'no program with options makes the network: it is system calls, which `boxctl plan` shows';
const GIVEN_EXTERNAL =
  'it is kept by no daemon here: say where it comes from, `file: PATH`, `environment: VARIABLE` or `content: TEXT`';
const WINDOWS = 'Windows alone has it';
const NO_BUILD = 'boxctl builds no images: give a tarball, or `host_tools`';
const REAL_TIME =
  'real-time budgets need version 1 of cgroups and a kernel built for them; `ulimits: {rtprio: 10}` allows the priorities';
const LOGS =
  'the output of the container is the output of boxctl: `boxctl up >log`; in the background, `boxctl logs` has it';
const LOG_NOTES = 'a line has its text, its stream and its time';
const LOG_MODE = 'a log that takes no more holds the container up for 5 seconds at most';
const SWARM = 'it is for a swarm of machines; boxctl starts one container on this one';
const RESTART = 'write `restart: on-failure:5`; the launcher waits longer from time to time';
const GPUS = 'name the devices: `devices: ["/dev/dri/renderD128"]`, or `/dev/nvidia0` and its kin';

/** The keys of `deploy.resources.limits`, or of `reservations`, that boxctl takes. */
function below(part: string): string {
  const prefix = `deploy.resources.${part}.`;
  const names = composeNames().flatMap(([name]) => (name.startsWith(prefix) ? [name.slice(prefix.length)] : []));
  return names.sort().join(', ');
}

// A function, so that a start does not build the table.
const notHere = (): Readonly<Record<string, string>> => ({
  attach: LOGS,
  build: NO_BUILD,
  cgroup_parent: 'start boxctl in that cgroup: `systemd-run --user --scope --slice=NAME boxctl up`',
  cpu_count: `${WINDOWS}; write \`cpus: 2\``,
  cpu_percent: `${WINDOWS}; write \`cpus: 0.5\``,
  cpu_rt_period: REAL_TIME,
  cpu_rt_runtime: REAL_TIME,
  credential_spec: WINDOWS,
  depends_on: ONE_CONTAINER,
  deploy: `of it, boxctl takes \`resources: {limits: {${below('limits')}}, reservations: {${below('reservations')}}}\``,
  'deploy.endpoint_mode': SWARM,
  'deploy.mode': 'a file is one container: `replicated`, with `replicas: 1`',
  'deploy.placement': SWARM,
  'deploy.replicas': 'one file is one container: start it as often as you need it, `uid_map: auto` keeps them apart',
  'deploy.resources.reservations.cpus':
    'CPUs are not set aside; `cpu_shares` says who goes first where they are scarce',
  'deploy.resources.reservations.devices': GPUS,
  'deploy.resources.reservations.generic_resources': SWARM,
  'deploy.restart_policy': RESTART,
  'deploy.rollback_config': SWARM,
  'deploy.update_config': SWARM,
  develop: 'bind the folder that you work in: `volumes: ["./src:/src"]`',
  device_cgroup_rules:
    'name each device under `devices`, with its permissions: `devices: ["/dev/ttyUSB0:/dev/ttyUSB0:rw"]`',
  device_read_bps: 'it is in `blkio_config`',
  driver_opts: NO_OPTIONS,
  extends: 'write the keys of the other service here; within one file `<<: *anchor` merges them',
  external_links: BY_NETWORK,
  gpus: GPUS,
  include: 'write what it includes in this file: one file is one container',
  isolation: `${WINDOWS}; leave it out`,
  links: BY_NETWORK,
  mem_swappiness: 'version 2 of cgroups does not have it; `memswap_limit` as large as `mem_limit` leaves no swap',
  models: ONE_CONTAINER,
  net: 'write `network_mode: host`, or another of its words',
  oom_kill_disable: 'a container that may not be killed hangs at its limit; `oom_score_adj` says who is killed first',
  profiles: 'one file is one container: it is started by being named',
  provider: ONE_CONTAINER,
  runtime: 'boxctl starts containers itself; `boxctl bundle` makes the same one for runc and crun',
  scale: 'one file is one container: start it as often as you need it, `uid_map: auto` keeps them apart',
  services: 'one file is one container: write what stands below the service at the top level',
  storage_opt:
    'what a container writes has no size of its own on the disk; `writable: tmpfs` keeps it in memory, under `mem_limit`',
  use_api_socket:
    'bind the socket, if the container may do all that you may: `volumes: ["/run/docker.sock:/run/docker.sock"]`',
  version: 'the format has no version; leave the line out',
  volume_driver: 'boxctl keeps volumes in folders of its own; leave it out',
  volumes_from: 'name the same volumes here: `volumes: ["cache:/cache"]`',
  'devices.*.count': GPUS,
  'logging.options.compress': 'no file of a log is compressed; `max-size` and `max-file` bound them',
  'logging.options.env': LOG_NOTES,
  'logging.options.env-regex': LOG_NOTES,
  'logging.options.labels': LOG_NOTES,
  'logging.options.labels-regex': LOG_NOTES,
  'logging.options.max-buffer-size': LOG_MODE,
  'logging.options.mode': LOG_MODE,
  'logging.options.tag': 'CONTAINER_NAME has the `name` of the file',
  'networks.*.config_from': SWARM,
  'networks.*.config_only': SWARM,
  'networks.*.driver': 'a network is of one kind here: leave it out, or write `bridge`',
  'networks.*.driver_opts': NO_OPTIONS,
  'networks.*.interface_name': `${ONE_INTERFACE}: it is \`eth0\``,
  'networks.*.ipam.config.*.aux_addresses': 'name each container’s own address with `ipv4_address` or `ipv6_address`',
  'networks.*.ipam.config.*.ip_range': 'addresses are given out from all of `subnet`; `ipv4_address` chooses one',
  'networks.*.ipam.driver': 'boxctl gives addresses itself: leave it out',
  'networks.*.ipam.options': 'boxctl gives addresses itself: leave it out',
  'networks.*.link_local_ips': 'link-local addresses are out of a container’s reach',
  'networks.*.mac_address': `${ONE_INTERFACE}: write \`mac_address\` beside \`networks\``,
  'secrets.*.external': GIVEN_EXTERNAL,
  'secrets.*.name': GIVEN_EXTERNAL,
  'secrets.*.driver': GIVEN_EXTERNAL,
  'secrets.*.driver_opts': GIVEN_EXTERNAL,
  'secrets.*.template_driver': SWARM,
  'configs.*.external': GIVEN_EXTERNAL,
  'configs.*.name': GIVEN_EXTERNAL,
  'configs.*.template_driver': SWARM,
  'volumes.*.cluster': SWARM,
  'volumes.*.image': 'an image cannot be mounted; unpack it into a folder, and bind that',
  'volumes.*.tmpfs.options': 'each option is a key of its own: `size`, `mode`, `uid`, `gid`',
});

/** Values of a key that Compose has and boxctl does not. */
const VALUES_NOT_HERE: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'logging.driver': {
    local: '`json-file` has the same limits: 5 files of 20 MiB',
    syslog: 'a program that reads `boxctl logs --follow` can send it on; or `journald`',
    fluentd: 'a program that reads `boxctl logs --follow` can send it on; or `journald`',
    gelf: 'a program that reads `boxctl logs --follow` can send it on; or `journald`',
  },
  'volumes.*.type': {
    image: 'an image cannot be mounted; unpack it into a folder, and bind that: `type: bind`',
    npipe: WINDOWS,
    cluster: SWARM,
  },
};

/** Hints for a value of the wrong type, by the type that was found. */
const TYPES_NOT_HERE: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  volumes: {
    map: 'a volume needs no declaration: name it where it is mounted, `volumes: ["cache:/root/.cache"]`',
  },
  devices: { map: 'one item for each: `devices: ["/dev/fuse"]`' },
};

/** The path with `*` for an item's index and for a network's name. */
function pattern(path: string): string {
  return path.replaceAll(/(?<=\.)\d+(?=\.|$)/g, '*').replace(/^(networks|secrets|configs)\.[^.]+/u, '$1.*');
}

function find<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

/** The hint for a key of Compose that boxctl does not have; undefined for any other key. */
export const whyNotHere = (path: string): string | undefined => find(notHere(), pattern(path));

export function whyNotThisValue(path: string, value: string): string | undefined {
  return find(find(VALUES_NOT_HERE, pattern(path)) ?? {}, value);
}

export function whyNotThisType(path: string, type: 'map' | 'list'): string | undefined {
  return find(find(TYPES_NOT_HERE, pattern(path)) ?? {}, type);
}

/** The hint for a key beside `services`. */
export function whyNotBesideServices(key: string): string {
  return whyNotHere(key) ?? 'what belongs to the container stands below its service';
}

/** For the test that the table has no key that boxctl supports. */
export const keysNotHere = (): readonly string[] => Object.keys(notHere());
