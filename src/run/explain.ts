/** The error message for a launch that failed. */
import { BoxctlError, type BoxctlErrorOptions } from '../errors.ts';
import { placeOf, type Because } from '../model/because.ts';
import { ERRNO } from '../kernel/constants.ts';
import { attributeAt } from '../kernel/netlink/encode.ts';
import { errnoName, MEANINGS } from '../kernel/errno.ts';
import type { HookEnd, LaunchEvent, Outcome } from '../launcher/events.ts';
import { hintOf } from '../plan/call-hints.ts';
import type { Plan, Step } from '../plan/plan.ts';
import { formatCall } from '../show/call-text.ts';
import { messageWriter, type WriteMessage } from '../show/netlink-text.ts';
import { shownPlan } from '../show/redacted.ts';
import { safe, safeLines } from '../text/safe.ts';

type HelperEvent = Extract<LaunchEvent, { kind: 'helper' }>;

/** The error for a launch whose setup failed, or that boxctl ended itself; undefined where the command ran to its end. */
export function explainFailure(plan: Plan, outcome: Outcome, { showValues = false } = {}): BoxctlError | undefined {
  if (outcome.leaseBroken) return brokenLease(plan);
  if (outcome.failed === undefined) return failedHook(plan, outcome, showValues);
  const { index, errno, detail } = outcome.failed;
  const shown = showValues ? plan : shownPlan(plan);
  const step = shown.steps[index];
  if (step === undefined) return new BoxctlError('E_STEP_FAILED', `step ${index} failed: ${errnoName(errno)}`);
  if (errno === ERRNO['ECHILD']) return endedEarly(step.because, detail);
  const name = errnoName(errno);
  const words = messageWriter(plan, shown);
  const refused = refusedMessage(step, detail, words);
  const because = refused?.because ?? step.because;
  const options = optionsFor(because, hintOf(step, name, detail));
  if (step.call.name === 'execve') return notExecuted(step.call.args.argv[0], name, options);
  const meaning = MEANINGS[name] === undefined ? '' : ` (${MEANINGS[name]})`;
  const call = formatCall(step.call, (message) => words(message, step.because));
  const what = `the step ${step.id} failed: ${call}: ${name}${meaning}${refused?.text ?? ''}`;
  const more = `${said(outcome)}${askedFor(because)}${notUndone(plan, outcome)}`;
  return new BoxctlError('E_STEP_FAILED', `${what}${more}`, options);
}

/** The first command of `post_start` that has failed: the container was stopped for that. */
function failedHook(plan: Plan, { hooks }: Outcome, showValues: boolean): BoxctlError | undefined {
  const hook = hooks.find((one) => plan.execs?.[one.index]?.kind === 'post_start' && hookHasFailed(one));
  const exec = hook === undefined ? undefined : plan.execs?.[hook.index];
  if (hook === undefined || exec === undefined) return undefined;
  const message = `${describeHook(plan, hook, showValues)}, so the container was stopped`;
  return new BoxctlError('E_HOOK_FAILED', message, optionsFor(exec.because, undefined));
}

export const hookHasFailed = ({ status, failed }: HookEnd): boolean => failed !== undefined || status !== 0;

/** One sentence without full stop. */
export function describeHook(plan: Plan, { index, status, failed, said: text }: HookEnd, showValues: boolean): string {
  const exec = (showValues ? plan : shownPlan(plan)).execs?.[index];
  const call = exec?.plan.steps.at(-1)?.call;
  const words = call?.name === 'execve' ? safe(call.args.argv.map(String).join(' ')) : '';
  const what = `${exec?.kind ?? 'hook'}: \`${words}\``;
  const wrote = text === '' ? '' : ` (it said: ${safe(text.replaceAll('\n', ' '))})`;
  if (failed === undefined) {
    const end = status > 128 ? `was ended by signal ${status - 128}` : `ended with status ${status}`;
    return `${what} ${end}${wrote}`;
  }
  const name = errnoName(failed.errno);
  const step = exec?.plan.steps[failed.index];
  const at = step === undefined || step.call.name === 'execve' ? '' : ` at the step ${step.id}`;
  return `${what} could not be run${at}: ${MEANINGS[name] ?? name} (${name})`;
}

