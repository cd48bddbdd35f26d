import { describe, expect, it } from 'vitest';
import { ociConfig } from '../../../src/model/as-oci.ts';
import { compile, ownershipFor, type Overrides } from '../../../src/model/compile.ts';
import { testDocument, type DocumentOptions } from '../../support/document.ts';
import type { HostFacts } from '../../../src/host/facts.ts';
import { ROOT_HOST, UNIFIED_HOMES, USER_ALONE_HOST, USER_HOST, onUnified } from '../../support/host-facts.ts';
import { diagnosticsOf, image } from './fixtures.ts';

const COMMAND = { command: ['true'] } as const;
const HOST = { kind: 'host' } as const;
const volume = { type: 'tmpfs', readOnly: false, flags: [] } as const;
const bind = {
  type: 'bind',
  source: '/src',
  target: '/s',
  readOnly: false,
  flags: [],
  recursive: 'enabled',
  propagation: 'rprivate',
  create: [],
  isFile: false,
} as const;
const named = { type: 'volume', source: 'cache', target: '/c', readOnly: false, flags: [], nocopy: false } as const;

const configOf = (options: DocumentOptions = {}, host = ROOT_HOST, overrides: Overrides = {}) =>
  ociConfig(compile(testDocument({ ...COMMAND, ...options }), image, host, overrides));
const argsOf = (options: DocumentOptions, overrides: Overrides = {}) => {
  const defaults = { entrypoint: ['/image-entry'], command: ['image-command'] };
  return compile(testDocument(options), { ...image, defaults }, ROOT_HOST, overrides).config.process.args;
};
const problems = (options: DocumentOptions, host = ROOT_HOST, lines = {}) =>
  diagnosticsOf(() => compile(testDocument({ ...COMMAND, ...options }, lines), image, host));
const targets = (options: DocumentOptions = {}, host = ROOT_HOST) =>
  configOf(options, host).mounts.map((mount) => mount.destination);

describe('the command', () => {
  it('the command is the entrypoint and the command of the image', () => {
    expect(argsOf({})).toEqual(['/image-entry', 'image-command']);
  });
  it('the command keeps the entrypoint of the image when the file gives a command', () => {
    expect(argsOf({ command: ['sh'] })).toEqual(['/image-entry', 'sh']);
  });
  it('the command drops the command of the image when the file gives an entrypoint', () => {
    expect(argsOf({ entrypoint: ['/mine'] })).toEqual(['/mine']);
    expect(argsOf({ entrypoint: ['/mine'], command: ['x'] })).toEqual(['/mine', 'x']);
  });
  it('the command can be replaced from the command line', () => {
    expect(argsOf({ command: ['sh'] }, { command: ['ls', '-l'] })).toEqual(['/image-entry', 'ls', '-l']);
  });
  it('the command is missing, which is an error, where neither the file nor the image has one', () => {
    const none = () => compile(testDocument({}), image, ROOT_HOST);
    expect(diagnosticsOf(none)).toMatchObject([{ code: 'E_NO_COMMAND' }]);
  });
});

describe('oom_score_adj', () => {
  const spared = { ...ROOT_HOST, oomScoreAdj: -900 };
  it('oom_score_adj is inherited, but a negative one becomes 0', () => {
    expect(configOf().process.oomScoreAdj).toBeUndefined();
    expect(configOf({}, spared).process.oomScoreAdj).toBe(0);
    expect(configOf({}, { ...ROOT_HOST, oomScoreAdj: 300 }).process.oomScoreAdj).toBeUndefined();
  });
  it('oom_score_adj of the file is used as it is, also below 0', () => {
    expect(configOf({ oomScoreAdj: -5 }, spared).process.oomScoreAdj).toBe(-5);
  });
});

describe('the environment', () => {
  it('the environment has a path, a home and a host name, and a terminal type on a terminal', () => {
    expect(configOf({ hostname: 'inside' }).process.env).toEqual([
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'HOSTNAME=inside',
      'HOME=/root',
    ]);
    expect(configOf({ tty: true }).process.env).toContain('TERM=xterm');
  });
  it('the environment of the file overrides the defaults', () => {
    const { env } = configOf({ environment: { HOME: '/elsewhere', CI: '1' } }).process;
    expect(env).toContain('HOME=/elsewhere');
    expect(env).not.toContain('HOME=/root');
    expect(env.at(-1)).toBe('CI=1');
  });
});

