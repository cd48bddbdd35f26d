/** Containers in the background, as commands name them, and the state that each is in. */
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { endingOf, type Ending } from '../run/ending.ts';
import { explainFailure } from '../run/explain.ts';
import { didYouMean } from '../spec/suggest.ts';
import { keptContainers, readKeptPlan, readRun, type KeptContainer } from '../state/containers.ts';
import { connect, type Control } from '../state/control.ts';

const LEAST_DIGITS = 2;

/**
 * The container of this name, or whose id begins so.
 *
 * @throws BoxctlError `E_CONTAINER_NOT_FOUND`, `E_CONTAINER_AMBIGUOUS`
 */
export function findContainer(host: HostFacts, word: string): KeptContainer {
  const all = keptContainers(host);
  const named = all.find(({ name }) => name === word);
  if (named !== undefined) return named;
  const fitting = word.length >= LEAST_DIGITS ? all.filter(({ id }) => id.startsWith(word)) : [];
  const [first, second] = fitting;
  if (first !== undefined && second === undefined) return first;
  if (first !== undefined) {
    throw new BoxctlError('E_CONTAINER_AMBIGUOUS', `${fitting.length} containers have ids that begin with ${word}`, {
      hint: `give more digits: ${fitting.map(({ id, name }) => `${id} (${name})`).join(', ')}`,
    });
  }
  const meant = didYouMean(
    word,
    all.map(({ name }) => name),
  );
  throw new BoxctlError('E_CONTAINER_NOT_FOUND', `no container of yours in the background is called "${word}"`, {
    hint: meant === undefined ? 'boxctl ps -a lists all of them' : `did you mean \`${meant}\`?`,
  });
}

export interface ContainerState {
  /** `lost`: its launcher was killed, or the machine went down, so that nobody could write down how it ended. */
  readonly status: 'starting' | 'running' | 'restarting' | 'exited' | 'failed' | 'lost';
  /** How often its launcher has started it again by itself. */
  readonly restarts: number;
  readonly started: number | undefined;
  readonly ended: number | undefined;
  readonly pid: number | undefined;
  /** Milliseconds since 1970: when a container that is `restarting` is started again. */
  readonly next: number | undefined;
  /** Why it ended, or ended the last time, as `up` in the foreground would tell. */
  readonly ending: Ending | undefined;
  /** The step that failed, when it was started again. */
  readonly failure: BoxctlError | undefined;
}

export function stateOf(container: KeptContainer): ContainerState {
  const plan = readKeptPlan(container);
  const nothing = { restarts: 0, next: undefined, started: undefined, ended: undefined, pid: undefined };
  const { outcome, ...run } = plan === undefined ? { ...nothing, outcome: undefined } : readRun(container, plan);
  const base = { ...run, ending: undefined, failure: undefined };
  if (container.isAlive && run.next === undefined) {
    return { ...base, status: run.started === undefined ? 'starting' : 'running' };
  }
  if (plan === undefined || outcome === undefined) return { ...base, status: 'lost' };
  const failure = explainFailure(plan, outcome);
  const ending = failure === undefined ? endingOf(plan, outcome) : undefined;
  const ended = failure === undefined ? 'exited' : 'failed';
  return { ...base, status: container.isAlive ? 'restarting' : ended, failure, ending };
}

/** Undefined: the container does not run. */
export function controlOf(host: HostFacts, container: KeptContainer): Control | undefined {
  return container.isAlive ? connect(host, container.id) : undefined;
}
