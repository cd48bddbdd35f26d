/** What up, run and shell have in common: the whole way from a file to the end of its container. */
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import type { ImageFacts } from '../model/image.ts';
import type { ResolveOptions } from '../image/resolve.ts';
import { compile, outline, type Claims, type Overrides } from '../model/compile.ts';
import type { Model } from '../model/model.ts';
import { planContainer } from '../plan/container.ts';
import type { Plan } from '../plan/plan.ts';
import { endingOf } from '../run/ending.ts';
import { errnoName } from '../kernel/errno.ts';
import { explainFailure } from '../run/explain.ts';
import { launch, type Outcome } from '../launcher/launch.ts';
import { writeLearned } from '../run/learned.ts';
import { restoreTerminal, terminalState } from '../native.ts';
import { describeObserved } from '../run/observed.ts';
import { syscallName } from '../kernel/machines.ts';
import { createProgress } from '../show/progress.ts';
import { PROGRESS_MODES, type Progress, type ProgressMode } from '../show/reporter.ts';
import type { ImageSource, SpecDocument } from '../spec/spec.ts';
import { claimIds } from '../state/id-ranges.ts';
import { sweepState } from '../state/sweep.ts';
import type { Invocation } from './command.ts';
import { environmentOptions, hostFacts, loadDocument, showsValues } from './environment.ts';
import { findImageOf, isUnread, takeImage } from './image-of.ts';
import { showImport, titleOf } from './importing.ts';
import { isTerminal, screen, wantsColor } from './output.ts';
import { settleBeside } from './settle.ts';
import { forwardSignals } from './signals.ts';
import { checkDemands, permitsOf } from './trust.ts';
import { jsonVoice, placeOf, textVoice, type Voice } from './voice.ts';

const isMode = (word: string): word is ProgressMode => PROGRESS_MODES.some((mode) => mode === word);

/** By `--progress`, by one of the options that are short for it, or as the caller likes it always. */
function modeOf({ args, env }: Invocation): ProgressMode {
  const short = (['quiet', 'verbose', 'json'] as const).filter((name) => args.flag(name));
  const word = args.value('progress');
  const options = [...short.map((name) => `--${name}`), ...(word === undefined ? [] : [`--progress ${word}`])];
  if (options.length > 1) {
    throw new BoxctlError('E_USAGE', `${options.join(' and ')} exclude each other`, { hint: 'choose one of them' });
  }
  const wanted = word ?? short[0] ?? (env['BOXCTL_PROGRESS'] || 'auto');
  if (isMode(wanted)) return wanted;
  const from = word === undefined ? 'BOXCTL_PROGRESS=' : '--progress ';
  throw new BoxctlError('E_USAGE', `${from}${wanted}: there is no such way to show progress`, {
    hint: `choose one of ${PROGRESS_MODES.join(', ')}`,
  });
}

function terminalOptions({ args }: Invocation): Pick<Overrides, 'tty' | 'stdinOpen'> {
  const tty = args.flag('tty');
  const interactive = args.flag('interactive');
  if (tty && interactive && !isTerminal(0)) {
    throw new BoxctlError('E_NOT_A_TERMINAL', '-it needs a terminal, and standard input is none', {
      hint: 'leave out -t to use a pipe',
    });
  }
  return { ...(tty ? { tty } : {}), ...(interactive ? { stdinOpen: true } : {}) };
}

async function imageOf(
  document: SpecDocument,
  host: HostFacts,
  claims: Claims,
  allow: (model: Model) => void,
  take: (source: ImageSource) => Promise<ImageFacts>,
): Promise<ImageFacts | undefined> {
  const { image } = document.spec;
  if (image === undefined || document.spec.namespaces.mount.kind !== 'private') return undefined;
  const found = findImageOf(document, image, host, claims);
  if (found !== undefined) return found;
  // Not before it is allowed is anything of the host read or run for a file.
  allow(outline(document, host));
  return take(image);
}

