/** Ends a container in the background and has its launcher start it again. */
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import type { KeptContainer } from '../state/containers.ts';
import { connect, type Told } from '../state/control.ts';
import { thaw } from './end.ts';
import { stateOf } from './existing.ts';

/**
 * Resolves when the command runs again, with the same id and what the container has written. False: it has no launcher any more.
 *
 * @throws BoxctlError `E_CONTAINER_NOT_RUNNING`; the step that failed, where it could not be started again
 */
export async function restartContainer(host: HostFacts, container: KeptContainer, graceMs?: number): Promise<boolean> {
  let hasStarted = (): void => undefined;
  const started = new Promise<'started'>((resolve) => {
    hasStarted = () => resolve('started');
  });
  const onTold = ({ kind }: Told): void => {
    if (kind === 'started') hasStarted();
  };
  const control = container.isAlive ? connect(host, container.id, onTold) : undefined;
  if (control === undefined) return false;
  control.restart(graceMs);
  thaw(container);
  const first = await Promise.race([started, control.gone]);
  if (first === 'started') {
    await control.close();
    return true;
  }
  const { failure } = stateOf({ ...container, isAlive: false });
  throw (
    failure ??
    new BoxctlError('E_CONTAINER_NOT_RUNNING', `the container ${container.name} has ended`, {
      hint: 'it was stopped meanwhile',
    })
  );
}
