/** Each key of the schema, taken away and put in: a difference is told both ways, and on the right side. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { LIMIT_ROWS } from '../../../src/limits/table.ts';
import { diff, type Direction } from '../../../src/review/diff.ts';
import { loadSpecText } from '../../../src/spec/load.ts';
import { USER_HOST } from '../../support/host-facts.ts';

interface Node {
  readonly type?: string | readonly string[];
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly additionalProperties?: boolean | Node;
  readonly items?: Node;
  readonly required?: readonly string[];
  readonly examples?: readonly unknown[];
  readonly 'x-compose'?: unknown;
}
interface Schema extends Node {
  readonly definitions: Readonly<Record<string, Node>>;
}
const SCHEMA = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../specs/container.schema.json'), 'utf8'),
) as Schema;

const resolve = (node: Node): Node =>
  node.$ref === undefined ? node : { ...SCHEMA.definitions[node.$ref.split('/').at(-1) ?? ''], ...node };

/** All keys that may be left out, by path; `*` is an item of a list. */
function keysOf(given: Node, path = ''): readonly (readonly [path: string, node: Node])[] {
  const node = resolve(given);
  const below = Object.entries(node.properties ?? {}).flatMap(([key, child]) => {
    if (child['x-compose'] !== undefined) return [];
    const full = path === '' ? key : `${path}.${key}`;
    const own = node.required?.includes(key) === true ? [] : [[full, resolve(child)] as const];
    return [...own, ...keysOf(child, full)];
  });
  // Networks by their names.
  const named = typeof node.additionalProperties === 'object' ? keysOf(node.additionalProperties, `${path}.NAME`) : [];
  return [...below, ...named, ...(node.items === undefined ? [] : keysOf(node.items, `${path}.*`))];
}
const KEYS = keysOf(SCHEMA);

/** What the container does when the key is put in with its example. What is not here is neither more nor less: `changes`. */
const GAINS: readonly string[] = [
  'namespaces',
  'namespaces.pid',
  'namespaces.mount',
  'namespaces.uts',
  'namespaces.ipc',
  'namespaces.net',
  'namespaces.user',
  'namespaces.cgroup',
  'namespaces.time',
  'group_add',
  'keep_groups',
  'socket_activation',
  'volumes.*.bind.protect',
  'cap_add',
  'privileged',
  'no_new_privileges',
  'seccomp',
  'landlock',
  'ulimits.nice',
  'ulimits.rtprio',
  'limits.memory_low',
  'limits.blkio_config.weight',
  'limits.blkio_config.weight_device',
  'limits.optional',
  'volumes',
  'volumes.*.bind.create_host_path',
  'volumes.*.bind.propagation',
  'volumes.*.bind.idmap',
  'devices',
  'shm_size',
  'network_mode',
  'ports',
  'networks',
  'networks.NAME.name',
  'networks.NAME.external',
];
const LOSES: readonly string[] = [
  'image.sha256',
  'image.verify',
  'image.max_size',
  'image.max_entries',
  'cap_drop',
  'user',
  'ulimits',
  'ulimits.as',
  'ulimits.core',
  'ulimits.cpu',
  'ulimits.data',
  'ulimits.fsize',
  'ulimits.locks',
  'ulimits.memlock',
  'ulimits.msgqueue',
  'ulimits.nofile',
  'ulimits.nproc',
  'ulimits.rss',
  'ulimits.rttime',
  'ulimits.sigpending',
  'ulimits.stack',
  'oom_score_adj',
  'masked_paths',
  'readonly_paths',
  'apparmor',
  'selinux',
  'limits',
  'limits.memory',
  'limits.swap',
  'limits.pids',
  'limits.cpus',
  'limits.memory_high',
  'limits.cpu_shares',
  'limits.cpuset',
  'limits.cpuset_mems',
  'limits.blkio_config',
  'limits.blkio_config.device_read_bps',
  'limits.blkio_config.device_write_bps',
  'limits.blkio_config.device_read_iops',
  'limits.blkio_config.device_write_iops',
  'limits.hugetlb',
  'limits.time',
  'read_only',
  'volumes.*.read_only',
  'volumes.*.options',
  'volumes.*.bind',
  'volumes.*.bind.recursive',
  'volumes.*.volume.subpath',
  'volumes.*.tmpfs',
  'volumes.*.tmpfs.size',
  'volumes.*.tmpfs.nr_inodes',
  'devices.*.permissions',
  'egress',
  'networks.NAME.internal',
  'ports.*.host_ip',
  'limits.network',
  'limits.network.egress',
  'limits.network.ingress',
];

