/** Where a cgroup may be made, on the layouts that exist. */
import { describe, expect, test } from 'vitest';
import { gatherCgroup as gather } from '../../../src/host/cgroup.ts';
import type { CgroupFacts } from '../../../src/host/facts.ts';
import type { HostReader } from '../../../src/host/read.ts';
import { homeFor } from '../../../src/host/cgroup-home.ts';
import { fakeReader } from './reader.ts';

const PID = 77;
const gatherCgroup = (read: HostReader, euid = 1000, env: Readonly<Record<string, string>> = {}): CgroupFacts =>
  gather(read, { pid: PID, euid, env, contained: false });

const V1_MOUNTS = `30 25 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro
31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
`;
const UNIFIED = '34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n';
const V2_MOUNT = '30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n';
const V1_PATHS = '4:cpu,cpuacct:/job\n3:pids:/\n2:memory:/job\n';

test('in a container the advice is to limit that container, since the host cannot be changed from there', () => {
  for (const mounts of ['', V1_MOUNTS, V2_MOUNT]) {
    const read = fakeReader({ files: { '/proc/self/mountinfo': mounts, '/proc/self/cgroup': '0::/\n' } });
    const { controllers } = gather(read, { pid: PID, euid: 0, env: {}, contained: true });
    for (const name of ['memory', 'hugetlb'] as const) {
      expect(controllers[name]).toMatchObject({
        usable: false,
        reason: expect.stringContaining('the container around boxctl') as string,
        hint: expect.stringContaining('give that container `limits`') as string,
      });
    }
  }
});

describe('version 1', () => {
  const files = { '/proc/self/mountinfo': V1_MOUNTS, '/proc/self/cgroup': V1_PATHS };
  const memory = '/sys/fs/cgroup/memory';
  const rest = ['/sys/fs/cgroup/pids', '/sys/fs/cgroup/cpu,cpuacct'];

  test('a cgroup is made beneath boxctl’s own, so that the limits of that one go on applying', () => {
    const found = gatherCgroup(fakeReader({ files, writable: [memory, `${memory}/job`, ...rest] }));
    expect(found.layout).toBe('v1');
    expect(found.controllers.memory).toEqual({ usable: true, version: 1, dir: `${memory}/job` });
    expect(found.controllers.pids).toEqual({ usable: true, version: 1, dir: rest[0] });
  });

  test('a cgroup is made beneath the nearest ancestor where boxctl’s own cannot be written', () => {
    const found = gatherCgroup(fakeReader({ files, writable: rest }));
    expect(found.controllers.cpu).toEqual({ usable: true, version: 1, dir: rest[1] });
    expect(found.controllers.memory.usable).toBe(false);
  });

  test('an ordinary user is told which folder belongs to another user', () => {
    const found = gatherCgroup(fakeReader({ files }));
    expect(found.controllers.memory).toMatchObject({ usable: false, reason: expect.stringContaining(`${memory}/job`) });
  });

  test('swap is limited only where the kernel accounts for it', () => {
    const writable = [`${memory}/job`];
    const counted = { ...files, [`${memory}/job/memory.memsw.limit_in_bytes`]: '' };
    expect(gatherCgroup(fakeReader({ files, writable })).swap).toBe(false);
    expect(gatherCgroup(fakeReader({ files: counted, writable })).swap).toBe(true);
  });

  test('the own cgroup is found where the mount shows a part of the hierarchy, as in a container', () => {
    const mountinfo = '31 30 0:27 /outer /sys/fs/cgroup/my\\040memory rw - cgroup cgroup rw,memory\n';
    const read = fakeReader({
      files: { '/proc/self/mountinfo': mountinfo, '/proc/self/cgroup': '2:memory:/outer/job\n' },
      writable: ['/sys/fs/cgroup/my memory/job'],
    });
    expect(gatherCgroup(read).controllers.memory).toMatchObject({ dir: '/sys/fs/cgroup/my memory/job' });
  });
});

describe('both versions', () => {
  test('on a hybrid host each controller is used in the version that has it', () => {
    const mounts = V1_MOUNTS.split('\n').filter((line) => !line.includes('/pids'));
    const unified = '/sys/fs/cgroup/unified';
    const read = fakeReader({
      files: {
        '/proc/self/mountinfo': `${mounts.join('\n')}${UNIFIED}`,
        '/proc/self/cgroup': `${V1_PATHS}0::/\n`,
        [`${unified}/cgroup.controllers`]: 'pids',
        [`${unified}/cgroup.subtree_control`]: 'pids',
      },
      writable: ['/sys/fs/cgroup/memory', unified, `${unified}/cgroup.procs`],
    });
    const found = gatherCgroup(read);
    expect(found.layout).toBe('hybrid');
    expect(found.controllers.memory).toMatchObject({ version: 1, dir: '/sys/fs/cgroup/memory' });
    expect(found.controllers.pids).toEqual({ usable: true, version: 2 });
    expect(found.unified).toEqual([{ kind: 'parent', dir: unified, controllers: ['pids'], dormant: [] }]);
  });
});

