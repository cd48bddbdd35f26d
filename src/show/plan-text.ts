/** A whole plan as text for a person. Nothing of it is hidden: long calls are wrapped, not cut. */
import { basename } from 'node:path';
import { allowance, shownDemand } from '../model/demands.ts';
import type { Call } from '../kernel/calls.ts';
import type { Message } from '../kernel/netlink/message.ts';
import type { Demand } from '../model/demand.ts';
import type { Because } from '../model/because.ts';
import { safe } from '../text/safe.ts';
import { BOLD, ON_RED, painter, YELLOW } from '../text/style.ts';
import { formatCall, formatWith, inTheManualsForm } from './call-text.ts';
import { listedMessages, messageWriter, type WriteMessage } from './netlink-text.ts';
import type { Group, Plan, Step } from '../plan/plan.ts';
import { shownPlan } from './redacted.ts';
import { inUnits } from '../text/duration.ts';
import { signalName } from '../kernel/signals.ts';

const TITLES: Readonly<Record<Group, string>> = {
  record: 'what is written down to be removed',
  cgroup: 'limits',
  sources: 'what is taken from the host',
  namespaces: 'namespaces',
  users: 'users',
  root: 'root file system',
  mounts: 'mounts',
  dev: '/dev',
  hide: 'what is hidden of /proc and /sys',
  identity: 'names and interfaces',
  network: 'network',
  terminal: 'terminal',
  security: 'privileges',
  command: 'command',
};

export function groupTitle(group: Group): string {
  return TITLES[group];
}

export interface PrintOptions {
  readonly color: boolean;
  /** Columns of the page. */
  readonly width: number;
  /** The specification's file, as it was named. */
  readonly file: string;
  /** Demands that policy files or `boxctl allow` have allowed. */
  readonly allowed?: ReadonlySet<Demand>;
  /** Print values of the caller's environment and of env_files, too. */
  readonly showValues?: boolean;
}

const NONE: ReadonlySet<Demand> = new Set();

/** Steps in a row that differ in one argument alone are one line, which names all of its values. */
interface Line {
  readonly step: Step;
  readonly text: string;
  readonly count: number;
}

/**
 * The plan in order, under a heading for each run of steps of the same group and side, with the place that asked for a
 * step at the right. Ends with a newline.
 */
