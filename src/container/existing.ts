/** Containers as commands name them, and the state that each is in. */
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { killedFor } from '../launcher/kill-record.ts';
import { SIGSYS } from '../kernel/signals.ts';
import { endingOf, exitStatusOf, type Ending, type EndingPlan } from '../run/ending.ts';
import { COUNTED_LIMITS } from '../limits/table.ts';
import type { Because } from '../model/because.ts';
import { readKeptLimits } from '../state/kept-limits.ts';
import type { HealthState, Outcome } from '../launcher/events.ts';
import { explainFailure, hookHasFailed } from '../run/explain.ts';
import { didYouMean } from '../spec/suggest.ts';
import { withLock } from '../files/locks.ts';
import { hasNameLock, nameLock } from '../state/container-folders.ts';
import { readRun } from '../state/container-runs.ts';
import {
  folderOfRun,
  keptContainers,
  readKeptEnding,
  readKeptPlan,
  readPlaces,
  type BrokenContainer,
  type KeptContainer,
} from '../state/containers.ts';
import { connect, type Control } from '../state/control.ts';
import { readHealth } from '../state/health.ts';
import { foregroundContainers } from '../state/foreground.ts';
import { isPaused } from '../state/paused.ts';
import { firstProcess, type FirstProcess } from '../state/running.ts';

const LEAST_DIGITS = 2;

export interface AllContainers {
  /** Those in the background, the oldest first, and then those of a `boxctl up` that runs. */
  readonly containers: readonly KeptContainer[];
  readonly broken: readonly BrokenContainer[];
}

/** All containers of the caller's that commands can find. */
export function allContainers(host: HostFacts): AllContainers {
  const { kept, broken } = readPlaces(host);
  const background = new Set([...kept, ...broken].map(({ id }) => id));
  return { containers: [...kept, ...foregroundContainers(host, background)], broken };
}

/** One is in the background. A running one is preferred to one that has ended. */
function named(all: readonly KeptContainer[], word: string): readonly KeptContainer[] {
  const found = all.filter(({ name }) => name === word);
  const running = found.filter(({ isAlive }) => isAlive);
  const background = running.filter(({ isForeground }) => isForeground !== true);
  if (background.length > 0) return background;
  return running.length > 0 ? running : found;
}

const idsOf = (containers: readonly Pick<KeptContainer, 'id' | 'name'>[]): string =>
  containers.map(({ id, name }) => `${id} (${name})`).join(', ');

/** The container of this name, or whose id begins so. Throws `E_CONTAINER_AMBIGUOUS`. */
function choose(all: readonly KeptContainer[], word: string): KeptContainer | undefined {
  const called = named(all, word);
  const [name, other] = called;
  if (name !== undefined && other === undefined) return name;
  if (name !== undefined) {
    throw new BoxctlError('E_CONTAINER_AMBIGUOUS', `${called.length} containers that run are called ${word}`, {
      hint: `say which, by its id: ${called.map(({ id }) => id).join(', ')}`,
    });
  }
  const fitting = word.length >= LEAST_DIGITS ? all.filter(({ id }) => id.startsWith(word)) : [];
  const [first, second] = fitting;
  if (first !== undefined && second !== undefined) {
    throw new BoxctlError('E_CONTAINER_AMBIGUOUS', `${fitting.length} containers have ids that begin with ${word}`, {
      hint: `give more digits: ${idsOf(fitting)}`,
    });
  }
  return first;
}

const LIST = 'boxctl ps -a lists all of them';

/** What there is instead of a container of this name. */
function notFound({ containers, broken }: AllContainers, word: string, hint = LIST): BoxctlError {
  const damaged = word.length < LEAST_DIGITS ? undefined : broken.find(({ id }) => id.startsWith(word));
  if (damaged !== undefined) {
    const { id, problem, isAlive } = damaged;
    return new BoxctlError('E_CONTAINER_RECORD', `the container ${id} cannot be used: ${problem}`, {
      hint: `remove it: boxctl rm ${isAlive ? '--force ' : ''}${id}`,
    });
  }
  const names = [...new Set(containers.map(({ name }) => name))];
  const meant = didYouMean(word, names);
  return new BoxctlError('E_CONTAINER_NOT_FOUND', `no container of yours is called "${word}"`, {
    hint: meant === undefined ? hint : `did you mean \`${meant}\`?`,
  });
}

