/**
 * Every system call that a plan may ask for, with its arguments in the order and under the names of the manual page. The
 * encoder, the printer, the JSON form, native/wire/calls.h and the list in specs/plan.md come from this table
 * (`npm run generate`). A new call is a row here and a case in native/launcher/calls.cc.
 */
import type { NAME_SETS } from './constants.ts';
import type { Message } from './netlink/message.ts';

type NameSetName = keyof typeof NAME_SETS;

/** A descriptor by the name that the plan gave it, or the working directory. */
export type Fd = string;
export const AT_FDCWD: Fd = 'AT_FDCWD';
/** Where a call takes an optional descriptor: none. */
export const NO_FD: Fd = '-1';

/**
 * Text for the launcher to complete: `$ID` is this run's own id (12 hex digits), `$CHILD` the container's first process
 * as the host numbers it, `$BIRTH` and `$MOUNTS` what tells that process and its mount namespace from all later ones, `$OWNER` the process that started the launcher, `$FD(name)` the number of a descriptor, `$PID(name)` and `$BIRTH(name)`
 * the process of a pidfd and what tells it from later ones, `$$` a `$`. A plan
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
  /** For a netlink socket, in their order. */
  messages: readonly Message[];
}
export type ArgKind = keyof ArgTypes;

export interface Argument<Name extends string = string, Kind extends ArgKind = ArgKind> {
  readonly name: Name;
  readonly kind: Kind;
  /** For `flags`: the set in constants.ts that names the bits or values. */
  readonly names?: NameSetName;
}
export interface CallRow {
  /** Number of the call on the wire. Never reused. */
  readonly op: number;
  /** In the order in which they go over the wire, and in which they are printed. */
  readonly args: readonly Argument[];
  /** The call returns a descriptor, which the plan names. */
  readonly returnsFd?: true;
  /** The imager makes it (native/image/image_call.cc), not the launcher. Its process ends with the call. */
  readonly imager?: true;
  /** The manual page has a structure for the arguments from this index on. */
  readonly structFrom?: number;
  /** The kernel's own name, and the command, of a system call that is several rows of the table. */
  readonly shownAs?: readonly [name: string, command: string];
  /** What the launcher does for a call that is more than one system call. A row of the table in specs/plan.md. */
  readonly does?: string;
}

function kind<const Kind extends ArgKind>(of: Kind) {
  return <const Name extends string>(name: Name): Argument<Name, Kind> => ({ name, kind: of });
}
const fd = kind('fd');
const text = kind('text');
const int = kind('int');
const mode = kind('mode');
const caps = kind('caps');
const limit = kind('limit');
const texts = kind('texts');
const ids = kind('ids');
const bytes = kind('bytes');
const messages = kind('messages');
function flags<const Name extends string>(name: Name, names: NameSetName): Argument<Name, 'flags'> {
  return { name, kind: 'flags', names };
}