describe('the error for an id that is not mapped', () => {
  const user = { user: { user: 1000 } };
  const told = (options: DocumentOptions, host: HostFacts) =>
    problems(options, host).map(({ message, hint }) => `${message} = ${hint}`);
  it('the error for an id that is not mapped names the command that gives subordinate ids, with a range that is free', () => {
    const host = { ...USER_ALONE_HOST, euid: 1001, userName: 'me', takenIds: [{ start: 100_000, size: 65_536 }] };
    expect(told(user, host)).toEqual([
      'the user id 1000 does not exist inside: without subordinate ids, root is the only user there = install newuidmap and newgidmap, and sudo usermod --add-subuids 165536-231071 --add-subgids 165536-231071 me; or run it as root: `user: 0`',
    ]);
  });
  it('the error for an id that is not mapped is the same for the owner of a tmpfs', () => {
    const tmpfs = { ...volume, target: '/t', uid: 1000, specPath: 'volumes.0' as const };
    expect(told({ volumes: [tmpfs] }, USER_ALONE_HOST)).toEqual([
      expect.stringMatching(
        /^the tmpfs cannot belong to it: the user id 1000 .*root is the only user there = install /u,
      ),
    ]);
  });
  it('the error for an id that is not mapped names `uid_map` where the file has one', () => {
    const map = [{ container: 0, host: 200_000, size: 10 }];
    expect(told({ ...user, uidMap: map, gidMap: map }, ROOT_HOST)).toEqual([
      'the user id 1000 does not exist inside: uid_map does not map it = map more ids with uid_map and gid_map, or take another user',
    ]);
  });
  it('the error for an id that is not mapped says which ids are mapped', () => {
    expect(told({ user: { user: 70_000 } }, ROOT_HOST)).toEqual([
      'the user id 70000 does not exist inside: there are 0–65535 = take another user, or map more ids with uid_map and gid_map',
    ]);
  });
});

describe('the platform', () => {
  it('the platform is an error at its line where the machine has another one', () => {
    expect(problems({ platform: 'linux/arm64' }, ROOT_HOST, { platform: 3 })).toMatchObject([
      {
        code: 'E_PLATFORM',
        message: 'the file is for linux/arm64, and this machine is linux/amd64',
        at: { line: 3 },
      },
    ]);
    expect(problems({ platform: 'linux/amd64' })).toEqual([]);
  });
});