/**
 * The container in the background of this name, or whose id begins so: for what is kept of containers. `hint`: what to do where
 * there is none, and none with a name that is nearly so.
 *
 * @throws BoxctlError `E_CONTAINER_NOT_FOUND`, `E_CONTAINER_AMBIGUOUS`, `E_CONTAINER_FOREGROUND`, `E_CONTAINER_RECORD`
 */
export function findContainer(host: HostFacts, word: string, hint?: string): KeptContainer {
  const kept = choose(keptContainers(host), word);
  if (kept !== undefined) return kept;
  const all = allContainers(host);
  const other = choose(all.containers, word);
  if (other === undefined) throw notFound(all, word, hint);
  throw new BoxctlError(
    'E_CONTAINER_FOREGROUND',
    `the container ${other.name} (${other.id}) runs in the foreground: nothing is kept of it`,
    { hint: 'this is for containers in the background: boxctl up --detach' },
  );
}

const UNSETTLED: ReadonlySet<string> = new Set(['E_CONTAINER_NOT_FOUND', 'E_CONTAINER_FOREGROUND']);

/**
 * The same for a name whose container another command may have removed a moment ago, to make it anew: that command is waited for.
 *
 * @throws BoxctlError as `findContainer` does
 */
export async function findSettled(host: HostFacts, word: string, hint?: string): Promise<KeptContainer> {
  try {
    return findContainer(host, word, hint);
  } catch (error) {
    // One that is being made is taken for one in the foreground until its record is whole.
    const mayBeMade = error instanceof BoxctlError && UNSETTLED.has(error.code);
    if (!mayBeMade || !hasNameLock(host, word)) throw error;
    return withLock(nameLock(host, word), () => Promise.resolve().then(() => findContainer(host, word, hint)));
  }
}

/**
 * The container of this name, or whose id begins so, also where it runs in the foreground (`isForeground`).
 *
 * @throws BoxctlError `E_CONTAINER_NOT_FOUND`, `E_CONTAINER_AMBIGUOUS`, `E_CONTAINER_RECORD`
 */
export function findAny(host: HostFacts, word: string): KeptContainer {
  const all = allContainers(host);
  const found = choose(all.containers, word);
  if (found === undefined) throw notFound(all, word);
  return found;
}

/** With its first process. */
export interface RunningContainer extends KeptContainer {
  readonly first: FirstProcess;
}

/** The container of `findAny`, which has to run. Throws `E_CONTAINER_NOT_RUNNING`, too. */
export function findRunning(host: HostFacts, word: string): RunningContainer {
  const container = findAny(host, word);
  const first = container.isAlive ? firstProcess(host, container.name, container.id) : undefined;
  if (first !== undefined) return { ...container, first };
  throw new BoxctlError('E_CONTAINER_NOT_RUNNING', `the container ${container.name} does not run`, {
    hint: 'boxctl ps -a tells how it ended',
  });
}

/**
 * What `rm` can remove: a container in the background, also one whose container.json cannot be used.
 *
 * @throws BoxctlError as `findContainer` does
 */
export function findRemovable(
  host: HostFacts,
  word: string,
): KeptContainer | Pick<KeptContainer, 'id' | 'name' | 'folder' | 'isAlive'> {
  const { kept, broken } = readPlaces(host);
  const damaged = word.length < LEAST_DIGITS ? [] : broken.filter(({ id }) => id.startsWith(word));
  const [one] = damaged;
  const isOther = kept.some(({ id, name }) => name === word || id.startsWith(word));
  if (one === undefined || damaged.length > 1 || isOther) return findContainer(host, word);
  return { ...one, name: one.id };
}

export interface ContainerState {
  /** `lost`: its launcher was killed, or the machine went down, so that nobody could write down how it ended. */
  readonly status: 'starting' | 'running' | 'paused' | 'restarting' | 'exited' | 'failed' | 'lost';
  /** How often its launcher has started it again by itself. */
  readonly restarts: number;
  readonly started: number | undefined;
  readonly ended: number | undefined;
  readonly pid: number | undefined;
  /** Of one that runs, and has a health check. */
  readonly health: HealthState | undefined;
  /** Milliseconds since 1970: when a container that is `restarting` is started again. */
  readonly next: number | undefined;
  /** The exit status, as `up` in the foreground would have it. */
  readonly exitStatus: number | undefined;
  /** Why it ended, or ended the last time, as `up` in the foreground would tell. */
  readonly ending: Ending | undefined;
  /** The step that failed, when it was started again. */
  readonly failure: BoxctlError | undefined;
}

