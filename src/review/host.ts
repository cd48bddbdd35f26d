/**
 * The host that a file is reviewed for: one on which everything can be had, started by root. What a file may have is then
 * told in full and the same on every machine, whoever reviews it.
 */
import type { HostFacts } from '../host/facts.ts';

const WHOLE = [{ start: 0, size: 4_294_967_295 }];

export function reviewHost(host: HostFacts): HostFacts {
  const home = (controller: string) => ({ usable: true, version: 2, dir: `/sys/fs/cgroup/${controller}` }) as const;
  return {
    ...host,
    kernel: { release: '6.18.0', major: 6, minor: 18 },
    euid: 0,
    egid: 0,
    groups: [0],
    privileged: true,
    initialUserNamespace: true,
    ownUids: WHOLE,
    ownGids: WHOLE,
    userNamespaces: { usable: true },
    subuids: [],
    subgids: [],
    takenIds: [],
    cgroup: {
      layout: 'v2',
      controllers: { memory: home('memory'), pids: home('pids'), cpu: home('cpu') },
      swap: true,
    },
    timeNamespace: true,
    apparmor: true,
    selinux: true,
  };
}
