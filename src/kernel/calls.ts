/**
 * The table of all calls that a plan may have. Arguments have the names and the order of the manual page. The encoder, the
 * printer and the JSON form read this table; `npm run generate` writes native/wire/calls.h and the list in specs/plan.md
 * from it. A new call is a row here and a case in native/launcher/calls.cc.
 */
import type { NAME_SETS } from './constants.ts';
import type { Message } from './netlink/message.ts';

type NameSetName = keyof typeof NAME_SETS;

/** The plan's name of a descriptor. `AT_FDCWD` is the working directory. */
export type Fd = string;
export const AT_FDCWD: Fd = 'AT_FDCWD';
/** The value of an optional descriptor that is not given. */
export const NO_FD: Fd = '-1';

/**
 * Text with variables, which the launcher replaces when it makes the call. Values that differ between runs are variables,
 * so that the plan itself is the same for each run.
 * - `$ID`: the id of the container, or of this run, 12 hex digits.
 * - `$CHILD`: the pid of the container's first process in the launcher's pid namespace.
 * - `$BIRTH`: its start time and pid namespace (native/shared/birth.h), which a later process with the same pid has not.
 * - `$MOUNTS`: the number of its mount namespace.
 * - `$SELF`: the pid of the process that makes the call, as it sees itself.
 * - `$OWNER`: the pid of the process that started the launcher.
 * - `$FD(name)`: the number of a descriptor.
 * - `$PID(name)`, `$BIRTH(name)`: the pid of the process of a pidfd, and its birth.
 * - `$$`: a `$`.
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
  /** Messages for a netlink socket, sent in this order. */
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
  /** They are encoded and printed in this order. */
  readonly args: readonly Argument[];
  /** The call returns a descriptor, which the plan names. */
  readonly returnsFd?: true;
  /** The imager makes the call (native/image/image_call.cc), not the launcher. Its process ends with the call. */
  readonly imager?: true;
  /** The manual page has a structure for the arguments from this index on. */
  readonly structFrom?: number;
  /** For a system call with several commands, each of which is a row: the kernel's name of the call, and the command. */
  readonly shownAs?: readonly [name: string, command: string];
  /** For a row that is more than one system call: what the launcher does. It is printed in specs/plan.md. */
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
  /** Closes a socket of nf_tables. With the last descriptor of it, close(2) would wait until its tables are freed. */
  close_later: {
    op: 82,
    args: [fd('fd')],
    does: 'gives the descriptor to the kernel, which closes it some milliseconds later (socketpair, sendmsg, close)',
  },
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
  /** Removes a file that several launchers use. Each holds a shared lock (flock(2)) on it; the last holder removes it. */
  remove_unused: {
    op: 66,
    args: [fd('fd'), fd('dirfd'), text('pathname'), flags('flags', 'AT'), text('unless')],
    does: 'removes `pathname` (unlinkat) if it is still the file that `fd` is, nobody else holds a lock of it (flock), and there is nothing at `unless`, where that is given',
  },
  /**
   * Lets the last launcher undo what several launchers use. Each holds a shared lock on `fd`. The undo calls after this one
   * need the descriptor that it returns, which only the last holder gets.
   */
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
  /** getcwd(2) is called next. A path that is not absolute means a directory outside the root (CVE-2024-21626): EXDEV. */
  chdir: {
    op: 19,
    args: [text('path')],
    does: 'changes the directory, and fails with EXDEV unless it lies below the root (getcwd)',
  },
  /** From here on, others than the process that started the launcher can give it orders. */
  listen_control: {
    op: 93,
    args: [fd('dirfd'), text('pathname')],
    does: 'makes a socket (AF_UNIX, SOCK_SEQPACKET), binds it to `pathname` in the folder, and takes orders from who connects to it as the launcher’s user or as root (SO_PEERCRED)',
  },
  /** The launcher has put them at their numbers before the first step. */
  pass_sockets: {
    op: 121,
    args: [int('count')],
    does: 'keeps the sockets that boxctl was started with (LISTEN_FDS) open for the command, as descriptors 3 and following (fcntl, F_SETFD)',
  },
  /** A process that is told from every other by its birth (native/shared/birth.h), as templates have it. */
  pidfd_open: {
    op: 95,
    args: [text('pid'), text('birth')],
    returnsFd: true,
    does: 'opens the process, and fails with ESRCH unless it is the one of this start time, boot and pid namespace',
  },
  /** A check only: fails with EXDEV unless the descriptor is on a file system of this type (statfs(2)). */
  fstatfs: { op: 96, args: [fd('fd'), int('f_type')] },
  /** Their content is beside the plan, in a descriptor that the launcher was handed (src/launcher/contents.ts). */
  write_given: {
    op: 110,
    args: [fd('fd'), int('index')],
    does: 'writes the content of a secret or config to the file: that of this number among those that the launcher was handed in memory, which are not in the plan',
  },
  /** Limits that were changed while the container ran. */
  write_limits: {
    op: 120,
    args: [fd('dirfd'), text('pathname')],
    does: 'reads the file, if there is one, and writes to each file of a control group that a line of it names what the line says (openat2 without links, fstatfs, write)',
  },
  record_events: {
    op: 94,
    args: [fd('fd'), fd('folder')],
    does: 'writes what the launcher tells its owner to this file, too; those of the runs before are kept in the folder',
  },
  /** From here on, the command's streams are the launcher's: pipes or the terminal, and what comes through them is logged. */
  log_files: {
    op: 100,
    args: [fd('dirfd'), int('max_size'), int('max_files')],
    does: 'keeps what the command writes in files of this folder, as lines of JSON; begins a file when one has `max_size` bytes (0: never), and removes the oldest of more than `max_files`',
  },
  log_journal: {
    op: 101,
    args: [text('pathname'), text('name'), text('id')],
    does: 'connects to the socket of systemd’s journal, and sends it what the command writes (socket, connect, sendmsg)',
  },
  log_none: { op: 102, args: [], does: 'keeps nothing of what the command writes; who is attached sees it' },
  /** Creates the container's first process, which continues with the next step of its side. Returns its pidfd. */
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
  /** `pid` is 0, the calling process, or that of the container's first process. */
  prlimit64: { op: 32, args: [text('pid'), flags('resource', 'RLIMIT'), limit('soft'), limit('hard')] },
  /** SIOCSIFFLAGS: `name` is the interface, `value` its flags. Other requests: `name` is empty, `value` the argument. */
  ioctl: { op: 33, args: [fd('fd'), flags('request', 'IOCTL'), text('name'), int('value')] },
  /** Opens the other end of the pseudo-terminal `fd` (Linux 4.13), without the lookup of a path (CVE-2025-52565). */
  ioctl_tiocgptpeer: { op: 34, args: [fd('fd'), flags('flags', 'O')], returnsFd: true },
  /** The launcher keeps the interface's number, and puts it in the place of `$LINK` in later messages of the same side. */
  ioctl_siocgifindex: { op: 92, args: [fd('fd'), text('name')] },
  socket: { op: 35, args: [flags('domain', 'AF'), flags('type', 'SOCK'), int('protocol')], returnsFd: true },
  dup3: { op: 36, args: [fd('oldfd'), int('newfd'), flags('flags', 'O')] },
  close_range: { op: 37, args: [int('first'), int('last'), flags('flags', 'CLOSE_RANGE')] },
  execve: {
    op: 38,
    args: [texts('pathname'), texts('argv'), texts('envp')],
    does: 'tries each path in turn, and goes on after ENOENT, ENOTDIR and EACCES',
  },
  /**
   * readahead(2) of the first of the files that is there, below `dirfd` as its root. Nothing depends on it: the kernel would read the
   * same when the program is executed.
   */
  readahead: {
    op: 124,
    args: [fd('dirfd'), texts('pathname'), int('count')],
    does: 'opens the first of the paths that is there (openat2 with RESOLVE_IN_ROOT), and has the kernel read that many bytes of it into memory',
  },
  /** `sendmsg` sends a descriptor to the plan's other side, where `recvmsg` receives it. */
  sendmsg: { op: 39, args: [fd('fd'), flags('flags', 'MSG')] },
  recvmsg: {
    op: 40,
    args: [],
    returnsFd: true,
    does: 'takes the descriptor that the container’s side sent with its turn',
  },
  /** The containers of a network have a folder on the host, with a file for each: lines of hosts(5), its name a number. */
  follow_names: {
    op: 111,
    args: [fd('dirfd'), fd('hosts'), text('own')],
    does: 'keeps the lines of the other files of the folder (all but `own`) in the file `hosts`, and changes them whenever a file comes or goes (inotify): in lines between two of its own, without names that the rest of the file has',
  },
  umask: { op: 41, args: [mode('mask')] },
  keyctl: { op: 42, args: [flags('operation', 'KEYCTL')] },
  /** A check only: fails with ENODEV unless the descriptor is the device (major, minor) of the type in `mode`. */
  fstat: { op: 43, args: [fd('fd'), mode('mode'), int('major'), int('minor')] },
  posix_spawn: {
    op: 44,
    args: [text('path'), texts('argv')],
    does: 'starts the program, and waits for its end; a status other than 0 is a failure',
  },
  /** The program runs beside the container and is killed when the launcher ends. A plan has at most one such call. */
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
    does: 'the caller stays, reaps and passes on signals; its child makes the next step',
  },
  make_init: {
    op: 112,
    args: [],
    returnsFd: true,
    does: 'makes a sealed file in memory with a small program that reaps processes and passes on signals (native/init)',
  },
  become_init: {
    op: 113,
    args: [fd('program')],
    does: 'the caller stays as process 1 and executes the program; its child makes the next step',
  },
  start_transient_unit: {
    op: 48,
    args: [text('socket'), text('name'), text('hierarchy')],
    returnsFd: true,
    does: 'asks systemd, at the user’s message bus, for a scope with delegated controllers around the launcher, and waits until it is there',
  },
  /** A check only: fails with EXDEV unless both descriptors are the same inode in the same mount. */
  statx: {
    op: 49,
    args: [fd('dirfd'), fd('other')],
    does: 'compares what statx says of two descriptors, and fails with EXDEV unless they are the same place of the same mount',
  },
  /**
   * Returns a new user namespace with these maps, for an id-mapped mount (mount_setattr). The process that it is made with
   * ends at once.
   */
  userns: {
    op: 50,
    args: [text('uid_map'), text('gid_map')],
    returnsFd: true,
    does: 'starts a process in a new user namespace, writes the maps, opens the namespace, and ends the process',
  },
  /**
   * Fills a new volume: the folder `to`, which is empty and has mode 0, gets a copy of `from`, if there is one. Then `to`
   * gets `owner`, `group` and `mode`, or those of `from` where they are AS_SOURCE. A mode other than 0 says that the volume
   * was filled before: nothing is done.
   */
  copytree: {
    op: 51,
    args: [fd('from'), fd('to'), int('owner'), int('group'), mode('mode')],
    does: 'fills an empty folder of mode 0, as a new volume is, with a copy of another folder, then gives it that owner and mode, or where they are -1 those of the other folder',
  },
  /** F_SETLEASE only. The container is ended when another process breaks the lease. */
  fcntl: { op: 52, args: [fd('fd'), flags('cmd', 'FCNTL'), flags('arg', 'LEASE')] },
  /** A check only: fails with ESTALE unless the file has this device, inode, size, and times (identity.ts). */
  fstat_identity: { op: 53, args: [fd('fd'), text('identity')] },
  /**
   * Attaches a file to a free loop device, read-only and in blocks of 512 bytes, and returns the device (ioctls
   * LOOP_CTL_GET_FREE and LOOP_CONFIGURE, loop(4)). The kernel detaches the file after the last use of the device.
   */
  loop_configure: {
    op: 58,
    args: [fd('fd')],
    returnsFd: true,
    does: 'finds a free loop device (LOOP_CTL_GET_FREE), and attaches the file to it, read-only (LOOP_CONFIGURE)',
  },
  fchmodat: { op: 54, args: [fd('dirfd'), text('pathname'), mode('mode')] },
  // The imager makes these calls (native/image/image_call.cc), and its process ends with each of them. The archive is
  // descriptor 0: `size` bytes from `offset`, or all from there if `size` is 0.
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
  compress: {
    op: 207,
    args: [int('offset'), int('size'), flags('flags', 'IMAGE'), int('level')],
    does: 'reads the tar at descriptor 0, and writes it compressed to descriptor 1',
    imager: true,
  },
  pack: {
    op: 208,
    args: [fd('dirfd'), flags('flags', 'IMAGE'), texts('left_out')],
    does: 'writes a folder and all that is in it as a tar to descriptor 1',
    imager: true,
  },
  send_files: {
    op: 209,
    args: [fd('dirfd'), text('pathname'), text('name'), flags('flags', 'FILES')],
    does: 'writes what the path leads to in the root as a tar to descriptor 1',
    imager: true,
  },
  take_files: {
    op: 210,
    args: [fd('dirfd'), text('pathname'), text('name'), flags('flags', 'FILES')],
    does: 'reads the tar at descriptor 0, and makes its entries where the path leads to in the root',
    imager: true,
  },
  list_changes: {
    op: 211,
    args: [fd('dirfd'), fd('other')],
    does: 'compares the writable layer with the folder below it, and writes what differs to descriptor 1',
    imager: true,
  },
  /** mount(2), for options that are too long for fsconfig(2). */
  mount: {
    op: 59,
    args: [text('source'), text('target'), text('filesystemtype'), flags('mountflags', 'MS'), text('data')],
  },
  /** bpf(2), BPF_PROG_LOAD. The kernel keeps the program while its descriptor is open, or it is attached to something. */
  bpf_prog_load: {
    op: 60,
    args: [flags('prog_type', 'BPF_PROG_TYPE'), bytes('insns'), text('license')],
    returnsFd: true,
    structFrom: 0,
    shownAs: ['bpf', 'BPF_PROG_LOAD'],
  },
  /** bpf(2), BPF_PROG_ATTACH: attaches the program to a cgroup of version 2. */
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
  /**
   * Keeps from the command every descriptor of the caller that the command's user could not open. The rights of that user
   * decide. `terminal_input` is 1 if a terminal for input is relayed rather than replaced by /dev/null. `kept`: of a
   * container in the background, nothing of the caller's is left.
   */
  streams: {
    op: 62,
    args: [int('terminal_input'), int('kept')],
    does: 'leaves those of descriptors 0, 1 and 2 that the user could open again; a terminal for input becomes /dev/null where `terminal_input` is 0; all others become pipes of this user’s, which the launcher relays; where `kept` is 1, descriptors 1 and 2 become pipes whatever they are, and 0 does if `terminal_input` is 1 (fstat, faccessat2, pipe2, fchmod, sendmsg, dup2)',
  },
  /**
   * Opens `pathname` in the container's root, `dirfd`, and creates what is missing: the folders on the way, and at the end
   * a folder or an empty file (`mode`). It goes name by name from descriptor to descriptor, so that no link leads out of
   * the root. AT_SYMLINK_NOFOLLOW: a link at the end is replaced.
   */
  make_in_root: {
    op: 70,
    args: [fd('dirfd'), text('pathname'), mode('mode'), flags('flags', 'AT'), flags('resolve', 'RESOLVE')],
    returnsFd: true,
    does: 'opens a path of the container’s root, and makes what is missing of it name by name (openat, readlinkat, mkdirat, mknodat, unlinkat)',
  },
  /** Removes a tree, without following links or entering other file systems; with `userns`, in that user namespace. */
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
  /** Makes something that all containers of a host share, such as a table, if it is not there yet. */
  netlink_once: {
    op: 72,
    args: [fd('fd'), messages('question'), messages('messages')],
    does: 'sends the question, and the messages only where the kernel answers ENOENT; where somebody else is quicker (EEXIST), asks again',
  },
  /** The steps that are marked so (`mends`) are made again. */
  watch_tables: {
    op: 122,
    args: [fd('fd'), messages('question')],
    does: 'while the command runs, waits for changes of nf_tables that other programs make (socket, bind to NFNLGRP_NFTABLES), and asks for the table after each; where it is gone or another one, makes the steps again that are for that (`"mends": true`)',
  },
  /** For a table in a network namespace in which the kernel does not know the host's addresses. */
  watch_addresses: {
    op: 123,
    args: [fd('fd'), text('table'), text('set4'), text('set6')],
    does: 'writes the destinations of the host’s local routes, and of its routes to containers (RTPROT_BOXCTL), into the two sets, in one transaction (RTM_GETROUTE, NFT_MSG_NEWSETELEM); while the command runs again after each change (bind to RTNLGRP_LINK, RTNLGRP_IPV4_ROUTE and RTNLGRP_IPV6_ROUTE); where that fails then, ends the program of `spawn_helper`',
  },
  setsockopt: { op: 73, args: [fd('fd'), flags('level', 'SOL'), flags('optname', 'SOCKET_OPTION'), int('value')] },
  /** `address` is a numeric IPv4 or IPv6 address. */
  bind: { op: 74, args: [fd('fd'), flags('family', 'AF'), int('port'), text('address')], structFrom: 1 },
  /** Binds to a port that the kernel chooses. */
  bind_free: {
    op: 81,
    args: [fd('fd'), text('address'), fd('other'), text('other_address')],
    does: 'binds the socket to a free port, and `other`, where there is one, to the same port of its own address; the port is told by an event',
  },
  listen: { op: 75, args: [fd('fd'), int('backlog')] },
  /** Relays the connections or datagrams of a socket to another address while the command runs. */
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
  /** seccomp(2) with SECCOMP_FILTER_FLAG_NEW_LISTENER. Returns the listener. */
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
     * Errors that count as success. If the call fails with one, it returns no descriptor, and the steps that use its name
     * are skipped.
     */
    readonly allow?: readonly string[];
  };
}[CallName];
