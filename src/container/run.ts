/** The whole way from a file to the end of its container. */
import { environment } from '../inputs/environment.ts';
import { BoxctlError, type Position } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { gatherFirewalls } from '../host/firewall.ts';
import { gatherHostFacts } from '../host/gather.ts';
import { realHost } from '../host/read.ts';
import { noteGap } from '../inputs/record.ts';
import { errnoName } from '../kernel/errno.ts';
import { syscallName } from '../kernel/machines.ts';
import type { LaunchEvent, Outcome } from '../launcher/events.ts';
import { launch } from '../launcher/launch.ts';
import { placeOf } from '../model/because.ts';
import type { Claims } from '../model/claims.ts';
import type { Overrides } from '../model/compile.ts';
import type { ImageFacts } from '../model/image.ts';
import type { Model } from '../model/model.ts';
import { restoreTerminal, terminalState } from '../native.ts';
import { planContainer } from '../plan/container.ts';
import type { Plan } from '../plan/plan.ts';
import { endingOf, type Ending } from '../run/ending.ts';
import { describeHook, explainFailure, helperEnded, hookHasFailed } from '../run/explain.ts';
import { writeLearned } from '../run/learned.ts';
import { describeObserved } from '../run/observed.ts';
import { describeSwallowed, type Swallowed } from '../run/swallowed.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { sweepState } from '../state/sweep.ts';
import { refuseUnpermitted } from '../trust/refuse.ts';
import { readDigestInBackground } from './digest-in-background.ts';
import type { Ended } from './ended.ts';
import type { StartedRun } from './foreground-record.ts';
import { explainHostFailure } from './host-failure.ts';
import { keepWhileItRuns } from './keep-foreground.ts';
import { prepare, type Judge, type Prepared } from './prepare.ts';
import { SILENT, type Reporter } from './reporter.ts';
import { forwardSignals } from './signals.ts';

export interface RunOptions {
  /** The caller's environment, which says where the store is; that of this process by default. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Receives warnings, notices and the progress of the run. By default nothing is reported. */
  readonly reporter?: Reporter;
  /** Throws where the container must not have what it demands of the host. By default it may have nothing. */
  readonly judge?: Judge;
  /** The lock beside the file must be there and have all that the file names. By default it is used if it is there. */
  readonly locked?: boolean;
  /** What the caller wants in place of what the file says, by the image that the container has. */
  readonly overrides?: (image: ImageFacts | undefined) => Overrides;
  /** Show values of the caller's environment and of env_files in what is told of a failure. */
  readonly showValues?: boolean;
  /** Is called when the plan is made: what is read from then on is for other things. */
  readonly onPlanned?: () => void;
  /** Is called when the command runs. */
  readonly onStarted?: (run: StartedRun) => void;
  /** The container was started from a kept plan, and has ended: nothing is started, and what happened is told. */
  readonly ended?: Ended;
  /** By a launcher of its own, or by that of this process which is already there (specs/library.md). Default: its own. */
  readonly by?: 'own' | 'shared';
  /** Whether signals to this process are passed on to the container, and give an import up; they are by default. */
  readonly takesSignals?: boolean;
}

const allowNothing: Judge = (demands) => refuseUnpermitted(demands, []);

/**
 * Starts a container and resolves when it has ended. The container has this process's standard input and outputs. What
 * containers of killed processes have left behind is removed first.
 *
 * @throws BoxctlError where it cannot be started: the error says which line of the file, and what to do
 */
export async function runContainer(document: SpecDocument, options: RunOptions = {}): Promise<Ending> {
  const { env = environment, reporter = SILENT, judge = allowNothing, takesSignals = true } = options;
  try {
    for (const { message, at } of document.warnings ?? []) reporter.warning(message, at);
    const host = gatherHostFacts(env);
    const prepared = await prepare(document, { ...options, env, host, reporter, judge, takesSignals });
    try {
      return await runModel(prepared, prepared.host, { ...options, reporter, takesSignals, document });
    } finally {
      prepared.claims.release();
    }
  } catch (error) {
    throw explainHostFailure(error);
  }
}

