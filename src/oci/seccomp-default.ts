/**
 * The default seccomp profile. The tables of calls end where this was written, and what they do not know is answered with
 * ENOSYS; so a list of what is refused is a list of what is allowed, and the shorter of the two to review.
 */
import { knownSyscalls, type SeccompArch } from '../plan/seccomp/compile.ts';
import type { OciSeccomp, OciSeccompArg, OciSeccompRule } from './config.ts';
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
  'the clock, which is the host’s': ['settimeofday', 'clock_settime', 'clock_adjtime', 'adjtimex'],
  'mounts, with which masked paths could be uncovered': [
    'mount',
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
};

/** CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID and NET, in clone(2)'s first argument. */
const CLONE_NAMESPACES = 0x7e02_0000;
const TIOCSTI = 0x5412;
const TIOCLINUX = 0x541c;
const AF_VSOCK = 40;
/** Execution domains that programs ask for: Linux, 32-bit addresses, old version numbers, and "which is it". */
const PERSONALITIES = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

function allow(names: string[], args: OciSeccompArg[] = []): OciSeccompRule {
  return { names, action: 'SCMP_ACT_ALLOW', ...(args.length > 0 ? { args } : {}) };
}

/** Calls that are allowed for some arguments; what no rule speaks of gets the default, EPERM. */
function partial(): OciSeccompRule[] {
  return [
    // Both put characters into a terminal as if they were typed (CVE-2017-5226).
    ...allowExcept('ioctl', 1, [TIOCSTI, TIOCLINUX]),
    ...allowExcept('socket', 0, [AF_VSOCK]),
    allow(['clone'], [{ index: 0, value: CLONE_NAMESPACES, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }]),
    // Its flags are behind a pointer, which a filter cannot follow; the C library falls back to clone.
    { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
    ...PERSONALITIES.map((value) => allow(['personality'], [{ index: 0, value, op: 'SCMP_CMP_EQ' }])),
  ];
}

const PARTIAL_NAMES: ReadonlySet<string> = new Set(['ioctl', 'clone', 'clone3', 'socket', 'personality']);

/** The profile for an architecture, in the terms of the OCI. */
export function defaultSeccomp(arch: SeccompArch): OciSeccomp {
  const refused = new Set(Object.values(REFUSED).flat());
  const names = knownSyscalls(arch).filter((name) => !refused.has(name) && !PARTIAL_NAMES.has(name));
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures: [arch === 'x86_64' ? 'SCMP_ARCH_X86_64' : 'SCMP_ARCH_AARCH64'],
    syscalls: [allow(names), ...partial()],
  };
}
