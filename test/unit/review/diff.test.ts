import { describe, expect, it } from 'vitest';
import { diff, type Change } from '../../../src/review/diff.ts';
import { loadSpecText } from '../../../src/spec/load.ts';
import { USER_HOST } from '../../support/host-facts.ts';

const BASE = 'image: ./x.tar\ncommand: [sh]\n';
const load = (text: string, file: string, folder = '/project') =>
  loadSpecText(text, file, { env: { NPM_TOKEN: 'x' }, home: '/home/me', folder, review: true });
const between = (before: string, after: string): readonly Change[] =>
  diff(load(`${BASE}${before}\n`, 'old.yaml'), load(`${BASE}${after}\n`, 'new.yaml'), USER_HOST);
const told = (changes: readonly Change[]) => changes.map(({ direction, message }) => `${direction}: ${message}`);

describe('no difference', () => {
  it.each([
    ['volumes: ["./:/src:ro"]', 'volumes: [{type: bind, source: ., target: /src, read_only: true}]'],
    ['limits: {memory: 1g}', 'limits: {memory: 1024m}'],
    ['namespaces: {net: private}', 'namespaces: [net, pid, mount, uts, ipc, user, cgroup, time]'],
    ['environment: {A: 1}', 'environment: [A=1]'],
    ['tmpfs: [/a, /b]', 'tmpfs: [/b, /a]'],
    ['read_only: false', 'x-note: hello'],
    ['user: 1000', 'user: "1000"'],
    ['shm_size: 64m', ''],
    ['mem_limit: 64m', 'limits: {memory: 64m}'],
    ['stop_grace_period: 10s', ''],
    ['logging: {driver: json-file, options: {max-file: 5}}', ''],
    ['limits: {cpuset: "0,1"}', 'limits: {cpuset: "0-1"}'],
  ])('%s, %s', (before, after) => expect(told(between(before, after))).toEqual([]));

  it('between volumes of the same name, wherever they are kept', () => {
    const text = `${BASE}volumes: ["cache:/cache"]\n`;
    expect(told(diff(load(text, 'a.yaml', '/one'), load(text, 'b.yaml', '/two'), USER_HOST))).toEqual([]);
  });

  it('between folders, whose names and places are their own', () => {
    const text = `${BASE}volumes: ["./src:/src"]\n`;
    expect(diff(load(text, 'a.yaml', '/one'), load(text, 'b.yaml', '/other/place'), USER_HOST)).toEqual([]);
  });
});