describe('id maps', () => {
  it('id maps of root avoid ranges that are taken', () => {
    expect(configOf().linux.uidMappings).toEqual([{ containerID: 0, hostID: 524_288, size: 65_536 }]);
    const taken = { ...ROOT_HOST, takenIds: [{ start: 500_000, size: 65_536 }] };
    expect(configOf({}, taken).linux.uidMappings).toEqual([{ containerID: 0, hostID: 589_824, size: 65_536 }]);
  });
  it('id maps of root are in root’s subordinate range where there is one', () => {
    const own = { ...ROOT_HOST, subuids: [{ start: 300_000, size: 200_000 }] };
    expect(configOf({}, own).linux.uidMappings).toEqual([{ containerID: 0, hostID: 300_000, size: 65_536 }]);
  });
  it('id maps of a user have the caller as root, then the subordinate ids', () => {
    const { uidMappings, gidMappings } = configOf({}, USER_HOST).linux;
    expect(uidMappings).toEqual([
      { containerID: 0, hostID: 1000, size: 1 },
      { containerID: 1, hostID: 100_000, size: 65_536 },
    ]);
    expect(gidMappings).toEqual([
      { containerID: 0, hostID: 1001, size: 1 },
      { containerID: 1, hostID: 200_000, size: 65_536 },
    ]);
  });
  it('id maps of a user without newgidmap have the caller alone', () => {
    const { linux, process } = configOf({}, { ...USER_HOST, newgidmap: undefined });
    expect(linux.uidMappings).toEqual([{ containerID: 0, hostID: 1000, size: 1 }]);
    expect(linux.gidMappings).toEqual([{ containerID: 0, hostID: 1001, size: 1 }]);
    expect(process.user.additionalGids ?? []).toEqual([]);
  });
  it('id maps of root in a container have all ids of that container, and no others', () => {
    const own = {
      ownUids: [{ start: 0, size: 1000 }],
      ownGids: [
        { start: 0, size: 10 },
        { start: 20, size: 5 },
      ],
    };
    const root = { ...USER_ALONE_HOST, euid: 0, egid: 5, initialUserNamespace: false, ...own };
    const { uidMappings, gidMappings } = configOf({}, { ...root, mapsIds: true }).linux;
    expect(uidMappings).toEqual([
      { containerID: 0, hostID: 0, size: 1 },
      { containerID: 1, hostID: 1, size: 999 },
    ]);
    expect(gidMappings).toEqual([
      { containerID: 0, hostID: 5, size: 1 },
      { containerID: 1, hostID: 0, size: 5 },
      { containerID: 6, hostID: 6, size: 4 },
      { containerID: 10, hostID: 20, size: 5 },
    ]);
    expect(configOf({}, { ...root, mapsIds: false }).linux.uidMappings).toHaveLength(1);
    const uidMap = [{ container: 0, host: 500, size: 501 }];
    expect(problems({ uidMap }, { ...root, mapsIds: true }, {})).toMatchObject([
      { code: 'E_ID_MAP_NOT_ALLOWED', hint: expect.stringContaining('the outer container') as string },
      { code: 'E_ID_MAP_NOT_ALLOWED' },
    ]);
  });
  it('id maps that a user may not write are errors at their lines', () => {
    const uidMap = [
      { container: 0, host: 1000, size: 1 },
      { container: 1, host: 0, size: 10 },
    ];
    const gidMap = [{ container: 0, host: 1001, size: 1 }];
    expect(problems({ uidMap, gidMap }, USER_HOST, { 'uid_map.1': 9 })).toMatchObject([
      { code: 'E_ID_MAP_NOT_ALLOWED', path: 'uid_map.1', at: { line: 9 } },
    ]);
  });
  it('id maps are left out without a user namespace', () => {
    expect(configOf({ namespaces: { user: HOST } }).linux).not.toHaveProperty('uidMappings');
  });
  it('id maps decide the owners of unpacked files where overlays cannot be id-mapped', () => {
    expect(ownershipFor(testDocument(), ROOT_HOST)).toBeUndefined();
    const old = { ...ROOT_HOST, kernel: { release: '5.12.0', major: 5, minor: 12 } };
    expect(ownershipFor(testDocument(), old)?.uidMap).toEqual([{ container: 0, host: 524_288, size: 65_536 }]);
    expect(ownershipFor(testDocument({ namespaces: { user: HOST } }), old)).toBeUndefined();
    expect(ownershipFor(testDocument(), USER_HOST)?.gidMap).toHaveLength(2);
  });
});

