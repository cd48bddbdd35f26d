/**
 * Limits and devices: a cgroup of the container's own in each hierarchy that is needed. The kernel does not remove it by
 * itself: the launcher does, or the next command (record.ts).
 */
import type { UnifiedHome } from '../host/facts.ts';
import type { CgroupController } from '../kernel/cgroup.ts';
import { COUNTED_LIMITS } from '../limits/table.ts';
import { valueAt } from '../oci/resources.ts';
import type { Because } from '../model/because.ts';
import { AT_FDCWD, type Fd, type Template } from '../kernel/calls.ts';
import { AT, O } from '../kernel/constants.ts';
import { onHost, inside, type PlanContext } from './context.ts';
import { LIMIT_HINTS, NO_LIMIT } from './limit-hints.ts';
import { attachRules, deviceRules, writeRules, type DeviceRules } from './device-cgroup.ts';
import { limitsOf, shownHierarchies, unifiedHome, usable, type Limit } from './limits.ts';
import { SYSTEMD_HIERARCHY } from '../model/systemd.ts';
import type { Report } from './plan.ts';
import { rootOutside } from './users.ts';
import { byDefault, call, literal, type Place } from './steps.ts';

export interface Cgroup {
  /** For clone3 (v2): the container's first process is born in it. */
  readonly birthplace: Fd | undefined;
  /** Files through which the container's first process joins by itself (v1). */
  readonly tasks: readonly Fd[];
  readonly reports: readonly Report[];
}

const NONE: Cgroup = { birthplace: undefined, tasks: [], reports: [] };
const FOLDER = O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC;
/** The container's own, in the one that hands the controllers on to it, and has the rules for its devices. */
const CONTAINER = 'container';
/** Where boxctl goes to leave its own cgroup empty. */
const ASIDE = 'boxctl-aside';

/** A folder of version 1, and why it is there; the names of the hierarchy's that have no limit are in none. */
interface VersionOne {
  readonly dir: string;
  readonly because: Because;
  readonly controllers: readonly CgroupController[];
}

interface Layout {
  readonly versionOne: readonly VersionOne[];
  readonly unified: { readonly home: UnifiedHome; readonly controllers: readonly CgroupController[] } | undefined;
}

/** Where nothing has to be handed on. */
const plainHome = (dir: string): UnifiedHome => ({ kind: 'parent', dir, controllers: [], dormant: [] });

/**
 * In a process namespace that is not its own, a container's processes are found by a cgroup if the launcher is killed
 * (record.ts): without a limit or a rule it has one for that. An ordinary user may have none to make it in.
 */
function keepsTogether({ host, namespace }: PlanContext): CgroupController | undefined {
  if (namespace('pid').kind === 'private') return undefined;
  return (['pids', 'memory', 'cpu'] as const).find((controller) => host.cgroup.controllers[controller].usable);
}

function layoutOf(context: PlanContext, limits: readonly Limit[], rules: DeviceRules | undefined): Layout {
  const versionOne = new Map<string, VersionOne>();
  const unified: CgroupController[] = [];
  for (const { controller, because } of limits) {
    const home = usable(context, controller);
    if (home.version === 2) {
      if (!unified.includes(controller)) unified.push(controller);
      continue;
    }
    const known = versionOne.get(home.dir) ?? { dir: home.dir, because, controllers: [] };
    const controllers = known.controllers.includes(controller) ? known.controllers : [...known.controllers, controller];
    versionOne.set(home.dir, { ...known, controllers });
  }
  const keeper = limits.length === 0 && rules === undefined ? keepsTogether(context) : undefined;
  if (keeper !== undefined) {
    const home = usable(context, keeper);
    const because = byDefault('its processes are kept together');
    if (home.version === 2) unified.push(keeper);
    else versionOne.set(home.dir, { dir: home.dir, because, controllers: [keeper] });
  }
  const home =
    unified.length > 0
      ? unifiedHome(context, unified)
      : context.model.systemd === true && context.host.cgroup.layout === 'v2'
        ? context.host.cgroup.unified[0]
        : rules?.home.version === 2
          ? plainHome(rules.home.dir)
          : undefined;
  for (const { dir } of shownHierarchies(context)) {
    if (versionOne.has(dir) || (rules?.home.version === 1 && rules.home.dir === dir)) continue;
    versionOne.set(dir, {
      dir,
      because: byDefault('programs look for all controllers beside that of a limit'),
      controllers: [],
    });
  }
  return {
    versionOne: [...versionOne.values()],
    unified: home === undefined ? undefined : { home, controllers: handed(context, home, unified) },
  };
}

