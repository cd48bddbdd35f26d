/** Messages of nf_tables in the words of nft(8): tables, chains, rules, sets, elements and counters. */
import { formatAddress, parseAddress, widthOf } from '../text/addresses.ts';
import { NotInWords, type Reader } from './netlink-reader.ts';
import { quoted, readRule } from './nft-rule-text.ts';
import { hex, keyType, type Field } from './nft-values.ts';

/** What the elements of a set are. They do not say it themselves. */
export interface SetType {
  readonly fields: readonly Field[];
  /** Each element begins or ends a range. */
  readonly isInterval: boolean;
}
/** By the family, the table and the name: `inet boxctl guarded4`. */
export type SetTypes = ReadonlyMap<string, SetType>;

const FAMILIES: Readonly<Record<string, string>> = {
  NFPROTO_INET: 'inet',
  NFPROTO_IPV4: 'ip',
  NFPROTO_IPV6: 'ip6',
  NFPROTO_NETDEV: 'netdev',
};
/** The hooks of packets and of devices have the same numbers. */
const HOOKS: readonly string[] = ['prerouting', 'input', 'forward', 'output', 'postrouting'];
const DEVICE_HOOKS: readonly string[] = ['ingress', 'egress'];

const TYPE_BITS = 64;

function familyOf(reader: Reader): string {
  const family = FAMILIES[reader.name('nfgen_family')];
  if (family === undefined) throw new NotInWords('nfgen_family');
  return family;
}

/** `inet boxctl forward` */
function subject(reader: Reader, ...names: readonly string[]): string {
  return [familyOf(reader), ...names.map((name) => quoted(reader.text(name)))].join(' ');
}

const after = (name: string, words: readonly string[]): string =>
  words.length === 0 ? name : `${name}: ${words.join(' ')}`;

function table(reader: Reader): string {
  const name = subject(reader, 'NFTA_TABLE_NAME');
  return reader.has('NFTA_TABLE_FLAGS') ? `${name}: flags ${flagWords(reader.bits('NFTA_TABLE_FLAGS'))}` : name;
}

/** `owner` of NFT_TABLE_F_OWNER */
const flagWords = (names: readonly string[]): string =>
  names.map((name) => name.replace(/^NFT_(?:TABLE_F|SET)_/u, '').toLowerCase()).join(',');

function chain(reader: Reader): string {
  const name = subject(reader, 'NFTA_CHAIN_TABLE', 'NFTA_CHAIN_NAME');
  const words: string[] = [];
  if (reader.has('NFTA_CHAIN_TYPE')) words.push(`type ${quoted(reader.text('NFTA_CHAIN_TYPE'))}`);
  if (reader.has('NFTA_CHAIN_HOOK')) words.push(reader.nest('NFTA_CHAIN_HOOK', (inner) => hook(inner, name)));
  if (reader.has('NFTA_CHAIN_POLICY')) {
    words.push(`policy ${reader.name('NFTA_CHAIN_POLICY') === 'NF_DROP' ? 'drop' : 'accept'}`);
  }
  return after(name, words);
}

function hook(reader: Reader, chainName: string): string {
  const hooks = chainName.startsWith('netdev ') ? DEVICE_HOOKS : HOOKS;
  const name = hooks[reader.number('NFTA_HOOK_HOOKNUM')];
  if (name === undefined) throw new NotInWords('NFTA_HOOK_HOOKNUM');
  const device = reader.has('NFTA_HOOK_DEV') ? ` device ${quoted(reader.text('NFTA_HOOK_DEV'))}` : '';
  return `hook ${name}${device} priority ${reader.number('NFTA_HOOK_PRIORITY')}`;
}

function rule(reader: Reader): string {
  const name = subject(reader, 'NFTA_RULE_TABLE', 'NFTA_RULE_CHAIN');
  return after(name, [readRule(reader, 'NFTA_RULE_EXPRESSIONS')]);
}

