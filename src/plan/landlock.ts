/**
 * Landlock where the container shares a namespace of the host (landlock(7), Linux 6.12). With the host's network, it cannot
 * connect to abstract sockets of the host (CVE-2020-15257). With the host's processes, it cannot send them signals.
 */
import type { OciNamespace } from '../oci/config.ts';
import { LANDLOCK_SCOPE } from '../kernel/constants.ts';
import { inside, type PlanContext } from './context.ts';
import { byDefault } from './steps.ts';

const SCOPES: readonly (readonly [namespace: OciNamespace['type'], scope: number])[] = [
  ['network', LANDLOCK_SCOPE.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET],
  ['pid', LANDLOCK_SCOPE.LANDLOCK_SCOPE_SIGNAL],
];

function scopes(context: PlanContext): number {
  const wanted = SCOPES.filter(([type]) => context.namespace(type).kind === 'host');
  return context.model.landlock ? wanted.reduce((sum, [, scope]) => sum | scope, 0) : 0;
}

export function usesLandlock(context: PlanContext): boolean {
  return scopes(context) !== 0;
}

/** Needs no_new_privs or CAP_SYS_ADMIN. A kernel without these scopes skips the steps. */
export function scopeWithLandlock(context: PlanContext): void {
  const scoped = scopes(context);
  if (scoped === 0) return;
  const place = inside('security', byDefault('Landlock where the host’s namespace is shared'));
  const args = { handled_access_fs: 0, handled_access_net: 0, scoped };
  const allow = ['ENOSYS', 'EOPNOTSUPP', 'E2BIG', 'EINVAL'];
  const fd = context.steps.add(place, 'landlock', 'landlock_create_ruleset', args, { allow });
  context.steps.add(place, 'landlock.restrict', 'landlock_restrict_self', { ruleset_fd: fd, flags: 0 });
}