/** What systemd can limit and count its units by, beside what the container itself is limited by. */
const FOR_UNITS: readonly CgroupController[] = ['memory', 'pids', 'cpu'];

function handed(
  { model }: PlanContext,
  home: UnifiedHome,
  limited: readonly CgroupController[],
): readonly CgroupController[] {
  if (model.systemd !== true) return limited;
  const more = FOR_UNITS.filter((name) => home.controllers.includes(name) && !limited.includes(name));
  return [...limited, ...more];
}

/** Of a cgroup without a limit, by the words of its hierarchy. */
const nameOf = ({ host }: PlanContext, dir: string): string =>
  `cgroup.${host.cgroup.hierarchies.find((hierarchy) => hierarchy.dir === dir)?.names.join('.') ?? dir}`;

const leafOf = ({ model }: PlanContext): string => `boxctl-${model.name}-$ID`;

/** The folders that planCgroup makes, for the record; what systemd gave, it takes away when the last process has left. */
export function cgroupPaths(context: PlanContext): readonly string[] {
  const rules = deviceRules(context);
  const { versionOne, unified } = layoutOf(context, limitsOf(context), rules);
  const outer = [
    ...(rules?.home.version === 1 ? [rules.home.dir] : []),
    ...(unified === undefined || unified.home.kind === 'scope' ? [] : [unified.home.dir]),
  ];
  const leaf = leafOf(context);
  return [
    ...versionOne.map(({ dir }) => `${literal(dir)}/${leaf}`),
    ...outer.flatMap((dir) => [`${literal(dir)}/${leaf}/${CONTAINER}`, `${literal(dir)}/${leaf}`]),
  ];
}

/** The folders come first, and then the limits, each in one write of its file. */
export function planCgroup(context: PlanContext): Cgroup {
  const { steps, model } = context;
  const limits = limitsOf(context);
  const rules = deviceRules(context);
  const together = keepsTogether(context) !== undefined;
  if (limits.length === 0 && rules === undefined && model.systemd !== true && !together) return NONE;
  const { versionOne, unified } = layoutOf(context, limits, rules);
  const leaf = leafOf(context);
  const handles = new Map<CgroupController, Fd>();
  const tasks: Fd[] = [];
  for (const { dir, because, controllers } of versionOne) {
    if (controllers.length === 0) {
      mkdirCgroup(context, onHost('cgroup', because), nameOf(context, dir), `${literal(dir)}/${leaf}`);
      continue;
    }
    const handle = makeFolder(
      context,
      onHost('cgroup', because),
      `cgroup.${controllers.join('.')}`,
      `${literal(dir)}/${leaf}`,
    );
    for (const controller of controllers) handles.set(controller, handle);
  }
  let birthplace: Fd | undefined;
  if (unified !== undefined) {
    const { home, controllers } = unified;
    const limit = limits.find(({ controller }) => controllers.includes(controller));
    const because = limit?.because ?? rules?.because ?? byDefault('limits');
    birthplace = makeUnified(context, onHost('cgroup', because), home, controllers, leaf, rules);
    for (const controller of controllers) handles.set(controller, birthplace);
  }
  const folderOf = (controller: CgroupController): Fd => {
    const handle = handles.get(controller);
    if (handle === undefined) throw new Error(`no cgroup for ${controller}`);
    return handle;
  };
  for (const { controller, file, value, because } of limits) {
    const args = { dirfd: folderOf(controller), pathname: file, data: value };
    steps.add(onHost('cgroup', because), `cgroup.${file}`, 'write', args, { hints: LIMIT_HINTS });
  }
  for (const { controller, check, because } of limits) {
    if (check === undefined) continue;
    const args = { dirfd: folderOf(controller), pathname: check.file, data: check.data };
    steps.add(onHost('cgroup', because), `cgroup.${check.file}.read`, 'read', args);
  }
  for (const { dir, controllers, because } of versionOne) {
    const [first] = controllers;
    const place = onHost('cgroup', because);
    const how = { flags: O.O_WRONLY | O.O_CLOEXEC, mode: 0, resolve: 0 };
    if (first === undefined) {
      const args = { dirfd: AT_FDCWD, pathname: { template: `${literal(dir)}/${leaf}/tasks` }, ...how };
      tasks.push(steps.add(place, `${nameOf(context, dir)}.tasks`, 'openat2', args));
    } else {
      const args = { dirfd: folderOf(first), pathname: 'tasks', ...how };
      tasks.push(steps.add(place, `cgroup.${controllers.join('.')}.tasks`, 'openat2', args));
    }
  }
  if (rules?.home.version === 1) tasks.push(makeDevices(context, rules, leaf));
  if (model.systemd === true) delegate(context, birthplace, leaf);
  return { birthplace, tasks, reports: reportsOf(context, limits, folderOf) };
}