/** One right in the place of another: more and less. */
const MOVES: readonly string[] = ['ports.*.published', 'ports.*.protocol'];

/** Examples that this machine may not have, or that say what is so anyway. */
const EXAMPLES: Readonly<Record<string, unknown>> = {
  image: { tar: './y.tar' },
  pull_policy: 'always',
  'healthcheck.retries': 5,
  'healthcheck.disable': true,
  namespaces: { net: 'host', ipc: 'host' },
  network_mode: 'bridge',
  networks: { backend: {} },
  user: '1000:1000',
  masked_paths: ['/etc/secret'],
  readonly_paths: ['/etc'],
  seccomp: 'log',
  devices: ['/dev/ptmx:/dev/mine'],
  'devices.*.target': '/dev/other',
  'volumes.*.bind': { recursive: 'disabled' },
  'volumes.*.bind.propagation': 'rslave',
  'volumes.*.tmpfs.mode': '0700',
  'limits.cpuset': '0-3',
  'limits.blkio_config': { device_write_bps: [{ path: '8:0', rate: '10MiB' }] },
  'limits.blkio_config.weight_device': [{ path: '8:0', weight: 300 }],
};
for (const kind of ['device_read_bps', 'device_write_bps']) {
  Object.assign(EXAMPLES, { [`limits.blkio_config.${kind}`]: [{ path: '8:0', rate: '10MiB' }] });
}

/** What has to be there for the key to be allowed; the key is put into it. */
const AROUND: readonly (readonly [prefix: string, around: Readonly<Record<string, unknown>>])[] = [
  ['ports.*.', { network_mode: 'bridge', ports: [{ target: 80 }] }],
  ['networks.NAME.ipam.config.*.', { networks: { NAME: { ipam: { config: [{ subnet: '172.30.0.0/24' }] } } } }],
  ...['ipam', 'external', 'enable_ipv4', 'enable_ipv6'].map(
    (key) => [`networks.NAME.${key}`, { networks: { NAME: {} } }] as const,
  ),
  [
    'networks.NAME.',
    { networks: { NAME: { ipam: { config: [{ subnet: '172.30.0.0/24' }, { subnet: 'fd00:30::/64' }] } } } },
  ],
  ...['ports', 'egress', 'mac_address', 'limits.network', 'extra_hosts'].map(
    (prefix) => [prefix, { network_mode: 'bridge' }] as const,
  ),
  ['image.verify.', { image: { ref: 'debian:12', verify: { key: './cosign.pub' } } }],
  ['image.verify', { image: { ref: 'debian:12' } }],
  ['image.', { image: { tar: './x.tar' } }],
  ['pull_policy', { image: { ref: 'debian:12' } }],
  ['limits.swap', { limits: { memory: '1g' } }],
  ['volumes.*.volume', { volumes: [{ type: 'volume', source: 'data', target: '/data' }] }],
  ['volumes.*.tmpfs', { volumes: [{ type: 'tmpfs', target: '/data' }] }],
  ['volumes.*.', { volumes: [{ type: 'bind', source: './src', target: '/src' }] }],
  ['secrets.*.', { secrets: [{ source: 'word', content: 'x' }] }],
  ['configs.*.', { configs: [{ source: 'word', content: 'x' }] }],
  ['secrets.NAME.', { secrets: { NAME: { content: 'x' } } }],
  ['configs.NAME.', { configs: { NAME: { content: 'x' } } }],
  ['healthcheck.disable', { healthcheck: { interval: '5s' } }],
  ['healthcheck.', { healthcheck: { test: ['CMD', 'true'] } }],
  ...['post_start', 'pre_stop'].flatMap((key) => [[`${key}.*.`, { [key]: [{ command: ['true'] }] }] as const]),
  ['devices.*.', { devices: [{ source: '/dev/ptmx', target: '/dev/mine' }] }],
];

