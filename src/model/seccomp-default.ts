/**
 * The default seccomp profile. The tables of calls end where this was written, and what they do not know is answered with
 * ENOSYS; so a list of what is refused is a list of what is allowed, and the shorter of the two to review.
 */
import { knownSyscalls, SUBORDINATE, subordinateMachine, type SeccompArch } from '../kernel/machines.ts';
import type { OciSeccomp, OciSeccompArg, OciSeccompRule } from '../oci/config.ts';
import { allowExcept } from './seccomp-except.ts';

const EPERM = 1;
const ENOSYS = 38;

/** Refused with EPERM, by reason. */
const REFUSED: Readonly<Record<string, readonly string[]>> = {
  'the kernel itself': [
    'init_module',
    'finit_module',
    'delete_module',
    'create_module',
    'query_module',
    'get_kernel_syms',
    'kexec_load',
    'kexec_file_load',
    'reboot',
    'swapon',
    'swapoff',
    'acct',
    'syslog',
    'ioperm',
    'iopl',
    'quotactl',
    'quotactl_fd',
    'sysfs',
    '_sysctl',
    'uselib',
    'ustat',
    'nfsservctl',
    'lookup_dcookie',
    'vhangup',
    'fanotify_init',
  ],
  // adjtimex and clock_adjtime also read the clock's state; to change it the kernel takes CAP_SYS_TIME of the host.
  'the clock, which is the host’s': ['settimeofday', 'clock_settime', 'clock_settime64', 'stime'],
  'mounts, with which masked paths could be uncovered': [
    'mount',
    'umount',
    'umount2',
    'pivot_root',
    'mount_setattr',
    'move_mount',
    'open_tree',
    'open_tree_attr',
    'fsopen',
    'fsconfig',
    'fsmount',
    'fspick',
  ],
  'other namespaces, in which a process has every capability': ['unshare', 'setns'],
  'names that are the container’s specification': ['sethostname', 'setdomainname'],
  'much code of the kernel for few programs': [
    'bpf',
    'perf_event_open',
    'userfaultfd',
    'io_uring_setup',
    'io_uring_enter',
    'io_uring_register',
    'keyctl',
    'add_key',
    'request_key',
    'kcmp',
    'pidfd_getfd',
    'process_madvise',
    'lsm_get_self_attr',
    'lsm_set_self_attr',
    'lsm_list_modules',
    'file_getattr',
    'file_setattr',
  ],
  'files by handle, past every mount (CVE-2014-9357)': ['open_by_handle_at'],
  'placement of memory on the host’s nodes': [
    'mbind',
    'get_mempolicy',
    'set_mempolicy',
    'set_mempolicy_home_node',
    'migrate_pages',
    'move_pages',
  ],
  'never implemented': [
    'getpmsg',
    'putpmsg',
    'afs_syscall',
    'tuxcall',
    'security',
    'vserver',
    'break',
    'stty',
    'gtty',
    'ftime',
    'prof',
    'lock',
    'mpx',
    'ulimit',
    'profil',
    'SYSCALL_BASE',
  ],
  'of 32-bit programs, replaced before there were containers': [
    'oldstat',
    'oldfstat',
    'oldlstat',
    'olduname',
    'oldolduname',
    'nice',
    'signal',
    'sigaction',
    'sigsuspend',
    'sigpending',
    'sgetmask',
    'ssetmask',
    'readdir',
    'idle',
    'bdflush',
    'vm86old',
    'vm86',
    'pciconfig_iobase',
    'pciconfig_read',
    'pciconfig_write',
    'usr26',
    'usr32',
    'get_tls',
  ],
};

/** CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID and NET, in clone(2)'s first argument. */
const CLONE_NAMESPACES = 0x7e02_0000;
const TIOCSTI = 0x5412;
const TIOCLINUX = 0x541c;

/**
 * Address families of socket(2): those of Docker's profile, which leaves out AF_ALG (38, the kernel's cryptography), AF_VSOCK
 * (40, other virtual machines past every network namespace) and those that the kernel has dropped. The most usual come first.
 */
