/** Netlink messages as data, and as text by their attributes: names, numbers and addresses, as the kernel’s headers call them. */
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

/** An address of the Internet or of Ethernet, by its length; other bytes in hexadecimal. */
export function formatBytes(value: Uint8Array): string {
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
  if (value instanceof Uint8Array) return kind?.kind === 'address' ? formatBytes(value) : `0x${hex(value)}`;
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
export function formatByAttributes(message: Message): string {
  const { type, flags, header, attributes } = plainMessage(message);
  const fields = [formatFields(header), formatFields(attributes)].filter((text) => text !== '').join(', ');
  const special = flags.filter((flag) => !USUAL.has(flag)).join('|');
  return [type, ...(fields === '' ? [] : [`{${fields}}`]), ...(special === '' ? [] : [special])].join(' ');
}