describe('mounts', () => {
  it('mounts by default are /proc, /dev and what is in it, and /sys, with /sys/fs/cgroup on version 2', () => {
    expect(targets()).toEqual(['/proc', '/dev', '/dev/pts', '/dev/shm', '/dev/mqueue', '/sys']);
    expect(targets({}, { ...ROOT_HOST, cgroup: { ...ROOT_HOST.cgroup, layout: 'v2' } })).toContain('/sys/fs/cgroup');
  });
  it('mounts give terminals to the group tty where it is mapped', () => {
    const pts = (host: typeof ROOT_HOST) => configOf({}, host).mounts.find(({ type }) => type === 'devpts')?.options;
    expect(pts(ROOT_HOST)).toContain('gid=5');
    expect(pts({ ...USER_HOST, newuidmap: undefined })).not.toContain('gid=5');
  });
  it('mounts of the file come after those that they lie in, and before /proc unless they lie beneath a default one', () => {
    const at = (target: string, index: number) => ({ ...volume, target, specPath: `volumes.${index}` as const });
    const volumes = [at('/a/b/c', 0), at('/z', 1), at('/dev/log', 2), at('/a', 3), at('/a/b', 4)];
    expect(targets({ volumes }).slice(0, 5)).toEqual(['/z', '/a', '/a/b', '/a/b/c', '/proc']);
    expect(targets({ volumes }).at(-1)).toBe('/dev/log');
  });
  it('mounts never give devices or set-user-id programs of the host', () => {
    const volumes = [{ ...bind, isFile: true, readOnly: true, specPath: 'volumes.0' as const }];
    const model = compile(testDocument({ ...COMMAND, volumes }, { 'volumes.0': 12 }), image, ROOT_HOST);
    expect(ociConfig(model).mounts[0]?.options).toEqual(['rbind', 'rnosuid', 'rnodev', 'rro', 'rprivate']);
    expect(model.mounts[0]).toMatchObject({
      kind: 'bind',
      recursive: true,
      isFile: true,
      asked: true,
      because: { kind: 'spec', path: 'volumes.0', at: { line: 12 } },
    });
  });
  it.each([
    ['enabled', ['rbind', 'rnosuid', 'rnodev', 'rro', 'rprivate']],
    ['readonly', ['rbind', 'rnosuid', 'rnodev', 'rro', 'rprivate']],
    ['writable', ['rbind', 'rnosuid', 'rnodev', 'ro', 'rprivate']],
    ['disabled', ['bind', 'nosuid', 'nodev', 'ro', 'rprivate']],
  ] as const)('mounts of a read-only bind with `recursive: %s` have the options %j', (recursive, options) => {
    const volumes = [{ ...bind, readOnly: true, recursive, specPath: 'volumes.0' as const }];
    expect(configOf({ volumes }).mounts[0]?.options).toEqual(options);
  });
  it.each(['/proc', '/proc/sys', '/sys/fs', '/dev', '/dev/null', '/dev/pts', '/dev/pts/0', '/dev/fd'])(
    'mounts cannot be at %s',
    (target) => {
      const volumes = [{ ...volume, target, specPath: 'volumes.0' as const }];
      expect(problems({ volumes }, ROOT_HOST, { 'volumes.0': 3 })).toMatchObject([
        { code: 'E_MOUNT_TARGET', at: { line: 3 } },
      ]);
    },
  );
  it('mounts of a file can be at /proc/cpuinfo', () => {
    const file = { ...bind, isFile: true, target: '/proc/cpuinfo', specPath: 'volumes.0' as const };
    expect(targets({ volumes: [file] }).at(-1)).toBe('/proc/cpuinfo');
    expect(problems({ volumes: [{ ...file, isFile: false }] })).toMatchObject([{ code: 'E_MOUNT_TARGET' }]);
  });
  it('mounts that are id-mapped map the caller to the user of the command, or are an error where that cannot be', () => {
    const volumes = [{ ...bind, idmap: true, specPath: 'volumes.0' as const }];
    const user = { user: 1000, group: 1001 };
    const [mount] = configOf({ volumes, user }).mounts;
    expect(mount?.options).toContain('ridmap');
    expect(mount?.uidMappings).toEqual([{ containerID: 0, hostID: 525_288, size: 1 }]);
    expect(mount?.gidMappings).toEqual([{ containerID: 0, hostID: 525_289, size: 1 }]);
    // Without root it works for who is the caller already.
    expect(configOf({ volumes }, USER_HOST).mounts[0]).not.toHaveProperty('uidMappings');
    expect(problems({ volumes, user }, USER_HOST)).toMatchObject([{ code: 'E_IDMAP', path: 'volumes.0.bind.idmap' }]);
    const old = { ...ROOT_HOST, kernel: { release: '5.10.0', major: 5, minor: 10 } };
    expect(problems({ volumes, user }, old)).toMatchObject([{ code: 'E_IDMAP' }]);
  });
  it('mounts can be shared with the host only without a user namespace of the container’s own', () => {
    const volumes = [{ ...bind, propagation: 'rshared', specPath: 'volumes.0' as const }] as const;
    expect(problems({ volumes })).toMatchObject([{ code: 'E_MOUNT_SHARED', path: 'volumes.0.bind.propagation' }]);
    expect(configOf({ volumes, namespaces: { user: HOST } }).mounts[0]?.options).toContain('rshared');
  });
  it('mounts of tmpfs can belong only to an id that is mapped', () => {
    const volumes = [{ ...volume, target: '/t', uid: 70_000, specPath: 'tmpfs.0' as const }];
    expect(problems({ volumes }, ROOT_HOST, { 'tmpfs.0': 4 })).toMatchObject([
      { code: 'E_MOUNT_OWNER', at: { line: 4 } },
    ]);
    expect(
      configOf({ volumes: [{ ...volume, target: '/t', uid: 7, specPath: 'tmpfs.0' as const }] }).mounts[0]?.options,
    ).toContain('uid=7');
  });
  it('mounts of a named volume have a source of their own for each folder with a container file', () => {
    const volumes = [{ ...named, specPath: 'volumes.0' as const }];
    const source = (folder: string) =>
      compile({ ...testDocument({ ...COMMAND, volumes }), folder }, image, ROOT_HOST).mounts[0]?.source;
    expect(source('/one')).toMatch(/^\/var\/lib\/boxctl\/volumes\/cache-[0-9a-f]{12}\/data$/u);
    expect(source('/one')).not.toBe(source('/two'));
  });
  it('mounts of /dev/shm have the size of `shm_size`', () => {
    const shm = configOf({ shmSize: 1 << 20 }).mounts.find(({ destination }) => destination === '/dev/shm');
    expect(shm?.options).toContain('size=1048576');
  });
  it('mounts, devices and masked paths are left out without a mount namespace', () => {
    const document = testDocument({ ...COMMAND, namespaces: { mount: HOST } });
    const { mounts, linux } = ociConfig(compile(document, undefined, ROOT_HOST));
    expect(mounts).toEqual([]);
    for (const key of ['devices', 'resources', 'maskedPaths', 'readonlyPaths']) expect(linux).not.toHaveProperty(key);
  });
});

