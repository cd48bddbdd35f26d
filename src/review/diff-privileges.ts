/** Differences of demands, capabilities, the seccomp filter, hidden paths and priorities. */
import { allowance } from '../model/demands.ts';
import type { Demand, DemandKind } from '../model/demand.ts';
import { MASKED_PATHS, READONLY_PATHS } from '../model/defaults.ts';
import { NETWORK_DEMANDS } from './diff-network.ts';
import { both, moved, shown, type Change, type Comparison, type Direction, type Side } from './change.ts';

/** Whether the demand is for a mount or a device: `compareMounts` and `compareDevices` report those. */
function isMount({ model }: Side, { kind, value }: Demand): boolean {
  return (kind === 'bind' || kind === 'device') && model.mounts.some(({ source }) => source === value);
}

export const compareDemands: Comparison = (old, young) => {
  const missing = (from: Side, other: Side, direction: 'gains' | 'loses'): readonly Change[] => {
    const known = new Set(other.model.demands.map(allowance));
    return from.model.demands
      .filter((demand) => !NETWORK_DEMANDS.has(demand.kind) && !known.has(allowance(demand)) && !isMount(from, demand))
      .map(({ message, because }) => ({
        direction,
        message,
        before: direction === 'loses' ? because : undefined,
        after: direction === 'gains' ? because : undefined,
      }));
  };
  return [...missing(young, old, 'gains'), ...missing(old, young, 'loses')];
};

/** Whether a demand of this kind and value already reports the difference. */
function isDemanded(kind: DemandKind, old: Side, young: Side, value?: string): boolean {
  return [old, young].some(({ model }) =>
    model.demands.some((demand) => demand.kind === kind && (value === undefined || demand.value === value)),
  );
}

/** Capabilities of the default set that one side drops. Others are demands. */
export const compareCapabilities: Comparison = (old, young) => {
  const held = ({ model }: Side): readonly string[] => model.config.process.capabilities.bounding;
  const demanded = new Set([old, young].flatMap(({ model }) => model.demands.map(({ value }) => `CAP_${value}`)));
  const usual = (names: readonly string[]): readonly string[] => names.filter((name) => !demanded.has(name));
  const { added, gone } = moved(usual(held(old)), usual(held(young)));
  const paths = ['cap_drop', 'cap_add', 'privileged'] as const;
  return [
    ...(added.length > 0 ? [both('gains', `keeps ${added.join(', ')}`, old, young, ...paths)] : []),
    ...(gone.length > 0 ? [both('loses', `gives up ${gone.join(', ')}`, old, young, ...paths)] : []),
  ];
};

const LETS: ReadonlySet<string> = new Set(['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG']);

interface Filter {
  /** Whether calls that the filter does not name are allowed. */
  readonly open: boolean;
  /** What it lets through at least for some arguments; of an open one, what it stops. */
  readonly named: readonly string[];
}

function filterOf({ model }: Side): Filter | undefined {
  const { seccomp } = model.config.linux;
  if (seccomp === undefined) return undefined;
  const open = LETS.has(seccomp.defaultAction);
  const rules = seccomp.syscalls.filter(({ action }) => LETS.has(action) !== open);
  return { open, named: [...new Set(rules.flatMap(({ names }) => names))] };
}

export const compareFilter: Comparison = (old, young) => {
  const watched = (side: Side): string => {
    const { observes } = side.model;
    if (observes === undefined) return 'not watched';
    return observes.kind === 'log' ? 'told after the run' : `learned into ${shown(observes.path, side)}`;
  };
  const [then, now] = [watched(old), watched(young)];
  const watching = then === now ? [] : [both('changes', `system calls: ${then} → ${now}`, old, young, 'seccomp')];
  return [...watching, ...compareCalls(old, young)];
};

const compareCalls: Comparison = (old, young) => {
  const [was, is] = [filterOf(old), filterOf(young)];
  // A filter on one side only is a demand.
  if (was === undefined || is === undefined) return [];
  const [before, after] = [old, young].map(({ model }) => JSON.stringify(model.config.linux.seccomp));
  if (before === after) return [];
  if (was.open !== is.open) {
    const message = is.open
      ? 'the filter lets calls through that it does not name'
      : 'the filter stops what it does not name';
    return [both(is.open ? 'gains' : 'loses', message, old, young, 'seccomp')];
  }
  const some = (list: readonly string[]): string => `${list.slice(0, 8).join(', ')}${list.length > 8 ? ', …' : ''}`;
  const { added, gone } = moved(was.named, is.named);
  const [more, less] = is.open ? [gone, added] : [added, gone];
  if (more.length > 0) return [both('gains', `the filter lets ${some(more)} through`, old, young, 'seccomp')];
  if (less.length > 0) return [both('loses', `the filter stops ${some(less)}`, old, young, 'seccomp')];
  return [both('gains', 'the filter’s rules differ', old, young, 'seccomp')];
};