/** Of `RunOptions`. */
export type StartOptions = Required<Pick<RunOptions, 'reporter' | 'takesSignals'>> &
  Pick<RunOptions, 'showValues' | 'by' | 'onPlanned' | 'onStarted' | 'ended'>;

interface ModelOptions extends StartOptions {
  /** What the container was made from, for those who look at it while it runs. */
  readonly document?: SpecDocument;
}

/** The part of a run after its model is compiled and judged. Throws as `runContainer` does. */
export async function runModel(
  { model, image, claims = {} }: Pick<Prepared, 'model' | 'image'> & { readonly claims?: Claims },
  host: HostFacts,
  options: ModelOptions,
): Promise<Ending> {
  const { reporter } = options;
  tellAboutModel(model, reporter);
  if (model.restart !== undefined) {
    const message = 'in the foreground the container ends with its command: `restart` is for `up --detach`';
    reporter.notice(message, placeOf(model.because('restart')));
  }
  if (model.observes !== undefined) noteGap('system calls of the command are watched');
  if (model.contents.length > 0) noteGap('the contents of secrets and configs are given to each start');
  const plan = planContainer(model, image, host);
  options.onPlanned?.();
  await sweepState(host);
  const outcome = await (
    options.ended === undefined
      ? runHere({ plan, model, image, host, claims }, options)
      : runElsewhere(plan, options.ended, reporter)
  ).catch(async (error: unknown) => {
    // A container can arrange that it does not die with the launcher.
    if (error instanceof BoxctlError && error.code === 'E_LAUNCHER_DIED') await sweepState(host);
    throw error;
  });
  return endOf({ plan, model, host, outcome }, options);
}

/** What a start is made from. */
export interface Made extends Pick<Prepared, 'model' | 'image'> {
  readonly plan: Plan;
  readonly host: HostFacts;
  readonly claims?: Claims;
}

function runHere({ plan, model, image, host, claims = {} }: Made, options: ModelOptions): Promise<Outcome> {
  const { document, onStarted } = options;
  const kept = document === undefined ? undefined : keepWhileItRuns({ document, model, plan, host });
  const outcome = follow(plan, {
    ...options,
    contents: model.contents,
    onStarted: (pid) => {
      kept?.start(pid);
      if (document !== undefined) onStarted?.({ document, model, plan, host, image, claims });
    },
  });
  // The launcher is at work by now.
  const stopReading = readDigestInBackground(image, host);
  return outcome.finally(async () => {
    void stopReading();
    await kept?.end();
  });
}

async function runElsewhere(plan: Plan, ended: Ended, reporter: Reporter): Promise<Outcome> {
  const { outcomeOfEnded } = await import('./ended.ts');
  return outcomeOfEnded(plan, ended, { onEvent: (event) => tellHelper(plan, event, reporter) });
}

function tellHelper(plan: Plan, event: LaunchEvent, reporter: Reporter): void {
  if (event.kind === 'helper') reporter.notice(helperEnded(plan, event), placeOfStep(plan, event.index));
}

export function tellAboutModel({ warnings, dropped }: Model, reporter: Reporter): void {
  for (const { message, because } of warnings) reporter.notice(message, placeOf(because));
  for (const { what, reason, because } of dropped) {
    reporter.warning(`${what} is left out: ${reason}`, placeOf(because));
  }
}

function placeOfStep({ steps }: Plan, index: number): Position | undefined {
  const because = steps[index]?.because;
  return because === undefined ? undefined : placeOf(because);
}

type FollowOptions = Omit<StartOptions, 'onStarted'> &
  Partial<Pick<Model, 'contents'>> & { readonly onStarted?: (pid: number) => void };

