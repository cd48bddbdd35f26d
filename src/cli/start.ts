/** What up, run and shell have in common: their options, and how the run and its end are told. */
import type { Started } from '../container/background.ts';
import type { BringUpOptions } from '../container/bring-up.ts';
import type { StartedRun } from '../container/foreground-record.ts';
import { prepare } from '../container/prepare.ts';
import { SILENT } from '../container/reporter.ts';
import { runContainer, type RunOptions } from '../container/run.ts';
import { BoxctlError } from '../errors.ts';
import { Keeper, readEnded } from './front.ts';
import type { Overrides } from '../model/compile.ts';
import type { Demand } from '../model/demand.ts';
import type { ImageFacts } from '../model/image.ts';
import { loadSpec } from '../spec/load.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { PROGRESS_MODES, type ProgressMode } from '../show/progress-interface.ts';
import type { Arguments, Invocation } from './command.ts';
import { environmentOptions, hostFacts, loadDocument, loadOptions, showsValues, specFile } from './environment.ts';
import { jsonMessages, textMessages, type Messages } from './messages.ts';
import type { Remake } from './marked-run.ts';
import { isTerminal, wantsColor, writeOutput } from './output.ts';
import { reporterFor } from './terminal-reporter.ts';
import { checkDemands, permitsOf } from './trust.ts';

const isMode = (word: string): word is ProgressMode => PROGRESS_MODES.some((mode) => mode === word);

