/** A call as text, in the way of strace(1): what a person reads in a plan, a run, and an error. */
import { CAPABILITIES } from '../spec/capabilities.ts';
import { escapeSteering } from '../text/safe.ts';
import type { Message } from '../kernel/netlink/message.ts';
import { formatMessages, type WriteMessage } from './netlink-text.ts';
import type { Step } from '../plan/plan.ts';
import { rowOf, type ArgKind, type Call, type Text } from '../kernel/calls.ts';
import {
  AS_SOURCE,
  NAME_SETS,
  PR,
  SECBIT_NO_SETUID_FIXUP,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFREG,
  type NameSet,
} from '../kernel/constants.ts';

const SIGKILL = 9;
const S_IFMT = 0o170000;
const KINDS: ReadonlyMap<number, string> = new Map([
  [S_IFCHR, 'S_IFCHR|'],
  [S_IFDIR, 'S_IFDIR|'],
  [S_IFREG, 'S_IFREG|'],
]);

const isDevice = (mode: number): boolean => [S_IFCHR, S_IFBLK].includes(mode & S_IFMT);

interface Argument {
  readonly name: string;
  readonly text: string;
}

/** Each argument of a call, in the table's order. */
export function formatArguments(call: Call, write?: WriteMessage): readonly Argument[] {
  const values: Readonly<Record<string, unknown>> = call.args;
  return rowOf(call.name).args.map(({ name, kind, names }) => ({
    name,
    text: formatValue(kind, names, values[name], write),
  }));
}

/** `openat2(lower, "etc", {flags=O_PATH|O_CLOEXEC}) = etc [or ENOENT]`. `write` gives the words of a netlink message. */
export function formatCall(call: Call, write?: WriteMessage): string {
  return formatWith(call, inTheManualsForm(call, write));
}

/** One of the calls that take a step back, as text. */
export function formatUndo({ undo }: Step, index: number, write?: WriteMessage): string {
  const call = typeof undo === 'string' ? undefined : undo[index];
  return call === undefined ? '' : formatCall(call, write);
}

/** A call with arguments that were formatted before. */
export function formatWith(call: Call, texts: readonly string[]): string {
  const returns = call.returns === undefined ? '' : ` = ${call.returns}`;
  const allowed = call.allow === undefined || call.allow.length === 0 ? '' : ` [or ${call.allow.join(', ')}]`;
  const [name, ...command] = rowOf(call.name).shownAs ?? [call.name];
  return `${name}(${[...command, ...texts].join(', ')})${returns}${allowed}`;
}

/** Arguments as the manual page groups them: fields of a structure in braces, what is not used left out. */
export function inTheManualsForm(call: Call, write?: WriteMessage): readonly string[] {
  const args = formatArguments(call, write);
  const texts = args.map(({ text }) => text);
  if (call.name === 'prctl') return prctl(call.args.arg2, call.args.option, texts);
  if (call.name === 'copytree') return texts.map((text) => (text === String(AS_SOURCE) ? '-1' : text));
  if (call.name === 'fsconfig') return texts.map((text, index) => fsconfigArgument(text, index));
  if (call.name === 'mknodat') {
    const device = `makedev(${call.args.major}, ${call.args.minor})`;
    return [...texts.slice(0, 3), ...(isDevice(call.args.mode) ? [device] : [])];
  }
  if (call.name === 'fstat')
    return [
      texts[0] ?? '',
      `{st_mode=${call.args.mode === S_IFBLK ? 'S_IFBLK' : 'S_IFCHR'}, st_rdev=makedev(${call.args.major}, ${call.args.minor})}`,
    ];
  if (call.name === 'ioctl' && call.args.name !== '') {
    return [
      ...texts.slice(0, 2),
      `{ifr_name=${texts[2] ?? ''}, ifr_flags=${call.args.value === 1 ? 'IFF_UP' : (texts[3] ?? '')}}`,
    ];
  }
  if (call.name === 'ioctl') return texts.filter((_, index) => index !== 2);
  if (call.name === 'prlimit64') {
    const [pid = '', resource = '', soft = '', hard = ''] = texts;
    return [pid.replaceAll('"', ''), resource, `{rlim_cur=${soft}, rlim_max=${hard}}`, 'NULL'];
  }
  const from = rowOf(call.name).structFrom;
  if (from === undefined) return texts;
  const fields = args
    .slice(from)
    .filter(({ text }, index) => index === 0 || (text !== '0' && text !== '-1'))
    .map(({ name, text }) => `${name}=${text}`);
  return [...texts.slice(0, from), `{${fields.join(', ')}}`];
}

