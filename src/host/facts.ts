/**
 * What the planner must know of the host, as plain data, so that planning asks nothing and can be tested for any host.
 * Gathered once by `gatherHostFacts` in gather.ts.
 */
import { containsAddress, type Family, type Subnet } from '../text/addresses.ts';
import type { CgroupController } from '../kernel/cgroup.ts';

/** Sockets that this process was started with, at descriptors 3 and following (sd_listen_fds(3)). */
export interface GivenSockets {
  readonly count: number;
  /** One for each; undefined: they have none. */
  readonly names: readonly string[] | undefined;
}

export interface IdRange {
  readonly start: number;
  readonly size: number;
}

export type CgroupHome =
  /** In the unified hierarchy, in one of the homes of `unified`. */
  | { readonly usable: true; readonly version: 2 }
  /** `dir` is an existing host folder in which a child may be made. */
  | { readonly usable: true; readonly version: 1; readonly dir: string }
  /** Why not, as a sentence without full stop, and what would change it. */
  | { readonly usable: false; readonly reason: string; readonly hint: string };

/** A place in the unified hierarchy where a container's cgroup can be made. */
export interface UnifiedHome {
  /**
   * `parent`: an ancestor of boxctl's own cgroup; `own`: boxctl's own, which it must leave for a child first, since a
   * cgroup with processes in it hands nothing on; `scope`: one that systemd gives to the user who asks for it.
   */
  readonly kind: 'parent' | 'own' | 'scope';
  /** The folder; for a scope, where the hierarchy is mounted. */
  readonly dir: string;
  /** What a child made here can have. */
  readonly controllers: readonly CgroupController[];
  /** Those of them that the folder does not hand on yet, and that boxctl may switch on. */
  readonly dormant: readonly CgroupController[];
  /** For a scope: the socket of the user's message bus. */
  readonly bus?: string;
}

/**
 * Where the kernel can be told which devices a cgroup's processes may use: a folder in the hierarchy that the controller of
 * version 1 has to itself, or one of the unified hierarchy, in which a program decides (BPF_PROG_TYPE_CGROUP_DEVICE). Both
 * take CAP_SYS_ADMIN of the host.
 */
export interface DevicesHome {
  readonly version: 1 | 2;
  readonly dir: string;
}

/** A hierarchy of version 1. */
export interface Hierarchy {
  /** A folder in which a child may be made. */
  readonly dir: string;
  /** What its file system is asked for by: the controllers that are mounted together, or `name=…` (cgroups(7)). */
  readonly names: readonly string[];
}

export interface CgroupFacts {
  readonly layout: 'v1' | 'hybrid' | 'v2' | 'none';
  readonly controllers: Readonly<Record<CgroupController, CgroupHome>>;
  /** Those of version 1 in which the caller may make cgroups, in the order in which they are mounted. */
  readonly hierarchies: readonly Hierarchy[];
  /** The nearest first. */
  readonly unified: readonly UnifiedHome[];
  readonly devices: DevicesHome | undefined;
  /** Where a container in the background has a cgroup that it can be paused by, also without limits. */
  readonly freezer?: DevicesHome;
  /** Where the hierarchies are mounted. */
  readonly mounts: readonly string[];
  /** True where memory+swap can be limited (v1: memory.memsw.*; v2: memory.swap.max). */
  readonly swap: boolean;
  /** CPUs and memory nodes that a cpuset may be made of, as lists; undefined where the kernel does not say. */
  readonly cpuset: { readonly cpus: string | undefined; readonly mems: string | undefined };
  /** The file that weighs disks; undefined where nothing would follow it. */
  readonly ioWeight: string | undefined;
}

/** OVERLAYFS_SUPER_MAGIC: what an outer container's root usually is. */
export const OVERLAY = 0x79_4c_76_30;
export const TMPFS = 0x01_02_19_94;

export function isAtLeast(kernel: HostFacts['kernel'], major: number, minor: number): boolean {
  return kernel.major > major || (kernel.major === major && kernel.minor >= minor);
}

/** Whether an address is the host's own. */
export function isOwnAddress({ networking }: HostFacts, address: string): boolean {
  const { addresses = [], idleAddresses = [], local = [] } = networking ?? {};
  const all = [...addresses, ...idleAddresses];
  return all.some((one) => one.address === address) || local.some((subnet) => containsAddress(subnet, address));
}

/** What a container's network is built on. */
export interface NetworkFacts {
  /** The interfaces that lead to the world, by the default routes; the preferred one first. */
  readonly uplinks: readonly { readonly family: Family; readonly device: string }[];
  /** Of interfaces that are up and have a carrier. */
  readonly addresses: readonly HostAddress[];
  /** Of those that are down or have none, such as Docker's bridge without a container. */
  readonly idleAddresses?: readonly HostAddress[];
  /** All that the kernel takes as its own. Only for an ordinary user: of root's packets, the kernel decides by itself. */
  readonly local?: readonly Subnet[];
  /** boxctl may change the host's own network: CAP_NET_ADMIN, in the initial user namespace. */
  readonly netAdmin?: boolean;
  /** What carries the packets where it may not. */
  readonly programs?: NetworkPrograms;
  /** Every route but the default ones, and those to the host itself. */
  readonly routes: readonly { readonly subnet: Subnet; readonly device: string }[];
  /** What decides whether the host passes on packets that come from an interface. Empty where boxctl may not change it. */
  readonly forwarding: readonly ForwardingFact[];
  /** An interface forwards IPv6 by itself, without becoming a router for good (Linux 6.17). */
  readonly forcesForwarding: boolean;
  /** The kernel has no IPv6, or gives new interfaces none (`disable_ipv6`): containers have IPv4 alone. */
  readonly withoutIpv6?: boolean;
  /** The folder for what containers of this network namespace of the host share (src/state/addresses.ts). */
  readonly state: string;
}

