/**
 * The kernel's numbers under the kernel's names (uapi headers of Linux 6.12; the same on x86-64 and arm64 but for the
 * few `O_` flags that differ, which boxctl leaves to the launcher's own compiler: see `O` below).
 */

/** How a number is printed: as the names of its bits joined by `|`, or as the name of its value. */
export interface NameSet {
  readonly kind: 'bits' | 'values';
  readonly names: Readonly<Record<string, number>>;
}

/**
 * Open flags. O_DIRECTORY and O_NOFOLLOW have other numbers on arm64, so the wire carries x86-64's and the launcher
 * translates; every other flag used here is the same on both.
 */
export const O = {
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  O_CREAT: 0o100,
  O_EXCL: 0o200,
  O_NOCTTY: 0o400,
  O_TRUNC: 0o1000,
  O_APPEND: 0o2000,
  O_NONBLOCK: 0o4000,
  O_DIRECTORY: 0o200000,
  O_NOFOLLOW: 0o400000,
  O_CLOEXEC: 0o2000000,
  O_PATH: 0o10000000,
} as const;

export const RESOLVE = {
  RESOLVE_NO_XDEV: 0x01,
  RESOLVE_NO_MAGICLINKS: 0x02,
  RESOLVE_NO_SYMLINKS: 0x04,
  RESOLVE_BENEATH: 0x08,
  RESOLVE_IN_ROOT: 0x10,
} as const;

export const AT = {
  AT_SYMLINK_NOFOLLOW: 0x100,
  AT_REMOVEDIR: 0x200,
  AT_EMPTY_PATH: 0x1000,
  AT_RECURSIVE: 0x8000,
} as const;

export const OPEN_TREE = {
  OPEN_TREE_CLONE: 1,
  AT_SYMLINK_NOFOLLOW: 0x100,
  AT_EMPTY_PATH: 0x1000,
  AT_RECURSIVE: 0x8000,
  OPEN_TREE_CLOEXEC: 0o2000000,
} as const;

export const MOVE_MOUNT = {
  MOVE_MOUNT_F_EMPTY_PATH: 0x04,
  MOVE_MOUNT_T_EMPTY_PATH: 0x40,
} as const;

export const MOUNT_ATTR = {
  MOUNT_ATTR_RDONLY: 0x01,
  MOUNT_ATTR_NOSUID: 0x02,
  MOUNT_ATTR_NODEV: 0x04,
  MOUNT_ATTR_NOEXEC: 0x08,
  MOUNT_ATTR_NOATIME: 0x10,
  MOUNT_ATTR_STRICTATIME: 0x20,
  MOUNT_ATTR_NODIRATIME: 0x80,
  MOUNT_ATTR_IDMAP: 0x100000,
  MOUNT_ATTR_NOSYMFOLLOW: 0x200000,
} as const;

export const MS = {
  MS_RDONLY: 1,
  MS_NODEV: 4,
  MS_UNBINDABLE: 1 << 17,
  MS_PRIVATE: 1 << 18,
  MS_SLAVE: 1 << 19,
  MS_SHARED: 1 << 20,
} as const;

export const MNT = { MNT_DETACH: 2, UMOUNT_NOFOLLOW: 8 } as const;
export const FSOPEN = { FSOPEN_CLOEXEC: 1 } as const;
export const FSMOUNT = { FSMOUNT_CLOEXEC: 1 } as const;
export const FSCONFIG = {
  FSCONFIG_SET_FLAG: 0,
  FSCONFIG_SET_STRING: 1,
  FSCONFIG_SET_FD: 5,
  FSCONFIG_CMD_CREATE: 6,
} as const;

export const CLONE = {
  CLONE_NEWTIME: 0x80,
  CLONE_PIDFD: 0x1000,
  CLONE_NEWNS: 0x20000,
  CLONE_NEWCGROUP: 0x2000000,
  CLONE_NEWUTS: 0x4000000,
  CLONE_NEWIPC: 0x8000000,
  CLONE_NEWUSER: 0x10000000,
  CLONE_NEWPID: 0x20000000,
  CLONE_NEWNET: 0x40000000,
  CLONE_INTO_CGROUP: 0x200000000,
} as const;

export const PR = {
  PR_SET_PDEATHSIG: 1,
  PR_SET_DUMPABLE: 4,
  PR_SET_KEEPCAPS: 8,
  PR_CAPBSET_DROP: 24,
  PR_SET_SECUREBITS: 28,
  PR_SET_CHILD_SUBREAPER: 36,
  PR_SET_NO_NEW_PRIVS: 38,
  PR_CAP_AMBIENT: 47,
} as const;
export const SECBIT_NO_SETUID_FIXUP = 4;
export const PR_CAP_AMBIENT_RAISE = 2;
export const PR_CAP_AMBIENT_CLEAR_ALL = 4;