/** Draws until the command starts; what follows on the terminal is the command's. */
async function follow(plan: Plan, progress: Progress, voice: Voice): Promise<Outcome> {
  const saved = plan.terminal?.stdin === true ? terminalState(0) : undefined;
  // Before the command can run, so that no signal that is meant for it ends boxctl.
  const stop = forwardSignals(
    (signal) => started.signal(signal),
    (message) => voice.notice(message, undefined),
  );
  const started = launch(plan, {
    gate: progress.draws,
    onEvent: (event) => {
      progress.event(event);
      if (event.kind === 'gate') void progress.finish().then(() => started.go());
    },
  });
  started.takeSignals();
  try {
    return await started.done;
  } finally {
    stop();
    await progress.finish();
    // The launcher does so itself, unless it was killed.
    if (saved !== undefined) restoreTerminal(0, saved);
  }
}

export type Choose = (image: ImageFacts | undefined) => Overrides;

/** Starts the container and gives the exit status. `choose` says what the command line wants instead of the file's. */
export async function start(invocation: Invocation, choose: Choose): Promise<number> {
  const mode = modeOf(invocation);
  const voice = mode === 'json' ? jsonVoice : textVoice(wantsColor(2, invocation.env), mode === 'quiet');
  try {
    return await startWith(invocation, choose, mode, voice);
  } catch (error) {
    return voice.failure(error);
  }
}

async function startWith(invocation: Invocation, choose: Choose, mode: ProgressMode, voice: Voice): Promise<number> {
  const terminal = terminalOptions(invocation);
  const environment = environmentOptions(invocation);
  const permits = permitsOf(invocation);
  const document = loadDocument(invocation);
  for (const { message, at } of document.warnings ?? []) voice.warning(message, at);
  const allow = ({ demands }: Model): void => checkDemands(invocation, document, demands, permits);
  const host = hostFacts(invocation);
  const showValues = showsValues(invocation);
  // A file that is refused is given no ids, and nothing of its image is looked at.
  if (document.spec.autoIds !== undefined || isUnread(document)) allow(outline(document, host));
  const claims = claimIds(document, host);
  const image = await imageOf(document, host, claims, allow, async (source) => {
    const take = (options: ResolveOptions): Promise<ImageFacts> => takeImage(document, source, host, claims, options);
    return showImport(invocation, titleOf(source), mode, voice, take);
  });
  const model = compile(document, image, host, { environment, ...terminal, ...choose(image) }, claims);
  allow(model);
  for (const { message, because } of model.warnings) voice.notice(message, placeOf(because));
  for (const { what, reason, because } of model.dropped) {
    voice.warning(`${what} is left out: ${reason}`, placeOf(because));
  }
  const plan = planContainer(model, image, host);
  await sweepState(host);

  const settled = settleBeside(image, host);
  const progress = createProgress({ mode, plan, showValues, screen: screen(invocation.env) });
  const outcome = await follow(plan, progress, voice)
    .catch(async (error: unknown) => {
      // The container may have seen to it that it does not die with the launcher.
      if (error instanceof BoxctlError && error.code === 'E_LAUNCHER_DIED') await sweepState(host);
      throw error;
    })
    .finally(settled);
  const failure = explainFailure(plan, outcome, { showValues });
  if (failure !== undefined) return voice.failure(failure);
  if (model.observes !== undefined) tellObserved(model, host, outcome, voice);
  for (const { fd, errno } of outcome.outputLost) {
    const stream = fd === 1 ? 'standard output' : 'standard error';
    voice.notice(`${stream} could not be written: ${errnoName(errno)}: what the command wrote is lost`, undefined);
  }
  const ending = endingOf(plan, outcome);
  if (ending === undefined) throw new Error('a launch that neither failed nor ended');
  voice.ended(ending);
  return ending.status;
}

/** After a run whose calls were watched: which the default would have refused, or the profile that allows them. */
function tellObserved({ observes, because }: Model, { arch }: HostFacts, { syscalls }: Outcome, voice: Voice): void {
  const at = placeOf(because('linux.seccomp'));
  if (observes?.kind === 'log') voice.notice(describeObserved(syscalls, arch), at);
  if (observes?.kind !== 'learn') return;
  const names = [...syscalls.keys()].flatMap((number) => (number === undefined ? [] : [syscallName(number, arch)]));
  const { path, total, added } = writeLearned(observes.path, names, arch);
  voice.notice(`the profile that the run needed is ${path}: ${total} system calls, ${added} of them new`, at);
}