/** Launches the plan. What draws its steps is finished before the command runs: the terminal is the command's then. */
export async function follow(
  plan: Plan,
  { reporter, takesSignals, by, contents = [], onStarted }: FollowOptions,
): Promise<Outcome> {
  const progress = reporter.launching(plan);
  const saved = plan.terminal?.stdin === true ? terminalState(0) : undefined;
  const ports: string[] = [];
  const tellPorts = (): void => {
    for (const port of ports) reporter.notice(port, undefined);
  };
  // Before the command can run: a signal that is meant for the command would else end this process.
  const stop = takesSignals
    ? forwardSignals(
        (signal) => launched.signal(signal),
        (message) => reporter.notice(message, undefined),
      )
    : () => undefined;
  const launched = launch(plan, {
    gate: progress.draws,
    ...(progress.terse === true ? { terse: true } : {}),
    contents,
    ...(by === undefined ? {} : { by }),
    onEvent: (event) => {
      progress.event(event);
      tellHelper(plan, event, reporter);
      if (event.kind === 'port') ports.push(describePort(plan, event));
      if (event.kind === 'started') onStarted?.(event.pid);
      if (event.kind === 'started' && !progress.draws) tellPorts();
      if (event.kind !== 'gate') return;
      void progress.finish().then(() => {
        tellPorts();
        launched.go();
      });
    },
  });
  if (takesSignals) launched.takeSignals();
  try {
    return await launched.done;
  } finally {
    stop();
    await progress.finish();
    // The launcher restores it, too, unless it was killed.
    if (saved !== undefined) restoreTerminal(0, saved);
  }
}

/** Of a port that the kernel has chosen. */
function describePort(plan: Plan, { index, port }: { readonly index: number; readonly port: number }): string {
  const { hostAddress = '0.0.0.0', port: inside, protocol } = plan.steps[index]?.publishes ?? { port, protocol: 'tcp' };
  const host = hostAddress.includes(':') ? `[${hostAddress}]` : hostAddress;
  return `port ${inside}/${protocol} of the container is published at ${host}:${port}`;
}

export interface Run {
  readonly plan: Plan;
  readonly model: Model;
  readonly host: HostFacts;
  readonly outcome: Outcome;
}

/** Reports what the run has observed, and returns its ending. Throws if the command was not run, or if its image was changed. */
export function endOf(
  run: Run,
  { reporter, showValues = false }: Pick<StartOptions, 'reporter' | 'showValues'>,
): Ending {
  const { plan, outcome } = run;
  const failure = explainFailure(plan, outcome, { showValues });
  if (failure !== undefined) throw failure;
  tellObserved(run, reporter);
  for (const hook of outcome.hooks.filter(hookHasFailed)) {
    const because = plan.execs?.[hook.index]?.because;
    reporter.notice(describeHook(plan, hook, showValues), because === undefined ? undefined : placeOf(because));
  }
  for (const { fd, errno } of outcome.outputLost) {
    const stream = fd === 1 ? 'standard output' : 'standard error';
    reporter.notice(`${stream} could not be written: ${errnoName(errno)}: what the command wrote is lost`, undefined);
  }
  const ending = endingOf(plan, outcome);
  if (ending === undefined) throw new Error('a launch that neither failed nor ended');
  const swallowed = swallowedOf(run);
  return swallowed === undefined ? ending : { ...ending, swallowed };
}

/** Looks for the firewall only where one has dropped something. */
function swallowedOf({ model, outcome: { swallowed } }: Run): Swallowed | undefined {
  if (swallowed === 0 || model.network === undefined) return undefined;
  return describeSwallowed(swallowed, model.network, model.because('network'), gatherFirewalls(realHost));
}

/** After a run whose calls were watched: the calls that the default filter refuses, or the profile that allows them. */
function tellObserved({ model, host: { arch }, outcome: { syscalls } }: Run, reporter: Reporter): void {
  const { observes, because } = model;
  if (observes === undefined) return;
  const at = placeOf(because('linux.seccomp'));
  if (observes.kind === 'log') return reporter.notice(describeObserved(syscalls, arch), at);
  const names = [...syscalls.keys()].flatMap((number) => (number === undefined ? [] : [syscallName(number, arch)]));
  const { path, total, added } = writeLearned(observes.path, names, arch);
  reporter.notice(`the profile that the run needed is ${path}: ${total} system calls, ${added} of them new`, at);
}