/** Keys that stand instead of others, those that only a list or map of its own has, and notes. */
const SKIPPED =
  /^(?:image\.(?:tar|folder|ref|platform|host_tools)|env_file\.\*\..*|volumes\.\*\.source|namespaces\.mount|(?:secrets|configs)\.(?:NAME|\*)\.(?:file|environment)|uid_map\.\*\..*|gid_map\.\*\..*|expose|(?:post_start|pre_stop)\.\*\.privileged)$/u;

function put(into: Record<string, unknown>, path: string, value: unknown): void {
  const [first = '', ...rest] = path.split('.');
  if (rest.length === 0) into[first] = value;
  else if (rest[0] === '*') put((into[first] as Record<string, unknown>[])[0] ?? {}, rest.slice(1).join('.'), value);
  else put((into[first] ??= {}) as Record<string, unknown>, rest.join('.'), value);
}

function sides(path: string, node: Node): readonly [without: string, together: string] {
  const around = AROUND.find(([prefix]) => path.startsWith(prefix))?.[1] ?? {};
  const base = { image: { tar: './x.tar' }, command: ['sh'], ...around };
  const together = structuredClone(base) as Record<string, unknown>;
  const examples = node.examples ?? [];
  const example = EXAMPLES[path] ?? examples.find((one) => one !== 'private' && one !== './x.tar');
  put(together, path, example);
  return [stringify(path === 'command' ? { ...base, command: ['true'] } : base), stringify(together)];
}

/** The direction of a limit that has no line above, by the table of limits. */
function ofTable(path: string): Direction {
  const row = LIMIT_ROWS.find(([key]) => path === `limits.${key}`)?.[1];
  if (row === undefined) return 'changes';
  return row.diff === 'set' || (row.diff.unset === Number.POSITIVE_INFINITY && row.diff.more === 'gains')
    ? 'loses'
    : 'gains';
}

const load = (text: string) =>
  loadSpecText(text, 'container.yaml', { env: {}, home: '/home/me', folder: '/project', review: true });

describe('diff of each key that a file may leave out', () => {
  it.each(KEYS.filter(([path]) => !SKIPPED.test(path)))(
    '%s is told when it is put in, and the other way round when it is taken out',
    (path, node) => {
      const [without, together] = sides(path, node);
      const given = diff(load(without), load(together), USER_HOST);
      const taken = diff(load(together), load(without), USER_HOST);
      const expected: Direction = GAINS.includes(path) ? 'gains' : LOSES.includes(path) ? 'loses' : ofTable(path);
      const other: Direction = expected === 'gains' ? 'loses' : expected === 'loses' ? 'gains' : 'changes';
      const directions = (changes: typeof given) => [...new Set(changes.map(({ direction }) => direction))];
      if (MOVES.includes(path)) {
        expect(directions(given)).toEqual(expect.arrayContaining(['gains', 'loses']));
        return;
      }
      // Beside what is gained or lost, something may be neither.
      const neither = expected === 'changes' ? [] : [expect.stringMatching('changes')];
      expect([[expected], [expected, ...neither]], JSON.stringify(given)).toContainEqual(directions(given));
      expect([[other], [other, ...neither]], JSON.stringify(taken)).toContainEqual(directions(taken));
    },
  );

  it('the schema has each key that has a direction here', () => {
    const known = new Set(KEYS.map(([path]) => path));
    expect([...GAINS, ...LOSES, ...MOVES, ...Object.keys(EXAMPLES)].filter((path) => !known.has(path))).toEqual([]);
  });
});
