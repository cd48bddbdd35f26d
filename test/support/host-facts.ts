/** Hosts that a model can be compiled for, as data. */
import type { HostFacts, UnifiedHome } from '../../src/host/facts.ts';

const whole = [{ start: 0, size: 4_294_967_295 }];
const v1 = (controller: string) => ({ usable: true, version: 1, dir: `/sys/fs/cgroup/${controller}` }) as const;
const notDelegated = {
  usable: false,
  reason: 'no cgroup is delegated to you',
  hint: 'log in through systemd',
} as const;

/** Root on a plain host with version 1 of cgroups. */
export const ROOT_HOST: HostFacts = {
  kernel: { release: '6.1.0', major: 6, minor: 1 },
  arch: 'x86_64',
  lastCapability: 40,
  apparmor: false,
  selinux: false,
  euid: 0,
  egid: 0,
  groups: [0],
  privileged: true,
  initialUserNamespace: true,
  setsGroups: true,
  setsSecurebits: true,
  mapsIds: false,
  ownUids: whole,
  ownGids: whole,
  userNamespaces: { usable: true },
  subuids: [],
  subgids: [],
  takenIds: [{ start: 100_000, size: 65_536 }],
  newuidmap: '/usr/bin/newuidmap',
  newgidmap: '/usr/bin/newgidmap',
  cgroup: {
    layout: 'v1',
    controllers: {
      memory: v1('memory'),
      pids: v1('pids'),
      cpu: v1('cpu'),
      cpuset: v1('cpuset'),
      io: v1('blkio'),
      hugetlb: v1('hugetlb'),
    },
    hierarchies: ['memory', 'pids', 'cpu', 'cpuset', 'blkio', 'hugetlb', 'devices', 'name=systemd'].map((name) => ({
      dir: `/sys/fs/cgroup/${name.replace('name=', '')}`,
      names: [name],
    })),
    unified: [],
    devices: { version: 1, dir: '/sys/fs/cgroup/devices' },
    mounts: ['memory', 'pids', 'cpu', 'cpuset', 'blkio', 'hugetlb', 'devices'].map((name) => `/sys/fs/cgroup/${name}`),
    swap: true,
    cpuset: { cpus: '0-3', mems: '0' },
    ioWeight: 'blkio.bfq.weight',
  },
  erofs: { usable: false, reason: 'this kernel mounts EROFS from block devices alone' },
  timeNamespace: true,
  oomScoreAdj: 0,
  cpus: 2,
  userName: 'root',
  hostname: 'host',
  network: { hosts: '127.0.0.1 localhost\n10.0.0.7 nas\n', resolv: 'nameserver 10.0.0.1\n' },
  storeType: 0xef53,
  dirs: { store: '/var/lib/boxctl', state: '/run/boxctl' },
};

/** An ordinary user with subordinate ids, their helpers, and no cgroup. */
export const USER_HOST: HostFacts = {
  ...ROOT_HOST,
  euid: 1000,
  egid: 1001,
  groups: [1001, 27],
  userName: 'me',
  privileged: false,
  subuids: [{ start: 100_000, size: 65_536 }],
  subgids: [{ start: 200_000, size: 65_536 }],
  cgroup: {
    layout: 'v2',
    controllers: {
      memory: notDelegated,
      pids: notDelegated,
      cpu: notDelegated,
      cpuset: notDelegated,
      io: notDelegated,
      hugetlb: notDelegated,
    },
    hierarchies: [],
    unified: [],
    devices: undefined,
    mounts: ['/sys/fs/cgroup'],
    swap: false,
    cpuset: { cpus: undefined, mems: undefined },
    ioWeight: undefined,
  },
  dirs: { store: '/home/me/.local/share/boxctl', state: '/run/user/1000/boxctl' },
};

const unified = { usable: true, version: 2 } as const;
const delegated = ['memory', 'pids', 'cpu', 'cpuset', 'io'] as const;

/** The homes in a unified hierarchy that facts can hold, one at a time. */
export const UNIFIED_HOMES = {
  parent: { kind: 'parent', dir: '/sys/fs/cgroup/system.slice', controllers: delegated, dormant: [] },
  own: { kind: 'own', dir: '/sys/fs/cgroup/job', controllers: delegated, dormant: delegated },
  scope: {
    kind: 'scope',
    dir: '/sys/fs/cgroup',
    controllers: delegated,
    dormant: [],
    bus: '/run/user/1000/bus',
  },
} as const satisfies Record<UnifiedHome['kind'], UnifiedHome>;

/** A host with version 2 alone, and this home. */
export function onUnified(host: HostFacts, home: UnifiedHome): HostFacts {
  return {
    ...host,
    cgroup: {
      layout: 'v2',
      controllers: {
        memory: unified,
        pids: unified,
        cpu: unified,
        cpuset: unified,
        io: unified,
        hugetlb: { usable: false, reason: 'no cgroup with the hugetlb controller is delegated', hint: 'be root' },
      },
      hierarchies: [],
      unified: [home],
      devices: { version: 2, dir: home.dir },
      mounts: ['/sys/fs/cgroup'],
      swap: true,
      cpuset: { cpus: '0-3', mems: '0' },
      ioWeight: 'io.weight',
    },
  };
}

/** The same without subordinate ids. */
export const USER_ALONE_HOST: HostFacts = {
  ...USER_HOST,
  subuids: [],
  subgids: [],
  newuidmap: undefined,
  newgidmap: undefined,
};

/** Root on a host with version 2 of cgroups alone. */
export const ROOT_V2_HOST: HostFacts = onUnified(ROOT_HOST, UNIFIED_HOMES.parent);