/** Each is a gain one way and a loss the other. */
describe('gained and lost', () => {
  it.each([
    ['', 'namespaces: {net: host}', 'uses the host’s network'],
    ['', 'namespaces: {ipc: /proc/1/ns/ipc}', 'joins the ipc namespace'],
    ['', 'uid_map: ["0:0:65536"]\ngid_map: ["0:524288:65536"]', 'acts as user 0-65535'],
    ['', 'cap_add: [SYS_ADMIN]', 'may have the capability CAP_SYS_ADMIN'],
    ['cap_drop: [NET_RAW, MKNOD]', '', 'CAP_NET_RAW, CAP_MKNOD'],
    ['', 'no_new_privileges: false', 'set-user-id'],
    ['', 'masked_paths: ["!/proc/kcore"]', 'sees /proc/kcore'],
    ['', 'environment: [NPM_TOKEN]', 'gets the value of your variable NPM_TOKEN'],
    ['', 'env_file: /etc/environment', 'gets the variables of /etc/environment'],
    ['', 'volumes: ["/srv:/srv:ro"]', 'mount /srv at /srv, read-only'],
    ['', 'volumes: ["/dev/kvm:/dev/kvm"]', 'mount /dev/kvm at /dev/kvm'],
    ['', 'volumes: ["./src:/src"]', 'mount ./src at /src, writable'],
    ['volumes: ["./:/src:ro"]', 'volumes: ["./:/src"]', 'mount ./ at /src, '],
    ['volumes: ["./:/src:noexec"]', 'volumes: ["./:/src"]', 'mount ./ at /src, '],
    ['', 'volumes: ["cache:/cache"]', 'mount volume cache at /cache'],
    ['limits: {memory: 64m}', 'limits: {memory: 128m}', 'memory: '],
    ['limits: {memory: 64m}', '', 'memory: '],
    ['limits: {pids: 9}', 'limits: {pids: 10}', 'pids: '],
    ['limits: {cpus: 0.5}', '', 'cpus: '],
    ['limits: {memory: 1g, swap: 0}', 'limits: {memory: 1g}', 'memory with swap: '],
    ['limits: {pids: 9}', 'limits: {pids: 9, optional: true}', 'without'],
    ['devices: ["/dev/ptmx:/dev/mine:rw"]', 'devices: ["/dev/ptmx:/dev/mine"]', 'device c 5:2: rw'],
    ['read_only: true', '', 'the root file system can'],
    ['ulimits: {nofile: 9}', '', 'ulimit nofile: '],
    ['ulimits: {nofile: {soft: 5, hard: 9}}', 'ulimits: {nofile: 9}', 'ulimit nofile: '],
    ['masked_paths: [/etc/secret]', '', '/etc/secret'],
    ['readonly_paths: [/etc]', '', '/etc'],
    ['masked_paths: [/a, /b]', 'masked_paths: [/a]', '/b'],
    ['limits: {time: 90s}', '', 'time: '],
    ['limits: {cpuset: "0-1"}', 'limits: {cpuset: "0-3"}', 'cpuset: '],
    ['limits: {memory_high: 1g}', '', 'memory_high: '],
    ['', 'limits: {cpu_shares: 2048}', 'cpu_shares: '],
    ['limits: {blkio_config: {device_read_bps: [{path: "8:0", rate: 1m}]}}', '', 'device_read_bps of 8:0'],
    ['limits: {hugetlb: {2m: 4m}}', '', 'huge pages of 2 MiB'],
    ['', 'landlock: false', 'Landlock'],
    ['apparmor: mine', '', 'apparmor '],
    ['oom_score_adj: 500', '', 'oom_score_adj: '],
    ['', 'group_add: [5]', 'in the group 5'],
    ['tmpfs: ["/a:size=1m"]', 'tmpfs: ["/a:size=2m"]', 'mount tmpfs at /a'],
    ['shm_size: 1m', '', 'mount tmpfs at /dev/shm'],
    [
      'volumes: [{type: bind, source: ./src, target: /src, bind: {recursive: disabled}}]',
      'volumes: ["./src:/src"]',
      'mount ./src',
    ],
    ['volumes: ["./src:/src"]', 'volumes: ["./src:/src:rslave"]', 'mount ./src'],

    ['user: 1000', 'user: 0', 'runs as '],
    ['user: app', '', 'runs as '],
  ])('%s → %s', (before, after, said) => {
    const is = (changes: readonly Change[], direction: string) => {
      const found = changes.filter((change) => change.direction === direction);
      expect(found, JSON.stringify(told(changes))).toHaveLength(1);
      expect(found[0]?.message).toContain(said);
    };
    is(between(before, after), 'gains');
    is(between(after, before), 'loses');
  });

  it.each([
    'privileged: this container may harm the host',
    'privileged: this container may harm the host\nnamespaces: {user: host}',
    'namespaces: {user: host}',
    'seccomp: unconfined',
    'cap_add: [SYS_ADMIN]',
    'no_new_privileges: false',
    'apparmor: unconfined',
    'oom_score_adj: -5',
    'masked_paths: ["!/proc/kcore"]',
    'devices: ["/dev/ptmx:/dev/mine"]',
  ])('%s: each with the line that says so', (text) => {
    const gains = between('', text);
    expect(gains.length).toBeGreaterThan(0);
    for (const { message, after } of gains) expect({ message, after }).toMatchObject({ after: { kind: 'spec' } });
    for (const { message, before } of between(text, '')) {
      expect({ message, before }).toMatchObject({ before: { kind: 'spec' } });
    }
  });

  it('by the pin of an image', () => {
    const pinned = (digit: string) => `image: {tar: ./x.tar, sha256: "${digit.repeat(64)}"}\ncommand: [sh]\n`;
    const of = (before: string, after: string) => told(diff(load(before, 'a'), load(after, 'b'), USER_HOST));
    expect(of(pinned('a'), BASE)).toEqual(['gains: the image is not pinned any more']);
    expect(of(BASE, pinned('a'))).toEqual(['loses: the image is pinned']);
    expect(of(pinned('a'), pinned('b'))).toEqual([`changes: image sha256 ${'a'.repeat(64)} → ${'b'.repeat(64)}`]);
  });

  it('by how much an image may be', () => {
    const limited = 'image: {tar: ./x.tar, max_size: 1g}\ncommand: [sh]\n';
    const of = (before: string, after: string) => told(diff(load(before, 'a'), load(after, 'b'), USER_HOST));
    expect(of(limited, BASE)).toEqual(['gains: image max_size: 1 GiB → 32 GiB']);
    expect(of(BASE, limited)).toEqual(['loses: image max_size: 32 GiB → 1 GiB']);
  });

  it('the files of the host, where the mount namespace is its own no more', () => {
    const host = 'namespaces: {mount: host}\ncommand: [sh]\n';
    const of = (before: string, after: string) => told(diff(load(before, 'a'), load(after, 'b'), USER_HOST));
    expect(of(BASE, host)).toContain('gains: sees all files of the host (namespace mount)');
    expect(of(host, BASE)).toContain('loses: sees all files of the host (namespace mount)');
  });

  it('of a file that keeps the caller’s id, as of any other', () => {
    expect(told(between('keep_id: true', 'keep_id: true\nlimits: {pids: 9}'))).toEqual(['loses: pids: no limit → 9']);
    expect(told(between('', 'keep_id: true'))).toEqual(['changes: keep_id false → true']);
  });

  it('another source in the same place is a gain, whatever it is', () => {
    expect(told(between('volumes: ["./a:/x:ro"]', 'volumes: ["./b:/x:ro"]'))).toEqual([
      'gains: mount ./a at /x, read-only → ./b at /x, read-only',
    ]);
  });
});

