/** The command's credentials, capabilities and system-call filter; nothing after this needs privileges. */
import { socketsOf } from './command.ts';
import { FIRST_SOCKET } from '../kernel/wire.ts';
import { isAtLeast } from '../host/facts.ts';
import type { ConfigPath } from '../oci/config-path.ts';
import type { OciCapabilities, OciProcess } from '../oci/config.ts';
import { CAPABILITIES } from '../spec/capabilities.ts';
import type { Fd } from '../kernel/calls.ts';
import {
  CLOSE_RANGE,
  KEYCTL,
  LISTENER_FLAGS,
  O,
  PR,
  PR_CAP_AMBIENT_CLEAR_ALL,
  PR_CAP_AMBIENT_RAISE,
  RESOLVE,
  SECCOMP,
  SECCOMP_FILTER,
} from '../kernel/constants.ts';
import { inside, type PlanContext } from './context.ts';
import { scopeWithLandlock, usesLandlock } from './landlock.ts';
import { filterOf } from './seccomp/filter.ts';
import { byDefault } from './steps.ts';
import { maySetGroups } from './users.ts';

function numberOf(name: string): number {
  const number = CAPABILITIES.findIndex((known) => known === name);
  // Dropping too much is safe, but a name that nobody knows was meant for something.
  if (number < 0) throw new Error(`unknown capability ${name}`);
  return number;
}

function bits(names: readonly string[]): bigint {
  return names.reduce((sum, name) => sum | (1n << BigInt(numberOf(name))), 0n);
}

function prctl(context: PlanContext, id: string, because: ConfigPath, option: number, arg2 = 0, arg3 = 0): void {
  const place = inside('security', context.model.because(because));
  context.steps.add(place, id, 'prctl', { option, arg2, arg3, arg4: 0, arg5: 0 });
}

/** All that the kernel knows, and not only what boxctl does: root gets by execve what the bounding set has. */
function dropBounding(context: PlanContext, capabilities: OciCapabilities): void {
  for (let number = 0; number <= context.host.lastCapability; number++) {
    const name = CAPABILITIES[number];
    if (name !== undefined && capabilities.bounding.includes(name)) continue;
    prctl(context, `bounding.${name ?? number}`, 'process.capabilities', PR.PR_CAPBSET_DROP, number);
  }
}

/**
 * Without no_new_privs the kernel takes a filter and a Landlock domain from CAP_SYS_ADMIN alone, which is given up
 * right after them.
 */
function confinementNeedsAdmin(context: PlanContext): boolean {
  const { process, linux } = context.model.config;
  return !process.noNewPrivileges && (linux.seccomp !== undefined || usesLandlock(context));
}

export function setCapabilities(context: PlanContext, id: string, more: bigint): void {
  const { capabilities } = context.model.config.process;
  const place = inside('security', context.model.because('process.capabilities'));
  context.steps.add(place, id, 'capset', {
    effective: bits(capabilities.effective) | more,
    permitted: bits(capabilities.permitted) | more,
    inheritable: bits(capabilities.inheritable),
  });
}

/** Nothing that is mounted there is crossed: it would be no /proc. */
const OWN = RESOLVE.RESOLVE_BENEATH | RESOLVE.RESOLVE_NO_MAGICLINKS | RESOLVE.RESOLVE_NO_XDEV;

/**
 * The label that execve(2) gives (apparmor(7), selinux(8)), through a /proc that nobody can have put there: a false one
 * would take the word and do nothing (CVE-2019-16884, CVE-2019-19921).
 */
function setLabel(context: PlanContext, proc: Fd | undefined): void {
  const { apparmorProfile, selinuxLabel }: OciProcess = context.model.config.process;
  const write = (key: 'apparmorProfile' | 'selinuxLabel', data: string, hint?: string): void => {
    if (proc === undefined) throw new Error('a label needs /proc');
    const place = inside('security', context.model.because(`process.${key}`));
    const flags = O.O_WRONLY | O.O_CLOEXEC;
    const open = { dirfd: proc, pathname: 'thread-self/attr/exec', flags, mode: 0, resolve: OWN };
    const file = context.steps.add(place, `${key}.exec`, 'openat2', open);
    const hints = hint === undefined ? {} : { hints: { other: hint } };
    context.steps.add(place, key, 'write', { dirfd: file, pathname: '', data }, hints);
  };
  if (apparmorProfile !== undefined)
    write('apparmorProfile', `exec ${apparmorProfile}`, 'the profile must be loaded: see aa-status');
  if (selinuxLabel !== undefined) write('selinuxLabel', selinuxLabel);
}