describe('what is written to the root', () => {
  const on = (storeType: number, spec: DocumentOptions = {}) =>
    compile(testDocument({ command: ['true'], ...spec }), image, { ...ROOT_HOST, storeType }).writable;
  it('what is written to the root lies on the disk, or in a tmpfs where the store is on an overlay', () => {
    expect([on(0xef53), on(0x794c7630)]).toEqual(['disk', 'tmpfs']);
    expect([on(0xef53, { writable: 'tmpfs' }), on(0x794c7630, { writable: 'tmpfs' })]).toEqual(['tmpfs', 'tmpfs']);
  });
  it('what is written to the root cannot lie on a disk that is an overlay: `writable: disk` is then an error', () => {
    const found = diagnosticsOf(() => on(0x794c7630, { writable: 'disk' }));
    expect(found).toMatchObject([{ code: 'E_STORE_OVERLAY', path: 'writable' }]);
  });
});

describe('masked and read-only paths', () => {
  it('masked and read-only paths lose all that lie at or beneath a path that the file removes', () => {
    const hidden = (path: string) => {
      const changes = { add: [], remove: [{ path, specPath: 'masked_paths.0' as const }] };
      const { maskedPaths = [], readonlyPaths = [] } = configOf({ maskedPaths: changes, readonlyPaths: changes }).linux;
      return [...maskedPaths, ...readonlyPaths];
    };
    expect(hidden('/proc')).toEqual([
      '/sys/dev/block',
      '/sys/devices/virtual/powercap',
      '/sys/firmware',
      '/sys/fs/selinux',
    ]);
    expect(() => hidden('/pro')).toThrow('/pro is none of the usual paths');
  });
});

describe('devices', () => {
  const device = {
    source: '/dev/fuse',
    target: '/dev/fuse',
    type: 'c',
    major: 10,
    minor: 229,
    mode: 0o600,
    read: true,
    write: true,
    mknod: true,
    specPath: 'devices.0' as const,
  } as const;
  it('devices come after the standard ones, with the host’s mode', () => {
    const { devices } = configOf({ devices: [device] }).linux;
    const node = { type: 'c', path: '/dev/fuse', major: 10, minor: 229, fileMode: 0o600, uid: 0, gid: 0 };
    expect(devices?.at(-1)).toEqual(node);
    expect(devices).toHaveLength(7);
  });
  it('devices with fewer permissions get a mode that says so, and are an error where nothing could hold them to it', () => {
    const devices = [{ ...device, write: false }];
    expect(configOf({ devices }).linux.devices?.at(-1)).toMatchObject({ fileMode: 0o444 });
    const refused = [{ code: 'E_DEVICE_PERMISSIONS', path: 'devices.0' }];
    expect(problems({ devices }, USER_HOST)).toMatchObject(refused);
    const host = { devices, namespaces: { user: HOST } };
    const without = { ...ROOT_HOST, cgroup: { ...ROOT_HOST.cgroup, devices: undefined } };
    expect(problems(host)).toEqual([]);
    expect(problems(host, without)).toMatchObject(refused);
    expect(problems({ ...host, privileged: true })).toMatchObject(refused);
  });
  it('devices of the file and the standard ones are all that the cgroup’s rules allow; permissions of one device add up', () => {
    const again = { ...device, target: '/dev/again', read: false, mknod: false, specPath: 'devices.1' as const };
    const rules = configOf({ devices: [{ ...device, write: false, mknod: false }, again] }).linux.resources?.devices;
    expect(rules?.[0]).toEqual({ allow: false, access: 'rwm' });
    const text = rules?.slice(1).map(({ type, major, minor, access }) => `${type} ${major}:${minor ?? '*'} ${access}`);
    expect(text).toEqual([
      ...[3, 5, 7, 8, 9].map((minor) => `c 1:${minor} rwm`),
      'c 5:0 rwm',
      'c 5:2 rw',
      'c 136:* rw',
      'c 10:229 rw',
    ]);
    expect(configOf({ privileged: true }).linux.resources?.devices).toEqual([{ allow: true, access: 'rwm' }]);
  });
});

