/**
 * A container's cgroups in the unified hierarchy (cgroup-v2.rst): two, one in the other. As long as the outer one hands
 * controllers on to the inner one, the kernel refuses to take them from the outer one (EBUSY). Without it, systemd, which
 * switches off above what none of its units asks for, would take the limits away.
 *
 * A cgroup that hands controllers on must have no processes of its own ("no internal processes"), so boxctl may have to leave
 * the one that it is in: it goes into the child `boxctl-aside`, and comes back at the end.
 */
import type { UnifiedHome } from '../host/facts.ts';
import type { CgroupController } from '../kernel/cgroup.ts';
import type { Fd } from '../kernel/calls.ts';
import { AT } from '../kernel/constants.ts';
import { mkdirCgroup, mkdirInner, openFolder, openInner } from './cgroup-folders.ts';
import type { CgroupLayout, Unified } from './cgroup-layout.ts';
import { once, onHost, type PlanContext } from './context.ts';
import { attachRules } from './device-cgroup.ts';
import { NO_LIMIT } from './limit-hints.ts';
import { call, literal, type Place } from './steps.ts';

const ASIDE = 'boxctl-aside';
const MEMBERS = `${ASIDE}/cgroup.procs`;
const HANDED_ON = 'cgroup.subtree_control';

/** The inner one, in which the container's first process is born. */
export function makeUnified(context: PlanContext, { home, controllers, because }: Unified, layout: CgroupLayout): Fd {
  const { leaf, rules } = layout;
  const place = onHost('cgroup', because);
  const outer =
    home.kind === 'scope'
      ? askForScope(context, place, home, leaf)
      : makeOuter(context, place, home, controllers, leaf);
  if (rules?.home.version === 2) attachRules(context, rules, outer, home.kind === 'scope');
  if (controllers.length > 0) {
    const args = { dirfd: outer, pathname: HANDED_ON, data: signed('+', controllers) };
    context.steps.add(place, 'cgroup.subtree_control', 'write', args, { hints: { ENOENT: NO_LIMIT } });
  }
  mkdirInner(context, place, 'cgroup', outer);
  return openInner(context, place, 'cgroup', outer);
}

/** `+memory +pids`: what cgroup.subtree_control is told. */
function signed(sign: '+' | '-', controllers: readonly CgroupController[]): string {
  return controllers.map((controller) => `${sign}${controller}`).join(' ');
}

/** The user's systemd moves the launcher into a new scope, which is the outer cgroup. It must have no processes itself. */
function askForScope(context: PlanContext, at: Place, home: UnifiedHome, leaf: string): Fd {
  const { steps } = context;
  const place = once(context, at);
  const args = { socket: home.bus ?? '', name: { template: `${leaf}.scope` }, hierarchy: home.dir };
  const scope = steps.add(place, 'cgroup.scope', 'start_transient_unit', args);
  steps.add(place, 'cgroup.aside.mkdir', 'mkdirat', { dirfd: scope, pathname: ASIDE, mode: 0o755 });
  steps.add(place, 'cgroup.aside', 'write', { dirfd: scope, pathname: MEMBERS, data: '0' });
  return scope;
}

/** Makes the outer cgroup in its home, which must hand the controllers on. */
function makeOuter(
  context: PlanContext,
  place: Place,
  home: UnifiedHome,
  controllers: readonly CgroupController[],
  leaf: string,
): Fd {
  const dormant = controllers.filter((controller) => home.dormant.includes(controller));
  if (dormant.length > 0) {
    const dirfd = openFolder(context, once(context, place), 'cgroup.home', home.dir);
    if (home.kind === 'own') stepAside(context, place, dirfd);
    // EBUSY: another container has been started in it since then, and needs them.
    const off = call('write', { dirfd, pathname: HANDED_ON, data: signed('-', dormant) }, { allow: ['EBUSY'] });
    // In a cgroup further above they stay on: others may rely on them by the end.
    const undo = home.kind === 'own' ? [off] : 'none';
    const args = { dirfd, pathname: HANDED_ON, data: signed('+', dormant) };
    context.steps.add(place, 'cgroup.home.subtree_control', 'write', args, { undo });
  }
  const path = `${literal(home.dir)}/${leaf}`;
  mkdirCgroup(context, place, 'cgroup.outer', path);
  return openFolder(context, place, 'cgroup.outer', { template: path });
}

/**
 * boxctl and its launcher leave their cgroup for a child of it, and come back at the end. EBUSY then: another container of the
 * same process still has limits there. A launcher that was left alone has another parent then, which stays where it is.
 */
function stepAside(context: PlanContext, at: Place, home: Fd): void {
  const { steps, kept } = context;
  const place = once(context, at);
  const mkdir = { dirfd: home, pathname: ASIDE, mode: 0o755 };
  steps.add(place, 'cgroup.aside.mkdir', 'mkdirat', mkdir, { allow: ['EEXIST'] });
  const back = (data: string) =>
    call('write', { dirfd: home, pathname: 'cgroup.procs', data: { template: data } }, { allow: ['EBUSY'] });
  const remove = { dirfd: home, pathname: ASIDE, flags: AT.AT_REMOVEDIR };
  const rmdir = call('unlinkat', remove, { allow: ['EBUSY', 'ENOENT'] });
  const owner = { dirfd: home, pathname: MEMBERS, data: { template: '$OWNER' } };
  steps.add(place, 'cgroup.aside.owner', 'write', owner, { undo: kept ? [rmdir] : [back('$OWNER'), rmdir] });
  steps.add(place, 'cgroup.aside', 'write', { dirfd: home, pathname: MEMBERS, data: '0' }, { undo: [back('0')] });
}