/**
 * Gives the container's cgroup to its root, so that systemd makes others in it. The files of limits stay the host's
 * (cgroups(7), "Cgroups delegation").
 */
function delegate(context: PlanContext, birthplace: Fd | undefined, leaf: string): void {
  const { steps, host, model } = context;
  const { uid, gid } = rootOutside(context);
  if (uid === host.euid) return;
  const place = onHost('cgroup', model.because('systemd'));
  const give = (id: string, dirfd: Fd, pathname: string | Template): void => {
    const flags = pathname === '' ? AT.AT_EMPTY_PATH : 0;
    steps.add(place, `cgroup.own.${id}`, 'fchownat', { dirfd, pathname, owner: uid, group: gid, flags });
  };
  const first = host.cgroup.hierarchies.find(({ names }) => names.includes(SYSTEMD_HIERARCHY));
  if (host.cgroup.layout !== 'v2' && first !== undefined) {
    const folder = `${literal(first.dir)}/${leaf}`;
    give('folder', AT_FDCWD, { template: folder });
    for (const name of ['cgroup.procs', 'tasks']) give(name, AT_FDCWD, { template: `${folder}/${name}` });
  } else if (birthplace !== undefined) {
    // Opened with O_PATH alone.
    give('folder', birthplace, '');
    for (const name of ['cgroup.procs', 'cgroup.threads', 'cgroup.subtree_control']) give(name, birthplace, name);
  }
}

/** The file through which the first process joins. */
function makeDevices(context: PlanContext, rules: DeviceRules, leaf: string): Fd {
  const { steps } = context;
  const place = onHost('cgroup', rules.because);
  const outer = makeFolder(context, place, 'cgroup.devices', `${literal(rules.home.dir)}/${leaf}`);
  writeRules(context, rules, outer);
  makeInner(context, place, 'cgroup.devices.container', outer);
  const args = { dirfd: outer, pathname: `${CONTAINER}/tasks`, flags: O.O_WRONLY | O.O_CLOEXEC, mode: 0, resolve: 0 };
  return steps.add(place, 'cgroup.devices.tasks', 'openat2', args);
}

function makeInner({ steps }: PlanContext, place: Place, id: string, outer: Fd): void {
  const undo = [call('remove_cgroup', { dirfd: outer, pathname: CONTAINER })];
  steps.add(place, `${id}.mkdir`, 'mkdirat', { dirfd: outer, pathname: CONTAINER, mode: 0o755 }, { undo });
}

/** Makes a cgroup by its path, which may hold `$ID`. */
function mkdirCgroup({ steps }: PlanContext, place: Place, id: string, path: string): void {
  const pathname = { template: path };
  const undo = [call('remove_cgroup', { dirfd: AT_FDCWD, pathname })];
  steps.add(place, `${id}.mkdir`, 'mkdirat', { dirfd: AT_FDCWD, pathname, mode: 0o755 }, { undo });
}

/** Makes one, and opens it. */
function makeFolder(context: PlanContext, place: Place, id: string, path: string): Fd {
  mkdirCgroup(context, place, id, path);
  const pathname = { template: path };
  return context.steps.add(place, id, 'openat2', { dirfd: AT_FDCWD, pathname, flags: FOLDER, mode: 0, resolve: 0 });
}

/**
 * Two folders, one in the other: as long as the outer one hands controllers on, nobody who tidies up further above
 * (systemd does) can take them away from the inner one.
 */
function makeUnified(
  context: PlanContext,
  place: Place,
  home: UnifiedHome,
  controllers: readonly CgroupController[],
  leaf: string,
  rules: DeviceRules | undefined,
): Fd {
  const { steps } = context;
  const outer =
    home.kind === 'scope'
      ? askForScope(context, place, home, leaf)
      : makeOuter(context, place, home, controllers, leaf);
  if (rules?.home.version === 2) attachRules(context, rules, outer);
  if (controllers.length > 0) {
    const args = { dirfd: outer, pathname: 'cgroup.subtree_control', data: handOn('+', controllers) };
    steps.add(place, 'cgroup.subtree_control', 'write', args, { hints: { ENOENT: NO_LIMIT } });
  }
  makeInner(context, place, 'cgroup', outer);
  const open = { dirfd: outer, pathname: CONTAINER, flags: FOLDER, mode: 0, resolve: 0 };
  return steps.add(place, 'cgroup', 'openat2', open);
}