/** What the launcher has told, and nothing that needs the plan: not why it ended. */
export function briefStateOf(container: KeptContainer): ContainerState {
  const { outcome, ...run } = readRun(container, undefined);
  const base = { ...run, ending: undefined, failure: undefined, exitStatus: undefined, health: undefined };
  if (container.isForeground === true) {
    const status = isPaused(container, container.pid) ? 'paused' : 'running';
    return { ...base, status, started: container.created, pid: container.pid };
  }
  if (container.isAlive && run.next === undefined) {
    if (run.started === undefined) return { ...base, status: 'starting' };
    const status = isPaused(container, run.pid) ? 'paused' : 'running';
    return { ...base, status, health: readHealth(container)?.state };
  }
  if (outcome === undefined) return { ...base, status: 'lost' };
  const hasFailed = outcome.leaseBroken || outcome.kind === 'failed';
  const exitStatus = hasFailed ? undefined : exitStatusOf(outcome);
  return { ...base, status: container.isAlive ? 'restarting' : hasFailed ? 'failed' : 'exited', exitStatus };
}

/** The system calls that filters have ended commands for, by the ids of the containers, as far as they were looked for. */
const callsThatEnded = new Map<string, string>();

/** Looks in the kernel's log for what `stateOf` tells of commands that a filter has ended. */
export async function learnCalls(containers: readonly KeptContainer[]): Promise<void> {
  for (const container of containers) {
    const { outcome, pid, started } = readRun({ ...container, isAlive: false });
    if (outcome?.kind !== 'signaled' || outcome.signal !== SIGSYS || pid === undefined || started === undefined)
      continue;
    const call = await killedFor(pid, started);
    if (call !== undefined) callsThatEnded.set(container.id, call);
  }
}

/** Whether it takes the steps of the plan to tell how it ended. */
const needsSteps = (outcome: Outcome): boolean =>
  outcome.kind === 'failed' || outcome.leaseBroken || outcome.signal === SIGSYS || outcome.hooks.some(hookHasFailed);

const BY_UPDATE: Because = { kind: 'default', name: 'boxctl update' };

/** With the limits that held in the end, which `boxctl update` may have changed. */
function withLimits<T extends EndingPlan>(plan: T, container: KeptContainer): T {
  const limits = readKeptLimits({ folder: folderOfRun(container.folder) });
  if (limits === undefined) return plan;
  const reports = plan.reports.map((report) => {
    const counted = COUNTED_LIMITS.find(({ reached }) => reached.counters.some(({ what }) => what === report.what));
    const { limit: before, ...rest } = report;
    const limit = counted === undefined ? before : limits[counted.key];
    if (limit === before) return report;
    return { ...rest, because: BY_UPDATE, ...(limit === undefined ? {} : { limit }) };
  });
  return { ...plan, reports };
}

function whyEnded(container: KeptContainer): Pick<ContainerState, 'ending' | 'failure'> {
  const none = { ending: undefined, failure: undefined };
  const short = readKeptEnding(container);
  const most = short === undefined ? undefined : readRun(container, short).outcome;
  if (short !== undefined && most !== undefined && !needsSteps(most))
    return { ...none, ending: endingOf(withLimits(short, container), most) };
  const plan = readKeptPlan(container);
  const found = plan === undefined ? undefined : readRun(container, plan).outcome;
  if (plan === undefined || found === undefined) return none;
  const outcome = { ...found, killedFor: callsThatEnded.get(container.id) };
  const failure = explainFailure(plan, outcome);
  return { failure, ending: failure === undefined ? endingOf(withLimits(plan, container), outcome) : undefined };
}

/** The same, and why it ended. */
export function stateOf(container: KeptContainer): ContainerState {
  const brief = briefStateOf(container);
  if (!['exited', 'failed', 'restarting'].includes(brief.status)) return brief;
  const { failure, ending } = whyEnded(container);
  // Of another version, or damaged: how it ended is known, and not why.
  if (failure === undefined && ending === undefined) return brief;
  const ended = failure === undefined ? 'exited' : 'failed';
  return { ...brief, status: container.isAlive ? 'restarting' : ended, exitStatus: ending?.status, failure, ending };
}

/** Why nobody could write down how a container ended: a sentence without full stop. */
export function whyLost({ isOfOtherBoot }: KeptContainer): string {
  return isOfOtherBoot ? 'the machine was started again while it ran' : 'its launcher was killed';
}

/** Undefined: the container does not run. */
export function controlOf(host: HostFacts, container: Pick<KeptContainer, 'id' | 'isAlive'>): Control | undefined {
  return container.isAlive ? connect(host, container.id) : undefined;
}