describe('rules for devices', () => {
  const unified = '/sys/fs/cgroup/unified';
  const devicesOf = (hierarchy: string, writable: readonly string[]): CgroupFacts['devices'] => {
    const mount = `35 30 0:31 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,${hierarchy}\n`;
    const mountinfo = `${V1_MOUNTS}${hierarchy === '' ? '' : mount}${UNIFIED}`;
    const paths = `${V1_PATHS}5:${hierarchy}:/job\n0::/mine\n`;
    const files = { '/proc/self/mountinfo': mountinfo, '/proc/self/cgroup': paths };
    return gatherCgroup(fakeReader({ files, writable })).devices;
  };
  const both = ['/sys/fs/cgroup/devices', '/sys/fs/cgroup/devices/job', unified, `${unified}/mine`];

  test.each<[string, string, readonly string[], CgroupFacts['devices']]>([
    [
      'rules for devices are made in the hierarchy of version 1 where there is one',
      'devices',
      both,
      { version: 1, dir: both[1] ?? '' },
    ],
    [
      'rules for devices are a program where the hierarchy of version 1 has other controllers',
      'devices,io',
      both,
      { version: 2, dir: both[3] ?? '' },
    ],
    [
      'rules for devices are a program where version 1 has no hierarchy for them',
      '',
      both,
      { version: 2, dir: `${unified}/mine` },
    ],
    [
      'rules for devices are made in the nearest cgroup that can be written',
      'devices',
      both.slice(0, 1),
      { version: 1, dir: both[0] ?? '' },
    ],
    ['rules for devices cannot be had where no cgroup can be written', 'devices', [], undefined],
  ])('%s', (_title, hierarchy, writable, expected) => {
    expect(devicesOf(hierarchy, writable)).toEqual(expected);
  });
});