const LAST_OF_FIRST_FAMILIES = 11;
const FAMILIES = [16, 17, 13, 14, 15, 18, 21, 22, 24, 26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 39, 41, 42, 43, 44, 45];
/** AF_UNIX and AF_TIPC: the only ones that the kernel makes pairs of. */
const PAIR_FAMILIES = [1, 30];
/** Of socketcall(2), all that its header names but SYS_SOCKET (1) and SYS_SOCKETPAIR (8). */
const SOCKET_CALLS = [2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20];

/** Execution domains that programs ask for: Linux, 32-bit addresses, old version numbers, and "which is it". */
const PERSONALITIES = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

function allow(names: string[], args: OciSeccompArg[] = []): OciSeccompRule {
  return { names, action: 'SCMP_ACT_ALLOW', ...(args.length > 0 ? { args } : {}) };
}

/** Where the first argument is this one, by its low 32 bits, which are all that the kernel looks at. */
function allowNumber(name: string, number: number): OciSeccompRule {
  return allow([name], [{ index: 0, value: 0xffff_ffff, valueTwo: number, op: 'SCMP_CMP_MASKED_EQ' }]);
}

/** Calls that are allowed for some arguments; what no rule speaks of gets the default, EPERM. */
function partial(socketcall: boolean): OciSeccompRule[] {
  return [
    // Both put characters into a terminal as if they were typed (CVE-2017-5226).
    ...allowExcept('ioctl', 1, [TIOCSTI, TIOCLINUX]),
    allow(['socket'], [{ index: 0, value: LAST_OF_FIRST_FAMILIES, op: 'SCMP_CMP_LE' }]),
    ...FAMILIES.map((family) => allowNumber('socket', family)),
    ...PAIR_FAMILIES.map((family) => allowNumber('socketpair', family)),
    // The family of a new socket is behind a pointer here, so that AF_ALG could not be told from others.
    ...(socketcall ? [allow(['socketcall'])] : SOCKET_CALLS.map((number) => allowNumber('socketcall', number))),
    allow(['clone'], [{ index: 0, value: CLONE_NAMESPACES, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }]),
    // Its flags are behind a pointer, which a filter cannot follow; the C library falls back to clone.
    { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
    ...PERSONALITIES.map((value) => allow(['personality'], [{ index: 0, value, op: 'SCMP_CMP_EQ' }])),
  ];
}

export interface DefaultOptions {
  /** 32-bit programs may make sockets by socketcall(2), of whatever family. */
  readonly socketcall?: boolean;
}

function rulesFor(arch: SeccompArch, socketcall: boolean): OciSeccompRule[] {
  const special = partial(socketcall);
  const spoken = new Set([...Object.values(REFUSED).flat(), ...special.flatMap((rule) => rule.names)]);
  const known = new Set([...knownSyscalls(arch), ...subordinateMachine(arch).names]);
  return [allow([...known].filter((name) => !spoken.has(name))), ...special];
}

function profileFor(arch: SeccompArch, socketcall: boolean): OciSeccomp {
  let rules: OciSeccompRule[] | undefined;
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures: [arch === 'x86_64' ? 'SCMP_ARCH_X86_64' : 'SCMP_ARCH_AARCH64', SUBORDINATE[arch].name],
    // Made when they are read: a start does not read them (src/plan/seccomp/filter.ts).
    get syscalls() {
      rules ??= rulesFor(arch, socketcall);
      return rules;
    },
  };
}

const USUAL = { x86_64: profileFor('x86_64', false), aarch64: profileFor('aarch64', false) } as const;

/**
 * The profile for an architecture and the 32-bit programs that it also runs, in the terms of the OCI. Without options it
 * is the same object each time, by which the planner knows it.
 */
export function defaultSeccomp(arch: SeccompArch, { socketcall = false }: DefaultOptions = {}): OciSeccomp {
  return socketcall ? profileFor(arch, true) : USUAL[arch];
}
