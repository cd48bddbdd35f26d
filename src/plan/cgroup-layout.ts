/** Which cgroups a container has, as data, before any step makes one. */
import type { UnifiedHome } from '../host/facts.ts';
import type { CgroupController } from '../kernel/cgroup.ts';
import type { Because } from '../model/because.ts';
import type { PlanContext } from './context.ts';
import { deviceRules, type DeviceRules } from './device-cgroup.ts';
import { limitsOf, shownHierarchies, unifiedHome, usable, type Limit } from './limits.ts';
import { byDefault, literal } from './steps.ts';

/** The container's own cgroup, in the outer one that hands the controllers on to it, and has the rules for its devices. */
export const CONTAINER = 'container';

/** A cgroup in a hierarchy of version 1. */
export interface VersionOne {
  /** With `$ID`. */
  readonly path: string;
  /** What the ids of its steps begin with. */
  readonly id: string;
  readonly because: Because;
  /** Those that limit the container there. None: the container is in it only to see the hierarchy. */
  readonly controllers: readonly CgroupController[];
}

/** Two cgroups in the unified hierarchy, one in the other. */
export interface Unified {
  readonly home: UnifiedHome;
  /** The outer one hands them on to the inner one. */
  readonly controllers: readonly CgroupController[];
  readonly because: Because;
}

export interface CgroupLayout {
  /** The name of the folder in each hierarchy, with `$ID`. */
  readonly leaf: string;
  readonly limits: readonly Limit[];
  readonly rules: DeviceRules | undefined;
  readonly versionOne: readonly VersionOne[];
  readonly unified: Unified | undefined;
}

const TO_BE_PAUSED = byDefault('it can be paused');

interface Need {
  readonly controller: CgroupController;
  readonly because: Because;
}

/**
 * What the container must have cgroups for: its limits. In a process namespace that is not its own, its processes are found by
 * a cgroup if the launcher is killed (record.ts). So it has one there, too, where it has no limit and no rule. An ordinary user
 * may have no place to make it in; then there is none.
 */
function needsOf(context: PlanContext, limits: readonly Limit[], rules: DeviceRules | undefined): readonly Need[] {
  const { host, namespace } = context;
  if (limits.length > 0 || rules !== undefined || namespace('pid').kind === 'private') return limits;
  const usual = ['pids', 'memory', 'cpu'] as const;
  const controller = usual.find((name) => host.cgroup.controllers[name].usable);
  return controller === undefined ? [] : [{ controller, because: byDefault('its processes are kept together') }];
}

/** One for each hierarchy in which the container is limited, and one for each other that it sees. */
function versionOneOf(
  context: PlanContext,
  leaf: string,
  needs: readonly Need[],
  rules: DeviceRules | undefined,
): readonly VersionOne[] {
  const found = new Map<string, VersionOne>();
  for (const { controller, because } of needs) {
    const home = usable(context, controller);
    if (home.version !== 1) continue;
    const before = found.get(home.dir);
    const controllers = [...new Set([...(before?.controllers ?? []), controller])];
    const id = `cgroup.${controllers.join('.')}`;
    const path = `${literal(home.dir)}/${leaf}`;
    found.set(home.dir, { path, id, because: before?.because ?? because, controllers });
  }
  const because = byDefault('programs look for all controllers beside that of a limit');
  for (const { dir, names } of shownHierarchies(context)) {
    if (found.has(dir) || (rules?.home.version === 1 && rules.home.dir === dir)) continue;
    found.set(dir, { path: `${literal(dir)}/${leaf}`, id: `cgroup.${names.join('.')}`, because, controllers: [] });
  }
  const freezer = context.kept ? context.host.cgroup.freezer : undefined;
  if (freezer?.version === 1 && !found.has(freezer.dir)) {
    const path = `${literal(freezer.dir)}/${leaf}`;
    found.set(freezer.dir, { path, id: 'cgroup.freezer', because: TO_BE_PAUSED, controllers: [] });
  }
  return [...found.values()];
}

/** What systemd can limit its units by, and count them. */
const FOR_UNITS: readonly CgroupController[] = ['memory', 'pids', 'cpu'];

function unifiedOf(
  context: PlanContext,
  needs: readonly Need[],
  limits: readonly Limit[],
  rules: DeviceRules | undefined,
): Unified | undefined {
  const { model } = context;
  const onTwo = needs.filter(({ controller }) => usable(context, controller).version === 2);
  const needed = [...new Set(onTwo.map(({ controller }) => controller))];
  const home = unifiedHomeFor(context, needed, rules);
  if (home === undefined) return undefined;
  const units = model.systemd === true ? FOR_UNITS.filter((name) => home.controllers.includes(name)) : [];
  const controllers = [...new Set([...needed, ...units])];
  const limit = limits.find(({ controller }) => controllers.includes(controller));
  const bare = context.kept && units.length === 0 ? TO_BE_PAUSED : byDefault('limits');
  return { home, controllers, because: limit?.because ?? rules?.because ?? bare };
}

/** Where the two are made; undefined where nothing is to be had of version 2. */
function unifiedHomeFor(
  context: PlanContext,
  needed: readonly CgroupController[],
  rules: DeviceRules | undefined,
): UnifiedHome | undefined {
  const { model, host } = context;
  if (needed.length > 0) return unifiedHome(context, needed);
  if (model.systemd === true && host.cgroup.layout === 'v2') return host.cgroup.unified[0];
  // A program for devices is attached to a cgroup that needs no controller, and none is needed to pause it.
  const freezer = context.kept ? host.cgroup.freezer : undefined;
  const bare = [rules?.home, freezer].find((place) => place?.version === 2);
  return bare === undefined ? undefined : { kind: 'parent', dir: bare.dir, controllers: [], dormant: [] };
}

export function layoutOf(context: PlanContext): CgroupLayout {
  const leaf = `boxctl-${context.model.name}-$ID`;
  const limits = limitsOf(context);
  const rules = deviceRules(context);
  const needs = needsOf(context, limits, rules);
  const versionOne = versionOneOf(context, leaf, needs, rules);
  return { leaf, limits, rules, versionOne, unified: unifiedOf(context, needs, limits, rules) };
}

/** The folders that must be removed, from the innermost. A scope goes by itself when the last process has left it. */
export function cgroupPaths(context: PlanContext): readonly string[] {
  const { leaf, rules, versionOne, unified } = layoutOf(context);
  const outer = [
    ...(rules?.home.version === 1 ? [rules.home.dir] : []),
    ...(unified === undefined || unified.home.kind === 'scope' ? [] : [unified.home.dir]),
  ];
  return [
    ...versionOne.map(({ path }) => path),
    ...outer.flatMap((dir) => [`${literal(dir)}/${leaf}/${CONTAINER}`, `${literal(dir)}/${leaf}`]),
  ];
}