/** Usual paths that are open are demands, or follow from one. */
const compareHidden =
  (
    key: 'maskedPaths' | 'readonlyPaths',
    path: 'masked_paths' | 'readonly_paths',
    usual: readonly string[],
    words: readonly [string, string],
  ): Comparison =>
  (old, young) => {
    const more = ({ model }: Side): readonly string[] =>
      (model.config.linux[key] ?? []).filter((one) => !usual.includes(one));
    const { added, gone } = moved(more(old), more(young));
    return [
      ...gone.map((one) => both('gains', `${words[0]} ${one}`, old, young, path)),
      ...added.map((one) => both('loses', `${words[1]} ${one}`, old, young, path)),
    ];
  };
export const compareMasked = compareHidden('maskedPaths', 'masked_paths', MASKED_PATHS, ['sees', 'does not see']);
export const compareReadonly = compareHidden('readonlyPaths', 'readonly_paths', READONLY_PATHS, [
  'may write',
  'cannot write',
]);

/** What processes have without a limit of the file's: the caller's own, of which no more is known than this. */
const USUAL_LIMITS: Readonly<Record<string, number>> = { nice: 20, rtprio: 0 };

export const compareUlimits: Comparison = (old, young) => {
  const limitsOf = ({ document }: Side) => new Map(document.spec.ulimits.map((one) => [one.name, one]));
  const [was, is] = [limitsOf(old), limitsOf(young)];
  return [...new Set([...was.keys(), ...is.keys()])].flatMap((name): readonly Change[] => {
    const [before, after] = [was.get(name), is.get(name)];
    const numbers = (one: typeof before): readonly [soft: number, hard: number] => {
      const usual = USUAL_LIMITS[name] ?? Number.POSITIVE_INFINITY;
      const number = (value: number | 'unlimited'): number =>
        value === 'unlimited' ? Number.POSITIVE_INFINITY : value;
      return one === undefined ? [usual, usual] : [number(one.soft), number(one.hard)];
    };
    const text = (one: typeof before): string => {
      if (one === undefined) return 'as the caller has it';
      return one.soft === one.hard ? String(one.soft) : `${one.soft} to ${one.hard}`;
    };
    if (text(before) === text(after)) return [];
    const [[soft, hard], [newSoft, newHard]] = [numbers(before), numbers(after)];
    const direction: Direction =
      newHard > hard || newSoft > soft ? 'gains' : newHard < hard || newSoft < soft ? 'loses' : 'changes';
    return [
      both(direction, `ulimit ${name}: ${text(before)} → ${text(after)}`, old, young, `ulimits.${name}`, 'ulimits'),
    ];
  });
};

/** A value below the caller's own is a demand. */
export const compareOomScore: Comparison = (old, young) => {
  const [was, is] = [old, young].map(({ document }) => Math.max(document.spec.oomScoreAdj ?? 0, 0));
  if (was === undefined || is === undefined || was === is) return [];
  const message = `oom_score_adj: ${was} → ${is}`;
  return [both(is < was ? 'gains' : 'loses', message, old, young, 'oom_score_adj')];
};

const compareLabel =
  (key: 'apparmor' | 'selinux'): Comparison =>
  (old, young) => {
    const [was, is] = [old.document.spec[key], young.document.spec[key]];
    if (was === is || isDemanded(key, old, young)) return [];
    const direction: Direction = was === undefined ? 'loses' : is === undefined ? 'gains' : 'changes';
    return [both(direction, `${key} ${was ?? 'not set'} → ${is ?? 'not set'}`, old, young, key)];
  };
export const compareApparmor = compareLabel('apparmor');
export const compareSelinux = compareLabel('selinux');

export const compareGroups: Comparison = (old, young) => {
  const groups = ({ document }: Side): readonly string[] => document.spec.groupAdd.map(({ group }) => String(group));
  const { added, gone } = moved(groups(old), groups(young));
  return [
    ...added.map((group) => both('gains', `is in the group ${group}`, old, young, 'group_add')),
    ...gone.map((group) => both('loses', `is not in the group ${group}`, old, young, 'group_add')),
  ];
};