/** Becomes the user that the command runs as. `proc` is the container's own, by its root. */
export function dropPrivileges(context: PlanContext, proc?: Fd): void {
  const { steps, model } = context;
  const { user, capabilities, noNewPrivileges } = model.config.process;
  const who = inside('security', model.because('process.user'));
  steps.add(
    inside('security', byDefault('session keyring of its own')),
    'keyring',
    'keyctl',
    { operation: KEYCTL.KEYCTL_JOIN_SESSION_KEYRING },
    // A kernel without keyrings has none to leak.
    { allow: ['ENOSYS'] },
  );
  steps.add(inside('security', byDefault('umask')), 'umask', 'umask', { mask: user.umask ?? 0o022 });
  dropBounding(context, capabilities);
  const more = confinementNeedsAdmin(context) ? bits(['CAP_SYS_ADMIN']) : 0n;
  const keeps = capabilities.permitted.length > 0 || more !== 0n;
  if (keeps && user.uid !== 0) prctl(context, 'keepcaps', 'process.capabilities', PR.PR_SET_KEEPCAPS, 1);
  if (maySetGroups(context) && !model.keepGroups) {
    const groups = inside('security', model.because('process.user.additionalGids'));
    steps.add(groups, 'setgroups.user', 'setgroups', { list: user.additionalGids ?? [] });
  }
  steps.add(who, 'setresgid', 'setresgid', { rgid: user.gid, egid: user.gid, sgid: user.gid });
  steps.add(who, 'setresuid', 'setresuid', { ruid: user.uid, euid: user.uid, suid: user.uid });
  setCapabilities(context, 'capset', more);
  prctl(context, 'ambient.clear', 'process.capabilities', PR.PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
  for (const name of capabilities.ambient) {
    const number = numberOf(name);
    prctl(context, `ambient.${name}`, 'process.capabilities', PR.PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number);
  }
  setLabel(context, proc);
  if (noNewPrivileges) prctl(context, 'no_new_privs', 'process.noNewPrivileges', PR.PR_SET_NO_NEW_PRIVS, 1);
  scopeWithLandlock(context);
}

/** Descriptors that the command was not given end with the launcher's part of the process. */
export function closeDescriptors(context: PlanContext): void {
  const place = inside('security', byDefault('no descriptor beside 0, 1 and 2'));
  const count = socketsOf(context)?.count ?? 0;
  if (count > 0) {
    context.steps.add(inside('security', context.model.because('sockets')), 'sockets', 'pass_sockets', { count });
  }
  const args = { first: FIRST_SOCKET + count, last: 0xffff_ffff, flags: CLOSE_RANGE.CLOSE_RANGE_CLOEXEC };
  context.steps.add(place, 'close_range', 'close_range', args);
}

/** A call that is being looked at is not broken off by signals, which some programs send themselves all the time (5.19). */
function killable({ host }: PlanContext): number {
  return isAtLeast(host.kernel, 5, 19) ? SECCOMP_FILTER.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV : 0;
}

/** The last thing but the command: what comes after it, the filter would have to allow. */
export function filterCalls(context: PlanContext): void {
  const { steps, model, host } = context;
  const profile = model.config.linux.seccomp;
  if (profile === undefined) {
    if (confinementNeedsAdmin(context)) setCapabilities(context, 'capset.final', 0n);
    return;
  }
  const place = inside('security', model.because('linux.seccomp'));
  const observe = model.observes !== undefined;
  const operation = SECCOMP.SECCOMP_SET_MODE_FILTER;
  const flags = (profile.flags ?? []).reduce((sum, name) => sum | SECCOMP_FILTER[name], 0);
  const program = filterOf(profile, host.arch, { observe });
  if (observe) {
    const listens = SECCOMP_FILTER.SECCOMP_FILTER_FLAG_NEW_LISTENER | killable(context);
    const args = { operation, flags: flags | listens, program };
    const fd = steps.add(place, 'seccomp', 'seccomp_listener', args, { returns: 'listener' });
    steps.add(place, 'seccomp.send', 'sendmsg', { fd, flags: LISTENER_FLAGS });
  } else {
    steps.add(place, 'seccomp', 'seccomp', { operation, flags, program });
  }
  if (confinementNeedsAdmin(context)) setCapabilities(context, 'capset.final', 0n);
}
