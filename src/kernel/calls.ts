/**
 * The launcher's vocabulary: every system call that a plan may ask for, with its arguments in the order and under the
 * names of the manual page. The encoder, the printer and the JSON form are derived from this table; native/launcher/
 * calls.cc executes it. A new call is a row here, a case there, and nothing else.
 */

/** A descriptor by the name that the plan gave it, or the working directory. */
export type Fd = string;
export const AT_FDCWD: Fd = 'AT_FDCWD';
/** Where a call takes an optional descriptor: none. */
export const NO_FD: Fd = '-1';

/**
 * Text for the launcher to complete: `$ID` is this run's own id (12 hex digits), `$CHILD` the container's first process
 * as the host numbers it, `$OWNER` the process that started the launcher, `$FD(name)` the number of a descriptor. A plan
 * stays the same from run to run because what differs is written like this.
 */
export interface Template {
  readonly template: string;
}
export type Text = string | Template;

export interface ArgTypes {
  fd: Fd;
  text: Text;
  /** A whole number up to 2^53, printed in decimal. */
  int: number;
  /** Printed in octal. */
  mode: number;
  /** 64 bits, printed as names of the given set. */
  flags: number;
  caps: bigint;
  /** `unlimited` is RLIM_INFINITY. */
  limit: number | 'unlimited';
  texts: readonly Text[];
  ids: readonly number[];
  bytes: Uint8Array;
}
export type ArgKind = keyof ArgTypes;

interface ArgRow {
  readonly kind: ArgKind;
  /** For `flags`: the set in constants.ts that names the bits or values. */
  readonly names?: string;
}
export interface CallRow {
  /** Number of the call on the wire. Never reused. */
  readonly op: number;
  readonly args: Readonly<Record<string, ArgRow>>;
  /** The call returns a descriptor, which the plan names. */
  readonly returnsFd?: true;
}

const fd = { kind: 'fd' } as const;
const text = { kind: 'text' } as const;
const int = { kind: 'int' } as const;
const mode = { kind: 'mode' } as const;
const caps = { kind: 'caps' } as const;
const limit = { kind: 'limit' } as const;
const texts = { kind: 'texts' } as const;
const flags = <const N extends string>(names: N) => ({ kind: 'flags', names }) as const;

