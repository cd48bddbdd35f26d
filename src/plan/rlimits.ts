/** Resource limits of single processes (getrlimit(2)). */
import { RLIMIT } from '../kernel/constants.ts';
import { inside, onHost, type PlanContext } from './context.ts';
import { forksInside } from './namespaces.ts';
import { byDefault } from './steps.ts';
import { asOwner } from './users.ts';

/**
 * Where boxctl has privileges, the launcher sets them: raising one over the hard limit takes CAP_SYS_RESOURCE in the
 * host's user namespace, whatever the container has in its own. A process that the launcher does not know sets them itself,
 * and can raise none.
 */
export function setLimits(context: PlanContext): void {
  const { model, host } = context;
  const byLauncher = host.privileged && !forksInside(context);
  const limits = model.config.process.rlimits ?? [];
  if (limits.length === 0) return;
  const set = (): void => writeLimits(context, byLauncher);
  if (byLauncher)
    asOwner(context, onHost('security', byDefault('limits of a process are set by its owner')), 'rlimits', set);
  else set();
}

/** One call for each. `byLauncher`: of the process that it has made, else of the one that makes the call. */
export function writeLimits({ model, steps }: PlanContext, byLauncher: boolean): void {
  for (const [index, { type, soft, hard }] of (model.config.process.rlimits ?? []).entries()) {
    const resource = Object.entries(RLIMIT).find(([name]) => name === type)?.[1];
    if (resource === undefined) throw new Error(`unknown resource limit ${type}`);
    const because = model.because(`process.rlimits.${index}`);
    const place = byLauncher ? onHost('security', because) : inside('security', because);
    const pid = byLauncher ? { template: '$CHILD' } : '0';
    steps.add(place, `rlimit.${type}`, 'prlimit64', { pid, resource, soft, hard });
  }
}
