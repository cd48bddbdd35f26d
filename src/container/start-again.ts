/** `boxctl start`, and `restart` of a container that has ended: it is started again as it was made, with its id and what it has written. */
import { closeSync } from 'node:fs';
import { environment } from '../inputs/environment.ts';
import { BoxctlError } from '../errors.ts';
import { withLock } from '../files/locks.ts';
import type { HostFacts } from '../host/facts.ts';
import { gatherHostFacts } from '../host/gather.ts';
import { isUnread } from '../image/identity.ts';
import { homeOf } from '../inputs/home.ts';
import type { Claims } from '../model/claims.ts';
import type { ImageFacts } from '../model/image.ts';
import type { Model } from '../model/model.ts';
import { planContainer } from '../plan/container.ts';
import { diff } from '../review/diff.ts';
import type { AllowsFile } from '../spec/context.ts';
import { guardAnew } from '../spec/load.ts';
import type { HostFile, SpecDocument } from '../spec/spec.ts';
import { forgetBefore, nameLock, remakePlace, takePlace } from '../state/container-folders.ts';
import { hasRun, readRun } from '../state/container-runs.ts';
import { keptContainers, readKeptModel, type KeptContainer } from '../state/containers.ts';
import { readNextLimits } from '../state/kept-limits.ts';
import { isPaused } from '../state/paused.ts';
import { readStartedFrom, type StartedFrom } from '../state/started-from.ts';
import { sweepState } from '../state/sweep.ts';
import { tellChanges } from './compare.ts';
import { explainHostFailure } from './host-failure.ts';
import { atImage, findImageOf, findImageOfDigest } from './image-of.ts';
import { recordOf } from './kept-record.ts';
import { launchAndLeave, type LeaveOptions } from './launch-and-leave.ts';
import { prepare, type Judge } from './prepare.ts';
import { SILENT, type Reporter } from './reporter.ts';
import { tellAboutModel, type RunOptions } from './run.ts';
import { archiveOf } from './started-from.ts';

/** What the caller knows and a container does not keep. */
export interface StartAgainOptions extends Pick<RunOptions, 'env' | 'reporter' | 'showValues' | 'by' | 'takesSignals'> {
  /** What the container may have of the host. It is judged as when it was made. */
  readonly judge: (document: SpecDocument) => Judge;
  readonly allows: (document: SpecDocument) => AllowsFile;
  /** Its file as it is now: what secrets and configs hold is kept nowhere else. Throws where it cannot be used. */
  readonly load: (file: string) => SpecDocument;
  /** As `Leaving` has it, with the container that is started. */
  readonly beforeCommand?: (container: KeptContainer) => void;
}

/** `again`: false where it runs already. */
export interface StartedAgain {
  readonly id: string;
  readonly name: string;
  readonly again: boolean;
}

const anew = ({ file }: KeptContainer): string => `start it anew from its file: boxctl up --detach ${file}`;

/**
 * Starts a container in the background that has ended, and resolves when its command runs. Nothing is done where it runs.
 *
 * @throws BoxctlError `E_CONTAINER_PAUSED`, `E_CONTAINER_NOT_FOUND` where it has been removed meanwhile, `E_CONTAINER_RECORD`,
 *   `E_CONTAINER_CHANGED` where what it was made from is another now; and as `startInBackground` does
 */
export async function startAgain({ id, name }: KeptContainer, options: StartAgainOptions): Promise<StartedAgain> {
  const host = gatherHostFacts(options.env ?? environment);
  const { reporter = SILENT } = options;
  try {
    // Another `start`, `up` or `down` of this name may be on its way.
    return await withLock(nameLock(host, name), async () => {
      const all = keptContainers(host);
      // An `up` may have made another one of this name in its place.
      const container = all.find((one) => one.id === id) ?? all.find((one) => one.name === name);
      if (container === undefined) throw removed(name);
      if (container.isAlive) return leave(container, reporter);
      await start(container, host, options);
      return { id: container.id, name: container.name, again: true };
    });
  } catch (error) {
    throw explainHostFailure(error);
  }
}

const removed = (name: string): BoxctlError =>
  new BoxctlError('E_CONTAINER_NOT_FOUND', `the container ${name} has been removed meanwhile`);

function leave(container: KeptContainer, reporter: Reporter): StartedAgain {
  const { id, name } = container;
  const run = readRun(container);
  if (isPaused(container, run.pid)) {
    throw new BoxctlError('E_CONTAINER_PAUSED', `the container ${name} runs, and is paused`, {
      hint: `let it go on: boxctl unpause ${name}`,
    });
  }
  const what =
    run.next === undefined
      ? `${name} runs already: there is nothing to do`
      : `${name} waits for its restart, which is soon: boxctl restart ${name} does not wait`;
  reporter.notice(what, undefined);
  return { id, name, again: false };
}

