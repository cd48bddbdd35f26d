/** `up --detach`: a container that runs already as its file says is left alone; one whose file has changed is started anew. */
import { resolve } from 'node:path';
import { environment } from '../inputs/environment.ts';
import { BoxctlError } from '../errors.ts';
import { withLock } from '../files/locks.ts';
import type { HostFacts } from '../host/facts.ts';
import { gatherHostFacts } from '../host/gather.ts';
import { placeOf } from '../model/because.ts';
import type { Change } from '../review/diff.ts';
import type { Limits, SpecDocument } from '../spec/spec.ts';
import { nameLock, removeContainer } from '../state/container-folders.ts';
import { keptContainers, type KeptContainer } from '../state/containers.ts';
import { noteDestroyed } from '../state/run-events.ts';
import { readKeptLimits } from '../state/kept-limits.ts';
import { readStartedFrom, writeStartedFrom, type StartedFrom } from '../state/started-from.ts';
import { refuseUnpermitted } from '../trust/refuse.ts';
import { startInBackground, type Started } from './background.ts';
import { changesSince, tellChanges } from './compare.ts';
import { stopContainer } from './end.ts';
import { prepare } from './prepare.ts';
import { SILENT } from './reporter.ts';
import type { RunOptions } from './run.ts';
import { startedFrom } from './started-from.ts';
import { updateLimits } from './update-limits.ts';

export interface BringUpOptions extends RunOptions {
  /** What happens to a container of this file that runs: by default it is started anew where its file has changed. */
  readonly recreate?: 'changed' | 'never' | 'always' | 'live';
}

export interface BroughtUp extends Started {
  readonly how: 'started' | 'same' | 'kept' | 'recreated' | 'updated';
}

/**
 * Starts the container of a file in the background, unless it runs. Several calls for one name wait for each other.
 *
 * @throws BoxctlError as `startInBackground` does; `E_CONTAINER_NAME_TAKEN` where the container is that of another file;
 *   `E_CONTAINER_CHANGED` with `live`, where more than limits has changed
 */
export async function bringUp(document: SpecDocument, options: BringUpOptions = {}): Promise<BroughtUp> {
  const { env = environment } = options;
  const host = gatherHostFacts(env);
  return withLock(nameLock(host, document.spec.name), async () => {
    const running = keptContainers(host).find(({ name, isAlive }) => name === document.spec.name && isAlive);
    if (running === undefined) return { ...(await startInBackground(document, options)), how: 'started' };
    const left = await leave(document, running, host, options);
    if (left !== undefined) return left;
    await end(host, running);
    return { ...(await startInBackground(document, options)), how: 'recreated' };
  });
}

/** Undefined: it has to be started anew. */
async function leave(
  document: SpecDocument,
  running: KeptContainer,
  host: HostFacts,
  options: BringUpOptions,
): Promise<BroughtUp | undefined> {
  const { recreate = 'changed', reporter = SILENT } = options;
  const { id, name } = running;
  if (resolve(running.file) !== resolve(document.file)) {
    throw new BoxctlError(
      'E_CONTAINER_NAME_TAKEN',
      `a container called ${name} runs already, of ${running.file} (${id})`,
      {
        hint: `end it first: boxctl stop ${name}; or give this one another \`name\``,
      },
    );
  }
  const now = await startedNow(document, host, options);
  if (recreate === 'always') return undefined;
  const before = readStartedFrom(running.folder);
  const ofFile = before === undefined ? undefined : changesSince(before, now, host, running);
  const limits = readKeptLimits(running);
  // What the container would get, and not what was in its file: it may have got that by `boxctl update`.
  const changes =
    before === undefined || limits === undefined
      ? ofFile
      : changesSince({ ...before, document: withLimits(before.document, limits) }, now, host, running);
  if (changes !== undefined && changes.length === 0) {
    const isChanged = ofFile?.length !== 0;
    reporter.notice(
      `${name} runs already, ${isChanged ? 'as its file says now' : 'and its file has not changed'}`,
      undefined,
    );
    if (isChanged) writeStartedFrom(running.folder, now);
    return { id, name, how: 'same' };
  }
  if (ofFile?.length === 0 && recreate !== 'live') {
    reporter.notice(`${name} runs already, and its file has not changed; the limits of the file would be:`, undefined);
    tell(changes, options);
    reporter.notice(
      'they were changed by boxctl update, and are left so: boxctl up --detach --live takes those of the file',
      undefined,
    );
    return { id, name, how: 'same' };
  }
  if (recreate === 'never') {
    reporter.notice(`${name} runs already, and is left as it is, although its file has changed:`, undefined);
    tell(changes, options);
    return { id, name, how: 'kept' };
  }
  if (recreate === 'live') {
    changeLive(before, now, host, running);
    reporter.notice(`the limits of ${name} are changed:`, undefined);
    tell(changes, options);
    return { id, name, how: 'updated' };
  }
  reporter.notice(`${name} is started anew, since its file has changed:`, undefined);
  tell(changes, options);
  return undefined;
}