describe('version 2', () => {
  const top = '/sys/fs/cgroup';
  const slice = `${top}/user.slice/user-1000.slice/user@1000.service`;
  const app = `${slice}/app.slice`;
  const own = `${app}/run-1.scope`;
  const files = {
    '/proc/self/mountinfo': V2_MOUNT,
    '/proc/self/cgroup': `0::${own.slice(top.length)}\n`,
    [`${top}/cgroup.controllers`]: 'cpu io memory pids',
    [`${top}/cgroup.subtree_control`]: 'cpu io memory pids',
    [`${slice}/cgroup.subtree_control`]: 'cpu memory pids',
    [`${app}/cgroup.subtree_control`]: 'cpu memory pids',
    [`${own}/cgroup.subtree_control`]: '',
  };
  const delegated = [slice, app, own].flatMap((folder) => [folder, `${folder}/cgroup.procs`]);

  test('homes are the ancestors that hand controllers on, the nearest first, and never a cgroup with processes of others', () => {
    const found = gatherCgroup(fakeReader({ files, writable: delegated }));
    expect(found.layout).toBe('v2');
    expect(found.controllers.memory).toEqual({ usable: true, version: 2 });
    expect(found.unified.map(({ dir }) => dir)).toEqual([app, slice]);
    expect(homeFor(found, ['memory', 'cpu'])?.dir).toBe(app);
  });

  test('the home is the nearest one with the most of the controllers that are wanted', () => {
    const less = { ...files, [`${app}/cgroup.subtree_control`]: 'pids' };
    const found = gatherCgroup(fakeReader({ files: less, writable: delegated }));
    expect(homeFor(found, ['pids'])?.dir).toBe(app);
    expect(homeFor(found, ['pids', 'memory'])?.dir).toBe(slice);
    expect(homeFor(found, ['hugetlb'])).toBeUndefined();
  });

  const mine = {
    ...files,
    [`${own}/cgroup.type`]: 'domain',
    [`${own}/cgroup.controllers`]: 'cpu memory pids',
    [`${own}/cgroup.procs`]: `${PID}\n`,
  };
  const scope = [own, `${own}/cgroup.procs`, `${own}/cgroup.subtree_control`];

  test('the home is boxctl’s own cgroup where boxctl is alone in it', () => {
    const found = gatherCgroup(fakeReader({ files: mine, writable: [...delegated, ...scope] }));
    const controllers = ['memory', 'pids', 'cpu'];
    expect(found.unified[0]).toEqual({ kind: 'own', dir: own, controllers, dormant: controllers });
  });

  test('where boxctl’s own cgroup is the only one and has other processes, the refusal says how to move them', () => {
    const shared = { ...mine, [`${own}/cgroup.procs`]: `1\n${PID}\n` };
    const { memory } = gatherCgroup(fakeReader({ files: shared, writable: scope })).controllers;
    expect(memory).toMatchObject({ usable: false, reason: expect.stringContaining(own) });
    expect(memory).toMatchObject({ hint: expect.stringContaining(`mkdir ${own}/init`) });
  });

  test('the home is the top of what is delegated to a container, once it has no processes', () => {
    const inside = {
      '/proc/self/mountinfo': V2_MOUNT,
      '/proc/self/cgroup': '0::/init\n',
      [`${top}/cgroup.type`]: 'domain',
      [`${top}/cgroup.controllers`]: 'memory pids',
      [`${top}/cgroup.subtree_control`]: '',
      [`${top}/cgroup.procs`]: '',
    };
    const writable = [top, `${top}/cgroup.procs`, `${top}/cgroup.subtree_control`];
    const found = gatherCgroup(fakeReader({ files: inside, writable }), 0);
    const controllers = ['memory', 'pids'];
    expect(found.unified).toEqual([{ kind: 'parent', dir: top, controllers, dormant: controllers }]);
  });

  test('root switches controllers on at the root of the hierarchy, which may have processes', () => {
    const host = { ...files, '/proc/self/cgroup': '0::/\n', [`${top}/cgroup.procs`]: '1\n2\n' };
    const writable = [top, `${top}/cgroup.procs`, `${top}/cgroup.subtree_control`];
    const less = { ...host, [`${top}/cgroup.subtree_control`]: 'memory' };
    const found = gatherCgroup(fakeReader({ files: less, writable }), 0);
    expect(found.unified).toEqual([
      { kind: 'parent', dir: top, controllers: ['memory', 'pids', 'cpu', 'io'], dormant: ['pids', 'cpu', 'io'] },
    ]);
  });

  test('the home is a scope of systemd’s where the user has no cgroup, and a bus that answers', () => {
    const session = {
      '/proc/self/mountinfo': V2_MOUNT,
      '/proc/self/cgroup': '0::/user.slice/user-1000.slice/session-1.scope\n',
      [`${top}/cgroup.controllers`]: 'cpu io memory pids',
      [`${slice}/cgroup.controllers`]: 'memory pids',
      '/run/user/1000/bus': '',
      '/elsewhere': '',
    };
    const found = gatherCgroup(fakeReader({ files: session }));
    const home = { kind: 'scope', dir: top, controllers: ['memory', 'pids'], dormant: [] };
    expect(found.unified).toEqual([{ ...home, bus: '/run/user/1000/bus' }]);
    expect(found.controllers.cpu).toMatchObject({ usable: false, hint: expect.stringContaining('Delegate=') });
    const env = { DBUS_SESSION_BUS_ADDRESS: 'unix:path=/elsewhere,guid=0a' };
    expect(gatherCgroup(fakeReader({ files: session }), 1000, env).unified).toEqual([{ ...home, bus: '/elsewhere' }]);
    const { '/run/user/1000/bus': _bus, ...gone } = session;
    expect(gatherCgroup(fakeReader({ files: gone })).unified).toEqual([]);
  });

  test('a folder whose cgroup.procs cannot be written is no home, since no process can be moved into it', () => {
    const found = gatherCgroup(fakeReader({ files, writable: [slice, app] }));
    expect(found.controllers.memory).toMatchObject({ usable: false, hint: expect.stringContaining('Delegate=') });
  });

  test('the refusal says whether the kernel lacks a controller, or it is not delegated', () => {
    const lacking = { ...files, [`${top}/cgroup.controllers`]: 'cpu pids' };
    const { memory } = gatherCgroup(fakeReader({ files: lacking })).controllers;
    expect(memory).toMatchObject({ usable: false, reason: 'this host has no memory controller' });
  });
});

test('no controller is usable where no cgroup file system is mounted', () => {
  const found = gatherCgroup(fakeReader({ files: {} }));
  expect(found.layout).toBe('none');
  expect(found.controllers.pids.usable).toBe(false);
});

test('where network namespaces have names, the hint says that `ip netns exec` hides the cgroups, and what does not', () => {
  const { pids } = gatherCgroup(fakeReader({ files: { '/run/netns': '' } })).controllers;
  expect(pids).toMatchObject({ hint: expect.stringContaining('nsenter --net=/run/netns/NAME') as string });
  const { pids: other } = gatherCgroup(fakeReader({ files: {} })).controllers;
  expect(other).toMatchObject({ hint: 'mount one: mount -t cgroup2 none /sys/fs/cgroup' });
});