/** The types of a concatenation are one number, 6 bits each. */
function fieldsOf(type: number): readonly Field[] | undefined {
  const fields: Field[] = [];
  for (let rest = type; rest > 0; rest = Math.floor(rest / TYPE_BITS)) {
    const field = keyType(rest % TYPE_BITS);
    if (field === undefined) return undefined;
    fields.unshift(field);
  }
  return fields.length === 0 ? undefined : fields;
}

const padded = (size: number): number => 4 * Math.ceil(size / 4);
const keySize = (fields: readonly Field[]): number => fields.reduce((sum, { size }) => sum + padded(size), 0);

function set(reader: Reader): string {
  const name = subject(reader, 'NFTA_SET_TABLE', 'NFTA_SET_NAME');
  const fields = fieldsOf(reader.number('NFTA_SET_KEY_TYPE'));
  if (fields === undefined) throw new NotInWords('NFTA_SET_KEY_TYPE');
  reader.expect('NFTA_SET_KEY_LEN', keySize(fields));
  const words = [`type ${fields.map((field) => field.words).join(' . ')}`];
  if (reader.has('NFTA_SET_DESC')) {
    words.push(reader.nest('NFTA_SET_DESC', (inner) => `size ${inner.number('NFTA_SET_DESC_SIZE')}`));
  }
  // nft(8) calls a set that rules add to dynamic.
  if (reader.has('NFTA_SET_FLAGS'))
    words.push(`flags ${flagWords(reader.bits('NFTA_SET_FLAGS')).replace('eval', 'dynamic')}`);
  if (reader.has('NFTA_SET_TIMEOUT')) words.push(`timeout ${reader.number('NFTA_SET_TIMEOUT') / 1000}s`);
  if (reader.has('NFTA_SET_GC_INTERVAL')) words.push(`gc-interval ${reader.number('NFTA_SET_GC_INTERVAL') / 1000}s`);
  if (reader.has('NFTA_SET_ID')) words.push(`id ${reader.number('NFTA_SET_ID')}`);
  return after(name, words);
}

/** The name of a set, and what its elements are; undefined where their types are not known. */
export function declaredSet(reader: Reader): readonly [name: string, type: SetType] | undefined {
  const name = subject(reader, 'NFTA_SET_TABLE', 'NFTA_SET_NAME');
  const fields = fieldsOf(reader.number('NFTA_SET_KEY_TYPE'));
  const flags = reader.has('NFTA_SET_FLAGS') ? reader.bits('NFTA_SET_FLAGS') : [];
  return fields === undefined ? undefined : [name, { fields, isInterval: flags.includes('NFT_SET_INTERVAL') }];
}

function elements(reader: Reader, sets: SetTypes): string {
  const name = subject(reader, 'NFTA_SET_ELEM_LIST_TABLE', 'NFTA_SET_ELEM_LIST_SET');
  if (!reader.has('NFTA_SET_ELEM_LIST_ELEMENTS')) return name;
  const type = sets.get(name);
  const keys = reader.list('NFTA_SET_ELEM_LIST_ELEMENTS', (one) => element(one, type?.fields));
  const texts =
    type?.isInterval === true ? ranges(keys) : keys.map(({ text, isEnd }) => `${isEnd ? 'before ' : ''}${text}`);
  return after(name, [`{ ${texts.join(', ')} }`]);
}

interface Key {
  readonly text: string;
  /** The first one that is no longer in the range before it. */
  readonly isEnd: boolean;
}

function element(reader: Reader, fields: readonly Field[] | undefined): Key {
  const key = reader.nest('NFTA_SET_ELEM_KEY', (inner) => inner.bytes('NFTA_DATA_VALUE'));
  const flags = reader.has('NFTA_SET_ELEM_FLAGS') ? reader.bits('NFTA_SET_ELEM_FLAGS') : [];
  return { text: keyText(key, fields), isEnd: flags.includes('NFT_SET_ELEM_INTERVAL_END') };
}