describe('limits', () => {
  const limits = { memory: 1 << 20, swap: 1 << 19, pids: 64, cpus: 1.5 };
  it('limits are written as the OCI has them: swap includes memory', () => {
    expect(configOf({ limits: { ...limits, optional: false } }).linux.resources).toEqual({
      devices: expect.any(Array),
      memory: { limit: 1 << 20, swap: (1 << 20) + (1 << 19) },
      pids: { limit: 64 },
      cpu: { quota: 150_000, period: 100_000 },
    });
  });
  it('limits that cannot be applied are errors, each at its line', () => {
    const lines = { 'limits.memory': 4, 'limits.pids': 5, 'limits.cpus': 6 };
    const found = problems({ limits: { ...limits, optional: false } }, USER_HOST, lines);
    expect(found.map(({ code, at }) => [code, at?.line])).toEqual([
      ['E_LIMIT_UNAVAILABLE', 4],
      ['E_LIMIT_UNAVAILABLE', 5],
      ['E_LIMIT_UNAVAILABLE', 6],
    ]);
    expect(found[0]?.message).toContain('no cgroup is delegated to you');
  });
  it('limits of every kind have the OCI’s key, or are in `unified` where it has none', () => {
    const more = {
      memory: (64 << 20) + 1,
      memoryHigh: 48 << 20,
      memoryLow: 16 << 20,
      cpuShares: 512,
      cpuset: '0-1',
      cpusetMems: '0',
      ioWeight: 300,
      ioDevices: [
        { kind: 'weight_device', major: 8, minor: 0, value: 20, specPath: 'limits.blkio_config.weight_device.0' },
        {
          kind: 'device_write_iops',
          major: 8,
          minor: 16,
          value: 100,
          specPath: 'limits.blkio_config.device_write_iops.0',
        },
      ],
      optional: false,
    } as const;
    expect(configOf({ limits: more }, onUnified(ROOT_HOST, UNIFIED_HOMES.parent)).linux.resources).toEqual({
      devices: expect.any(Array),
      // Whole pages, as the kernel counts.
      memory: { limit: 64 << 20, reservation: 16 << 20 },
      cpu: { shares: 512, cpus: '0-1', mems: '0' },
      blockIO: {
        weight: 300,
        weightDevice: [{ major: 8, minor: 0, weight: 20 }],
        throttleWriteIOPSDevice: [{ major: 8, minor: 16, rate: 100 }],
      },
      unified: { 'memory.high': String(48 << 20) },
    });
    const pages = [
      { page: 2 << 20, limit: 64 << 20, specPath: 'limits.hugetlb.2m' } as const,
      { page: 2 ** 30, limit: 0, specPath: 'limits.hugetlb.1g' } as const,
    ];
    expect(configOf({ limits: { hugetlb: pages, optional: false } }).linux.resources).toEqual({
      devices: expect.any(Array),
      hugepageLimits: [
        { pageSize: '2MB', limit: 64 << 20 },
        { pageSize: '1GB', limit: 0 },
      ],
    });
  });
  it.each([
    ['limits.memory_high', { memoryHigh: 1 << 20 }, ROOT_HOST, 'version 1 of cgroups has no memory.high'],
    ['limits.memory_low', { memoryLow: 1 << 20 }, ROOT_HOST, 'version 1 of cgroups has no memory.low'],
    ['limits.cpuset', { cpuset: '3-4' }, ROOT_HOST, '"3-4" is not a part of "0-3", which is all that boxctl has'],
    [
      'limits.blkio_config.weight',
      { ioWeight: 10 },
      { ...ROOT_HOST, cgroup: { ...ROOT_HOST.cgroup, ioWeight: undefined } },
      'no scheduler of disks here looks at weights',
    ],
    [
      'limits.hugetlb',
      { hugetlb: [{ page: 2 << 20, limit: 0, specPath: 'limits.hugetlb.2m' }] },
      onUnified(ROOT_HOST, UNIFIED_HOMES.parent),
      'no cgroup with the hugetlb controller is delegated',
    ],
    [
      'limits.cpus',
      { memory: 1 << 20, cpus: 1 },
      {
        ...onUnified(ROOT_HOST, UNIFIED_HOMES.parent),
        cgroup: {
          ...onUnified(ROOT_HOST, UNIFIED_HOMES.parent).cgroup,
          unified: [
            { kind: 'parent', dir: '/a/b', controllers: ['memory'], dormant: [] },
            { kind: 'parent', dir: '/a', controllers: ['cpu'], dormant: [] },
          ],
        },
      } satisfies HostFacts,
      'no cgroup hands on the cpu controller together with the others that are asked for',
    ],
  ] as const)(
    '%s is refused where it cannot be applied, and left out where it is optional',
    (path, more, host, reason) => {
      const found = problems({ limits: { ...more, optional: false } }, host, { [path]: 4 });
      expect(found.map(({ code, at, message }) => [code, at?.line, message])).toEqual([
        ['E_LIMIT_UNAVAILABLE', 4, `the limit cannot be applied here: ${reason}`],
      ]);
      const model = compile(testDocument({ ...COMMAND, limits: { ...more, optional: true } }), image, host);
      expect(model.dropped.map((one) => [one.what, one.reason])).toEqual([[path, reason]]);
    },
  );
  it('limits that are optional and cannot be applied are left out and listed', () => {
    const model = compile(testDocument({ ...COMMAND, limits: { ...limits, optional: true } }), image, USER_HOST);
    expect(Object.keys(model.config.linux.resources ?? {})).toEqual(['devices']);
    expect(model.dropped.map(({ what }) => what)).toEqual([
      'limits.memory',
      'limits.swap',
      'limits.pids',
      'limits.cpus',
    ]);
  });
});