export const SECCOMP = { SECCOMP_SET_MODE_FILTER: 1 } as const;
export const SECCOMP_FILTER = {
  SECCOMP_FILTER_FLAG_TSYNC: 1,
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
  SECCOMP_FILTER_FLAG_NEW_LISTENER: 8,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: 32,
} as const;
export const MSG = { MSG_DONTROUTE: 0x4, MSG_CONFIRM: 0x800, MSG_NOSIGNAL: 0x4000 } as const;
/** These two flags have no effect on a local socket. Together they mark the message that carries the seccomp listener. */
export const LISTENER_FLAGS = MSG.MSG_DONTROUTE | MSG.MSG_CONFIRM | MSG.MSG_NOSIGNAL;

export const LANDLOCK_SCOPE = { LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET: 1, LANDLOCK_SCOPE_SIGNAL: 2 } as const;

export const RLIMIT = {
  RLIMIT_CPU: 0,
  RLIMIT_FSIZE: 1,
  RLIMIT_DATA: 2,
  RLIMIT_STACK: 3,
  RLIMIT_CORE: 4,
  RLIMIT_RSS: 5,
  RLIMIT_NPROC: 6,
  RLIMIT_NOFILE: 7,
  RLIMIT_MEMLOCK: 8,
  RLIMIT_AS: 9,
  RLIMIT_LOCKS: 10,
  RLIMIT_SIGPENDING: 11,
  RLIMIT_MSGQUEUE: 12,
  RLIMIT_NICE: 13,
  RLIMIT_RTPRIO: 14,
  RLIMIT_RTTIME: 15,
} as const;

export const IOCTL = { TIOCSCTTY: 0x540e, TIOCSPTLCK: 0x40045431, SIOCSIFFLAGS: 0x8914 } as const;
export const IFF_UP = 1;
export const AF = { AF_UNIX: 1, AF_INET: 2, AF_INET6: 10, AF_NETLINK: 16 } as const;
/** SOCK_RAW first: it is the bits of both others. */
export const SOCK = {
  SOCK_RAW: 3,
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
  SOCK_NONBLOCK: 0o4000,
  SOCK_CLOEXEC: 0o2000000,
} as const;
export const NETLINK = { NETLINK_ROUTE: 0, NETLINK_NETFILTER: 12 } as const;
export const SOL = { IPPROTO_IP: 0, SOL_SOCKET: 1, IPPROTO_IPV6: 41, SOL_NETLINK: 270 } as const;
/** Options of all levels: setsockopt(2), ipv6(7), netlink(7). No two of them have the same number. */
export const SOCKET_OPTION = {
  SO_REUSEADDR: 2,
  NETLINK_CAP_ACK: 10,
  NETLINK_EXT_ACK: 11,
  IPV6_V6ONLY: 26,
  SO_MARK: 36,
} as const;
export const CLOSE_RANGE = { CLOSE_RANGE_UNSHARE: 2, CLOSE_RANGE_CLOEXEC: 4 } as const;
export const FCNTL = { F_SETLEASE: 1024 } as const;
export const LEASE = { F_RDLCK: 0 } as const;
/** How an archive is read (native/image/image_call.cc). */
export const IMAGE = {
  /** A layer: its whiteouts become overlay's marks. */
  LAYER: 1,
  /** Stop at the first entry that looks like a part of an image in layers. */
  STOP_AT_IMAGE: 2,
  /** With LAYER: no layer is below. */
  LOWEST: 4,
  /** With LAYER: the archive begins with the files of lower layers that its hard links point to. */
  COMPLETE: 8,
  /** The digest is not computed: that takes as much time as everything else together. */
  UNDIGESTED: 16,
  /** Of a tree, with LAYER: it hides all that is below its root. */
  OPAQUE: 32,
  /** Compress by gzip, or by zstd; without either, the tar stays plain. */
  GZIP: 64,
  ZSTD: 128,
  /** Report the newest entry of the tar, and the machine that its programs are for. */
  DESCRIBE: 256,
} as const;
/** Of files that go into a container and come out of it. */
export const FILES = {
  /** A link at the end of the path is followed. */
  FOLLOW: 1,
  /** Sent is a folder, or else it is an error. */
  FOLDER: 2,
  /** Sent is no folder, or else it is an error. */
  NO_FOLDER: 4,
  /** Owners, set-id bits, capabilities and devices are those of the tar. */
  OWNERS: 8,
  /** Taken is a tar of somebody else's: it goes into a folder, with the paths that it has. */
  TAR: 16,
} as const;
export const LOCK = { LOCK_SH: 1, LOCK_EX: 2, LOCK_NB: 4, LOCK_UN: 8 } as const;
export const KEYCTL = { KEYCTL_JOIN_SESSION_KEYRING: 1 } as const;

export const BPF_PROG_TYPE = { BPF_PROG_TYPE_CGROUP_DEVICE: 15 } as const;
export const BPF_ATTACH_TYPE = { BPF_CGROUP_DEVICE: 6 } as const;
/** The programs of parent cgroups, and of other processes, still run: a device must be allowed by all of them. */
export const BPF_ATTACH_FLAGS = { BPF_F_ALLOW_MULTI: 2 } as const;

/** For copytree's owner, group and mode. */
export const AS_SOURCE = 0xffff_ffff;