/** A setting of the kernel's that passing on packets needs. */
export interface ForwardingFact {
  readonly family: Family;
  /** The interface from which packets come. */
  readonly device: string;
  /** A file below /proc/sys/net. */
  readonly setting: string;
  readonly value: string;
  /** What it was before, and is again once no container needs it. */
  readonly restore: string;
  /** The file that containers which need it lock; its text is what the value was before. */
  readonly lock: string;
  /** It has the value already. */
  readonly on: boolean;
  /** boxctl gave it the value, for a container that may run still. */
  readonly ours: boolean;
}

/** Programs that are a network stack in a process of the user's own (network-programs.ts). */
export interface NetworkPrograms {
  /** Absolute paths, with links followed. */
  readonly slirp4netns?: string;
  readonly pasta?: string;
  /** Why the device of both cannot be opened, and what changes that; absent where it can. */
  readonly noTun?: { readonly reason: string; readonly hint: string };
  /** The command that installs one of them here. */
  readonly install: string;
}

export interface HostAddress {
  readonly family: Family;
  readonly address: string;
  readonly device: string;
}

export interface HostFacts {
  readonly kernel: { readonly release: string; readonly major: number; readonly minor: number };
  readonly arch: 'x86_64' | 'aarch64';
  /** Number of the last capability that the kernel knows. */
  readonly lastCapability: number;
  /** Security modules that are switched on. */
  readonly apparmor: boolean;
  readonly selinux: boolean;
  readonly euid: number;
  readonly egid: number;
  readonly groups: readonly number[];
  /** Looked at for a file alone that asks for them (sockets.ts). */
  readonly sockets?: GivenSockets;
  /** Of /etc/passwd; undefined where the caller is not in it. */
  readonly userName?: string;
  /** CAP_SYS_ADMIN and the id capabilities are effective, in the initial user namespace. */
  readonly privileged: boolean;
  /** False when boxctl itself runs inside a user namespace. */
  readonly initialUserNamespace: boolean;
  /** False in a user namespace in which setgroups(2) is forbidden, and so in all that are made in it. */
  readonly setsGroups: boolean;
  /** It may keep its capabilities when it changes its ids (CAP_SETPCAP). */
  readonly setsSecurebits: boolean;
  /** boxctl runs inside a user namespace, and may map all ids of that namespace without a helper. */
  readonly mapsIds: boolean;
  /** The uid and gid ranges that exist in boxctl's own user namespace (the whole of 2^32-1 on a plain host). */
  readonly ownUids: readonly IdRange[];
  readonly ownGids: readonly IdRange[];
  /** Whether a user namespace can be made, and what stands in the way. */
  readonly userNamespaces:
    { readonly usable: true } | { readonly usable: false; readonly reason: string; readonly hint: string };
  /** Ranges of /etc/subuid and /etc/subgid that belong to the caller. */
  readonly subuids: readonly IdRange[];
  readonly subgids: readonly IdRange[];
  /** Every range of /etc/subuid and /etc/subgid, whoever owns it: a default map keeps clear of them. */
  readonly takenIds: readonly IdRange[];
  /** Absolute paths of the set-user-id helpers, where they are installed. */
  readonly newuidmap: string | undefined;
  readonly newgidmap: string | undefined;
  readonly cgroup: CgroupFacts;
  /** EROFS images over archives: from plain files (Linux 6.12), or through loop devices. */
  readonly erofs:
    { readonly usable: true; readonly loop: boolean } | { readonly usable: false; readonly reason: string };
  /** The time namespace (Linux 5.6). */
  readonly timeNamespace: boolean;
  /** How early the kernel kills this process when memory runs out (proc_pid_oom_score_adj(5)). */
  readonly oomScoreAdj: number;
  /** CPUs that this process may run on. */
  readonly cpus: number;
  /** uname(2). */
  readonly hostname: string;
  /** What /etc/hosts and /etc/resolv.conf say; '' where they are not there. */
  readonly network: { readonly hosts: string; readonly resolv: string };
  /** Gathered for a file with a network alone (src/host/network.ts). */
  readonly networking?: NetworkFacts;
  /** The file system that the store is on, by its magic number (statfs(2)); undefined where that is not known. */
  readonly storeType: number | undefined;
  /** A character device that a hidden file is replaced by, and the standard ones; always `/dev/…` of the host. */
  readonly dirs: {
    /** Image store: `/var/lib/boxctl` for root, `$XDG_DATA_HOME/boxctl` otherwise. */
    readonly store: string;
    /** Run-time records: `/run/boxctl` for root, `$XDG_RUNTIME_DIR/boxctl` otherwise. */
    readonly state: string;
  };
}
