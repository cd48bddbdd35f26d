/** A plan as it is printed: values of the caller's environment and of an env_file are replaced by what the file says. */
import { isSecret } from '../model/secrets.ts';
import type { Because } from '../model/because.ts';
import type { Call } from '../kernel/calls.ts';
import type { Message } from '../kernel/netlink/message.ts';
import { plainMessage } from './netlink-attributes.ts';
import { borrowedVariables, redactor, type Borrowed, type Redact } from '../text/borrowed.ts';
import type { Plan } from '../plan/plan.ts';

const HIDDEN = '…';

/** `TOKEN=${TOKEN}`: a variable that is borrowed, or sounds secret, in place of its value. */
function shownVariable(entry: string, variables: ReadonlyMap<string, string>, redact: Redact): string {
  const equals = entry.indexOf('=');
  if (equals < 0) return redact(entry, 'environment');
  const [name, value] = [entry.slice(0, equals), entry.slice(equals + 1)];
  const known = variables.get(name);
  const shownName = redact(name, 'environment');
  if (known !== undefined) return `${shownName}=${known}`;
  if (isSecret(name, value)) return `${shownName}=${HIDDEN}`;
  return `${shownName}=${redact(value, 'hostname')}`;
}

type Show = (value: unknown) => unknown;

/** A path in the file has a name in it where that is a key. */
function shownBecause(because: Because, redact: Redact): Because {
  return because.kind === 'spec' ? { ...because, path: redact(because.path, because.path) } : because;
}

function shownCall(call: Call, show: Show, environment: Show): Call {
  const args = Object.entries(call.args).map(([name, value]) => [
    name,
    call.name === 'execve' && name === 'envp' ? environment(value) : show(value),
  ]);
  const returns = call.returns === undefined ? {} : { returns: show(call.returns) };
  return { ...call, ...returns, args: Object.fromEntries(args) } as Call;
}

/** Without borrowed values, the messages stay what they are. */
function shownMessages(call: Call, isBorrowed: boolean, show: (message: Message, index: number) => Message): Call {
  if (!isBorrowed || (call.name !== 'netlink' && call.name !== 'netlink_once')) return call;
  const { messages } = call.args;
  if (call.name === 'netlink') return { ...call, args: { ...call.args, messages: messages.map(show) } };
  // The reasons are those of the question first, where it has several messages.
  const { question } = call.args;
  const before = question.length > 1 ? question.length : 0;
  const others = messages.map((message, index) => show(message, before + index));
  return { ...call, args: { ...call.args, question: question.map(show), messages: others } };
}

/** Of a step that is made for a borrowed number: what the kernel is told is that number in another unit, or rounded. */
export function numberOf(borrowed: readonly Borrowed[], path: string | undefined): string | undefined {
  return borrowed.find(
    (one) => one.path === path && one.variable === undefined && /^(?:\d+\.?\d*|\.\d+)\s*[a-z]*$/iu.test(one.value),
  )?.shown;
}

const shower = (redact: Redact, path: string | undefined, number: string | undefined): Show => {
  const show: Show = (value) => {
    if (typeof value === 'string') {
      const text = redact(value, path);
      if (number === undefined) return text;
      return /^\d+$/u.test(text)
        ? number
        : text.replaceAll(/(?<=\b(?:size|nr_inodes|weight|[rw]bps|[rw]iops)=|^\d+:\d+ |^)\d+(?=$|[,\s])/gu, number);
    }
    if (typeof value === 'number') {
      const text = redact(String(value), path);
      return text === String(value) ? value : text;
    }
    if (Array.isArray(value)) return value.map(show);
    if (typeof value === 'object' && value !== null && 'template' in value) {
      return { ...value, template: redact(String(value.template), path) };
    }
    return value;
  };
  return show;
};

/** Of a message for the kernel: what is made of a borrowed value is text, in place of bytes and numbers. */
function shownMessage(message: Message, show: Show, number: string | undefined): Message {
  const shown = (value: unknown): unknown => {
    // Sizes and times that follow from a number say it, too.
    if (number !== undefined && typeof value === 'number' && value >= 1000) return number;
    if (Array.isArray(value)) return value.map(shown);
    if (typeof value !== 'object' || value === null) return show(value);
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, shown(one)]));
  };
  const { attributes } = plainMessage(message);
  return { ...message, attributes: shown(attributes) as Message['attributes'] };
}

/** The texts of the plan with values replaced. For output only: the plan itself is what is launched. */
export function shownPlan(plan: Plan): Plan {
  const { borrowed } = plan;
  const redact = redactor(borrowed);
  const variables = borrowedVariables(borrowed);
  const environment: Show = (value) =>
    Array.isArray(value)
      ? value.map((entry) => (typeof entry === 'string' ? shownVariable(entry, variables, redact) : entry))
      : value;
  return {
    ...plan,
    name: redact(plan.name, 'name'),
    ...(plan.execs === undefined
      ? {}
      : {
          execs: plan.execs.map((exec) => ({
            ...exec,
            plan: shownPlan(exec.plan),
            because: shownBecause(exec.because, redact),
          })),
        }),
    steps: plan.steps.map((step) => {
      const path = step.because.kind === 'spec' ? step.because.path : undefined;
      // Also where the words of the command line take the place of the file's command, its entrypoint stays.
      const words: Redact = (text) => redact(redact(redact(text, 'command'), 'entrypoint'), path);
      const show = shower(step.call.name === 'execve' ? words : redact, path, numberOf(borrowed, path));
      const { call, undo, messageReasons = [] } = step;
      const showMessage = (message: Message, index: number): Message => {
        const asked = messageReasons[index] ?? step.because;
        const where = asked.kind === 'spec' ? asked.path : undefined;
        const number = numberOf(borrowed, where);
        return shownMessage(message, shower(redact, where, number), number);
      };
      return {
        ...step,
        id: redact(step.id, path),
        because: shownBecause(step.because, redact),
        call: shownMessages(shownCall(call, show, environment), borrowed.length > 0, showMessage),
        undo: typeof undo === 'string' ? undo : undo.map((one) => shownCall(one, show, environment)),
      };
    }),
    warnings: plan.warnings.map((warning) => ({ ...warning, message: redact(warning.message) })),
    dropped: plan.dropped.map((one) => ({ ...one, reason: redact(one.reason) })),
    borrowed: [],
  };
}