export const S_IFCHR = 0o020000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;

const bits = (names: Readonly<Record<string, number>>): NameSet => ({ kind: 'bits', names });
const values = (names: Readonly<Record<string, number>>): NameSet => ({ kind: 'values', names });

/** The sets by the names that the call table uses. */
export const NAME_SETS = {
  O: bits(O),
  RESOLVE: bits(RESOLVE),
  AT: bits(AT),
  OPEN_TREE: bits(OPEN_TREE),
  MOVE_MOUNT: bits(MOVE_MOUNT),
  MOUNT_ATTR: bits(MOUNT_ATTR),
  MS: bits(MS),
  MNT: bits(MNT),
  FSOPEN: bits(FSOPEN),
  FSMOUNT: bits(FSMOUNT),
  FSCONFIG: values(FSCONFIG),
  CLONE: bits(CLONE),
  PR: values(PR),
  SECCOMP: values(SECCOMP),
  SECCOMP_FILTER: bits(SECCOMP_FILTER),
  RLIMIT: values(RLIMIT),
  IOCTL: values(IOCTL),
  AF: values(AF),
  SOCK: bits(SOCK),
  SOL: values(SOL),
  SOCKET_OPTION: values(SOCKET_OPTION),
  CLOSE_RANGE: bits(CLOSE_RANGE),
  LANDLOCK_SCOPE: bits(LANDLOCK_SCOPE),
  LOCK: bits(LOCK),
  IMAGE: bits(IMAGE),
  FILES: bits(FILES),
  FCNTL: values(FCNTL),
  LEASE: values(LEASE),
  MSG: bits(MSG),
  KEYCTL: values(KEYCTL),
  BPF_PROG_TYPE: values(BPF_PROG_TYPE),
  BPF_ATTACH_TYPE: values(BPF_ATTACH_TYPE),
  BPF_ATTACH_FLAGS: bits(BPF_ATTACH_FLAGS),
} as const satisfies Record<string, NameSet>;

/** errno numbers (asm-generic/errno.h, the same on both machines). */
const NUMBERS = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  ENOEXEC: 8,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  ENOTBLK: 15,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EMLINK: 31,
  EPIPE: 32,
  EDOM: 33,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  ENOLCK: 37,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENOMSG: 42,
  EIDRM: 43,
  ECHRNG: 44,
  EL2NSYNC: 45,
  EL3HLT: 46,
  EL3RST: 47,
  ELNRNG: 48,
  EUNATCH: 49,
  ENOCSI: 50,
  EL2HLT: 51,
  EBADE: 52,
  EBADR: 53,
  EXFULL: 54,
  ENOANO: 55,
  EBADRQC: 56,
  EBADSLT: 57,
  EBFONT: 59,
  ENOSTR: 60,
  ENODATA: 61,
  ETIME: 62,
  ENOSR: 63,
  ENONET: 64,
  ENOPKG: 65,
  EREMOTE: 66,
  ENOLINK: 67,
  EADV: 68,
  ESRMNT: 69,
  ECOMM: 70,
  EPROTO: 71,
  EMULTIHOP: 72,
  EDOTDOT: 73,
  EBADMSG: 74,
  EOVERFLOW: 75,
  ENOTUNIQ: 76,
  EBADFD: 77,
  EREMCHG: 78,
  ELIBACC: 79,
  ELIBBAD: 80,
  ELIBSCN: 81,
  ELIBMAX: 82,
  ELIBEXEC: 83,
  EILSEQ: 84,
  ERESTART: 85,
  ESTRPIPE: 86,
  EUSERS: 87,
  ENOTSOCK: 88,
  EDESTADDRREQ: 89,
  EMSGSIZE: 90,
  EPROTOTYPE: 91,
  ENOPROTOOPT: 92,
  EPROTONOSUPPORT: 93,
  ESOCKTNOSUPPORT: 94,
  EOPNOTSUPP: 95,
  EPFNOSUPPORT: 96,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ENETRESET: 102,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  EISCONN: 106,
  ENOTCONN: 107,
  ESHUTDOWN: 108,
  ETOOMANYREFS: 109,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTDOWN: 112,
  EHOSTUNREACH: 113,
  EALREADY: 114,
  EINPROGRESS: 115,
  ESTALE: 116,
  EUCLEAN: 117,
  ENOTNAM: 118,
  ENAVAIL: 119,
  EISNAM: 120,
  EREMOTEIO: 121,
  EDQUOT: 122,
  ENOMEDIUM: 123,
  EMEDIUMTYPE: 124,
  ECANCELED: 125,
  ENOKEY: 126,
  EKEYEXPIRED: 127,
  EKEYREVOKED: 128,
  EKEYREJECTED: 129,
  EOWNERDEAD: 130,
  ENOTRECOVERABLE: 131,
  ERFKILL: 132,
  EHWPOISON: 133,
} as const;

export type ErrnoName = keyof typeof NUMBERS;
export const ERRNO: Readonly<Record<string, number>> = NUMBERS;
