/** What values become: short forms are long forms, units are numbers, and defaults are spelled out. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Spec } from '../../../src/spec/spec.ts';
import { parseDuration, parseMode, parseNumbers, parseSignal, parseSize } from '../../../src/text/units.ts';
import { splitWords } from '../../../src/text/shell-words.ts';
import { load, type LoadOptions } from '../../support/spec.ts';
import { tempFolder } from '../../support/temp.ts';

const IMAGE = 'image: {host_tools: [sh]}\n';
const spec = (yaml: string, options: LoadOptions = {}): Spec => load(`${IMAGE}${yaml}`, options).spec;

test.each([
  ['image: alpine:3.20', { name: 'alpine:3.20' }],
  ['image: {ref: ghcr.io/a/b}\nplatform: linux/arm64/v8', { name: 'ghcr.io/a/b', platform: 'linux/arm64' }],
  ['image: {ref: a, platform: linux/386}\nplatform: linux/i386', { name: 'a', platform: 'linux/386' }],
  ['image: {ref: a, max_size: 1m, max_entries: 3}', { name: 'a', maxSize: 1 << 20, maxEntries: 3 }],
  ['image: a\npull_policy: if_not_present', { name: 'a', pullPolicy: 'missing' }],
  ['image: a\npull_policy: daily', { name: 'a', pullPolicy: { every: 86_400_000 } }],
  ['image: a\npull_policy: every_1w2d3h4m5s', { name: 'a', pullPolicy: { every: 788_645_000 } }],
])('%j is a reference', (text, expected) => {
  expect(load(text).spec.image).toEqual({ kind: 'reference', ...expected });
});

test('the shortest file gets every default of the specification', () => {
  expect(spec('')).toEqual({
    name: 'usr',
    image: { kind: 'host_tools', tools: ['sh'] },
    hostname: 'usr',
    namespaces: Object.fromEntries(
      ['pid', 'mount', 'uts', 'ipc', 'net', 'user', 'cgroup', 'time'].map((kind) => [kind, { kind: 'private' }]),
    ),
    keepId: false,
    keepGroups: false,
    groupAdd: [],
    capAdd: [],
    capDrop: [],
    privileged: false,
    noNewPrivileges: true,
    landlock: true,
    ulimits: [],
    sysctls: [],
    maskedPaths: { add: [], remove: [] },
    readonlyPaths: { add: [], remove: [] },
    limits: { optional: false },
    environment: {},
    volumes: [],
    devices: [],
    readOnly: false,
    init: false,
    systemd: false,
    tty: false,
    stdinOpen: false,
  });
});

test('limits are converted to bytes, milliseconds and device numbers', () => {
  const yaml = `limits:
  memory_high: 1m
  memory_low: 4096
  cpu_shares: 512
  cpuset: 3,0-1,1
  cpuset_mems: 0
  hugetlb: {2MiB: 4m, x-note: 1}
  time: 1h
  blkio_config:
    weight: 300
    weight_device: [{path: "8:0", weight: 20}]
    device_read_bps: [{path: "8:16", rate: 1k}]
stop_signal: 2
stop_grace_period: 1.5s
logging: {options: {max-size: 10m, max-file: '3'}}
`;
  expect(spec(yaml)).toMatchObject({
    limits: {
      memoryHigh: 1 << 20,
      memoryLow: 4096,
      cpuShares: 512,
      cpuset: '0-1,3',
      cpusetMems: '0',
      hugetlb: [{ page: 2 << 20, limit: 4 << 20, specPath: 'limits.hugetlb.2MiB' }],
      time: 3_600_000,
      ioWeight: 300,
      ioDevices: [
        { kind: 'weight_device', major: 8, minor: 0, value: 20, specPath: 'limits.blkio_config.weight_device.0' },
        {
          kind: 'device_read_bps',
          major: 8,
          minor: 16,
          value: 1024,
          specPath: 'limits.blkio_config.device_read_bps.0',
        },
      ],
    },
    stopSignal: 2,
    stopGracePeriod: 1500,
    logging: { driver: 'json-file', maxSize: 10 << 20, maxFiles: 3 },
  });
});

test.each([
  ['test: exit 0', { isOff: false, test: ['/bin/sh', '-c', 'exit 0'] }],
  ['test: [CMD-SHELL, exit 0]', { isOff: false, test: ['/bin/sh', '-c', 'exit 0'] }],
  ['test: [CMD, a, b]', { isOff: false, test: ['a', 'b'] }],
  ['test: [NONE]', { isOff: true }],
  ['disable: true', { isOff: true }],
  [
    'interval: 1m30s, timeout: 2s, retries: 5, start_period: 0s, start_interval: 500ms',
    { isOff: false, interval: 90_000, timeout: 2000, retries: 5, startInterval: 500 },
  ],
])('`healthcheck: {%s}` means %j', (text, healthcheck) =>
  expect(spec(`healthcheck: {${text}}\n`).healthcheck).toEqual(healthcheck),
);

test('a hook has a command, and may have a user, a folder and variables of its own', () => {
  const yaml = `post_start:
  - command: echo "a b"
  - command: [c]
    user: 0
    working_dir: /srv//x
    environment: [A=1, "B="]
pre_stop: [{command: d, user: "1:2", privileged: false, environment: {C: 1.10}}]
`;
  expect(spec(yaml)).toMatchObject({
    postStart: [
      { command: ['echo', 'a b'], privileged: false, environment: {}, specPath: 'post_start.0' },
      { command: ['c'], user: { user: 0 }, workingDir: '/srv/x', environment: { A: '1', B: '' } },
    ],
    preStop: [{ command: ['d'], user: { user: 1, group: 2 }, environment: { C: '1.10' }, specPath: 'pre_stop.0' }],
  });
});

test.each([
  ['no', undefined],
  ['"no"', undefined],
  ['on-failure', { when: 'on-failure', most: undefined }],
  ['on-failure:0', { when: 'on-failure', most: undefined }],
  ['"on-failure:3"', { when: 'on-failure', most: 3 }],
  ['always', { when: 'always', most: undefined }],
  ['unless-stopped', { when: 'always', most: undefined }],
])('`restart: %s` means %j', (text, restart) => expect(spec(`restart: ${text}\n`).restart).toEqual(restart));

test.each([
  ['10m', 600_000],
  ['1h30m', 5_400_000],
  ['90s', 90_000],
  ['1.5s', 1500],
  ['500ms', 500],
  ['1m500ms', 60_500],
  ['0s', 0],
  ['', undefined],
  ['10', undefined],
  ['s', undefined],
  ['30s1m', undefined],
  ['-1s', undefined],
  ['99999999999999h', undefined],
])('parseDuration(%j) returns %j', (text, milliseconds) => expect(parseDuration(text)).toBe(milliseconds));

test.each([
  ['0', '0'],
  ['0-3,7', '0-3,7'],
  ['7, 1,0,2-2', '0-2,7'],
  ['3-1', undefined],
  ['', undefined],
  ['1,', undefined],
  ['0-99999', undefined],
])('parseNumbers(%j) returns %j', (text, list) => expect(parseNumbers(text)).toBe(list));

test.each([
  ['SIGTERM', 15],
  ['term', 15],
  ['9', 9],
  ['SIGRTMIN+3', 37],
  ['rtmin', 34],
  ['SIGRTMIN+31', undefined],
  ['0', undefined],
  ['65', undefined],
  ['SIGNOPE', undefined],
  ['', undefined],
])('parseSignal(%j) returns %j', (text, number) => expect(parseSignal(text)).toBe(number));

test('the name is that of the folder, without the characters that a name cannot have', () => {
  expect(load(IMAGE, { folder: '/srv/my project (2)' }).spec.name).toBe('my-project--2-');
  expect(load(IMAGE, { folder: '/srv/.hidden' }).spec.name).toBe('hidden');
  expect(load(IMAGE, { folder: '/srv/...' }).spec.name).toBe('container');
});

test.each([
  ['512', 512],
  ['64k', 65_536],
  ['64KB', 65_536],
  ['256MiB', 268_435_456],
  ['256 mib', 268_435_456],
  ['1.5g', 1_610_612_736],
  ['2T', 2_199_023_255_552],
  ['1b', 1],
  ['0.3k', 307],
  ['', undefined],
  ['MiB', undefined],
  ['1 potato', undefined],
  ['-1m', undefined],
  ['1e3', undefined],
  ['0x10', undefined],
  ['1,5g', undefined],
  ['9007199254740993t', undefined],
])('parseSize(%j) returns %j', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

test.each([
  ['1777', 0o1777],
  ['0755', 0o755],
  ['0o755', 0o755],
  ['7', 7],
  ['888', undefined],
  ['77777', undefined],
  ['-1', undefined],
  ['', undefined],
])('parseMode(%j) returns %j', (text, mode) => {
  expect(parseMode(text)).toBe(mode);
});

test.each([
  ['sh -c "echo \'a b\' \\"c\\""', ['sh', '-c', 'echo \'a b\' "c"']],
  ["a'b'c d\\ e", ['abc', 'd e']],
  ['\'\' ""', ['', '']],
  ['  a\t b\n', ['a', 'b']],
  ['"\\n"', ['\\n']],
  ["it's", { problem: "has a ' that is not closed" }],
  ['a\\', { problem: 'ends in a backslash' }],
])('splitWords(%j) returns %j', (text, words) => {
  expect(splitWords(text)).toEqual(words);
});

describe('volumes', () => {
  const volumes = (yaml: string): Spec['volumes'] => spec(yaml).volumes;
  const bind = {
    type: 'bind',
    readOnly: false,
    flags: [],
    recursive: 'enabled',
    propagation: 'rprivate',
    create: [],
    isFile: false,
  };

  test('the source of a short volume is relative to the file, relative to the home, or absolute', () => {
    const found = volumes('volumes: ["./lib:/a", "~/:/b:ro", "/usr:/c:rw", "..:/d", "~:/e"]');
    expect(found[0]).toEqual({ ...bind, source: '/usr/lib', target: '/a', specPath: 'volumes.0' });
    expect(found.map((one) => 'source' in one && one.source)).toEqual(['/usr/lib', '/var', '/usr', '/', '/var']);
    expect(found.map(({ readOnly }) => readOnly)).toEqual([false, true, false, false, false]);
  });

  test('the target of a volume is normalized', () => {
    expect(volumes('volumes: ["./:/a/./b//c/../d/:ro"]')).toEqual([
      { ...bind, source: '/usr', target: '/a/b/d', readOnly: true, specPath: 'volumes.0' },
    ]);
  });

  test('a long volume means the same as the short one', () => {
    expect(volumes('volumes: [{type: bind, source: ./, target: /a, read_only: true}]')).toEqual([
      { ...bind, source: '/usr', target: '/a', readOnly: true, specPath: 'volumes.0' },
    ]);
  });

  test('a bind with `create_host_path` may have a source that does not exist', () => {
    const yaml = 'volumes: [{type: bind, source: ./new/er, target: /a, bind: {create_host_path: true}}]';
    expect(volumes(yaml)).toEqual([
      { ...bind, source: '/usr/new/er', target: '/a', create: ['/usr/new', '/usr/new/er'], specPath: 'volumes.0' },
    ]);
  });

  test('a bind of a file is marked as a file', () => {
    expect(volumes('volumes: ["/etc/passwd:/p"]')).toMatchObject([{ source: '/etc/passwd', isFile: true }]);
  });

  test('attributes, propagation and id-mapping are read from short and from long volumes', () => {
    const short = volumes('volumes: ["./:/a:ro,noexec,nosuid,private,idmap"]');
    expect(short).toMatchObject([{ readOnly: true, flags: ['noexec'], propagation: 'private', idmap: true }]);
    const bindOptions = '{recursive: writable, propagation: runbindable, idmap: false}';
    const long = volumes(
      `volumes: [{type: bind, source: ./, target: /a, read_only: true, options: [nodev, noatime], bind: ${bindOptions}}]`,
    );
    expect(long).toMatchObject([
      { readOnly: true, flags: ['noatime'], recursive: 'writable', propagation: 'runbindable', idmap: false },
    ]);
  });

  test('a source that is not a path is the name of a volume', () => {
    const named = { type: 'volume', source: 'cache', readOnly: false, flags: [], nocopy: false };
    expect(volumes('volumes: ["cache:/a", "cache:/b:nocopy,ro"]')).toEqual([
      { ...named, target: '/a', specPath: 'volumes.0' },
      { ...named, target: '/b', nocopy: true, readOnly: true, specPath: 'volumes.1' },
    ]);
    const yaml = 'volumes: [{type: volume, source: cache, target: /a, volume: {subpath: ./x//y/}}]';
    expect(volumes(yaml)).toEqual([{ ...named, target: '/a', subpath: 'x/y', specPath: 'volumes.0' }]);
  });

  test('a tmpfs takes a size, a mode, an owner and a number of inodes, and /dev/shm a size', () => {
    const all = { size: 1024, mode: 0o750, nrInodes: 9, uid: 3, gid: 4, flags: ['noexec'] };
    expect(volumes('tmpfs: "/t:size=1k,mode=750,nr_inodes=9,uid=3,gid=4,noexec"')).toMatchObject([all]);
    const long = '{size: 1k, mode: "0750", nr_inodes: 9, uid: 3, gid: 4}';
    expect(volumes(`volumes: [{type: tmpfs, target: /t, options: [noexec], tmpfs: ${long}}]`)).toMatchObject([all]);
    expect(spec('shm_size: 2m').shmSize).toBe(2 << 20);
  });

  test('`tmpfs` is the short form of a volume, and the order of the file is kept', () => {
    const yaml = 'tmpfs: ["/t:size=1m,mode=700,ro", /u]\nvolumes: [{type: tmpfs, target: /v, tmpfs: {mode: 0o700}}]';
    expect(volumes(yaml)).toEqual([
      { type: 'tmpfs', target: '/t', size: 1_048_576, mode: 0o700, readOnly: true, flags: [], specPath: 'tmpfs.0' },
      { type: 'tmpfs', target: '/u', readOnly: false, flags: [], specPath: 'tmpfs.1' },
      { type: 'tmpfs', target: '/v', mode: 0o700, readOnly: false, flags: [], specPath: 'volumes.0' },
    ]);
    expect(volumes('volumes: ["./:/v"]\ntmpfs: /t').map(({ specPath }) => specPath)).toEqual(['volumes.0', 'tmpfs']);
  });
});

describe('namespaces', () => {
  const kinds = (yaml: string): object => {
    const { namespaces } = spec(yaml);
    return Object.fromEntries(
      Object.entries(namespaces).flatMap(([kind, choice]) => (choice.kind === 'private' ? [] : [[kind, choice]])),
    );
  };

  test('a list of namespaces makes those private and takes the host’s for the rest', () => {
    expect(kinds('namespaces: [mount, pid, user, uts, ipc, cgroup]')).toEqual({
      net: { kind: 'host' },
      time: { kind: 'host' },
    });
  });

  test('a map of namespaces leaves those that it does not name private', () => {
    expect(kinds('namespaces: {net: host, pid: /proc/1/ns/../ns/pid, uts: private}')).toEqual({
      net: { kind: 'host' },
      pid: { kind: 'path', path: '/proc/1/ns/pid' },
    });
  });
});

describe('environment', () => {
  const options = { env: { TERM: 'dumb', WHO: 'me' } };
  const variables = (yaml: string, extra: LoadOptions = options): object => spec(yaml, extra).environment;

  test('a map keeps values as they are written, and an empty one is taken from the caller', () => {
    expect(variables('environment: {V: 1.10, N: 0o17, B: true, E: "", TERM: , W: "${WHO}"}')).toEqual({
      V: '1.10',
      N: '0o17',
      B: 'true',
      E: '',
      TERM: 'dumb',
      W: 'me',
    });
  });

  test('a list of variables means the same as a map', () => {
    expect(variables('environment: ["A=b=c", TERM, E=]')).toEqual({ A: 'b=c', TERM: 'dumb', E: '' });
  });

  test('a variable without a value that the caller has not set is left out with a warning', () => {
    const { spec: loaded, warnings } = load(`${IMAGE}environment: [NOBODY]`);
    expect(loaded.environment).toEqual({});
    expect(warnings).toMatchObject([{ code: 'W_SPEC_ENVIRONMENT', at: { line: 2 } }]);
  });

  test('a later env_file overrides an earlier one, and `environment` overrides both', () => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'a.env'), '# comment\n\nexport A=1 # one\nB="x\\ny"\r\nC=\'$A #\'\nD=\nTERM\n');
    writeFileSync(join(folder, 'b.env'), 'A = 2\n');
    const found = variables('env_file: [a.env, b.env]\nenvironment: {D: four}', { ...options, folder });
    expect(found).toEqual({ A: '2', B: 'x\ny', C: '$A #', D: 'four', TERM: 'dumb' });
  });

  test('wrong lines of an env_file are reported by number, and a folder is refused', () => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'a.env'), 'A=1\n=2\nB="open\n');
    mkdirSync(join(folder, 'd.env'));
    expect(() => variables('env_file: [a.env, d.env]', { folder })).toThrow(
      expect.objectContaining({
        diagnostics: [
          expect.objectContaining({ message: 'line 2 of "a.env" is not KEY=VALUE' }),
          expect.objectContaining({ message: 'line 3 of "a.env" has a " that is not closed' }),
          expect.objectContaining({ message: 'the env_file "d.env" cannot be read: it is a folder' }),
        ],
      }),
    );
  });
});

test('maps of ids are read from the short and from the long form', () => {
  expect(spec('uid_map: ["0:100000:65536", {container: 65536, host: 5, size: 1}]').uidMap).toEqual([
    { container: 0, host: 100_000, size: 65_536 },
    { container: 65_536, host: 5, size: 1 },
  ]);
});

test.each([
  ['1000', { user: 1000 }],
  ['"1000:50"', { user: 1000, group: 50 }],
  ['app', { user: 'app' }],
  ['"0:staff"', { user: 0, group: 'staff' }],
  ['4294967294', { user: 4_294_967_294 }],
])('`user: %s` is read as %j', (text, user) => {
  expect(spec(`user: ${text}`).user).toEqual(user);
});

test('keys of a map win over merged ones, and of two merged maps the earlier one wins', () => {
  const yaml = `
x-a: &a {memory: 64m, pids: 1}
x-b: &b {pids: 2, cpus: 2}
${IMAGE}limits: {<<: [*a, *b], cpus: 1}
`;
  expect(load(yaml).spec.limits).toEqual({ memory: 67_108_864, pids: 1, cpus: 1, optional: false });
});

test('an anchor that is set again has the later value, and a quoted << is a key', () => {
  const yaml = `x-a: &a 1\nx-b: &a 2\n${IMAGE}limits: {pids: *a}\n`;
  expect(load(yaml).spec.limits.pids).toBe(2);
  expect(() => spec('limits: {"<<": {pids: 1}}')).toThrow(/has a problem/u);
});