export const CALLS = {
  openat2: {
    op: 1,
    args: [fd('dirfd'), text('pathname'), flags('flags', 'O'), mode('mode'), flags('resolve', 'RESOLVE')],
    returnsFd: true,
    structFrom: 2,
  },
  close: { op: 2, args: [fd('fd')] },
  mkdirat: { op: 3, args: [fd('dirfd'), text('pathname'), mode('mode')] },
  mknodat: { op: 4, args: [fd('dirfd'), text('pathname'), mode('mode'), int('major'), int('minor')] },
  symlinkat: { op: 5, args: [text('target'), fd('newdirfd'), text('linkpath')] },
  fchownat: { op: 6, args: [fd('dirfd'), text('pathname'), int('owner'), int('group'), flags('flags', 'AT')] },
  write: {
    op: 7,
    args: [fd('dirfd'), text('pathname'), text('data')],
    does: 'opens `pathname` for writing, writes all of `data` in one call, and closes; with an empty `pathname`, writes to `dirfd`',
  },
  read: {
    op: 46,
    args: [fd('dirfd'), text('pathname'), text('data')],
    does: 'opens `pathname`, reads all of it, and fails with ERANGE unless that is `data` and one end of line',
  },
  unlinkat: { op: 8, args: [fd('dirfd'), text('pathname'), flags('flags', 'AT')] },
  remove_cgroup: {
    op: 65,
    args: [fd('dirfd'), text('pathname')],
    does: 'removes the folder of a cgroup (unlinkat); as long as that fails with EBUSY, kills the processes in it and tries again, for some seconds',
  },
  /** A file that several launchers may use, each with a shared lock of it: who holds the last one removes it. */
  remove_unused: {
    op: 66,
    args: [fd('fd'), fd('dirfd'), text('pathname'), flags('flags', 'AT'), text('unless')],
    does: 'removes `pathname` (unlinkat) if it is still the file that `fd` is, nobody else holds a lock of it (flock), and there is nothing at `unless`, where that is given',
  },
  /** For what several launchers use, each with a shared lock of `fd`: the calls of the last one, after this, undo it. */
  if_unused: {
    op: 76,
    args: [fd('fd'), fd('other')],
    returnsFd: true,
    does: 'takes an exclusive lock of `fd` in place of its own (flock), and gives a copy of `other` (dup); fails with EAGAIN where somebody else holds a lock',
  },
  flock: { op: 9, args: [fd('fd'), flags('operation', 'LOCK')] },
  open_tree: { op: 10, args: [fd('dirfd'), text('pathname'), flags('flags', 'OPEN_TREE')], returnsFd: true },
  move_mount: {
    op: 11,
    args: [fd('from_dirfd'), text('from_pathname'), fd('to_dirfd'), text('to_pathname'), flags('flags', 'MOVE_MOUNT')],
  },
  mount_setattr: {
    op: 12,
    args: [
      fd('dirfd'),
      text('pathname'),
      flags('flags', 'AT'),
      flags('attr_set', 'MOUNT_ATTR'),
      flags('attr_clr', 'MOUNT_ATTR'),
      flags('propagation', 'MS'),
      fd('userns_fd'),
    ],
    structFrom: 3,
  },
  fsopen: { op: 13, args: [text('fsname'), flags('flags', 'FSOPEN')], returnsFd: true },
  /** `aux` is used by FSCONFIG_SET_FD, `value` by FSCONFIG_SET_STRING. */
  fsconfig: { op: 14, args: [fd('fd'), flags('cmd', 'FSCONFIG'), text('key'), text('value'), fd('aux')] },
  fsmount: { op: 15, args: [fd('fd'), flags('flags', 'FSMOUNT'), flags('attr_flags', 'MOUNT_ATTR')], returnsFd: true },
  pivot_root: { op: 16, args: [text('new_root'), text('put_old')] },
  umount2: { op: 17, args: [text('target'), flags('flags', 'MNT')] },
  fchdir: {
    op: 18,
    args: [fd('fd')],
    does: 'changes the directory, and fails with EXDEV unless it lies below the root (getcwd)',
  },
  /** Followed by getcwd(), which must give an absolute path: a directory outside the root is refused (CVE-2024-21626). */
  chdir: {
    op: 19,
    args: [text('path')],
    does: 'changes the directory, and fails with EXDEV unless it lies below the root (getcwd)',
  },
  /** Makes the container's first process, which goes on with the next step of its side. Returns its pidfd. */
  clone3: {
    op: 20,
    args: [flags('flags', 'CLONE'), int('exit_signal'), fd('cgroup')],
    returnsFd: true,
    structFrom: 0,
    does: 'makes the socket pair by which the two processes take turns, then the container’s first process',
  },
  unshare: { op: 21, args: [flags('flags', 'CLONE')] },
  setns: { op: 22, args: [fd('fd'), flags('nstype', 'CLONE')] },
  sethostname: { op: 23, args: [text('name')] },
  setdomainname: { op: 24, args: [text('name')] },
  setsid: { op: 25, args: [] },
  setgroups: { op: 26, args: [ids('list')] },
  setresgid: { op: 27, args: [int('rgid'), int('egid'), int('sgid')] },
  setresuid: { op: 28, args: [int('ruid'), int('euid'), int('suid')] },
  prctl: { op: 29, args: [flags('option', 'PR'), int('arg2'), int('arg3'), int('arg4'), int('arg5')] },
  capset: { op: 30, args: [caps('effective'), caps('permitted'), caps('inheritable')], structFrom: 0 },
  seccomp: {
    op: 31,
    args: [flags('operation', 'SECCOMP'), flags('flags', 'SECCOMP_FILTER'), bytes('program')],
  },
  /** `pid` is 0 for the caller itself, or the container's first process. */
  prlimit64: { op: 32, args: [text('pid'), flags('resource', 'RLIMIT'), limit('soft'), limit('hard')] },
  /** `name` is the interface for SIOCSIFFLAGS and empty otherwise; `value` the flags or the argument. */
  ioctl: { op: 33, args: [fd('fd'), flags('request', 'IOCTL'), text('name'), int('value')] },
  /** Returns the other end of the pseudo-terminal `fd` (Linux 4.13): no path is looked up (CVE-2025-52565). */
  ioctl_tiocgptpeer: { op: 34, args: [fd('fd'), flags('flags', 'O')], returnsFd: true },
  /** Keeps the number of the interface, which is `$LINK` in later netlink messages of the same side. */
  ioctl_siocgifindex: { op: 92, args: [fd('fd'), text('name')] },
  socket: { op: 35, args: [flags('domain', 'AF'), flags('type', 'SOCK'), int('protocol')], returnsFd: true },
  dup3: { op: 36, args: [fd('oldfd'), int('newfd'), flags('flags', 'O')] },
  close_range: { op: 37, args: [int('first'), int('last'), flags('flags', 'CLOSE_RANGE')] },
  execve: {
    op: 38,
    args: [texts('pathname'), texts('argv'), texts('envp')],
    does: 'tries each path in turn, and goes on after ENOENT, ENOTDIR and EACCES',
  },
  /** Hands a descriptor from the container's side to the host's, and back. */
  sendmsg: { op: 39, args: [fd('fd'), flags('flags', 'MSG')] },
  recvmsg: {
    op: 40,
    args: [],
    returnsFd: true,
    does: 'takes the descriptor that the container’s side sent with its turn',
  },
  umask: { op: 41, args: [mode('mask')] },
  keyctl: { op: 42, args: [flags('operation', 'KEYCTL')] },
  /** Changes nothing: fails with ENODEV unless the descriptor is the device (major, minor) of the type in `mode`. */
  fstat: { op: 43, args: [fd('fd'), mode('mode'), int('major'), int('minor')] },
  posix_spawn: {
    op: 44,
    args: [text('path'), texts('argv')],
    does: 'starts the program, and waits for its end; a status other than 0 is a failure',
  },
  /** The program goes on running beside the container, and ends with the launcher. At most one in a plan. */
  spawn_helper: {
    op: 90,
    args: [text('path'), texts('argv'), int('ready'), int('timeout_ms')],
    returnsFd: true,
    does: 'starts the program in a session of its own (fork, setsid, PR_SET_PDEATHSIG, execve), and waits until it has written to its descriptor `ready`; gives its pidfd',
  },
  pidfd_send_signal: { op: 91, args: [fd('pidfd'), int('sig')] },
  fork: {
    op: 45,
    args: [],
    does: 'the caller stays as process 1 and reaps and passes on signals; its child makes the next step',
  },
  start_transient_unit: {
    op: 48,
    args: [text('socket'), text('name'), text('hierarchy')],
    returnsFd: true,
    does: 'asks systemd, at the user’s message bus, for a scope with delegated controllers around the launcher, and waits until it is there',
  },
  /** Changes nothing: fails with EXDEV unless both descriptors are the same place of the same mount. */
  statx: {
    op: 49,
    args: [fd('dirfd'), fd('other')],
    does: 'compares what statx says of two descriptors, and fails with EXDEV unless they are the same place of the same mount',
  },
  /**
   * Makes a user namespace with these maps, by a process that ends at once, and returns it: what the ids of a mount are
   * translated by.
   */
  userns: {
    op: 50,
    args: [text('uid_map'), text('gid_map')],
    returnsFd: true,
    does: 'starts a process in a new user namespace, writes the maps, opens the namespace, and ends the process',
  },
  /**
   * Fills an empty folder of mode 0, as a new volume's is, with a copy of another folder (none: with nothing) and then
   * gives it this owner and mode, or where they are AS_SOURCE that folder's; one with another mode than 0 has been filled
   * before, and is left as it is.
   */
  copytree: {
    op: 51,
    args: [fd('from'), fd('to'), int('owner'), int('group'), mode('mode')],
    does: 'fills an empty folder of mode 0, as a new volume is, with a copy of another folder, then gives it that owner and mode, or where they are -1 those of the other folder',
  },
  /** F_SETLEASE only. A lease that is broken ends the container. */
  fcntl: { op: 52, args: [fd('fd'), flags('cmd', 'FCNTL'), flags('arg', 'LEASE')] },
  /** Changes nothing: fails with ESTALE unless the file has this device, inode, size, and times (identity.ts). */
  fstat_identity: { op: 53, args: [fd('fd'), text('identity')] },
  /**
   * Attaches a file to a free loop device, read-only and in blocks of 512 bytes, and returns the device, which is given up
   * with its last use (ioctls LOOP_CTL_GET_FREE and LOOP_CONFIGURE, loop(4)).
   */
  loop_configure: {
    op: 58,
    args: [fd('fd')],
    returnsFd: true,
    does: 'finds a free loop device (LOOP_CTL_GET_FREE), and attaches the file to it, read-only (LOOP_CONFIGURE)',
  },
  fchmodat: { op: 54, args: [fd('dirfd'), text('pathname'), mode('mode')] },
  // Of the imager alone (native/image/image_call.cc): each ends the process. The archive is descriptor 0, from `offset`
  // on, `size` bytes or to its end.
  unpack: {
    op: 200,
    args: [
      fd('dirfd'),
      int('offset'),
      int('size'),
      flags('flags', 'IMAGE'),
      int('max_bytes'),
      int('max_entries'),
      text('owners'),
    ],
    does: 'reads the archive at descriptor 0, and makes its entries',
    imager: true,
  },
  ingest: {
    op: 201,
    args: [fd('dirfd'), text('pathname'), int('offset'), int('size'), flags('flags', 'IMAGE'), int('max_bytes')],
    does: 'reads the archive at descriptor 0, and writes it decompressed',
    imager: true,
  },
  index: {
    op: 202,
    args: [
      fd('dirfd'),
      text('pathname'),
      text('data'),
      int('offset'),
      int('size'),
      flags('flags', 'IMAGE'),
      int('max_bytes'),
      int('max_entries'),
      text('owners'),
    ],
    does: 'reads the archive at descriptor 0, and writes the index of a file system over it',
    imager: true,
  },
  scan: { op: 203, args: [], does: 'reads the tar at descriptor 0, and lists its files and links', imager: true },
  copy: { op: 205, args: [fd('dirfd'), fd('to')], does: 'copies a folder and all that is in it', imager: true },
  inspect: {
    op: 204,
    args: [fd('dirfd'), texts('files'), texts('paths')],
    does: 'reads files of a root, and what their paths lead to',
    imager: true,
  },
  extract: {
    op: 206,
    args: [fd('dirfd'), texts('paths'), int('max_bytes')],
    does: 'writes paths of a root as a tar to descriptor 1',
    imager: true,
  },
  /** The old way to mount, for options that are longer than fsconfig(2) takes. */
  mount: {
    op: 59,
    args: [text('source'), text('target'), text('filesystemtype'), flags('mountflags', 'MS'), text('data')],
  },
  /** bpf(2), BPF_PROG_LOAD. The program lives as long as its descriptor does, or what it is attached to. */
  bpf_prog_load: {
    op: 60,
    args: [flags('prog_type', 'BPF_PROG_TYPE'), bytes('insns'), text('license')],
    returnsFd: true,
    structFrom: 0,
    shownAs: ['bpf', 'BPF_PROG_LOAD'],
  },
  /** bpf(2), BPF_PROG_ATTACH, to a cgroup of version 2. */
  bpf_prog_attach: {
    op: 61,
    args: [
      fd('target_fd'),
      fd('attach_bpf_fd'),
      flags('attach_type', 'BPF_ATTACH_TYPE'),
      flags('attach_flags', 'BPF_ATTACH_FLAGS'),
    ],
    structFrom: 0,
    shownAs: ['bpf', 'BPF_PROG_ATTACH'],
  },
  /** By the rights of the command's user. `terminal_input`: a terminal for input is relayed rather than replaced. */
  streams: {
    op: 62,
    args: [int('terminal_input')],
    does: 'leaves those of descriptors 0, 1 and 2 that the user could open again; a terminal for input becomes /dev/null where `terminal_input` is 0; all others become pipes of this user’s, which the launcher relays (fstat, faccessat2, pipe2, fchmod, sendmsg, dup2)',
  },
  /**
   * Opens `pathname` of the container's root, `dirfd`, and makes what is missing of it, step by step under descriptors, as
   * far as links lead within the root: folders, and at the end a folder or an empty file, as `mode` says.
   * AT_SYMLINK_NOFOLLOW: a link at the end is replaced.
   */
  make_in_root: {
    op: 70,
    args: [fd('dirfd'), text('pathname'), mode('mode'), flags('flags', 'AT'), flags('resolve', 'RESOLVE')],
    returnsFd: true,
    does: 'opens a path of the container’s root, and makes what is missing of it name by name (openat, readlinkat, mkdirat, mknodat, unlinkat)',
  },
  /** Removes a tree, never following links and never leaving the file system of `dirfd`; in `userns`, if given. */
  rmtree: {
    op: 47,
    args: [fd('dirfd'), text('pathname'), fd('userns')],
    does: 'removes a folder and all that is in it, following no links and staying on its file system',
  },
  /**
   * Sends messages over a netlink socket (netlink(7)) and reads the kernel's answers. Several nf_tables messages are one
   * transaction: the kernel makes all that they ask for, or nothing.
   */
  netlink: {
    op: 71,
    args: [fd('fd'), messages('messages')],
    does: 'sends the messages (sendto), reads an answer for each that asks for one (NLM_F_ACK), and fails with the first error among them',
  },
  /** For what is made once on a host and used by all containers. */
  netlink_once: {
    op: 72,
    args: [fd('fd'), messages('question'), messages('messages')],
    does: 'sends the question, and the messages only where the kernel answers ENOENT; where somebody else is quicker (EEXIST), asks again',
  },
  setsockopt: { op: 73, args: [fd('fd'), flags('level', 'SOL'), flags('optname', 'SOCKET_OPTION'), int('value')] },
  /** `address` is an Internet address in numbers. */
  bind: { op: 74, args: [fd('fd'), flags('family', 'AF'), int('port'), text('address')], structFrom: 1 },
  /** For a port that nobody has chosen. */
  bind_free: {
    op: 81,
    args: [fd('fd'), text('address'), fd('other'), text('other_address')],
    does: 'binds the socket to a free port, and `other`, where there is one, to the same port of its own address; the port is told by an event',
  },
  listen: { op: 75, args: [fd('fd'), int('backlog')] },
  /** Relays what reaches a listening socket to another address for as long as the command runs. */
  relay: {
    op: 80,
    args: [fd('fd'), fd('netns'), texts('targets'), int('most'), int('idle')],
    does: 'while the command runs, carries what reaches the listening socket (TCP) or the bound one (UDP) to the first of `targets` that does not refuse it (accept4, connect, recv, send), over sockets that it makes in the network namespace `netns` (setns), or in its own where there is none; `most` connections or clients at once, each until it has carried nothing for `idle` seconds (0: no such limit)',
  },
  landlock_create_ruleset: {
    op: 56,
    args: [int('handled_access_fs'), int('handled_access_net'), flags('scoped', 'LANDLOCK_SCOPE')],
    returnsFd: true,
    structFrom: 0,
  },
  landlock_restrict_self: { op: 57, args: [fd('ruleset_fd'), int('flags')] },
  /** seccomp(2) with SECCOMP_FILTER_FLAG_NEW_LISTENER, which returns the listener. */
  seccomp_listener: {
    op: 55,
    args: [flags('operation', 'SECCOMP'), flags('flags', 'SECCOMP_FILTER'), bytes('program')],
    returnsFd: true,
  },
} as const satisfies Record<string, CallRow>;

export type CallName = keyof typeof CALLS;
type Arguments<N extends CallName> = (typeof CALLS)[N]['args'][number];
export type ArgsOf<N extends CallName> = {
  readonly [A in Arguments<N> as A['name']]: ArgTypes[A['kind']];
};

export function rowOf(name: CallName): CallRow {
  return CALLS[name];
}

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