/** Which netlink message of a call the kernel has refused, and where in it the mistake is (native/launcher/netlink.h). */
function refusedMessage(
  { call, messageReasons, because }: Step,
  detail: number,
  words: WriteMessage,
): { readonly text: string; readonly because: Because } | undefined {
  if (call.name !== 'netlink' && call.name !== 'netlink_once') return undefined;
  const { messages } = call.args;
  const [index, offset] = [detail >>> 16, detail & 0xffff];
  const asked = call.name === 'netlink_once' && call.args.question.length > 1 ? call.args.question.length : 0;
  const message = messages[index];
  if (message === undefined) return undefined;
  const attribute = offset === 0 ? undefined : attributeAt(messages, index, offset);
  const reason = messageReasons?.[asked + index] ?? because;
  const which = messages.length === 1 ? '' : `\nthe kernel refuses ${words(message, reason)}`;
  const where = attribute === undefined ? '' : `\nit names ${attribute} as the mistake`;
  return { text: `${which}${where}`, because: reason };
}

/** The words of the program that a step started and that was not ready, or ended. */
function said({ said: text }: Outcome): string {
  return text === '' ? '' : `\nit said: ${safeLines(text).replaceAll('\n', '\n  ')}`;
}

/** For a notice: the program that a step started has ended while the container runs on. A plan without steps leaves out its name. */
export function helperEnded({ steps }: Pick<Plan, 'steps'>, { index, status, said: text }: HelperEvent): string {
  const call = steps[index]?.call;
  const path =
    call?.name === 'spawn_helper' && typeof call.args.path === 'string'
      ? call.args.path
      : 'the program that carries the container’s packets';
  const end = status > 128 ? `signal ${status - 128}` : `status ${status}`;
  const words = text === '' ? '' : `; it said: ${safe(text.replaceAll('\n', ' '))}`;
  return `${path} has ended (${end}), and the container’s network with it${words}`;
}

function optionsFor(because: Because | undefined, hint: string | undefined): BoxctlErrorOptions {
  const at = because === undefined ? undefined : placeOf(because);
  return { ...(at === undefined ? {} : { at }), ...(hint === undefined ? {} : { hint }) };
}

/** The launcher lost the container's first process; `detail` is its exit status, or 128 and the signal that ended it. */
function endedEarly(because: Because, detail: number): BoxctlError {
  const end = detail > 128 ? `signal ${detail - 128}` : `status ${detail}`;
  const hint = 'was it killed from outside, or is the memory limit too small even for the setup?';
  const message = `the container’s first process ended while it was being set up (${end})`;
  return new BoxctlError('E_STEP_FAILED', message, optionsFor(because, hint));
}

function notExecuted(command: unknown, name: string, options: BoxctlErrorOptions): BoxctlError {
  const shown = typeof command === 'string' ? command : '';
  if (name === 'ENOENT' || name === 'ENOTDIR') {
    return new BoxctlError('E_COMMAND_NOT_FOUND', `the container has no command "${shown}"`, options);
  }
  const message = `the command "${shown}" cannot be executed: ${MEANINGS[name] ?? name} (${name})`;
  return new BoxctlError('E_COMMAND_NOT_EXECUTABLE', message, options);
}

function askedFor(because: Because): string {
  const what = because.kind === 'spec' ? because.path : `boxctl’s default: ${because.name}`;
  return `\nasked for by ${what}`;
}

function notUndone({ steps }: Plan, { undoFailures }: Outcome): string {
  if (undoFailures.length === 0) return '';
  const list = undoFailures.map(({ index, errno }) => `${steps[index]?.id ?? index} (${errnoName(errno)})`);
  return `\nnot everything could be undone: ${list.join(', ')}`;
}

/**
 * Somebody opened the archive for writing, which broke the lease on it (fcntl(2), F_SETLEASE). After a write, the container
 * would read other bytes as its files.
 */
function brokenLease({ steps }: Plan): BoxctlError {
  const lease: Step | undefined = steps.find(({ call }) => call.name === 'fcntl');
  return new BoxctlError(
    'E_IMAGE_CHANGED',
    'somebody opened the archive of the image for writing while the container ran from it: the container was ended',
    optionsFor(
      lease?.because,
      'write an archive under another name and rename it; or `boxctl image import` it, and the container runs from a copy',
    ),
  );
}
