/** Netlink messages for people and for programs: names, numbers and addresses, as the kernel's headers call them. */
import type { Call } from '../kernel/calls.ts';
import type { Kind, Table } from '../kernel/netlink/declare.ts';
import { isAttributes, rowOfMessage } from '../kernel/netlink/encode.ts';
import type { Attributes, Message, Value } from '../kernel/netlink/message.ts';

/** Ready for JSON.stringify. */
type Plain = number | string | { readonly [name: string]: Plain } | readonly Plain[];

export interface PlainMessage {
  readonly type: string;
  readonly flags: readonly string[];
  readonly header: Readonly<Record<string, number | string>>;
  readonly attributes: { readonly [name: string]: Plain };
}

const hex = (value: Uint8Array): string => [...value].map((byte) => byte.toString(16).padStart(2, '0')).join('');

/** Of the Internet or of Ethernet, by its length. */
function formatAddress(value: Uint8Array): string {
  if (value.length === 4) return value.join('.');
  if (value.length === 6) return [...value].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
  if (value.length !== 16) return `0x${hex(value)}`;
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((value[2 * i] ?? 0) * 256 + (value[2 * i + 1] ?? 0)).toString(16),
  );
  const zeros = /(?:^|:)0(?::0)+(?:$|:)/gu;
  const text = groups.join(':');
  const longest = [...text.matchAll(zeros)].map(([run]) => run).toSorted((a, b) => b.length - a.length)[0];
  return longest === undefined ? text : text.replace(longest, '::');
}

function plainAttributes(table: Table, attributes: Attributes): { readonly [name: string]: Plain } {
  const entries = Object.entries(attributes).map(([name, value]) => [
    name,
    plainValue(table[name]?.[1], value, attributes),
  ]);
  return Object.fromEntries(entries) as { readonly [name: string]: Plain };
}

function plainValue(kind: Kind | undefined, value: Value, beside: Attributes): Plain {
  if (value instanceof Uint8Array) return kind?.kind === 'address' ? formatAddress(value) : `0x${hex(value)}`;
  if (kind?.kind === 'list' && Array.isArray(value)) {
    return (value as readonly Attributes[]).map((one) => plainAttributes(kind.attributes(), one));
  }
  if (isAttributes(value)) {
    if (kind?.kind === 'choice') return plainAttributes(kind.attributes()[String(beside[kind.by])] ?? {}, value);
    return plainAttributes(kind?.kind === 'nest' ? kind.attributes() : {}, value);
  }
  return typeof value === 'number' || typeof value === 'string' ? value : [];
}

/** The message as data: addresses and bytes are text. */
export function plainMessage({ type, flags, header, attributes }: Message): PlainMessage {
  return {
    type,
    flags: flags.split('|'),
    header,
    attributes: plainAttributes(rowOfMessage(type).attributes(), attributes),
  };
}

/** `cmp(SREG=REG_1, OP=CMP_EQ, DATA=0x06)`: an expression of nf_tables without the prefixes that all its names share. */
function formatExpression(name: string, data: Plain | undefined): string {
  return `${name}(${formatFields(data ?? {}).replaceAll(/\b(?:NFTA?_(?:[A-Z]+_)?(?=[A-Z]+[_=]))/gu, '')})`;
}

function formatFields(plain: Plain): string {
  if (typeof plain !== 'object') return String(plain);
  return Object.entries(plain)
    .map(([name, value]) => `${name}=${formatPlain(value as Plain)}`)
    .join(', ');
}

function formatPlain(plain: Plain): string {
  if (Array.isArray(plain)) return `[${plain.map((one) => formatPlain(one as Plain)).join(', ')}]`;
  if (typeof plain !== 'object') return String(plain);
  if ('NFTA_EXPR_NAME' in plain) return formatExpression(String(plain['NFTA_EXPR_NAME']), plain['NFTA_EXPR_DATA']);
  const [only, ...more] = Object.values(plain);
  // NFTA_DATA_VALUE says nothing that its bytes do not.
  if (more.length === 0 && 'NFTA_DATA_VALUE' in plain) return String(only);
  return `{${formatFields(plain)}}`;
}

/** Those that every request has. */
const USUAL = new Set(['NLM_F_REQUEST', 'NLM_F_ACK']);

/** `RTM_NEWADDR {ifa_family=AF_INET, ifa_prefixlen=32, ifa_index=2, IFA_LOCAL=10.215.0.1} NLM_F_CREATE|NLM_F_EXCL` */
export function formatMessage(message: Message): string {
  const { type, flags, header, attributes } = plainMessage(message);
  const fields = [formatFields(header), formatFields(attributes)].filter((text) => text !== '').join(', ');
  const special = flags.filter((flag) => !USUAL.has(flag)).join('|');
  return [type, ...(fields === '' ? [] : [`{${fields}}`]), ...(special === '' ? [] : [special])].join(' ');
}

/** One message in full; of several, how many there are of each type. */
export function formatMessages(messages: readonly Message[]): string {
  const [first, ...more] = messages;
  if (first !== undefined && more.length === 0) return formatMessage(first);
  const counts = new Map<string, number>();
  for (const { type } of messages) counts.set(type, (counts.get(type) ?? 0) + 1);
  return `[${[...counts].map(([type, count]) => (count === 1 ? type : `${count} ${type}`)).join(', ')}]`;
}

/** The messages of a call that are too many for its line, in the order of `Step.messageReasons`. */
export function listedMessages(call: Call): readonly Message[] {
  const several = (messages: readonly Message[]): readonly Message[] => (messages.length > 1 ? messages : []);
  if (call.name === 'netlink') return several(call.args.messages);
  // A question of several is a transaction in whose place the messages are sent where the kernel lacks a part of it.
  if (call.name === 'netlink_once') return [...several(call.args.question), ...several(call.args.messages)];
  return [];
}