async function start(container: KeptContainer, facts: HostFacts, options: StartAgainOptions): Promise<void> {
  const { env = environment, reporter = SILENT, takesSignals = true } = options;
  const made = readStartedFrom(container.folder);
  if (made === undefined) {
    const message = `what is kept of the container ${container.name} is of another version of boxctl, or is damaged`;
    throw new BoxctlError('E_CONTAINER_RECORD', message, { hint: anew(container) });
  }
  const kept = placedAt(made.document, container.file);
  const document = completed(guarded(kept, env, options), container, facts, { ...options, reporter });
  const judge = options.judge(document);
  const prepared = await prepare(document, {
    env,
    host: facts,
    reporter,
    judge,
    takesSignals,
    overrides: () => made.overrides,
    imageOf: (of, host, claims) => imageOf(made, container, of, host, claims),
  });
  const { model, image, host, claims } = prepared;
  try {
    checkIds(container, model);
    tellAboutModel(model, reporter);
    await sweepState(host);
    const place = await takePlace(host, container);
    if (place === undefined) throw removed(container.name);
    try {
      const { id, created, name } = container;
      const plan = planContainer(model, image, host, { kept: true, again: hasRun(container) });
      remakePlace(host, place, { ...recordOf(document, model, id), created, name }, { plan, model, image });
      const leaving: LeaveOptions = { ...options, reporter, takesSignals };
      const { beforeCommand } = options;
      await launchAndLeave(plan, {
        id,
        prepared,
        options: leaving,
        locks: [place.lock, ...claims.locks],
        ...(beforeCommand === undefined ? {} : { beforeCommand: () => beforeCommand({ ...container, isAlive: true }) }),
      });
      forgetBefore(place);
    } finally {
      closeSync(place.lock);
    }
  } catch (error) {
    claims.release();
    throw error;
  }
  // The launcher has them now, and with it the claims stay.
  for (const lock of claims.locks) closeSync(lock);
}

/** With places of the file by its whole path: it was named from the folder of another command. */
function placedAt(document: SpecDocument, file: string): SpecDocument {
  const where: SpecDocument['where'] = (path) => {
    const at = document.where(path);
    return at?.file === document.file ? { ...at, file } : at;
  };
  return { ...document, file, where };
}

function guarded(
  document: SpecDocument,
  env: NonNullable<RunOptions['env']>,
  options: StartAgainOptions,
): SpecDocument {
  return guardAnew(document, { env, home: homeOf(env), allows: options.allows(document) });
}

/** With the limits that `boxctl update` has given it, and with what its secrets and configs hold. Tells whether its file has changed. */
function completed(
  document: SpecDocument,
  container: KeptContainer,
  host: HostFacts,
  { load, reporter }: StartAgainOptions & { readonly reporter: Reporter },
): SpecDocument {
  const { name, file } = container;
  let now: SpecDocument | undefined;
  let why: BoxctlError | undefined;
  try {
    now = load(file);
  } catch (error) {
    if (!(error instanceof BoxctlError)) throw error;
    why = error;
  }
  const { spec } = document;
  const given = spec.given?.map((one) => {
    const found = now?.spec.given?.find(({ kind, name: other }) => kind === one.kind && other === one.name);
    // Without its content where it must be allowed to be read: that is judged like the rest.
    if (found !== undefined) return found.content === undefined ? one : { ...one, content: found.content };
    const message = `what the ${one.kind} ${one.name} of ${name} holds is kept nowhere, and its file does not say it any more`;
    throw new BoxctlError('E_CONTAINER_CHANGED', why === undefined ? message : `${message}: ${why.message}`, {
      hint: why === undefined ? anew(container) : `the file is ${file}`,
    });
  });
  const isGiven = ({ kind }: HostFile): boolean => kind === 'secret' || kind === 'config';
  const files = [...document.files.filter((one) => !isGiven(one)), ...(now?.files.filter(isGiven) ?? [])];
  if (now === undefined) {
    reporter.notice(
      `${name} is started as it was made; its file cannot be used any more: ${why?.message ?? ''}`,
      undefined,
    );
  } else {
    const changes = diff(document, now, host);
    if (changes.length > 0) {
      reporter.notice(`${name} is started as it was made, although its file has changed:`, undefined);
      tellChanges(changes, reporter);
      reporter.notice(`boxctl up --detach ${file} starts it anew, as the file is now`, undefined);
    }
  }
  const limits = readNextLimits(container) ?? spec.limits;
  return { ...document, files, spec: { ...spec, limits, ...(given === undefined ? {} : { given }) } };
}

/** The one that it was made from: what it has written lies over that. */
function imageOf(
  made: StartedFrom,
  container: KeptContainer,
  document: SpecDocument,
  host: HostFacts,
  claims: Claims,
): ImageFacts {
  const { image: source } = document.spec;
  const { image: digest = '', archive } = made;
  const found = source === undefined ? undefined : findImageOf(document, source, host, claims);
  if (found?.digest === digest) return found;
  // The digest of an archive may have become known meanwhile.
  const isSame =
    archive !== undefined && archive === archiveOf(document) && (isUnread(digest) || isUnread(found?.digest ?? ''));
  if (found !== undefined && isSame) return found;
  const old = findImageOfDigest(digest, document, host, claims);
  if (old !== undefined) return old;
  const message = `the image that ${container.name} was made from is gone, and what the container has written lies over it`;
  throw atImage(document, new BoxctlError('E_IMAGE_NOT_FOUND', message, { hint: anew(container) }));
}

/** What it has written belongs to the ids that it had. */
function checkIds(container: KeptContainer, model: Model): void {
  const before = readKeptModel(container)?.config.linux;
  if (before === undefined || model.writable !== 'disk') return;
  const { uidMappings, gidMappings } = model.config.linux;
  const text = (maps: unknown): string => JSON.stringify(maps ?? []);
  if (text(before.uidMappings) === text(uidMappings) && text(before.gidMappings) === text(gidMappings)) return;
  const message = `${container.name} would have other ids of the host than before, and what it has written belongs to those`;
  throw new BoxctlError('E_CONTAINER_CHANGED', message, { hint: anew(container) });
}
