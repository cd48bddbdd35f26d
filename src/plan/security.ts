/** The command's credentials, capabilities and system-call filter; nothing after this needs privileges. */
import type { OciCapabilities } from '../oci/config.ts';
import {
  CAPABILITIES,
  CLOSE_RANGE,
  KEYCTL,
  PR,
  PR_CAP_AMBIENT_CLEAR_ALL,
  PR_CAP_AMBIENT_RAISE,
  RLIMIT,
  SECCOMP,
} from './constants.ts';
import { inside, type PlanContext } from './context.ts';
import { compileSeccomp } from './seccomp/compile.ts';
import { byDefault } from './steps.ts';
import { maySetGroups } from './users.ts';

function bits(names: readonly string[]): bigint {
  return names.reduce((sum, name) => {
    const number = CAPABILITIES.findIndex((known) => known === name);
    // Dropping too much is safe, but a name that nobody knows was meant for something.
    if (number < 0) throw new Error(`unknown capability ${name}`);
    return sum | (1n << BigInt(number));
  }, 0n);
}

function prctl(context: PlanContext, id: string, because: string, option: number, arg2 = 0, arg3 = 0): void {
  const place = inside('security', context.model.because(because));
  context.steps.add(place, id, 'prctl', { option, arg2, arg3, arg4: 0, arg5: 0 });
}

function dropBounding(context: PlanContext, capabilities: OciCapabilities): void {
  for (const [number, name] of CAPABILITIES.entries()) {
    if (capabilities.bounding.includes(name)) continue;
    prctl(context, `bounding.${name}`, 'process.capabilities', PR.PR_CAPBSET_DROP, number);
  }
}

function setLimits(context: PlanContext): void {
  const { model, steps } = context;
  for (const [index, { type, soft, hard }] of (model.config.process.rlimits ?? []).entries()) {
    const resource = Object.entries(RLIMIT).find(([name]) => name === type)?.[1];
    if (resource === undefined) throw new Error(`unknown resource limit ${type}`);
    const place = inside('security', model.because(`process.rlimits.${index}`));
    steps.add(place, `rlimit.${type}`, 'prlimit64', { resource, soft, hard });
  }
}

/** Becomes the user that the command runs as. */
export function dropPrivileges(context: PlanContext): void {
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
  setLimits(context);
  steps.add(inside('security', byDefault('umask')), 'umask', 'umask', { mask: user.umask ?? 0o022 });
  dropBounding(context, capabilities);
  const permitted = bits(capabilities.permitted);
  if (permitted !== 0n && user.uid !== 0) prctl(context, 'keepcaps', 'process.capabilities', PR.PR_SET_KEEPCAPS, 1);
  if (maySetGroups(context)) steps.add(who, 'setgroups.user', 'setgroups', { list: user.additionalGids ?? [] });
  steps.add(who, 'setresgid', 'setresgid', { rgid: user.gid, egid: user.gid, sgid: user.gid });
  steps.add(who, 'setresuid', 'setresuid', { ruid: user.uid, euid: user.uid, suid: user.uid });
  const place = inside('security', model.because('process.capabilities'));
  steps.add(place, 'capset', 'capset', {
    effective: bits(capabilities.effective),
    permitted,
    inheritable: bits(capabilities.inheritable),
  });
  prctl(context, 'ambient.clear', 'process.capabilities', PR.PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
  for (const name of capabilities.ambient) {
    const number = CAPABILITIES.findIndex((known) => known === name);
    prctl(context, `ambient.${name}`, 'process.capabilities', PR.PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number);
  }
  if (noNewPrivileges) prctl(context, 'no_new_privs', 'process.noNewPrivileges', PR.PR_SET_NO_NEW_PRIVS, 1);
}

/** Descriptors that the command was not given end with the launcher's part of the process. */
export function closeDescriptors(context: PlanContext): void {
  const place = inside('security', byDefault('no descriptor beside 0, 1 and 2'));
  const args = { first: 3, last: 0xffff_ffff, flags: CLOSE_RANGE.CLOSE_RANGE_CLOEXEC };
  context.steps.add(place, 'close_range', 'close_range', args);
}

export function filterCalls(context: PlanContext): void {
  const { steps, model, host } = context;
  const profile = model.config.linux.seccomp;
  if (profile === undefined) return;
  const place = inside('security', model.because('linux.seccomp'));
  const program = compileSeccomp(profile, host.arch);
  steps.add(place, 'seccomp', 'seccomp', { operation: SECCOMP.SECCOMP_SET_MODE_FILTER, flags: 0, program });
}
