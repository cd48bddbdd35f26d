/** What every container gets that does not ask for anything else: the field's usual choices, in one place. */
import type { OciDevice, OciDeviceRule, OciMount } from '../oci/config.ts';

export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What programs that think they are root need: other people's files, other ids, low ports; nothing of the host's. */
export const DEFAULT_CAPABILITIES: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_RAW',
  'CAP_SYS_CHROOT',
  'CAP_MKNOD',
  'CAP_AUDIT_WRITE',
  'CAP_SETFCAP',
];

/** Files that tell of the host, or of its keys and timings. */
export const MASKED_PATHS: readonly string[] = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/dev/block',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
  '/sys/fs/selinux',
];

/** Files through which the host could be changed. */
export const READONLY_PATHS: readonly string[] = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
];

const NODES = [
  ['null', 1, 3],
  ['zero', 1, 5],
  ['full', 1, 7],
  ['random', 1, 8],
  ['urandom', 1, 9],
  ['tty', 5, 0],
] as const;

export function defaultDevices(): OciDevice[] {
  return NODES.map(([name, major, minor]) => ({
    type: 'c',
    path: `/dev/${name}`,
    major,
    minor,
    fileMode: 0o666,
    uid: 0,
    gid: 0,
  }));
}

/**
 * What devpts needs, opened through it alone. The kernel's console (5:1), which others allow, is none of the container's:
 * its /dev/console is a terminal of devpts.
 */
export const TERMINALS: readonly Pick<OciDeviceRule, 'type' | 'major' | 'minor'>[] = [
  { type: 'c', major: 5, minor: 2 },
  { type: 'c', major: 136 },
];

const TTY_GID = 5;

export interface MountFacts {
  /** The container's namespaces of these kinds belong to its own user namespace, or there is none. */
  readonly ownsPid: boolean;
  readonly ownsNetwork: boolean;
  readonly ownsIpc: boolean;
  /** The cgroup namespace is private, and there is something to see in it, or to hide. */
  readonly showsCgroup: boolean;
  /** The command manages its own control groups. */
  readonly writesCgroup: boolean;
  /** Bytes of /dev/shm. */
  readonly shmSize: number | undefined;
  readonly isGroupMapped: (gid: number) => boolean;
}

/**
 * The file systems of the kernel. The kernel gives a new one only to the owner of the namespace that it shows; where that
 * is the host's, the host's own is shown instead.
 */
export function defaultMounts(facts: MountFacts): OciMount[] {
  const common = ['nosuid', 'noexec', 'nodev'];
  // For the mounts below it, too: among them are cgroups, which may belong to the caller.
  const hosts = ['rbind', 'rprivate', 'rnosuid', 'rnoexec', 'rnodev'];
  const shm = facts.shmSize === undefined ? 'size=65536k' : `size=${facts.shmSize}`;
  // The kernel has 3072 for all containers together, so that one of them cannot take those of the others.
  const pts = ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'max=1024'];
  return [
    facts.ownsPid
      ? { destination: '/proc', type: 'proc', source: 'proc', options: common }
      : { destination: '/proc', type: 'bind', source: '/proc', options: hosts },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: facts.isGroupMapped(TTY_GID) ? [...pts, `gid=${TTY_GID}`] : pts,
    },
    { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: [...common, 'mode=1777', shm] },
    ...(facts.ownsIpc ? [{ destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: common }] : []),
    facts.ownsNetwork
      ? { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...common, 'ro'] }
      : { destination: '/sys', type: 'bind', source: '/sys', options: [...hosts, 'rro'] },
    ...(facts.showsCgroup
      ? [
          {
            destination: '/sys/fs/cgroup',
            type: 'cgroup',
            source: 'cgroup',
            options: [...common, 'relatime', facts.writesCgroup ? 'rw' : 'ro'],
          },
        ]
      : []),
  ];
}
