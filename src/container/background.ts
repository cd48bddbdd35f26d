/** Starts a container that this process leaves to its launcher. */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, openSync } from 'node:fs';
import { environment } from '../inputs/environment.ts';
import { BoxctlError } from '../errors.ts';
import { withLock } from '../files/locks.ts';
import type { HostFacts } from '../host/facts.ts';
import { gatherHostFacts } from '../host/gather.ts';
import { signalName } from '../kernel/signals.ts';
import { launch } from '../launcher/launch.ts';
import type { Overrides } from '../model/compile.ts';
import type { ImageFacts } from '../model/image.ts';
import type { Model } from '../model/model.ts';
import { planContainer } from '../plan/container.ts';
import type { Plan } from '../plan/plan.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { makePlace, namesLock, removePlace, type Place } from '../state/container-folders.ts';
import { keptContainers } from '../state/containers.ts';
import { noteDestroyed } from '../state/run-events.ts';
import { writeStartedFrom } from '../state/started-from.ts';
import { sweepState } from '../state/sweep.ts';
import { refuseUnpermitted } from '../trust/refuse.ts';
import { hookHasFailed } from '../run/explain.ts';
import { explainHostFailure } from './host-failure.ts';
import { recordOf } from './kept-record.ts';
import { prepare, type Prepared } from './prepare.ts';
import { SILENT, type Reporter } from './reporter.ts';
import { endOf, tellAboutModel, type RunOptions } from './run.ts';
import { forwardSignals } from './signals.ts';
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
      await sweepState(prepared.host);
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

type BackgroundOptions = RunOptions & { readonly reporter: Reporter; readonly takesSignals: boolean };

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
  const id = randomBytes(6).toString('hex');
  const place = await takeName(document, { plan, model, image, overrides: options.overrides?.(image) ?? {} }, host, id);
  try {
    await launchAndLeave(plan, { id, place, prepared, options, locks: claims.locks });
    return { id, name: model.name };
  } catch (error) {
    await removePlace(host, { folder: place.folder, id });
    throw error;
  } finally {
    closeSync(place.lock);
  }
}

interface Made {
  readonly plan: Plan;
  readonly model: Model;
  readonly image: ImageFacts | undefined;
  readonly overrides: Overrides;
}

/** A container that has ended gives its name to the next. */
async function takeName(document: SpecDocument, made: Made, host: HostFacts, id: string): Promise<Place> {
  const { model } = made;
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
    const place = makePlace(host, recordOf(document, model, id), made);
    writeStartedFrom(place.folder, startedFrom(document, made.image, made.overrides));
    return place;
  });
}

interface Leaving {
  readonly id: string;
  readonly place: Place;
  readonly prepared: Prepared;
  readonly options: BackgroundOptions;
  readonly locks: readonly number[];
}

/** Resolves when the command runs and the launcher is on its own. */
async function launchAndLeave(plan: Plan, { id, place, prepared, options, locks }: Leaving): Promise<void> {
  const { reporter, takesSignals } = options;
  const progress = reporter.launching(plan);
  const nothing = openSync('/dev/null', constants.O_RDWR);
  let stop = (): void => undefined;
  let hasStarted = (): void => undefined;
  const started = new Promise<'started'>((resolve) => {
    hasStarted = () => resolve('started');
  });
  // A container has started when all of these have ended well. The launcher ends it where one has not.
  let awaited = 1 + (plan.execs ?? []).filter(({ kind }) => kind === 'post_start').length;
  const oneMore = (): void => {
    if (--awaited === 0) hasStarted();
  };
  try {
    const launched = launch(plan, {
      id,
      kept: [place.lock, ...locks],
      contents: prepared.model.contents,
      ...(options.by === undefined ? {} : { by: options.by }),
      stdio: [nothing, nothing, nothing],
      onEvent: (event) => {
        progress.event(event);
        if (event.kind === 'started' || (event.kind === 'hook' && !hookHasFailed(event))) oneMore();
      },
    });
    if (takesSignals) {
      stop = forwardSignals(
        (signal) => launched.signal(signal),
        (message) => reporter.notice(message, undefined),
      );
      launched.takeSignals();
    }
    const first = await Promise.race([started, launched.done]);
    if (first === 'started') return await launched.detach();
    endOf({ plan, model: prepared.model, host: prepared.host, outcome: first }, options);
    if (first.kind === 'signaled') {
      const message = `the start of ${prepared.model.name} was given up (${signalName(first.signal)})`;
      throw new BoxctlError('E_INTERRUPTED', message, { signal: first.signal });
    }
    throw new Error('the container ended before its command was started');
  } finally {
    stop();
    await progress.finish();
    closeSync(nothing);
  }
}