describe('namespaces', () => {
  it('namespaces are all eight kinds by default', () => {
    expect(
      configOf()
        .linux.namespaces.map(({ type }) => type)
        .toSorted(),
    ).toEqual(['cgroup', 'ipc', 'mount', 'network', 'pid', 'time', 'user', 'uts']);
  });
  it('namespaces can be the host’s or another process’s', () => {
    const path = '/proc/123/ns/net';
    const { namespaces } = configOf({ namespaces: { net: { kind: 'path', path }, ipc: HOST } }).linux;
    expect(namespaces).toContainEqual({ type: 'network', path });
    expect(namespaces.map(({ type }) => type)).not.toContain('ipc');
  });
  it('namespaces of the host for network and processes make /sys and /proc binds of the host’s', () => {
    const { mounts } = configOf({ namespaces: { net: HOST, pid: HOST } });
    for (const destination of ['/proc', '/sys']) {
      expect(mounts).toContainEqual(expect.objectContaining({ destination, type: 'bind', source: destination }));
    }
  });
  it('namespaces of the host keep its host name: `hostname` is an error', () => {
    expect(problems({ hostname: 'x', namespaces: { uts: HOST } }, ROOT_HOST, { hostname: 2 })).toMatchObject([
      { code: 'E_NOT_PRIVATE', path: 'hostname', at: { line: 2 } },
    ]);
    expect(configOf({ namespaces: { uts: HOST } })).not.toHaveProperty('hostname');
  });
  it('namespaces need root where the user namespace is the host’s', () => {
    expect(problems({ namespaces: { user: HOST } }, USER_HOST)).toMatchObject([{ code: 'E_NEEDS_ROOT' }]);
  });
  it('namespaces that cannot be made are an error with the reason', () => {
    const userNamespaces = { usable: false, reason: 'they are switched off', hint: 'switch them on' } as const;
    expect(problems({}, { ...ROOT_HOST, userNamespaces })).toMatchObject([
      { code: 'E_NO_USER_NAMESPACES', message: 'they are switched off', hint: 'switch them on' },
    ]);
  });
  it('namespaces of time that the kernel lacks are left out, and an error where the file asks for one', () => {
    const old = { ...ROOT_HOST, timeNamespace: false };
    expect(configOf({}, old).linux.namespaces.map(({ type }) => type)).not.toContain('time');
    expect(problems({}, old, { 'namespaces.time': 8 })).toMatchObject([
      { code: 'E_NO_TIME_NAMESPACE', at: { line: 8 } },
    ]);
  });
});