describe('changed', () => {
  it.each([
    ['working_dir: /a', 'working_dir: /b', ['changes: working_dir "/a" → "/b"']],
    [
      'environment: {A: 1, B: 2}',
      'environment: {A: 2, C: 3}',
      ['changes: A "1" → "2"', 'changes: B "2" → not set', 'changes: C not set → "3"'],
    ],
    ['hostname: a', 'hostname: b', ['changes: hostname a → b']],
    ['sysctls: {net.ipv4.ip_forward: 1}', '', ['changes: sysctl net.ipv4.ip_forward "1" → not set']],
    [
      'seccomp: {learn: ./a.json}',
      'seccomp: {learn: ./b.json}',
      ['changes: system calls: learned into ./a.json → learned into ./b.json'],
    ],
    ['restart: on-failure:3', 'restart: always', ['changes: restart on-failure:3 → always']],
    ['stop_grace_period: 5s', '', ['changes: stop_grace_period 5000 ms → 10000 ms']],
    [
      'logging: {driver: none}',
      'logging: {options: {max-size: 1m}}',
      ['changes: logging none → json-file, 5 files of 1 MiB'],
    ],
    [
      'devices: ["/dev/ptmx:/dev/mine"]',
      'devices: ["/dev/ptmx:/dev/other"]',
      ['changes: device /dev/ptmx at /dev/mine → /dev/other'],
    ],
    ['init: true', '', ['changes: init true → false']],
    ['tty: true', '', ['changes: tty true → false']],
    ['tmpfs: [/a]', '', ['changes: no more mount tmpfs at /a, writable']],
    [
      'uid_map: ["0:100000:9"]',
      'uid_map: ["0:200000:9"]',
      ['changes: uid_map 0:100000:9 → 0:200000:9', 'changes: gid_map 0:100000:9 → 0:200000:9'],
    ],
  ])('%s → %s', (before, after, expected) => expect(told(between(before, after))).toEqual(expected));

  it('never prints what may be secret', () => {
    const changes = between('environment: {DB_PASSWORD: hunter2}', 'environment: {DB_PASSWORD: hunter3}');
    expect(told(changes)).toEqual(['changes: DB_PASSWORD … → …']);
  });
});

it('gains come first, and each knows its line in either file', () => {
  const changes = between(
    'limits: {pids: 9}\ncommand: [a]'.replace('\ncommand: [a]', ''),
    'namespaces: {net: host}\nworking_dir: /x',
  );
  expect(changes.map(({ direction }) => direction)).toEqual(['gains', 'gains', 'changes']);
  expect(changes[0]).toMatchObject({ before: undefined, after: { at: { file: 'new.yaml', line: 3 } } });
  expect(changes[1]).toMatchObject({ message: 'pids: 9 → no limit', before: { at: { file: 'old.yaml', line: 3 } } });
});
