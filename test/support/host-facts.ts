/** Hosts that a model can be compiled for, as data. */
import type { HostFacts } from '../../src/host/facts.ts';

const whole = [{ start: 0, size: 4_294_967_295 }];
const v1 = (controller: string) =>
  ({ usable: true, version: 1, dir: `/sys/fs/cgroup/${controller}`, hierarchy: [controller] }) as const;
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
  ownUids: whole,
  ownGids: whole,
  userNamespaces: { usable: true },
  subuids: [],
  subgids: [],
  takenIds: [{ start: 100_000, size: 65_536 }],
  newuidmap: '/usr/bin/newuidmap',
  newgidmap: '/usr/bin/newgidmap',
  cgroup: { layout: 'v1', controllers: { memory: v1('memory'), pids: v1('pids'), cpu: v1('cpu') }, swap: true },
  timeNamespace: true,
  cpus: 2,
  dirs: { store: '/var/lib/boxctl', state: '/run/boxctl' },
};

/** An ordinary user with subordinate ids, their helpers, and no cgroup. */
export const USER_HOST: HostFacts = {
  ...ROOT_HOST,
  euid: 1000,
  egid: 1001,
  groups: [1001, 27],
  privileged: false,
  subuids: [{ start: 100_000, size: 65_536 }],
  subgids: [{ start: 200_000, size: 65_536 }],
  cgroup: {
    layout: 'v2',
    controllers: { memory: notDelegated, pids: notDelegated, cpu: notDelegated },
    swap: false,
  },
  dirs: { store: '/home/me/.local/share/boxctl', state: '/run/user/1000/boxctl' },
};

/** The same without subordinate ids. */
export const USER_ALONE_HOST: HostFacts = {
  ...USER_HOST,
  subuids: [],
  subgids: [],
  newuidmap: undefined,
  newgidmap: undefined,
};

const v2 = { usable: true, version: 2, dir: '/sys/fs/cgroup/system.slice' } as const;

/** Root on a host with version 2 of cgroups alone. */
export const ROOT_V2_HOST: HostFacts = {
  ...ROOT_HOST,
  cgroup: { layout: 'v2', controllers: { memory: v2, pids: v2, cpu: v2 }, swap: true },
};
