/** A host with its store in a folder of the test's own. */
import { join } from 'node:path';
import type { HostFacts } from '../../../src/host/facts.ts';

const unusable = { usable: false, reason: 'not asked for', hint: '' } as const;

export function hostWithStore(folder: string): HostFacts {
  const euid = process.geteuid?.() ?? 0;
  const egid = process.getegid?.() ?? 0;
  return {
    kernel: { release: '6.1.0', major: 6, minor: 1 },
    arch: process.arch === 'arm64' ? 'aarch64' : 'x86_64',
    lastCapability: 40,
    apparmor: false,
    selinux: false,
    euid,
    egid,
    groups: [egid],
    privileged: euid === 0,
    initialUserNamespace: true,
    ownUids: [{ start: 0, size: 4294967295 }],
    ownGids: [{ start: 0, size: 4294967295 }],
    userNamespaces: { usable: true },
    subuids: [],
    subgids: [],
    takenIds: [],
    newuidmap: undefined,
    newgidmap: undefined,
    cgroup: {
      layout: 'none',
      controllers: {
        memory: unusable,
        pids: unusable,
        cpu: unusable,
        cpuset: unusable,
        io: unusable,
        hugetlb: unusable,
      },
      unified: [],
      mounts: [],
      swap: false,
      cpuset: { cpus: undefined, mems: undefined },
      ioWeight: undefined,
    },
    timeNamespace: true,
    cpus: 1,
    dirs: { store: join(folder, 'store'), state: join(folder, 'state') },
  };
}