function prctl(arg2: number, option: number, texts: readonly string[]): readonly string[] {
  const shown = [...texts];
  if (option === PR.PR_CAPBSET_DROP) shown[1] = CAPABILITIES[arg2] ?? String(arg2);
  if (option === PR.PR_SET_SECUREBITS && arg2 === SECBIT_NO_SETUID_FIXUP) shown[1] = 'SECBIT_NO_SETUID_FIXUP';
  if (option === PR.PR_SET_PDEATHSIG && arg2 === SIGKILL) shown[1] = 'SIGKILL';
  if (option === PR.PR_CAP_AMBIENT) {
    shown[1] = { 2: 'PR_CAP_AMBIENT_RAISE', 4: 'PR_CAP_AMBIENT_CLEAR_ALL' }[arg2] ?? String(arg2);
    if (arg2 === 2) shown[2] = CAPABILITIES[Number(texts[2])] ?? texts[2] ?? '';
  }
  let end = shown.length;
  while (end > 2 && shown[end - 1] === '0') end--;
  return shown.slice(0, end);
}

function fsconfigArgument(text: string, index: number): string {
  if (text === '""') return 'NULL';
  return index === 4 && text === '-1' ? '0' : text;
}

function formatValue(kind: ArgKind, names: string | undefined, value: unknown, write?: WriteMessage): string {
  switch (kind) {
    case 'fd':
    case 'int':
      return String(value);
    case 'limit':
      return value === 'unlimited' ? 'RLIM_INFINITY' : String(value);
    case 'text':
      return formatText(value);
    case 'mode':
      return typeof value === 'number' ? formatMode(value) : String(value);
    case 'flags':
      return typeof value === 'number' && isNameSet(names) ? formatFlags(names, value) : String(value);
    case 'caps':
      return typeof value === 'bigint' ? formatCapabilities(value) : String(value);
    case 'texts':
      return Array.isArray(value) ? `[${value.map(formatText).join(', ')}]` : String(value);
    case 'ids':
      return Array.isArray(value) ? `[${value.join(', ')}]` : String(value);
    case 'messages':
      return Array.isArray(value) ? formatMessages(value as readonly Message[], write) : String(value);
    case 'bytes':
      return value instanceof Uint8Array ? `<${value.length / 8} instructions>` : String(value);
  }
}

function isNameSet(name: string | undefined): name is keyof typeof NAME_SETS {
  return name !== undefined && name in NAME_SETS;
}

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\t': '\\t', '\r': '\\r' };

function escapeAsC(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  if (code <= 0xff) return SHORT[character] ?? `\\x${hex.padStart(2, '0')}`;
  return code <= 0xffff ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}

/** Escapes as C does, since a name in an image may hold anything, also what would steer a terminal. */
function formatText(value: unknown): string {
  const text: Text = typeof value === 'string' ? value : (value as Text);
  const raw = typeof text === 'string' ? text : text.template.replaceAll('$$', '$');
  const escaped = escapeSteering(raw.replaceAll(/[\\"]/gu, '\\$&'), escapeAsC);
  return `"${escaped}"`;
}

function formatMode(mode: number): string {
  const kind = mode & 0o170000;
  const permissions = `0${(mode & 0o7777).toString(8).padStart(mode === 0 ? 0 : 3, '0')}`;
  if (mode === AS_SOURCE) return '-1';
  const prefix = KINDS.get(kind) ?? '';
  return mode === 0 ? '0' : `${prefix}${permissions}`;
}

/** The names of the bits, joined by `|`; what has no name in hexadecimal. */
export function formatFlags(set: keyof typeof NAME_SETS, value: number): string {
  return flagNames(set, value).join('|') || '0';
}

export function flagNames(set: keyof typeof NAME_SETS, value: number): readonly string[] {
  const { kind, names }: NameSet = NAME_SETS[set];
  if (kind === 'values') {
    return [Object.entries(names).find(([, number]) => number === value)?.[0] ?? `0x${value.toString(16)}`];
  }
  // 64 bits: JavaScript's own operators know 32.
  let rest = BigInt(value);
  const found: string[] = [];
  for (const [name, number] of Object.entries(names)) {
    const bit = BigInt(number);
    if (bit === 0n || (rest & bit) !== bit) continue;
    found.push(name);
    rest &= ~bit;
  }
  const zero = Object.entries(names).find(([, number]) => number === 0)?.[0];
  // O_RDONLY is no bit; beside O_PATH the access mode means nothing.
  if (zero !== undefined && (value & 3) === 0 && !found.includes('O_PATH')) found.unshift(zero);
  if (rest !== 0n) found.push(`0x${rest.toString(16)}`);
  return found;
}

export function capabilityNames(set: bigint): readonly string[] {
  return CAPABILITIES.filter((_, number) => (set & (1n << BigInt(number))) !== 0n);
}

function formatCapabilities(set: bigint): string {
  return capabilityNames(set).join('|') || '0';
}
