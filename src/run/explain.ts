/** The error message for a launch that failed. */
import { BoxctlError } from '../errors.ts';
import type { Because } from '../model/because.ts';
import { CLONE, ERRNO, RESOLVE } from '../kernel/constants.ts';
import { formatCall } from '../show/call-text.ts';
import type { Plan, Step } from '../plan/plan.ts';
import { shownPlan } from '../show/redacted.ts';
import { cgroupHint } from './cgroup-hint.ts';
import { errnoName, MEANINGS } from '../kernel/errno.ts';
import type { Outcome } from '../launcher/launch.ts';

/** What an outer container must be started with, in the words of boxctl, Docker and Podman. */
export const OUTER_FILTER =
  'start it with `seccomp: unconfined`; by Docker and Podman, `--security-opt seccomp=unconfined`';
export const OUTER_PATHS =
  'start it with `masked_paths: ["!/proc", "!/sys"]` and `readonly_paths: ["!/proc"]`; by Docker, `--security-opt systempaths=unconfined`, and by Podman `--security-opt unmask=ALL`';

function cloneHint(step: Step, name: string): string | undefined {
  if (step.call.name !== 'clone3' && step.call.name !== 'unshare') return undefined;
  const makesUser = (step.call.args.flags & CLONE.CLONE_NEWUSER) !== 0;
  if (name === 'ENOSPC' || name === 'EUSERS') {
    return 'the limit of namespaces is reached: see `sysctl user` (max_user_namespaces and its kin), and raise it';
  }
  if (name === 'ENOSYS') return `the container around boxctl refuses this by its system call filter: ${OUTER_FILTER}`;
  if (name === 'EPERM' && makesUser) {
    return 'user namespaces are restricted here: on Ubuntu `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, on Debian `sysctl kernel.unprivileged_userns_clone=1`; in a container, its filter of system calls must allow them';
  }
  if (name === 'EPERM') return 'boxctl needs root for this, or a user namespace of the container’s own';
  if (name === 'EINVAL') return 'this kernel lacks one of these namespaces';
  return undefined;
}

/** A place to mount at, or the working directory, that cannot be had in the image. */
function placeHint({ id, call }: Step, name: string): string | undefined {
  if (call.name !== 'make_in_root') return undefined;
  const place = id.startsWith('mount.') ? 'the target' : 'the folder';
  switch (name) {
    case 'EROFS':
      return `${place} is missing on a read-only mount: make it in the source`;
    case 'EACCES':
    case 'EPERM':
    case 'EOVERFLOW':
      return `${place} is missing, and the container’s root may not make it there: make it in the source`;
    case 'ENOTDIR':
      return `${place}, or a part of its path, is a file in the image, not a folder`;
    case 'ELOOP':
      return (call.args.resolve & RESOLVE.RESOLVE_NO_SYMLINKS) === 0
        ? `links of the image on the way to ${place} lead in a circle, or through /proc`
        : `a link is on the way to ${place}: none is followed in /dev, /proc and /sys`;
    case 'EXDEV':
    case 'ENOENT':
      return `a link of the image leads ${place} into /proc, /sys or /dev, where nothing can be made`;
    default:
      return undefined;
  }
}

/** Hints for mounts of the file, whose errno seldom tells the reason. */
function mountHint({ group, call }: Step, name: string): string | undefined {
  if (group !== 'mounts') return undefined;
  if (call.name === 'move_mount' && (name === 'ENOTDIR' || name === 'EINVAL')) {
    return 'the target is a folder in the image, and the source is a file';
  }
  if (call.name === 'mount_setattr' && name === 'EPERM') {
    return 'an ordinary user cannot change how access times are kept: leave out noatime, relatime, strictatime, nodiratime';
  }
  return undefined;
}

/** Hints for an archive that the container is to run from. */
function imageHint({ call }: Step, name: string): string | undefined {
  if (call.name === 'fcntl' && name === 'EAGAIN') {
    return 'somebody has the archive open for writing: wait until it is complete, or write it under another name and rename it';
  }
  if (call.name === 'fstat_identity') {
    return 'the archive was changed just now: start the container again';
  }
  return undefined;
}