describe('the reason of a part of the configuration', () => {
  const lines = { hostname: 3, 'limits.memory': 5, 'namespaces.net': 6, command: 7, user: 8 };
  const options = { ...COMMAND, hostname: 'x', limits: { memory: 1 << 20, optional: false }, user: { user: 0 } };
  const model = compile(testDocument(options, lines), image, ROOT_HOST);
  it.each([
    ['hostname', 3],
    ['linux.resources.memory.limit', 5],
    ['process.args', 7],
    ['process.user', 8],
  ] as const)('the reason of %s is line %i of the file', (path, line) => {
    expect(model.because(path)).toMatchObject({ kind: 'spec', at: { line } });
  });
  it('the reason of a default is its name', () => {
    expect(model.because('linux.seccomp')).toEqual({ kind: 'default', name: 'system call filter' });
    expect(model.mounts[0]?.because).toEqual({ kind: 'default', name: 'mount /proc' });
    expect(model.because('linux.namespaces.0')).toMatchObject({ kind: 'default' });
  });
});

describe('the reason of the program', () => {
  const lists = { entrypoint: 3, 'entrypoint.0': 4, command: 7, 'command.0': 8 };
  const both = { entrypoint: ['enter'], command: ['x'] };
  const { command } = both;
  const fromImage = { entrypoint: ['image-entry'], command: ['image-command'] };
  type Lines = Parameters<typeof testDocument>[1];
  const of = (options: DocumentOptions, lines: Lines, overrides: Overrides = {}, defaults = image.defaults) =>
    compile(testDocument(options, lines), { ...image, defaults }, ROOT_HOST, overrides).because('process.args.0');
  it('is the first word of the entrypoint, and of the command where there is no entrypoint', () => {
    expect(of(both, lists)).toMatchObject({ path: 'entrypoint', at: { line: 4 } });
    expect(of(both, lists, { command: ['y'] })).toMatchObject({ path: 'entrypoint', at: { line: 4 } });
    expect(of({ command }, { command: 7, 'command.0': 8 })).toMatchObject({ path: 'command', at: { line: 8 } });
    expect(of({ command }, { command: 7 })).toMatchObject({ path: 'command', at: { line: 7 } });
  });
  it('is no line of the file where the file does not have it', () => {
    const words = { command: 7, 'command.0': 8 };
    expect(of({ command }, words, { command: ['y'] })).toEqual({ kind: 'default', name: 'command line' });
    const defaults = { ...image.defaults, ...fromImage };
    expect(of({ command }, words, {}, defaults)).toEqual({ kind: 'default', name: 'entrypoint of the image' });
    expect(of({}, {}, {}, { ...defaults, entrypoint: [] })).toEqual({
      kind: 'default',
      name: 'command of the image',
    });
  });
});

it('compile gives the same configuration for the same input', () => {
  const frozen = JSON.stringify(configOf());
  expect(JSON.stringify(configOf())).toBe(frozen);
});

it('compile reports all problems at once', () => {
  const found = problems(
    { hostname: 'x', namespaces: { uts: HOST }, user: { user: 'who' }, limits: { pids: 1, optional: false } },
    USER_HOST,
  );
  expect(found.map(({ code }) => code).toSorted()).toEqual(['E_LIMIT_UNAVAILABLE', 'E_NOT_PRIVATE', 'E_USER_UNKNOWN']);
});

describe('the OCI version', () => {
  it('the OCI version is 1.1.0', () => {
    expect(configOf().ociVersion).toBe('1.1.0');
  });
});
