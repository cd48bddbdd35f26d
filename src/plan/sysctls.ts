/** Parameters of the kernel (sysctl(8)) in the container's own namespaces, and what else is set through its /proc. */
import type { Model } from '../model/model.ts';
import type { Because } from '../model/because.ts';
import { swapSeparators } from '../model/sysctls.ts';
import { AT_FDCWD, type Fd } from '../kernel/calls.ts';
import { O, RESOLVE } from '../kernel/constants.ts';
import { inside, onHost, type PlanContext } from './context.ts';

const BENEATH = RESOLVE.RESOLVE_BENEATH | RESOLVE.RESOLVE_NO_SYMLINKS | RESOLVE.RESOLVE_NO_XDEV;

const REFUSED = {
  ENOENT: 'this kernel has no such parameter in a namespace of the container’s own',
  other: 'the kernel lets the container’s root not change it, or does not take the value',
};

/**
 * `proc` is the root of a proc that boxctl asked the kernel for and that is attached nowhere yet, so that no image and no
 * other container can have put anything in its place (CVE-2019-19921, CVE-2025-52881).
 */
export function setSysctls(context: PlanContext, proc: Fd | undefined): void {
  const { model, steps } = context;
  for (const { name, data, because } of sysctlsOf(model)) {
    if (proc === undefined) throw new Error('a kernel parameter needs /proc');
    const place = { ...inside('identity', because), hints: REFUSED };
    const pathname = `sys/${swapSeparators(name)}`;
    const open = { dirfd: proc, pathname, flags: O.O_WRONLY | O.O_CLOEXEC, mode: 0, resolve: BENEATH };
    // A kernel that lacks the parameter of a default has nothing to be changed.
    const allow = because.kind === 'default' ? { allow: ['ENOENT'] } : {};
    const file = steps.add(place, `sysctl.${name}`, 'openat2', open, allow);
    steps.add(place, `sysctl.${name}.write`, 'write', { dirfd: file, pathname: '', data }, { undo: 'kernel' });
  }
}

export function sysctlsOf(
  model: Model,
): readonly { readonly name: string; readonly data: string; readonly because: Because }[] {
  const list = Object.entries(model.config.linux.sysctl ?? {}).map(([name, data]) => ({
    name,
    data,
    because: model.because(`linux.sysctl.${name}`),
  }));
  if (model.pidMax === undefined) return list;
  return [...list, { name: 'kernel.pid_max', data: String(model.pidMax), because: model.because('pidMax') }];
}

/**
 * By the launcher, through the host's /proc: to be killed later than others is a privilege of the host's. Before the
 * process changes its ids, after which the file belongs to root alone.
 */
export function setOomScore(context: PlanContext): void {
  const { model, steps } = context;
  const { oomScoreAdj } = model.config.process;
  if (oomScoreAdj === undefined) return;
  const place = onHost('security', model.because('process.oomScoreAdj'));
  const pathname = { template: '/proc/$CHILD/oom_score_adj' };
  const hints = { other: 'less than boxctl’s own takes CAP_SYS_RESOURCE on the host: run it as root' };
  steps.add(place, 'oom_score_adj', 'write', { dirfd: AT_FDCWD, pathname, data: String(oomScoreAdj) }, { hints });
}