const UNKNOWN = 'it was started by another version of boxctl';

function tell(changes: readonly Change[] | undefined, { reporter = SILENT }: BringUpOptions): void {
  if (changes === undefined) reporter.notice(`  ~ ${UNKNOWN}`, undefined);
  else tellChanges(changes, reporter);
}

/** Limits of control groups can be changed while the container runs; another change is an error that says which. */
function changeLive(before: StartedFrom | undefined, now: StartedFrom, host: HostFacts, running: KeptContainer): void {
  const hint = 'without --live it is started anew';
  if (before === undefined)
    throw new BoxctlError('E_CONTAINER_CHANGED', `${running.name} cannot be changed live: ${UNKNOWN}`, { hint });
  const { limits: wanted } = now.document.spec;
  const live = withOthers(wanted, before.document.spec.limits);
  const rest = changesSince({ ...before, document: withLimits(before.document, live) }, now, host, running);
  const [first] = rest;
  if (first !== undefined) {
    const because = first.after ?? first.before;
    const at = because === undefined ? undefined : placeOf(because);
    const more = rest.length === 1 ? '' : `, and ${rest.length - 1} more`;
    throw new BoxctlError('E_CONTAINER_CHANGED', `${running.name} cannot be changed live: ${first.message}${more}`, {
      hint,
      ...(at === undefined ? {} : { at }),
    });
  }
  updateLimits(host, running, wanted);
  writeStartedFrom(running.folder, now);
}

/** The limits with those of the other that no control group applies: those stay as they were, and are told if they differ. */
function withOthers(limits: Limits, { time, networkEgress, networkIngress }: Limits): Limits {
  const { time: _time, networkEgress: _egress, networkIngress: _ingress, ...rest } = limits;
  return {
    ...rest,
    ...(time === undefined ? {} : { time }),
    ...(networkEgress === undefined ? {} : { networkEgress }),
    ...(networkIngress === undefined ? {} : { networkIngress }),
  };
}

const withLimits = (document: SpecDocument, limits: Limits): SpecDocument => ({
  ...document,
  spec: { ...document.spec, limits },
});

/** Judged, and with the image that it would be started from; one that is due is fetched. Nothing is claimed that stays. */
async function startedNow(document: SpecDocument, host: HostFacts, options: BringUpOptions): Promise<StartedFrom> {
  const { env = environment, reporter = SILENT, overrides = () => ({}), takesSignals = true } = options;
  const judge = options.judge ?? ((demands) => refuseUnpermitted(demands, []));
  // What is to be warned of is told when it is started.
  const quiet = { ...reporter, warning: () => undefined };
  const prepared = await prepare(document, {
    ...options,
    env,
    host,
    reporter: quiet,
    judge,
    takesSignals,
    isStatic: true,
  });
  prepared.claims.release();
  return startedFrom(document, prepared.image, overrides(prepared.image));
}

/** Stops a container, and removes what is kept of it. */
export async function end(host: HostFacts, container: KeptContainer, graceMs?: number): Promise<void> {
  await stopContainer(host, container, graceMs);
  const noted = noteDestroyed(container);
  const result = await removeContainer(host, container, container.isAlive);
  if (result === 'removed') noted(host);
  if (result !== 'runs') return;
  throw new BoxctlError('E_CONTAINER_RUNS', `the container ${container.name} was started again meanwhile`, {
    hint: 'try it again',
  });
}