export function printPlan(
  given: Plan,
  { color, width, file, allowed = NONE, showValues = false }: PrintOptions,
): string {
  const plan = showValues ? given : shownPlan(given);
  const write = messageWriter(given, plan);
  const paint = painter(color);
  const host = plan.steps.filter(({ side }) => side === 'host').length;
  const inside = plan.steps.length - host;
  const out = [paint(1, `${plan.name}: ${plan.steps.length} steps, ${host} on the host and ${inside} inside`)];
  const open = plan.demands.filter((demand) => !allowed.has(demand));
  const lists = [
    ['what needs to be allowed', YELLOW, open],
    ['what is allowed for good', BOLD, plan.demands.filter((demand) => allowed.has(demand))],
  ] as const;
  for (const [title, style, demands] of lists) {
    if (demands.length > 0) out.push('', paint(style, title));
    for (const demand of demands) {
      const because = describeBecause(demand.because, file);
      const told = showValues ? demand : shownDemand(demand);
      const text = safe(`--allow ${allowance(told)}: ${told.message}`);
      out.push(`  ${text}${' '.repeat(Math.max(width - 4 - because.length - text.length, 0) + 2)}${paint(2, because)}`);
    }
  }
  const needed = new Set(open.map(({ because }) => describeBecause(because, file)));
  for (const { message, because } of plan.warnings) {
    out.push(`${paint(ON_RED, message)}  ${paint(2, describeBecause(because, file))}`);
  }
  let heading = '';
  for (const { step, text, count } of fold(plan.steps, write)) {
    const wanted = `${TITLES[step.group]}${step.side === 'host' ? ' (on the host)' : ''}`;
    if (wanted !== heading) out.push('', paint(1, wanted));
    heading = wanted;
    const asked = describeBecause(step.because, file);
    const because = step.because.kind === 'spec' && needed.has(asked) ? `needs --allow, ${asked}` : asked;
    const times = count > 1 ? ` × ${count}` : '';
    const room = width - 2 - because.length - 2;
    const [first = '', ...more] = wrap(`${text}${times}`, Math.max(room, 30), width - 6, placesOf(step.call));
    out.push(`  ${first}${' '.repeat(Math.max(room - first.length, 0) + 2)}${paint(2, because)}`);
    for (const line of more) out.push(`      ${line}`);
    for (const line of listing(step.call, step, write, (one) => describeBecause(one, file), width)) {
      out.push(`${line.text}${line.because === '' ? '' : `${line.gap}${paint(2, line.because)}`}`);
    }
    if (typeof step.undo === 'string') continue;
    for (const call of step.undo) {
      const undone = `undo: ${formatCall(call, (message) => write(message, step.because))}`;
      for (const line of wrap(undone, width - 6, width - 6, placesOf(call))) out.push(paint(2, `      ${line}`));
      const messages = listing(call, { because: step.because }, write, (one) => describeBecause(one, file), width);
      out.push(...messages.map((line) => paint(2, line.text)));
    }
  }
  if (plan.tallies !== undefined) out.push('', paint(1, 'what the network refused or lost, after the end'));
  for (const { socket, question, because } of plan.tallies ?? []) {
    const lines = wrap(`netlink(${safe(socket)}, ${write(question, because)})`, width - 2, width - 6);
    out.push(...lines.map((line, index) => `${index === 0 ? '  ' : '      '}${line}`));
    out.push(`      ${paint(2, describeBecause(because, file))}`);
  }
  if (plan.execs !== undefined) out.push('', paint(1, 'run in the container, as by boxctl exec'));
  for (const { kind, because, times, plan: own } of plan.execs ?? []) {
    const call = own.steps.at(-1)?.call;
    const words = call?.name === 'execve' ? call.args.argv.map((word) => safe(String(word))).join(' ') : '';
    const when = times === undefined ? kind : `health check every ${inUnits(times.interval)}`;
    out.push(`  ${when}: ${words}  ${paint(2, describeBecause(because, file))}`);
  }
  if (plan.timeLimit !== undefined) {
    const { signal, graceMs } = plan.stop;
    const then = `${signalName(signal)}, and SIGKILL ${inUnits(graceMs)} later`;
    const because = paint(2, describeBecause(plan.timeLimit.because, file));
    out.push('', paint(1, 'how long'), `  after ${inUnits(plan.timeLimit.ms)}: ${then}  ${because}`);
  }
  if (plan.dropped.length > 0) out.push('', paint(1, 'left out'));
  for (const { what, reason, because } of plan.dropped) {
    out.push(`  ${safe(`${what}: ${reason}`)}  ${paint(2, describeBecause(because, file))}`);
  }
  return `${out.join('\n')}\n`;
}

interface ListLine {
  readonly text: string;
  readonly gap: string;
  readonly because: string;
}

/**
 * The messages of a call, a line for each where it fits. Rules of one chain stand under its name. Who asked is told where it is
 * not the same as for the message before, or for the step.
 */
function listing(
  call: Call,
  step: Pick<Step, 'because' | 'messageReasons'>,
  write: WriteMessage,
  describe: (because: Because) => string,
  width: number,
): readonly ListLine[] {
  const lines: ListLine[] = [];
  let chain = '';
  let before = describe(step.because);
  for (const [index, message] of listedMessages(call).entries()) {
    if (index > 0 && call.name === 'netlink_once' && index === call.args.question.length) {
      lines.push({ text: '    or, where the kernel lacks a part of it (ENOENT):', gap: '', because: '' });
    }
    const because = step.messageReasons?.[index] ?? step.because;
    const words = write(message, because);
    const [, head = '', rule] = /^(NFT_MSG_NEWRULE \S+ \S+ \S+): (.*)$/u.exec(words) ?? [];
    if (rule !== undefined && head !== chain) lines.push({ text: `    ${head}:`, gap: '', because: '' });
    chain = head;
    const reason = describe(because);
    const indent = ' '.repeat(rule === undefined ? 4 : 6);
    const told = reason === before ? '' : reason;
    before = reason;
    lines.push(...besides(indent, rule ?? words, told, width));
  }
  return lines;
}

