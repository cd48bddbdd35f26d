/** `--wait`: until a container in the background is healthy. Loaded for that alone. */
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { placeOf } from '../model/because.ts';
import { keptContainers, readKeptPlan, type KeptContainer } from '../state/containers.ts';
import { connect, type Told } from '../state/control.ts';
import { readHealth } from '../state/health.ts';
import { safe } from '../text/safe.ts';
import { stateOf } from './existing.ts';

interface AwaitOptions {
  /** By default there is no limit. */
  readonly timeoutMs: number | undefined;
}

/** Whether there is something to wait for. */
function isSettled(container: KeptContainer): boolean {
  const state = readHealth(container)?.state;
  return state === 'healthy' || state === 'unhealthy';
}

function unhealthy(container: KeptContainer): BoxctlError {
  const plan = readKeptPlan(container);
  const exec = plan?.execs?.find(({ kind }) => kind === 'health');
  const at = exec === undefined ? undefined : placeOf(exec.because);
  const last = readHealth(container)?.results.at(-1);
  const said =
    last === undefined || last.output.trim() === '' ? '' : `: ${safe(last.output.trim().replaceAll('\n', ' '))}`;
  const end = last === undefined ? '' : ` The last check ended with status ${last.status}${said}`;
  return new BoxctlError('E_UNHEALTHY', `the container ${container.name} is unhealthy.${end}`, {
    ...(at === undefined ? {} : { at }),
    hint: `it runs on: boxctl stop ${container.name}`,
  });
}

function hasEnded(container: KeptContainer): BoxctlError {
  const { ending, failure, status, exitStatus } = stateOf({ ...container, isAlive: false });
  if (failure !== undefined) return failure;
  const at = ending?.because === undefined ? undefined : placeOf(ending.because);
  const why =
    ending?.message ?? (exitStatus === undefined ? `it is ${status}` : `its command ended with status ${exitStatus}`);
  return new BoxctlError('E_ENDED_EARLY', `the container ${container.name} did not become healthy: ${why}`, {
    ...(at === undefined ? {} : { at }),
    hint: `what it wrote: boxctl logs ${container.name}`,
  });
}

/**
 * Resolves when the container is healthy; at once where it has no health check.
 *
 * @throws BoxctlError `E_UNHEALTHY`, `E_ENDED_EARLY`, `E_WAIT_TIMEOUT`; the container is left as it is
 */
export async function awaitHealth(host: HostFacts, id: string, { timeoutMs }: AwaitOptions): Promise<void> {
  const container = keptContainers(host).find((one) => one.id === id);
  if (container === undefined) return;
  const hasCheck = readKeptPlan(container)?.execs?.some(({ kind }) => kind === 'health') === true;
  let look: () => void = () => undefined;
  const settled = new Promise<'settled'>((resolve) => {
    look = () => {
      if (isSettled(container)) resolve('settled');
    };
  });
  const onTold = (told: Told): void => {
    if (told.kind === 'health') look();
  };
  const control = connect(host, id, onTold);
  if (control === undefined) {
    if (!hasCheck) return;
    throw hasEnded(container);
  }
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    if (timeoutMs !== undefined) timer = setTimeout(() => resolve('late'), timeoutMs);
  });
  try {
    if (!hasCheck) return;
    // What was told before this was connected is in the file.
    look();
    const first = await Promise.race([settled, late, control.gone.then(() => 'gone' as const)]);
    if (first === 'gone') throw hasEnded(container);
    if (first === 'late') {
      const message = `the container ${container.name} is not healthy after ${(timeoutMs ?? 0) / 1000} seconds`;
      throw new BoxctlError('E_WAIT_TIMEOUT', message, { hint: `it runs on: boxctl stop ${container.name}` });
    }
    if (readHealth(container)?.state === 'unhealthy') throw unhealthy(container);
  } finally {
    clearTimeout(timer);
    await control.close();
  }
}