const handOn = (sign: '+' | '-', controllers: readonly CgroupController[]): string =>
  controllers.map((controller) => `${sign}${controller}`).join(' ');

/** The launcher asks systemd to be moved into a scope that is its own, and steps aside in it. */
function askForScope({ steps }: PlanContext, place: Place, home: UnifiedHome, leaf: string): Fd {
  const args = { socket: home.bus ?? '', name: { template: `${leaf}.scope` }, hierarchy: home.dir };
  const scope = steps.add(place, 'cgroup.scope', 'start_transient_unit', args);
  steps.add(place, 'cgroup.aside.mkdir', 'mkdirat', { dirfd: scope, pathname: ASIDE, mode: 0o755 });
  steps.add(place, 'cgroup.aside', 'write', { dirfd: scope, pathname: `${ASIDE}/cgroup.procs`, data: '0' });
  return scope;
}

function makeOuter(
  context: PlanContext,
  place: Place,
  home: UnifiedHome,
  controllers: readonly CgroupController[],
  leaf: string,
): Fd {
  const { steps } = context;
  const dormant = controllers.filter((controller) => home.dormant.includes(controller));
  if (dormant.length > 0) {
    const args = { dirfd: AT_FDCWD, pathname: home.dir, flags: FOLDER, mode: 0, resolve: 0 };
    const dirfd = steps.add(place, 'cgroup.home', 'openat2', args);
    if (home.kind === 'own') stepAside(context, place, dirfd);
    const pathname = 'cgroup.subtree_control';
    // Above all others they stay on, since somebody else may count on them by then.
    const off = call('write', { dirfd, pathname, data: handOn('-', dormant) }, { allow: ['EBUSY'] });
    const undo = home.kind === 'own' ? [off] : 'none';
    steps.add(place, 'cgroup.home.subtree_control', 'write', { dirfd, pathname, data: handOn('+', dormant) }, { undo });
  }
  return makeFolder(context, place, 'cgroup.outer', `${literal(home.dir)}/${leaf}`);
}

/**
 * boxctl and its launcher leave their cgroup for a child of it, and come back afterwards. EBUSY: another container of
 * the same process still has limits there.
 */
function stepAside({ steps }: PlanContext, place: Place, home: Fd): void {
  const members = `${ASIDE}/cgroup.procs`;
  const back = (data: string) =>
    call('write', { dirfd: home, pathname: 'cgroup.procs', data: { template: data } }, { allow: ['EBUSY'] });
  const remove = { dirfd: home, pathname: ASIDE, flags: AT.AT_REMOVEDIR };
  const rmdir = call('unlinkat', remove, { allow: ['EBUSY', 'ENOENT'] });
  steps.add(
    place,
    'cgroup.aside.mkdir',
    'mkdirat',
    { dirfd: home, pathname: ASIDE, mode: 0o755 },
    { allow: ['EEXIST'] },
  );
  const owner = { dirfd: home, pathname: members, data: { template: '$OWNER' } };
  steps.add(place, 'cgroup.aside.owner', 'write', owner, { undo: [back('$OWNER'), rmdir] });
  steps.add(place, 'cgroup.aside', 'write', { dirfd: home, pathname: members, data: '0' }, { undo: [back('0')] });
}

/** What the kernel counts, read when the container has ended, to name the limit that was reached. */
function reportsOf(
  context: PlanContext,
  limits: readonly Limit[],
  folder: (controller: CgroupController) => Fd,
): readonly Report[] {
  const resources = context.model.config.linux.resources ?? {};
  return COUNTED_LIMITS.flatMap(({ cgroup: { controller, path }, reached: { counters } }): readonly Report[] => {
    // Another limit of the controller is enough: the kernel counts all the same.
    const first = limits.find((limit) => limit.controller === controller);
    if (first === undefined) return [];
    const { version } = usable(context, controller);
    const value = valueAt(resources, path);
    const limit = typeof value === 'number' ? { limit: value } : {};
    const rest = { dirfd: folder(controller), because: first.because, ...limit };
    return counters.map(({ what, v1, v2 }) => ({ what, ...(version === 1 ? v1 : v2), ...rest }));
  });
}

/** The first process joins by itself: moved from outside, it would wait for milliseconds. */
export function joinCgroups(context: PlanContext, cgroup: Cgroup): void {
  const place = inside('cgroup', byDefault('in its cgroup before anything else'));
  for (const fd of cgroup.tasks) {
    context.steps.add(place, `${fd}.join`, 'write', { dirfd: fd, pathname: '', data: '0' }, { undo: 'kernel' });
  }
}
