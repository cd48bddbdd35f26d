/** Starts a container that this process leaves to its launcher. */
import { randomBytes } from 'node:crypto';
import { closeSync } from 'node:fs';
import { environment } from '../inputs/environment.ts';
import { BoxctlError } from '../errors.ts';
import { withLock } from '../files/locks.ts';
import type { HostFacts } from '../host/facts.ts';
import { gatherHostFacts } from '../host/gather.ts';
import { planContainer } from '../plan/container.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { makePlace, namesLock, removePlace, type MadeFrom, type Place } from '../state/container-folders.ts';
import { keptContainers } from '../state/containers.ts';
import { noteDestroyed } from '../state/run-events.ts';
import type { StartedFrom } from '../state/started-from.ts';
import { sweepState } from '../state/sweep.ts';
import { refuseUnpermitted } from '../trust/refuse.ts';
import { explainHostFailure } from './host-failure.ts';
import { recordOf } from './kept-record.ts';
import { launchAndLeave, notStarted, type LeaveOptions } from './launch-and-leave.ts';
import { prepare, type Prepared } from './prepare.ts';
import { SILENT } from './reporter.ts';
import { tellAboutModel, type RunOptions } from './run.ts';
import { startedFrom } from './started-from.ts';

export interface Started {
  readonly id: string;
  readonly name: string;
}

/**
 * Starts a container in the background, and resolves when its command runs.
 *
 * @throws BoxctlError `E_CONTAINER_NAME_TAKEN` where one of the same name runs; and as `runContainer` does
 */
export async function startInBackground(document: SpecDocument, options: RunOptions = {}): Promise<Started> {
  const { env = environment, reporter = SILENT, judge = (demands) => refuseUnpermitted(demands, []) } = options;
  const { takesSignals = true } = options;
  try {
    for (const { message, at } of document.warnings ?? []) reporter.warning(message, at);
    const host = gatherHostFacts(env);
    const prepared = await prepare(document, { ...options, env, host, reporter, judge, takesSignals });
    try {
      tellAboutModel(prepared.model, reporter);
      const started = await startPrepared(document, prepared, { ...options, reporter, takesSignals });
      // The launcher has them now, and with it the claims stay.
      for (const lock of prepared.claims.locks) closeSync(lock);
      return started;
    } catch (error) {
      prepared.claims.release();
      throw error;
    }
  } catch (error) {
    throw explainHostFailure(error);
  }
}

type BackgroundOptions = RunOptions & LeaveOptions;

async function startPrepared(document: SpecDocument, prepared: Prepared, options: BackgroundOptions): Promise<Started> {
  const { host, model, image, claims } = prepared;
  if (model.observes !== undefined) {
    throw new BoxctlError(
      'E_USAGE',
      'what `seccomp: log` and `learn` see is told at the end, when nobody waits for it',
      {
        hint: 'run it in the foreground: without --detach',
      },
    );
  }
  const plan = planContainer(model, image, host, { kept: true });
  const from = startedFrom(document, image, options.overrides?.(image) ?? {});
  options.onPlanned?.();
  await sweepState(host);
  if (options.ended !== undefined) {
    const outcome = await (await import('./ended.ts')).outcomeOfEnded(plan, options.ended, { isBackground: true });
    throw notStarted({ plan, model, host, outcome }, options);
  }
  const id = randomBytes(6).toString('hex');
  const place = await takeName(document, { plan, model, image, from }, host, id);
  try {
    await launchAndLeave(plan, { id, prepared, options, locks: [place.lock, ...claims.locks] });
  } catch (error) {
    await removePlace(host, { folder: place.folder, id });
    throw error;
  } finally {
    closeSync(place.lock);
  }
  options.onStarted?.({ document, model, plan, host, image, claims, background: { image, from } });
  return { id, name: model.name };
}

interface Made extends MadeFrom {
  readonly from: StartedFrom;
}

/** A container that has ended gives its name to the next. */
async function takeName(document: SpecDocument, made: Made, host: HostFacts, id: string): Promise<Place> {
  const { model, from } = made;
  return withLock(namesLock(host), async () => {
    for (const other of keptContainers(host).filter(({ name }) => name === model.name)) {
      if (other.isAlive) {
        throw new BoxctlError('E_CONTAINER_NAME_TAKEN', `a container called ${model.name} runs already (${other.id})`, {
          hint: `end it first: boxctl stop ${model.name}; or give this one another \`name\``,
        });
      }
      const noted = noteDestroyed(other);
      await removePlace(host, other);
      noted(host);
    }
    return makePlace(host, recordOf(document, model, id), made, from);
  });
}
