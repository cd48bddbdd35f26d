/** Which system calls the container may make: the default, a profile of the file's own, all of them, or all of them watched. */
import { isAtLeast, type HostFacts } from '../host/facts.ts';
import type { Spec } from '../spec/spec.ts';
import type { OciSeccomp } from '../oci/config.ts';
import type { Observes } from './model.ts';
import type { Problems } from './problems.ts';
import { defaultSeccomp } from './seccomp-default.ts';
import { resolveProfile } from './seccomp-profile.ts';

export interface CompiledSeccomp {
  readonly seccomp: OciSeccomp | undefined;
  readonly observes: Observes | undefined;
}

/**
 * What is refused is logged instead. Not so the calls that are said not to be there (ENOSYS): programs have another way
 * for them, which is the one to be seen.
 */
function logging({ architectures, syscalls }: OciSeccomp, all: boolean): OciSeccomp {
  const kept = syscalls.filter(({ action }) => action === 'SCMP_ACT_ERRNO' || (action === 'SCMP_ACT_ALLOW' && !all));
  return { defaultAction: 'SCMP_ACT_LOG', architectures, syscalls: kept };
}

/** SECCOMP_USER_NOTIF_FLAG_CONTINUE, by which a call that was seen goes on, is of Linux 5.5. */
function checkObserving(host: HostFacts, problems: Problems): void {
  if (isAtLeast(host.kernel, 5, 5)) return;
  const message = `watching system calls takes Linux 5.5, and this is ${host.kernel.release}`;
  problems.add('E_NO_SECCOMP_LISTENER', 'seccomp', message, 'use `default`, or a newer kernel');
}

export function compileSeccompChoice(
  spec: Spec,
  capabilities: readonly string[],
  host: HostFacts,
  problems: Problems,
): CompiledSeccomp {
  const choice = spec.seccomp ?? { kind: spec.privileged ? 'unconfined' : 'default' };
  const none = { observes: undefined };
  switch (choice.kind) {
    case 'unconfined':
      return { seccomp: undefined, ...none };
    case 'profile':
      // It was not allowed, so the container does not start; what is reviewed has the default in its place.
      if (choice.profile === undefined) return { seccomp: defaultSeccomp(host.arch), ...none };
      return { seccomp: resolveProfile(choice.profile, capabilities, host, problems), ...none };
    case 'log':
      checkObserving(host, problems);
      return { seccomp: logging(defaultSeccomp(host.arch), false), observes: { kind: 'log' } };
    case 'learn':
      checkObserving(host, problems);
      return { seccomp: logging(defaultSeccomp(host.arch), true), observes: choice };
    case 'socketcall':
      return { seccomp: defaultSeccomp(host.arch, { socketcall: true }), ...none };
    case 'default':
      return { seccomp: defaultSeccomp(host.arch), ...none };
  }
}