/** A text with a note at the right end of its line, or of the next one where there is no room for both. */
function besides(indent: string, text: string, note: string, width: number): readonly ListLine[] {
  const room = width - 2 - indent.length;
  const space = room - text.length - note.length;
  if (note !== '' && space >= 2) return [{ text: `${indent}${text}`, gap: ' '.repeat(space), because: note }];
  const lines = wrap(text, room, room - 4, WORDS).map((line, index) => ({
    text: `${indent}${index === 0 ? '' : '    '}${line}`,
    gap: '',
    because: '',
  }));
  if (note === '') return lines;
  return [...lines, { text: '', gap: ' '.repeat(Math.max(width - 2 - note.length, indent.length)), because: note }];
}

function describeBecause(because: Because, file: string): string {
  if (because.kind === 'default') return `default: ${because.name}`;
  const { at, path } = because;
  return at === undefined ? path : `${at.file === file ? basename(file) : at.file}:${at.line}`;
}

function fold(steps: readonly Step[], write: WriteMessage): readonly Line[] {
  const lines: Line[] = [];
  for (let at = 0; at < steps.length;) {
    const step = steps[at];
    if (step === undefined) break;
    const run = sameButOne(steps, at);
    const own = (message: Message): string => write(message, step.because);
    const texts =
      run.index === undefined ? inTheManualsForm(step.call, own) : folded(steps.slice(at, run.end), run.index);
    lines.push({ step, text: formatWith(step.call, texts), count: run.end - at });
    at = run.end;
  }
  return lines;
}

function folded(steps: readonly Step[], index: number): readonly string[] {
  const all = steps.map(({ call }) => inTheManualsForm(call));
  const values = `{${all.map((texts) => texts[index]).join(', ')}}`;
  return (all[0] ?? []).map((text, position) => (position === index ? values : text));
}

/** The end of the run of steps from `at` that differ in one and the same argument; `index` is undefined for a run of one. */
function sameButOne(steps: readonly Step[], at: number): { readonly end: number; readonly index: number | undefined } {
  const first = steps[at];
  const folds = first?.call.returns === undefined && typeof first?.undo === 'string' && first.call.name !== 'netlink';
  if (!folds) {
    return { end: at + 1, index: undefined };
  }
  const texts = inTheManualsForm(first.call);
  let index: number | undefined;
  let end = at + 1;
  for (; end < steps.length; end++) {
    const next = steps[end];
    if (next === undefined || !sameFrame(first, next)) break;
    const others = inTheManualsForm(next.call);
    if (others.length !== texts.length) break;
    const differing = others.flatMap((text, position) => (text === texts[position] ? [] : [position]));
    const [only] = differing;
    if (differing.length !== 1 || only === undefined || (index !== undefined && only !== index)) break;
    index = only;
  }
  return { end, index };
}

function sameFrame(one: Step, other: Step): boolean {
  return (
    one.call.name === other.call.name &&
    one.group === other.group &&
    one.side === other.side &&
    one.undo === other.undo &&
    other.call.returns === undefined &&
    String(one.call.allow) === String(other.call.allow) &&
    describeBecause(one.because, '') === describeBecause(other.because, '')
  );
}

/** Where a call may be broken, and the words of a netlink message. */
const ARGUMENTS = /(?<=, |\|)/u;
const WORDS = /(?<= )/u;
const placesOf = ({ name }: Call): RegExp => (name === 'netlink' || name === 'netlink_once' ? WORDS : ARGUMENTS);

/** Breaks at such places; what is longer than the room between two of them keeps its length. */
function wrap(text: string, firstRoom: number, room: number, places = ARGUMENTS): readonly string[] {
  const words = text.split(places);
  const lines: string[] = [];
  let line = '';
  for (const word of words) {
    if (line !== '' && line.length + word.trimEnd().length > (lines.length === 0 ? firstRoom : room)) {
      lines.push(line.trimEnd());
      line = '';
    }
    line += word;
  }
  return [...lines, line];
}