function keyText(key: Uint8Array, fields: readonly Field[] | undefined): string {
  const [only, ...more] = fields ?? [];
  // The key of one field alone has its own length.
  if (only !== undefined && more.length === 0 && key.length === only.size) return valueText(key, only);
  if (fields === undefined || key.length !== keySize(fields)) return hex(key, 'network');
  let at = 0;
  const parts = fields.map((field) => {
    const part = key.subarray(at, at + field.size);
    const padding = key.subarray(at + field.size, at + padded(field.size));
    if (padding.some((byte) => byte !== 0)) throw new NotInWords('NFTA_SET_ELEM_KEY');
    at += padded(field.size);
    return valueText(part, field);
  });
  return parts.join(' . ');
}

const valueText = (bytes: Uint8Array, { format, order }: Field): string => format?.(bytes) ?? hex(bytes, order);

/** A range begins with an element and ends before the next one. Where there is none, it goes up to the last value that there is. */
function ranges(keys: readonly Key[]): readonly string[] {
  return keys.flatMap(({ text, isEnd }, index) => {
    const [before, next] = [keys[index - 1], keys[index + 1]];
    if (isEnd) return before === undefined || before.isEnd ? [`before ${text}`] : [];
    return [next?.isEnd === true ? rangeText(text, next.text) : `${text} and all after it`];
  });
}

/** `10.0.0.0/8`, `10.0.0.1`, `10.0.0.1-10.0.0.9` */
function rangeText(first: string, afterLast: string): string {
  const [start, end] = [parseAddress(first), parseAddress(afterLast)];
  if (start === undefined || end?.family !== start.family || end.value <= start.value) {
    return `${first} to before ${afterLast}`;
  }
  const count = end.value - start.value;
  const bits = count.toString(2).length - 1;
  if (count === 1n) return first;
  const isSubnet = count === 1n << BigInt(bits) && start.value % count === 0n;
  if (isSubnet) return `${first}/${widthOf(start.family) - bits}`;
  return `${first}-${formatAddress({ family: start.family, value: end.value - 1n })}`;
}

function object(reader: Reader): string {
  const [family, table_, name] = subject(reader, 'NFTA_OBJ_TABLE', 'NFTA_OBJ_NAME').split(' ');
  if (reader.name('NFTA_OBJ_TYPE') !== 'NFT_OBJECT_COUNTER') throw new NotInWords('NFTA_OBJ_TYPE');
  const text = `${family} ${table_} counter ${name}`;
  if (!reader.has('NFTA_OBJ_DATA')) return text;
  return after(text, [
    reader.nest(
      'NFTA_OBJ_DATA',
      (inner) => `packets ${inner.number('NFTA_COUNTER_PACKETS')} bytes ${inner.number('NFTA_COUNTER_BYTES')}`,
    ),
  ]);
}

/** Where a transaction begins and ends. */
function edge(reader: Reader): string {
  reader.expect('nfgen_family', 0);
  if (reader.name('res_id') !== 'NFNL_SUBSYS_NFTABLES') throw new NotInWords('res_id');
  return 'nf_tables';
}

/** Undefined: no message of nf_tables that has words. */
export function nftText(type: string, reader: Reader, sets: SetTypes): string | undefined {
  switch (type) {
    case 'NFNL_MSG_BATCH_BEGIN':
    case 'NFNL_MSG_BATCH_END':
      return edge(reader);
    case 'NFT_MSG_NEWTABLE':
    case 'NFT_MSG_GETTABLE':
    case 'NFT_MSG_DELTABLE':
      return table(reader);
    case 'NFT_MSG_NEWCHAIN':
    case 'NFT_MSG_GETCHAIN':
      return chain(reader);
    case 'NFT_MSG_NEWRULE':
      return rule(reader);
    case 'NFT_MSG_NEWSET':
      return set(reader);
    case 'NFT_MSG_NEWSETELEM':
    case 'NFT_MSG_DELSETELEM':
    case 'NFT_MSG_GETSETELEM':
      return elements(reader, sets);
    case 'NFT_MSG_NEWOBJ':
    case 'NFT_MSG_GETOBJ':
      return object(reader);
    default:
      return undefined;
  }
}