export const CALLS = {
  openat2: {
    op: 1,
    args: { dirfd: fd, pathname: text, flags: flags('O'), mode, resolve: flags('RESOLVE') },
    returnsFd: true,
  },
  close: { op: 2, args: { fd } },
  mkdirat: { op: 3, args: { dirfd: fd, pathname: text, mode } },
  mknodat: { op: 4, args: { dirfd: fd, pathname: text, mode, major: int, minor: int } },
  symlinkat: { op: 5, args: { target: text, newdirfd: fd, linkpath: text } },
  fchownat: { op: 6, args: { dirfd: fd, pathname: text, owner: int, group: int, flags: flags('AT') } },
  /** Opens `pathname` for writing, writes all of `data` in one call, and closes. With an empty name: writes to `dirfd`. */
  write: { op: 7, args: { dirfd: fd, pathname: text, data: text } },
  /** Opens `pathname`, reads all of it, and fails with ERANGE unless it is `data` and the end of a line. */
  read: { op: 46, args: { dirfd: fd, pathname: text, data: text } },
  unlinkat: { op: 8, args: { dirfd: fd, pathname: text, flags: flags('AT') } },
  flock: { op: 9, args: { fd, operation: flags('LOCK') } },
  open_tree: { op: 10, args: { dirfd: fd, pathname: text, flags: flags('OPEN_TREE') }, returnsFd: true },
  move_mount: {
    op: 11,
    args: { from_dirfd: fd, from_pathname: text, to_dirfd: fd, to_pathname: text, flags: flags('MOVE_MOUNT') },
  },
  mount_setattr: {
    op: 12,
    args: {
      dirfd: fd,
      pathname: text,
      flags: flags('AT'),
      attr_set: flags('MOUNT_ATTR'),
      attr_clr: flags('MOUNT_ATTR'),
      propagation: flags('MS'),
      userns_fd: fd,
    },
  },
  fsopen: { op: 13, args: { fsname: text, flags: flags('FSOPEN') }, returnsFd: true },
  /** `aux` is used by FSCONFIG_SET_FD, `value` by FSCONFIG_SET_STRING. */
  fsconfig: { op: 14, args: { fd, cmd: flags('FSCONFIG'), key: text, value: text, aux: fd } },
  fsmount: { op: 15, args: { fd, flags: flags('FSMOUNT'), attr_flags: flags('MOUNT_ATTR') }, returnsFd: true },
  pivot_root: { op: 16, args: { new_root: text, put_old: text } },
  umount2: { op: 17, args: { target: text, flags: flags('MNT') } },
  fchdir: { op: 18, args: { fd } },
  /** Followed by getcwd(), which must give an absolute path: a directory outside the root is refused (CVE-2024-21626). */
  chdir: { op: 19, args: { path: text } },
  /** Makes the container's first process, which goes on with the next step of its side. Returns its pidfd. */
  clone3: { op: 20, args: { flags: flags('CLONE'), exit_signal: int, cgroup: fd }, returnsFd: true },
  unshare: { op: 21, args: { flags: flags('CLONE') } },
  setns: { op: 22, args: { fd, nstype: flags('CLONE') } },
  sethostname: { op: 23, args: { name: text } },
  setdomainname: { op: 24, args: { name: text } },
  setsid: { op: 25, args: {} },
  setgroups: { op: 26, args: { list: { kind: 'ids' } } },
  setresgid: { op: 27, args: { rgid: int, egid: int, sgid: int } },
  setresuid: { op: 28, args: { ruid: int, euid: int, suid: int } },
  prctl: { op: 29, args: { option: flags('PR'), arg2: int, arg3: int, arg4: int, arg5: int } },
  capset: { op: 30, args: { effective: caps, permitted: caps, inheritable: caps } },
  seccomp: {
    op: 31,
    args: { operation: flags('SECCOMP'), flags: flags('SECCOMP_FILTER'), program: { kind: 'bytes' } },
  },
  /** `pid` is 0 for the caller itself, or the container's first process. */
  prlimit64: { op: 32, args: { pid: text, resource: flags('RLIMIT'), soft: limit, hard: limit } },
  /** `name` is the interface for SIOCSIFFLAGS and empty otherwise; `value` the flags or the argument. */
  ioctl: { op: 33, args: { fd, request: flags('IOCTL'), name: text, value: int } },
  /** Returns the other end of the pseudo-terminal `fd` (Linux 4.13): no path is looked up (CVE-2025-52565). */
  ioctl_tiocgptpeer: { op: 34, args: { fd, flags: flags('O') }, returnsFd: true },
  socket: { op: 35, args: { domain: flags('AF'), type: flags('SOCK'), protocol: int }, returnsFd: true },
  dup3: { op: 36, args: { oldfd: fd, newfd: int, flags: flags('O') } },
  close_range: { op: 37, args: { first: int, last: int, flags: flags('CLOSE_RANGE') } },
  /** Tries each path in turn, as execvp(3) does: goes on after ENOENT, ENOTDIR and EACCES. */
  execve: { op: 38, args: { pathname: texts, argv: texts, envp: texts } },
  /** Hands a descriptor from the container's side to the host's, and back. */
  sendmsg: { op: 39, args: { fd, flags: flags('MSG') } },
  recvmsg: { op: 40, args: {}, returnsFd: true },
  umask: { op: 41, args: { mask: mode } },
  keyctl: { op: 42, args: { operation: flags('KEYCTL') } },
  /** Changes nothing: fails with ENODEV unless the descriptor is the device (major, minor) of the type in `mode`. */
  fstat: { op: 43, args: { fd, mode, major: int, minor: int } },
  /** Runs a program of the host (newuidmap) and waits; a status other than 0 is a failure. */
  posix_spawn: { op: 44, args: { path: text, argv: texts } },
  /** The caller stays as PID 1, reaping and forwarding signals; its child goes on with the next step. */
  fork: { op: 45, args: {} },
  /**
   * Asks the systemd of the user at the message bus `socket` for a scope with delegated controllers around the launcher
   * (StartTransientUnit), and waits until it is there. Returns its folder in the hierarchy mounted at `hierarchy`.
   */
  start_transient_unit: { op: 48, args: { socket: text, name: text, hierarchy: text }, returnsFd: true },
  /** Changes nothing: fails with EXDEV unless both descriptors are the same place of the same mount. */
  statx: { op: 49, args: { dirfd: fd, other: fd } },
  /**
   * Makes a user namespace with these maps, by a process that ends at once, and returns it: what the ids of a mount are
   * translated by.
   */
  userns: { op: 50, args: { uid_map: text, gid_map: text }, returnsFd: true },
  /**
   * Fills an empty folder of mode 0, as a new volume's is, with a copy of another folder (none: with nothing) and then
   * gives it that folder's owner and mode; one with another mode has been filled before, and is left as it is.
   */
  copytree: { op: 51, args: { from: fd, to: fd } },
  /** F_SETLEASE only. A lease that is broken ends the container. */
  fcntl: { op: 52, args: { fd, cmd: flags('FCNTL'), arg: flags('LEASE') } },
  /** Changes nothing: fails with ESTALE unless the file has this device, inode, size, and times (identity.ts). */
  fstat_identity: { op: 53, args: { fd, identity: text } },
  /**
   * Attaches a file to a free loop device, read-only and in blocks of 512 bytes, and returns the device, which is given up
   * with its last use (ioctls LOOP_CTL_GET_FREE and LOOP_CONFIGURE, loop(4)).
   */
  loop_configure: { op: 58, args: { fd }, returnsFd: true },
  fchmodat: { op: 54, args: { dirfd: fd, pathname: text, mode } },
  // Of the imager alone (native/image/image_call.cc): each ends the process. The archive is descriptor 0, from `offset`
  // on, `size` bytes or to its end.
  unpack: {
    op: 200,
    args: { dirfd: fd, offset: int, size: int, flags: flags('IMAGE'), max_bytes: int, max_entries: int },
  },
  ingest: {
    op: 201,
    args: { dirfd: fd, pathname: text, offset: int, size: int, max_bytes: int },
  },
  index: {
    op: 202,
    args: {
      dirfd: fd,
      pathname: text,
      data: text,
      offset: int,
      size: int,
      flags: flags('IMAGE'),
      max_bytes: int,
      max_entries: int,
    },
  },
  scan: { op: 203, args: {} },
  copy: { op: 205, args: { dirfd: fd, to: fd } },
  inspect: { op: 204, args: { dirfd: fd, files: texts, paths: texts } },
  extract: { op: 206, args: { dirfd: fd, paths: texts, max_bytes: int } },
  /** The old way to mount, for options that are longer than fsconfig(2) takes. */
  mount: {
    op: 59,
    args: { source: text, target: text, filesystemtype: text, mountflags: flags('MS'), data: text },
  },
  /** bpf(2), BPF_PROG_LOAD. The program lives as long as its descriptor does, or what it is attached to. */
  bpf_prog_load: {
    op: 60,
    args: { prog_type: flags('BPF_PROG_TYPE'), insns: { kind: 'bytes' }, license: text },
    returnsFd: true,
  },
  /** bpf(2), BPF_PROG_ATTACH, to a cgroup of version 2. */
  bpf_prog_attach: {
    op: 61,
    args: {
      target_fd: fd,
      attach_bpf_fd: fd,
      attach_type: flags('BPF_ATTACH_TYPE'),
      attach_flags: flags('BPF_ATTACH_FLAGS'),
    },
  },
  /** Removes a tree, never following links and never leaving the file system of `dirfd`; in `userns`, if given. */
  rmtree: { op: 47, args: { dirfd: fd, pathname: text, userns: fd } },
  landlock_create_ruleset: {
    op: 56,
    args: { handled_access_fs: int, handled_access_net: int, scoped: flags('LANDLOCK_SCOPE') },
    returnsFd: true,
  },
  landlock_restrict_self: { op: 57, args: { ruleset_fd: fd, flags: int } },
  /** seccomp(2) with SECCOMP_FILTER_FLAG_NEW_LISTENER, which returns the listener. */
  seccomp_listener: {
    op: 55,
    args: { operation: flags('SECCOMP'), flags: flags('SECCOMP_FILTER'), program: { kind: 'bytes' } },
    returnsFd: true,
  },
} as const satisfies Record<string, CallRow>;

export type CallName = keyof typeof CALLS;
type Rows<N extends CallName> = (typeof CALLS)[N]['args'];
export type ArgsOf<N extends CallName> = {
  readonly [A in keyof Rows<N>]: Rows<N>[A] extends { readonly kind: infer K extends ArgKind } ? ArgTypes[K] : never;
};

/** One system call with all its arguments. */
export type Call = {
  [N in CallName]: {
    readonly name: N;
    readonly args: ArgsOf<N>;
    /** The plan's name for the descriptor that the call returns. */
    readonly returns?: Fd;
    /**
     * Errors that count as success. Where the call would have returned a descriptor, that name is then absent, and the
     * steps that use it are left out.
     */
    readonly allow?: readonly string[];
  };
}[CallName];