/** What to do about a step that failed; undefined where that is not known. */
export function hintFor(step: Step, name: string, detail: number): string | undefined {
  const { call, hints } = step;
  const planned = hints?.[name] ?? hints?.['other'];
  if (planned !== undefined) return planned;
  const mount = placeHint(step, name) ?? mountHint(step, name) ?? imageHint(step, name);
  if (mount !== undefined) return mount;
  const clone = cloneHint(step, name);
  if (clone !== undefined) return clone;
  if (call.name === 'posix_spawn') {
    return `the helper ended with status ${detail}: look at /etc/subuid and /etc/subgid, and at whether it is set-user-id root`;
  }
  if (call.name === 'fsmount' && name === 'EPERM') {
    return `the kernel makes another /proc or /sys only where nothing of this one is covered, as by the container around boxctl: ${OUTER_PATHS}`;
  }
  if (call.name === 'openat2' && step.group === 'sources') {
    if (name === 'ENOENT') return 'the source is not there';
    if (name === 'ELOOP')
      return 'a part of the path became a symbolic link after the file was checked: it is not followed';
  }
  if (call.name === 'open_tree' && name === 'EINVAL') {
    return 'only root can leave out the mounts below a source: use `recursive: enabled`';
  }
  if (call.name === 'mount_setattr' && name === 'EINVAL') {
    return 'the file system may not support this: id-mapped mounts need ext4, xfs, btrfs, tmpfs or the like, and Linux 5.19 for overlays';
  }
  if (call.name === 'setns')
    return 'the namespace must exist, and belong to you or to the user namespace that is joined';
  if (call.name === 'prlimit64' && name === 'EPERM')
    return 'a limit cannot be raised over the hard limit without CAP_SYS_RESOURCE';
  if (call.name === 'setgroups' && name === 'EPERM') {
    return 'the user namespace that is joined denies groups to all who are in it: join one whose maps root or newgidmap has written';
  }
  if (call.name === 'capset' && name === 'EPERM') {
    return 'boxctl does not have all of these capabilities itself: add fewer, or give the container a user namespace of its own';
  }
  if (step.group === 'hide' && (name === 'ENOTDIR' || name === 'EINVAL')) {
    return 'a folder is masked with a slash at the end of its path, a file without';
  }
  if (step.group === 'cgroup') return cgroupHint(call, name);
  if (name === 'ESTALE') {
    return 'it was replaced between being looked at and being used, or its network file system has lost it: start again';
  }
  return undefined;
}

function where(because: Because): string {
  return because.kind === 'spec'
    ? `\nasked for by ${because.path}`
    : `\nasked for by boxctl’s default: ${because.name}`;
}

function executionFailure(step: Step, name: string): BoxctlError | undefined {
  if (step.call.name !== 'execve') return undefined;
  const command = step.call.args.argv[0];
  const shown = typeof command === 'string' ? command : '';
  const at = step.because.kind === 'spec' ? step.because.at : undefined;
  const position = at === undefined ? {} : { at };
  if (name === 'ENOENT' || name === 'ENOTDIR') {
    return new BoxctlError('E_COMMAND_NOT_FOUND', `the container has no command "${shown}"`, {
      ...position,
      hint: 'if the file is there, it is its interpreter (the #! line, or the ELF loader) that is missing in the image',
    });
  }
  const meaning = MEANINGS[name] ?? name;
  return new BoxctlError(
    'E_COMMAND_NOT_EXECUTABLE',
    `the command "${shown}" cannot be executed: ${meaning} (${name})`,
    {
      ...position,
      ...(name === 'EACCES' ? { hint: 'it may lack the x permission for the user that the container runs as' } : {}),
    },
  );
}

/** The lease on the archive was broken (fcntl(2), F_SETLEASE): after a write, the container would read other bytes as its files. */
function explainBrokenLease(plan: Plan): BoxctlError {
  const step = plan.steps.find(({ call }) => call.name === 'fcntl');
  const at = step?.because.kind === 'spec' ? step.because.at : undefined;
  return new BoxctlError(
    'E_IMAGE_CHANGED',
    'somebody opened the archive of the image for writing while the container ran from it: the container was ended',
    {
      ...(at === undefined ? {} : { at }),
      hint: 'write an archive under another name and rename it; or `boxctl image import` it, and the container runs from a copy',
    },
  );
}

/** The error for a launch whose setup failed, or that boxctl ended itself; undefined where the command ran to its end. */
export function explainFailure(given: Plan, outcome: Outcome, { showValues = false } = {}): BoxctlError | undefined {
  if (outcome.leaseBroken) return explainBrokenLease(given);
  const { failed } = outcome;
  if (failed === undefined) return undefined;
  const step = given.steps[failed.index];
  if (step === undefined)
    return new BoxctlError('E_STEP_FAILED', `step ${failed.index} failed: ${errnoName(failed.errno)}`);
  const at = step.because.kind === 'spec' ? step.because.at : undefined;
  if (failed.errno === ERRNO['ECHILD']) {
    const end = failed.detail > 128 ? `signal ${failed.detail - 128}` : `status ${failed.detail}`;
    return new BoxctlError('E_STEP_FAILED', `the container’s first process ended while it was being set up (${end})`, {
      ...(at === undefined ? {} : { at }),
      hint: 'was it killed from outside, or is the memory limit too small even for the setup?',
    });
  }
  const name = errnoName(failed.errno);
  const plan = showValues ? given : shownPlan(given);
  const shown = plan.steps[failed.index] ?? step;
  const execution = executionFailure(shown, name);
  if (execution !== undefined) return execution;
  const meaning = MEANINGS[name] === undefined ? '' : ` (${MEANINGS[name]})`;
  const hint = hintFor(step, name, failed.detail);
  const kept = outcome.undoFailures.length === 0 ? '' : `\nnot everything could be undone: ${undoList(plan, outcome)}`;
  return new BoxctlError(
    'E_STEP_FAILED',
    `the step ${shown.id} failed: ${formatCall(shown.call)}: ${name}${meaning}${where(step.because)}${kept}`,
    { ...(at === undefined ? {} : { at }), ...(hint === undefined ? {} : { hint }) },
  );
}

function undoList(plan: Plan, outcome: Outcome): string {
  return outcome.undoFailures
    .map(({ index, errno }) => `${plan.steps[index]?.id ?? index} (${errnoName(errno)})`)
    .join(', ');
}
