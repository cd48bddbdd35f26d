/**
 * The host that a file is reviewed for: one on which everything can be had, started by root. What a file may have is then
 * reported in full, and the same on every machine and for every user.
 */
import type { SpecDocument } from '../spec/spec.ts';
import { CGROUP_CONTROLLERS } from '../kernel/cgroup.ts';
import type { CgroupFacts, CgroupHome, HostFacts } from '../host/facts.ts';

const WHOLE = [{ start: 0, size: 4_294_967_295 }];

const USABLE: CgroupHome = { usable: true, version: 2 };
const CGROUP: CgroupFacts = {
  layout: 'v2',
  controllers: { memory: USABLE, pids: USABLE, cpu: USABLE, cpuset: USABLE, io: USABLE, hugetlb: USABLE },
  hierarchies: [],
  unified: [{ kind: 'parent', dir: '/sys/fs/cgroup', controllers: CGROUP_CONTROLLERS, dormant: [] }],
  devices: { version: 2, dir: '/sys/fs/cgroup' },
  mounts: ['/sys/fs/cgroup'],
  swap: true,
  cpuset: { cpus: '0-8191', mems: '0-1023' },
  ioWeight: 'io.weight',
};

/** What a file for ordinary users alone is reviewed for: one with subordinate ids. */
const ORDINARY = {
  euid: 1000,
  egid: 1000,
  groups: [1000],
  privileged: false,
  subuids: [{ start: 100_000, size: 65_536 }],
  subgids: [{ start: 100_000, size: 65_536 }],
  newuidmap: '/usr/bin/newuidmap',
  newgidmap: '/usr/bin/newgidmap',
  userName: 'user',
} as const satisfies Partial<HostFacts>;

/** By `platform`; one that is emulated has the system calls of the host. */
const ARCHITECTURES: Readonly<Record<string, HostFacts['arch']>> = {
  'linux/amd64': 'x86_64',
  'linux/arm64': 'aarch64',
};

export function reviewHost(host: HostFacts, { spec }: Pick<SpecDocument, 'spec'>): HostFacts {
  return {
    ...host,
    arch: ARCHITECTURES[spec.platform ?? ''] ?? host.arch,
    kernel: { release: '6.18.0', major: 6, minor: 18 },
    lastCapability: 40,
    euid: 0,
    egid: 0,
    groups: [0],
    privileged: true,
    initialUserNamespace: true,
    setsGroups: true,
    mapsIds: false,
    ownUids: WHOLE,
    ownGids: WHOLE,
    userNamespaces: { usable: true },
    subuids: [],
    subgids: [],
    takenIds: [],
    cgroup: CGROUP,
    timeNamespace: true,
    oomScoreAdj: 0,
    storeType: undefined,
    userName: 'root',
    hostname: 'host',
    network: { hosts: '', resolv: '' },
    apparmor: true,
    selinux: true,
    ...(spec.keepId || spec.keepGroups ? ORDINARY : {}),
  };
}
