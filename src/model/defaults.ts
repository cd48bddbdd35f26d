/** What every container gets that does not ask for anything else: the field's usual choices, in one place. */
import type { OciDeviceRule } from '../oci/config.ts';
import type { Because } from './because.ts';
import type { DeviceNode } from './device.ts';
import type { Mount } from './mount.ts';

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

export function defaultDevices(): readonly DeviceNode[] {
  return NODES.map(([name, major, minor]) => ({
    path: `/dev/${name}`,
    source: `/dev/${name}`,
    type: 'c',
    major,
    minor,
    mode: 0o666,
    restricted: false,
    asked: false,
    because: { kind: 'default', name: 'standard devices' },
  }));
}

/**
 * The devices behind devpts: /dev/ptmx, and the terminals. The kernel's console (5:1) is not among them, since the container's
 * /dev/console is a terminal of devpts.
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
export function defaultMounts(facts: MountFacts): readonly Mount[] {
  const common = ['nosuid', 'noexec', 'nodev'];
  const shm = facts.shmSize === undefined ? 'size=65536k' : `size=${facts.shmSize}`;
  // The kernel has 3072 for all containers together, so that one of them cannot take those of the others.
  const pts = ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'max=1024'];
  const cgroup = [...common, 'relatime', facts.writesCgroup ? 'rw' : 'ro'];
  return [
    facts.ownsPid ? newMount('/proc', 'proc', 'proc', common) : hostMount('/proc', []),
    newMount('/dev', 'tmpfs', 'tmpfs', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']),
    newMount('/dev/pts', 'devpts', 'devpts', facts.isGroupMapped(TTY_GID) ? [...pts, `gid=${TTY_GID}`] : pts),
    newMount('/dev/shm', 'tmpfs', 'shm', [...common, 'mode=1777', shm]),
    ...(facts.ownsIpc ? [newMount('/dev/mqueue', 'mqueue', 'mqueue', common)] : []),
    facts.ownsNetwork ? newMount('/sys', 'sysfs', 'sysfs', [...common, 'ro']) : hostMount('/sys', ['rro']),
    ...(facts.showsCgroup ? [newMount('/sys/fs/cgroup', 'cgroup', 'cgroup', cgroup)] : []),
  ];
}

const becauseOf = (target: string): Because => ({ kind: 'default', name: `mount ${target}` });

function newMount(target: string, type: string, source: string, options: readonly string[]): Mount {
  return { kind: 'new', target, type, source, options, asked: false, because: becauseOf(target) };
}

/** The host's own, with the mounts below it: among them are cgroups, which may belong to the caller. */
function hostMount(target: string, more: readonly string[]): Mount {
  return {
    kind: 'bind',
    target,
    source: target,
    options: ['rprivate', 'rnosuid', 'rnoexec', 'rnodev', ...more],
    recursive: true,
    isFile: false,
    create: [],
    translated: true,
    guards: [],
    unprotected: false,
    asked: false,
    because: becauseOf(target),
  };
}