/** By `--progress`, by one of the options that are short for it, or by BOXCTL_PROGRESS. */
export function modeOf({ args, env }: Invocation): ProgressMode {
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

export function terminalOptions({ args }: Invocation): Pick<Overrides, 'tty' | 'stdinOpen'> {
  const tty = args.flag('tty');
  const interactive = args.flag('interactive');
  if (tty && interactive && !isTerminal(0)) {
    throw new BoxctlError('E_NOT_A_TERMINAL', '-it needs a terminal, and standard input is none', {
      hint: 'leave out -t to use a pipe',
    });
  }
  return { ...(tty ? { tty } : {}), ...(interactive ? { stdinOpen: true } : {}) };
}

export function messagesFor({ env }: Invocation, mode: ProgressMode): Messages {
  return mode === 'json' ? jsonMessages : textMessages(wantsColor(2, env), mode === 'quiet');
}

/** Options that the next start from a kept plan must not miss: what they ask for is done by Node. */
const OF_NODE = ['wait', 'env', 'progress', 'verbose', 'json', 'show-values'] as const;

/** Whether the plan of this command line may be used without Node. */
function isPlain({ args, front }: Invocation): boolean {
  return front?.hasEnded === false && !OF_NODE.some((name) => isGiven(args, name));
}

const isGiven = (args: Arguments, name: string): boolean => args.values(name).length > 0 || args.flag(name);

/** The same for `exec`, where a terminal is part of the plan. */
export function isPlainExec({ args }: Invocation): boolean {
  const names = ['env', 'user', 'workdir', 'progress', 'verbose', 'json', 'show-values'];
  return !names.some((name) => isGiven(args, name));
}

/** Whether nothing is shown of a start that goes well. On a terminal that is a line which goes away. */
export const isSilent = (mode: ProgressMode): boolean => mode === 'quiet' || mode === 'auto';

/** Milliseconds; undefined: without end. `hint`: what to type. */
export function waitTimeoutOf(args: Arguments, hint: string): number | undefined {
  const text = args.value('wait-timeout');
  if (text === undefined) return undefined;
  if (!args.flag('wait')) throw new BoxctlError('E_USAGE', '--wait-timeout is for --wait', { hint });
  if (/^\d{1,6}$/u.test(text) && Number(text) > 0) return Number(text) * 1000;
  throw new BoxctlError('E_USAGE', `--wait-timeout ${text} is no number of seconds`, { hint });
}

type Recreate = NonNullable<BringUpOptions['recreate']>;

/** Without `recreate` a container that runs is an error. */
async function inBackground(document: SpecDocument, run: RunOptions, recreate: Recreate | undefined): Promise<Started> {
  if (recreate === undefined) return (await import('../container/background.ts')).startInBackground(document, run);
  return (await import('../container/bring-up.ts')).bringUp(document, { ...run, recreate });
}

export type Choose = (image: ImageFacts | undefined) => Overrides;

/** As `start` loads the file and prepares its container, with other variables for the file. */
const remakeOf =
  (invocation: Invocation, options: Pick<RunOptions, 'overrides' | 'locked'>): Remake =>
  async (variables, host, claimed) => {
    const file = specFile(invocation);
    const document = loadSpec(file, { ...loadOptions(invocation, file), env: variables });
    const permits = permitsOf(invocation);
    const judge = (demands: readonly Demand[]): void => checkDemands(invocation, document, demands, permits);
    const quiet = { host, judge, reporter: SILENT, takesSignals: false };
    return { document, prepared: await prepare(document, { ...options, ...quiet, claimed }) };
  };

/** Starts the container and gives the exit status. `choose` says what the command line wants instead of the file's. */
export async function start(invocation: Invocation, choose: Choose, recreate?: Recreate): Promise<number> {
  const { env, front } = invocation;
  const keeper = front !== undefined && isPlain(invocation) ? new Keeper(front.words) : undefined;
  const mode = modeOf(invocation);
  const told = messagesFor(invocation, mode);
  const messages = keeper === undefined || !isSilent(mode) ? told : keeper.watch(told);
  const ended = front?.hasEnded === true ? readEnded() : undefined;
  try {
    if (front?.givenUp !== undefined) {
      await (await import('../container/remove-given-up.ts')).removeGivenUp(hostFacts(invocation), front.givenUp);
    }
    const options = { ...terminalOptions(invocation), environment: environmentOptions(invocation) };
    const permits = permitsOf(invocation);
    const document = loadDocument(invocation);
    const made = {
      overrides: (image: ImageFacts | undefined) => ({ ...options, ...choose(image) }),
      locked: invocation.args.flag('locked'),
    };
    const leavesSame = recreate !== undefined && recreate !== 'always';
    const run = {
      env,
      reporter: reporterFor(invocation, mode, messages),
      judge: (demands: readonly Demand[]) => checkDemands(invocation, document, demands, permits),
      ...made,
      showValues: showsValues(invocation),
      ...(keeper === undefined || !isSilent(mode)
        ? {}
        : {
            onPlanned: keeper.stop,
            onStarted: ({ background, ...started }: StartedRun) =>
              keeper.keep(
                { ...started, ...(background && { background: { ...background, leavesSame } }) },
                { remake: remakeOf(invocation, made), overrides: made.overrides },
              ),
          }),
      ...(ended === undefined ? {} : { ended }),
    };
    const waits = invocation.args.flag('wait');
    const timeoutMs = waitTimeoutOf(invocation.args, 'boxctl up --wait --wait-timeout 60');
    if (invocation.args.flag('detach') || waits) {
      const { name, id } = await inBackground(document, run, recreate);
      writeOutput(`${name}\n`);
      if (waits) {
        const { awaitHealth } = await import('../container/await-health.ts');
        await awaitHealth(hostFacts(invocation), id, { timeoutMs });
      }
      return 0;
    }
    const ending = await runContainer(document, run);
    messages.ended(ending);
    return ending.status;
  } catch (error) {
    // The container runs on: that its file has changed since, or is wrong now, is not what has happened.
    const beside = ended && (await import('../container/ended.ts')).helperEndedBeside(ended);
    if (beside === undefined) return messages.failure(error);
    messages.notice(beside, undefined);
    return 0;
  } finally {
    keeper?.stop();
    await keeper?.kept;
  }
}
