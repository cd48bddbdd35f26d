/**
 * What a person can do about a call that failed, in whatever step it was made. A step that knows more than its call has hints of
 * its own (`Step.hints`), written where the step is planned. Nothing here is needed before something has failed.
 */
import type { ArgsOf, Call, CallName } from '../kernel/calls.ts';
import { CLONE } from '../kernel/constants.ts';
import { hintsOfPath, OUTER_FILTER, OUTER_PATHS, type Hints } from './hints.ts';

const TOO_MANY_NAMESPACES =
  'the limit of namespaces is reached: see `sysctl user` (max_user_namespaces and its kin), and raise it';

/** For clone3(2) and unshare(2). */
function hintsOfNamespaces({ flags }: { readonly flags: number }): Hints {
  const makesUser = (flags & CLONE.CLONE_NEWUSER) !== 0;
  return {
    ENOSPC: TOO_MANY_NAMESPACES,
    EUSERS: TOO_MANY_NAMESPACES,
    ENOSYS: `the container around boxctl refuses this by its system call filter: ${OUTER_FILTER}`,
    EPERM: makesUser
      ? 'user namespaces are restricted here: on Ubuntu `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, on Debian `sysctl kernel.unprivileged_userns_clone=1`; in a container, its filter of system calls must allow them'
      : 'boxctl needs root for this, or a user namespace of the container’s own',
    EINVAL: 'this kernel lacks one of these namespaces',
  };
}

const NO_BUS =
  'the user’s message bus does not answer: log in to a session of your own (ssh, machinectl shell), not by su or sudo';
const NO_SCOPE =
  'systemd gave no scope: `journalctl --user -n 20` may say why; `systemd-run --user --scope -p Delegate=yes true` tries the same';
const NO_PROGRAMS: Hints = {
  EPERM: 'programs for devices take CAP_SYS_ADMIN of the host, and a cgroup above that lets others be attached',
  other:
    'this kernel has no programs for devices (CONFIG_CGROUP_BPF): leave `namespaces.user` private, without `devices`',
};
const NO_PROGRAM =
  'correct the name, or add the program to the image (to `host_tools`, where the file has them); if it is there, its interpreter is missing: the one of the #! line, or the ELF loader';
const ONE_WORD = 'this is one word with spaces in it: each argument is a word of its own, as in [ls, -l]';

type CallHints = { readonly [N in CallName]?: Hints | ((args: ArgsOf<N>) => Hints) };

const CALL_HINTS: CallHints = {
  clone3: hintsOfNamespaces,
  unshare: hintsOfNamespaces,
  setns: {
    EINVAL: 'what the path leads to is no namespace of this kind',
    other: 'the namespace must belong to you, or to the user namespace that is joined',
  },
  posix_spawn: {
    other:
      'the helper ended with status $STATUS: look at /etc/subuid and /etc/subgid, and at whether it is set-user-id root',
  },
  spawn_helper: {
    ECANCELED: 'the program ended with status $STATUS before it was ready',
    ETIMEDOUT: 'the program did not become ready: it was killed',
  },
  fsmount: {
    EPERM: `the kernel makes another /proc or /sys only where nothing of this one is covered, as by the container around boxctl: ${OUTER_PATHS}`,
  },
  make_in_root: ({ resolve }) => hintsOfPath('the folder', resolve),
  prlimit64: { EPERM: 'a limit cannot be raised over the hard limit without CAP_SYS_RESOURCE' },
  setgroups: {
    EPERM:
      'the user namespace that is joined denies groups to all who are in it: join one whose maps root or newgidmap has written',
  },
  capset: {
    EPERM:
      'boxctl does not have all of these capabilities itself: add fewer, or give the container a user namespace of its own',
  },
  start_transient_unit: {
    ENOENT: NO_BUS,
    ECONNREFUSED: NO_BUS,
    EACCES: NO_BUS,
    EXDEV: NO_SCOPE,
    EREMOTEIO: NO_SCOPE,
    other: '`systemd-run --user --scope -p Delegate=yes true` tries the same by hand',
  },
  bpf_prog_load: NO_PROGRAMS,
  bpf_prog_attach: NO_PROGRAMS,
  // The launcher reads a limit again, and compares.
  read: {
    other:
      'the kernel took the limit and applies another: a cgroup above gives less, or it is no value that can be had',
  },
  execve: ({ argv: [command, ...more] }) => {
    const isLine = typeof command === 'string' && /\s/.test(command) && more.length === 0;
    const missing = isLine ? ONE_WORD : NO_PROGRAM;
    const denied = 'it may lack the x permission for the user that the container runs as';
    const large =
      'each argument and each variable may have 128 KiB, and all together a quarter of the limit of the stack (execve(2)): pass what is longer in a file, or by standard input';
    return { ENOENT: missing, ENOTDIR: missing, EACCES: denied, E2BIG: large };
  },
};

const ANY_CALL: Hints = {
  ESTALE: 'it was replaced between being looked at and being used, or its network file system has lost it: start again',
};

function hintsOfCall<N extends CallName>(call: Call & { readonly name: N }): Hints {
  const hints: CallHints[N] = CALL_HINTS[call.name];
  // A call's arguments are those of its name; TypeScript cannot see it for a name that is still a parameter.
  return typeof hints === 'function' ? hints(call.args as unknown as ArgsOf<N>) : (hints ?? {});
}

interface Hinted {
  readonly call: Call;
  readonly hints?: Hints;
}

/** What to do about a step that failed with the error of this name; undefined where that is not known. */
export function hintOf({ call, hints = {} }: Hinted, error: string, status = 0): string | undefined {
  const hint = pick(hints, error) ?? pick(hintsOfCall(call), error) ?? pick(ANY_CALL, error);
  return hint?.replace('$STATUS', String(status));
}

function pick(hints: Readonly<Record<string, string | undefined>>, error: string): string | undefined {
  return hints[error] ?? hints['other'];
}
