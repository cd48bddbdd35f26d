/**
 * A rule of nf_tables in the words of nft(8). The kernel has a list of expressions that load, change and compare registers; here
 * they are followed one by one, with words in place of the values. Where a register holds something else than the words would
 * say, or is loaded for nothing, the rule is not told in words (NotInWords).
 *
 * Each condition is written, with one exception, as nft(8) makes it: `tcp dport 80` and `tcp flags` say that the protocol is TCP.
 * `ip daddr` does not say that the packet is of IPv4: where a rule asks for it, there is `meta nfproto ipv4` or `meta protocol ip`.
 */
import { formatBytes } from './netlink-attributes.ts';
import { NotInWords, type Reader } from './netlink-reader.ts';
import {
  addressTypeField,
  connectionField,
  hex,
  IPV4_ADDRESS,
  IPV4_PROTOCOL,
  IPV6_ADDRESS,
  metaField,
  numberIn,
  payloadField,
  PORT_NUMBER,
  ROUTE_MTU,
  SOCKET_MARK,
  type Field,
  type Known,
  type Order,
} from './nft-values.ts';

/** What a register holds. */
interface Operand {
  readonly text: string;
  readonly size: number;
  readonly order: Order;
  /** Of a value that was loaded and not changed but for `mask`. */
  readonly field?: Field;
  readonly mask?: Uint8Array;
  /** Bits that were turned over at last. They are written as what the value is used for. */
  readonly flip?: Uint8Array;
  readonly constant?: Uint8Array;
  isRead: boolean;
}

interface Statement {
  text: string;
  /** The next one says it, too. */
  isImplied: boolean;
  /** Of the lower end of a range. */
  readonly from?: { readonly operand: Operand; readonly value: Uint8Array };
}

const COMPARISONS: Readonly<Record<string, string>> = {
  NFT_CMP_EQ: '==',
  NFT_CMP_NEQ: '!=',
  NFT_CMP_LT: '<',
  NFT_CMP_LTE: '<=',
  NFT_CMP_GT: '>',
  NFT_CMP_GTE: '>=',
};
const VERDICTS: Readonly<Record<string, string>> = {
  NF_DROP: 'drop',
  NF_ACCEPT: 'accept',
  NFT_CONTINUE: 'continue',
  NFT_BREAK: 'break',
  NFT_JUMP: 'jump',
  NFT_GOTO: 'goto',
  NFT_RETURN: 'return',
};
const UNREACHABLE: Readonly<Record<number, string>> = {
  0: 'no-route',
  1: 'port-unreachable',
  2: 'host-unreachable',
  3: 'admin-prohibited',
};
const TTL_AND_PROTOCOL = '@nh,64,16';
const IPV4_CHECKSUM_AT = 10;
/** The number of the register for verdicts, of the first of those of 4 bytes, and how many of these there are. */
const VERDICT_REGISTER = 0;
const FIRST_WORD = 8;
const WORDS = 20;

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);
const isOnes = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0xff);
const wordsOf = (size: number): number => Math.ceil(size / 4);

/** A name as it is, or in quotes where it could be taken for words of the rule. */
export function quoted(name: string): string {
  return /^[\w.-]+$/u.test(name) ? name : JSON.stringify(name);
}

/** The length of a mask of leading ones. */
function prefixOf(mask: Uint8Array): number | undefined {
  const bits = [...mask].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return /^1*0*$/u.test(bits) ? bits.replaceAll('0', '').length : undefined;
}

function bitNames(flags: Readonly<Record<string, number>>, bytes: Uint8Array, order: Order): readonly string[] {
  const number = numberIn(bytes, order);
  const found = Object.entries(flags).filter(([, bit]) => (number & bit) === bit);
  if (found.reduce((sum, [, bit]) => sum + bit, 0) !== number) return [hex(bytes, order)];
  return found.length === 0 ? ['0'] : found.map(([name]) => name);
}

/** A value in the words of what it is compared with, or used as. */
const written = (bytes: Uint8Array, order: Order, field?: Field): string => field?.format?.(bytes) ?? hex(bytes, order);

/** An operand with all its changes. */
function whole({ text, order, mask, flip, constant }: Operand, as?: Field): string {
  if (constant !== undefined) return written(constant, as?.order ?? order, as);
  const masked = mask === undefined ? text : `${text} & ${hex(mask, order)}`;
  return flip === undefined ? masked : `${masked} ^ ${written(flip, order, as)}`;
}

const inBrackets = (operand: Operand): string =>
  operand.mask === undefined && operand.flip === undefined ? operand.text : `(${whole(operand)})`;

class RuleText {
  readonly #statements: Statement[] = [];
  /** By the first word of the register. */
  readonly #registers = new Map<number, Operand>();
  #known: Known = {};
  /** Asks for the transport protocol, with nothing after it that does something. */
  #transport: Statement | undefined;

  add(reader: Reader): void {
    const name = reader.text('NFTA_EXPR_NAME');
    if (!reader.has('NFTA_EXPR_DATA')) throw new NotInWords(name);
    reader.nest('NFTA_EXPR_DATA', (data) => this.#expression(name, data));
  }

  finish(): string {
    for (const operand of this.#registers.values()) if (!operand.isRead) throw new NotInWords(operand.text);
    return this.#statements
      .filter(({ isImplied }) => !isImplied)
      .map(({ text }) => text)
      .join(' ');
  }

  #expression(name: string, data: Reader): void {
    switch (name) {
      case 'meta':
        return data.has('NFTA_META_SREG')
          ? this.#setMeta(data)
          : this.#load(data, 'NFTA_META_DREG', metaField(data.name('NFTA_META_KEY')));
      case 'payload':
        return this.#payload(data);
      case 'fib':
        if (data.name('NFTA_FIB_RESULT') !== 'NFT_FIB_RESULT_ADDRTYPE') break;
        return this.#load(data, 'NFTA_FIB_DREG', addressTypeField(data.bits('NFTA_FIB_FLAGS')));
      case 'ct':
        return this.#load(data, 'NFTA_CT_DREG', connectionField(data.name('NFTA_CT_KEY')));
      case 'socket':
        if (data.name('NFTA_SOCKET_KEY') !== 'NFT_SOCKET_MARK') break;
        return this.#load(data, 'NFTA_SOCKET_DREG', SOCKET_MARK);
      case 'rt':
        if (data.name('NFTA_RT_KEY') !== 'NFT_RT_TCPMSS') break;
        return this.#load(data, 'NFTA_RT_DREG', ROUTE_MTU);
      case 'immediate':
        return this.#immediate(data);
      case 'bitwise':
        return data.has('NFTA_BITWISE_OP') && data.name('NFTA_BITWISE_OP') !== 'NFT_BITWISE_MASK_XOR'
          ? this.#shift(data)
          : this.#mask(data);
      case 'byteorder':
        return this.#byteOrder(data);
      case 'cmp':
        return this.#compare(data);
      case 'lookup':
        return this.#match(`${this.#key(data.number('NFTA_LOOKUP_SREG'))} @${quoted(data.text('NFTA_LOOKUP_SET'))}`);
      case 'dynset':
        return this.#act(this.#dynamic(data));
      case 'counter':
        return this.#act('counter');
      case 'objref':
        if (data.name('NFTA_OBJREF_IMM_TYPE') !== 'NFT_OBJECT_COUNTER') break;
        return this.#act(`counter name ${JSON.stringify(data.text('NFTA_OBJREF_IMM_NAME'))}`);
      case 'reject':
        return this.#act(rejection(data));
      case 'nat':
        return this.#act(this.#translation(data));
      case 'masq':
        return this.#act('masquerade');
      case 'exthdr':
        return this.#act(this.#tcpOption(data));
    }
    throw new NotInWords(name);
  }

  /** A condition. */
  #match(text: string, from?: Statement['from']): void {
    this.#statements.push({ text, isImplied: false, ...(from === undefined ? {} : { from }) });
  }

  /** Something that is done, to packets for which all conditions before it hold. */
  #act(text: string): void {
    this.#match(text);
    this.#transport = undefined;
  }

  static #word(register: number): number {
    const word = register >= FIRST_WORD ? register - FIRST_WORD : 4 * (register - 1);
    if (register === VERDICT_REGISTER || word < 0) throw new NotInWords(`register ${register}`);
    return word;
  }

  #store(register: number, operand: Operand): void {
    const first = RuleText.#word(register);
    const end = first + wordsOf(operand.size);
    if (end > WORDS) throw new NotInWords(operand.text);
    for (const [word, old] of this.#registers) {
      if (word >= end || word + wordsOf(old.size) <= first) continue;
      if (!old.isRead) throw new NotInWords(old.text);
      this.#registers.delete(word);
    }
    this.#registers.set(first, operand);
  }

  #read(register: number): Operand {
    const operand = this.#registers.get(RuleText.#word(register));
    if (operand === undefined) throw new NotInWords(`register ${register}`);
    operand.isRead = true;
    return operand;
  }

  /** What is changed in its place, and is to be read again. */
  #change(register: number, to: number, change: (operand: Operand) => Omit<Operand, 'isRead'>): void {
    this.#store(to, { ...change(this.#read(register)), isRead: false });
  }

  #load(data: Reader, register: string, field: Field | undefined): void {
    if (field === undefined) throw new NotInWords(register);
    const { words, size, order } = field;
    this.#store(data.number(register), { text: words, size, order, field, isRead: false });
  }

  #payload(data: Reader): void {
    const base = data.name('NFTA_PAYLOAD_BASE');
    const [offset, length] = [data.number('NFTA_PAYLOAD_OFFSET'), data.number('NFTA_PAYLOAD_LEN')];
    const transport = this.#transport === undefined ? {} : { transport: this.#known.transport ?? '' };
    const { network } = this.#known;
    if (data.has('NFTA_PAYLOAD_SREG')) {
      const changed = payloadField(base, offset, length, network === undefined ? {} : { network });
      return this.#act(this.#header(data, changed, this.#read(data.number('NFTA_PAYLOAD_SREG'))));
    }
    const field = payloadField(base, offset, length, { ...(network === undefined ? {} : { network }), ...transport });
    const isSaid = this.#transport !== undefined && field.words.startsWith(`${transport.transport} `);
    if (isSaid && this.#transport !== undefined) this.#transport.isImplied = true;
    this.#load(data, 'NFTA_PAYLOAD_DREG', field);
  }

  /** A change of the packet's header. */
  #header(data: Reader, field: Field, value: Operand): string {
    if (value.size !== field.size || value.order !== 'network') throw new NotInWords(value.text);
    if (!data.has('NFTA_PAYLOAD_CSUM_TYPE')) return `${field.words} set ${whole(value, field)}`;
    // A checksum has words of two bytes: the time to live in the first is as it was.
    const { text, mask, flip = Uint8Array.of(0, 0) } = value;
    const isProtocol = field.words === TTL_AND_PROTOCOL && text === field.words && flip[0] === 0;
    if (!isProtocol || mask === undefined || hex(mask, 'network') !== '0xff00') throw new NotInWords(field.words);
    if (data.name('NFTA_PAYLOAD_CSUM_TYPE') !== 'NFT_PAYLOAD_CSUM_INET') throw new NotInWords('checksum');
    data.expect('NFTA_PAYLOAD_CSUM_OFFSET', IPV4_CHECKSUM_AT);
    return `ip protocol set ${written(flip.subarray(1), 'network', IPV4_PROTOCOL)}`;
  }

  #immediate(data: Reader): void {
    const register = data.number('NFTA_IMMEDIATE_DREG');
    if (register === VERDICT_REGISTER) {
      return this.#act(
        data.nest('NFTA_IMMEDIATE_DATA', (inner) =>
          inner.nest('NFTA_DATA_VERDICT', (verdict) => {
            const words = VERDICTS[verdict.name('NFTA_VERDICT_CODE')] ?? '';
            return verdict.has('NFTA_VERDICT_CHAIN') ? `${words} ${quoted(verdict.text('NFTA_VERDICT_CHAIN'))}` : words;
          }),
        ),
      );
    }
    const constant = data.nest('NFTA_IMMEDIATE_DATA', (inner) => inner.bytes('NFTA_DATA_VALUE'));
    const order = constant.length === 4 ? 'machine' : 'network';
    return this.#store(register, { text: 'constant', constant, size: constant.length, order, isRead: false });
  }

  #mask(data: Reader): void {
    const length = data.number('NFTA_BITWISE_LEN');
    data.expect('NFTA_BITWISE_OP', 0);
    const [mask, flip] = ['NFTA_BITWISE_MASK', 'NFTA_BITWISE_XOR'].map((name) =>
      data.nest(name, (inner) => inner.bytes('NFTA_DATA_VALUE')),
    ) as [Uint8Array, Uint8Array];
    this.#change(data.number('NFTA_BITWISE_SREG'), data.number('NFTA_BITWISE_DREG'), (operand) => {
      const { text, size, order, field, constant } = operand;
      if (constant !== undefined || [length, mask.length, flip.length].some((one) => one !== size)) {
        throw new NotInWords(text);
      }
      const isFirst = operand.mask === undefined && operand.flip === undefined;
      return {
        text: isFirst ? text : inBrackets(operand),
        size,
        order,
        ...(isFirst && field !== undefined && isZero(flip) ? { field } : {}),
        ...(isOnes(mask) && !isZero(flip) ? {} : { mask }),
        ...(isZero(flip) ? {} : { flip }),
      };
    });
  }

  #shift(data: Reader): void {
    const sign = data.name('NFTA_BITWISE_OP') === 'NFT_BITWISE_LSHIFT' ? '<<' : '>>';
    const length = data.number('NFTA_BITWISE_LEN');
    const by = data.nest('NFTA_BITWISE_DATA', (inner) => inner.bytes('NFTA_DATA_VALUE'));
    this.#change(data.number('NFTA_BITWISE_SREG'), data.number('NFTA_BITWISE_DREG'), (operand) => {
      const { size, order, text, constant } = operand;
      // The kernel shifts numbers in the order of the machine.
      if (constant !== undefined || length !== size || size !== 4 || by.length !== 4 || order !== 'machine') {
        throw new NotInWords(text);
      }
      return { text: `${inBrackets(operand)} ${sign} ${numberIn(by, 'machine')}`, size, order };
    });
  }

  /** From the order of the machine to that of the network. It has no words of its own: a value is written as the number it is. */
  #byteOrder(data: Reader): void {
    if (data.name('NFTA_BYTEORDER_OP') !== 'NFT_BYTEORDER_HTON') throw new NotInWords('byteorder');
    const [length, unit] = [data.number('NFTA_BYTEORDER_LEN'), data.number('NFTA_BYTEORDER_SIZE')];
    this.#change(data.number('NFTA_BYTEORDER_SREG'), data.number('NFTA_BYTEORDER_DREG'), (operand) => {
      const { size, order, mask, flip, constant } = operand;
      const fits =
        length === size || (length < size && mask !== undefined && flip === undefined && isZero(mask.subarray(length)));
      if (constant !== undefined || order !== 'machine' || length !== unit || !fits) throw new NotInWords(operand.text);
      return { text: whole(operand), size: length, order: 'network' };
    });
  }

  #compare(data: Reader): void {
    const operand = this.#read(data.number('NFTA_CMP_SREG'));
    const sign = COMPARISONS[data.name('NFTA_CMP_OP')] ?? '';
    const value = data.nest('NFTA_CMP_DATA', (inner) => inner.bytes('NFTA_DATA_VALUE'));
    const isEquality = sign === '==' || sign === '!=';
    // The kernel compares byte by byte: which of two numbers is the greater one is only seen in the order of the network.
    if (
      value.length !== operand.size ||
      operand.constant !== undefined ||
      (!isEquality && operand.order === 'machine')
    ) {
      throw new NotInWords(operand.text);
    }
    if (this.#endsRange(operand, sign, value)) return;
    this.#match(condition(operand, sign, value), sign === '>=' ? { operand, value } : undefined);
    if (sign === '==' && operand.mask === undefined) this.#learn(operand, written(value, operand.order, operand.field));
  }

  /** `>= 80` and `<= 90` of the same value, one after the other, are `80-90`. */
  #endsRange(operand: Operand, sign: string, value: Uint8Array): boolean {
    const before = this.#statements.at(-1);
    if (before?.from?.operand !== operand || sign !== '<=' || operand.field?.format === undefined) return false;
    if (operand.mask !== undefined || operand.flip !== undefined) return false;
    const [first, last] = [before.from.value, value].map((one) => written(one, operand.order, operand.field));
    this.#statements[this.#statements.length - 1] = { text: `${operand.text} ${first}-${last}`, isImplied: false };
    return true;
  }

  #learn({ text }: Operand, value: string): void {
    if (text === 'meta l4proto') {
      this.#known = { ...this.#known, transport: value };
      this.#transport = this.#statements.at(-1);
    }
    if (text === 'meta nfproto') this.#known = { ...this.#known, network: value === 'ipv4' ? 'ip' : 'ip6' };
    if (text === 'meta protocol') this.#known = { ...this.#known, network: value };
  }

  /** The key of a set: what the register holds, and what was loaded behind it for the same purpose. */
  #key(register: number): string {
    const first = this.#read(register);
    const parts = [first];
    let word = RuleText.#word(register) + wordsOf(first.size);
    for (;;) {
      const next = this.#registers.get(word);
      // The protocol was loaded for a comparison as well.
      if (next === undefined || (next.isRead && next.text !== 'meta l4proto')) break;
      next.isRead = true;
      parts.push(next);
      word += wordsOf(next.size);
    }
    return parts.map((part) => whole(part)).join(' . ');
  }

  #dynamic(data: Reader): string {
    const verb = data.name('NFTA_DYNSET_OP') === 'NFT_DYNSET_OP_ADD' ? 'add' : 'update';
    const set = quoted(data.text('NFTA_DYNSET_SET_NAME'));
    const key = this.#key(data.number('NFTA_DYNSET_SREG_KEY'));
    const each = data.has('NFTA_DYNSET_EXPR') ? ` ${data.nest('NFTA_DYNSET_EXPR', (one) => ruleText([one]))}` : '';
    return `${verb} @${set} { ${key}${each} }`;
  }

  #setMeta(data: Reader): void {
    const field = metaField(data.name('NFTA_META_KEY'));
    const operand = this.#read(data.number('NFTA_META_SREG'));
    if (field?.words !== 'meta mark' || operand.size !== field.size || operand.order !== field.order) {
      throw new NotInWords(operand.text);
    }
    this.#act(`${field.words} set ${whole(operand, field)}`);
  }

  /** What so many bytes from the register on hold, as an address. */
  #address(register: number, field: Field): string {
    const parts: Operand[] = [];
    const first = RuleText.#word(register);
    for (let at = 0; at < field.size;) {
      const part = this.#registers.get(first + at / 4);
      if (part === undefined || part.size % 4 !== 0) throw new NotInWords('nat');
      if (part.constant === undefined && part.order !== field.order) throw new NotInWords(part.text);
      part.isRead = true;
      parts.push(part);
      at += part.size;
      if (at > field.size) throw new NotInWords(part.text);
    }
    if (parts.length === 1) return parts.map((part) => whole(part, field)).join('');
    return parts.map((part) => (part.constant === undefined ? whole(part) : groupsOf(part.constant))).join(':');
  }

  #translation(data: Reader): string {
    const verb = data.name('NFTA_NAT_TYPE') === 'NFT_NAT_SNAT' ? 'snat' : 'dnat';
    const family = { NFPROTO_IPV4: IPV4_ADDRESS, NFPROTO_IPV6: IPV6_ADDRESS }[data.name('NFTA_NAT_FAMILY')];
    if (family === undefined) throw new NotInWords('nat');
    const address = this.#address(data.number('NFTA_NAT_REG_ADDR_MIN'), family);
    if (!data.has('NFTA_NAT_REG_PROTO_MIN')) return `${verb} ${family.words} to ${address}`;
    const port = this.#read(data.number('NFTA_NAT_REG_PROTO_MIN'));
    if (port.size !== PORT_NUMBER.size || (port.constant === undefined && port.order !== 'network')) {
      throw new NotInWords(port.text);
    }
    const target = family === IPV6_ADDRESS ? `[${address}]` : address;
    return `${verb} ${family.words} to ${target}:${whole(port, PORT_NUMBER)}`;
  }

  #tcpOption(data: Reader): string {
    const option = data.name('NFTA_EXTHDR_TYPE');
    data.expect('NFTA_EXTHDR_OP', 1);
    const [offset, length] = [data.number('NFTA_EXTHDR_OFFSET'), data.number('NFTA_EXTHDR_LEN')];
    const value = this.#read(data.number('NFTA_EXTHDR_SREG'));
    const isSize = option === 'TCPOPT_MAXSEG' && data.has('NFTA_EXTHDR_OP') && offset === 2 && length === 2;
    if (!isSize || value.size !== length || value.order !== 'network') throw new NotInWords(option);
    return `tcp option maxseg size set ${whole(value, PORT_NUMBER)}`;
  }
}

/** `fd62:6f78:6374:6c:0:0`: the first part of an address of IPv6. */
function groupsOf(bytes: Uint8Array): string {
  return Array.from({ length: bytes.length / 2 }, (_, index) =>
    numberIn(bytes.subarray(2 * index, 2 * index + 2), 'network').toString(16),
  ).join(':');
}

function rejection(data: Reader): string {
  const type = data.name('NFTA_REJECT_TYPE');
  const code = data.has('NFTA_REJECT_ICMP_CODE') ? data.number('NFTA_REJECT_ICMP_CODE') : 0;
  if (type === 'NFT_REJECT_TCP_RST' && code === 0) return 'reject with tcp reset';
  const reason = UNREACHABLE[code];
  if (type !== 'NFT_REJECT_ICMPX_UNREACH' || reason === undefined) throw new NotInWords(type);
  return `reject with icmpx ${reason}`;
}

function condition(operand: Operand, sign: string, value: Uint8Array): string {
  const { text, order, field, mask, flip } = operand;
  const isEquality = sign === '==' || sign === '!=';
  if (field?.flags !== undefined && flip === undefined) {
    const names = (bytes: Uint8Array): readonly string[] => bitNames(field.flags ?? {}, bytes, order);
    if (mask === undefined) return `${text} ${sign} ${names(value).join(' | ')}`;
    if (isEquality && isZero(value) && !isZero(mask))
      return `${text} ${sign === '==' ? '! ' : ''}${names(mask).join(',')}`;
    const [bits, set] = [names(mask), names(value)];
    return `${text} & (${bits.join(' | ')}) ${sign} ${set.length > 1 ? `(${set.join(' | ')})` : set.join('')}`;
  }
  if (mask === undefined && flip === undefined) {
    if (sign === '==' && field?.equals !== undefined) return field.equals(value);
    return `${text} ${sign === '==' ? '' : `${sign} `}${written(value, order, field)}`;
  }
  const prefix = mask === undefined || field?.hasPrefix !== true ? undefined : prefixOf(mask);
  const isSubnet = prefix !== undefined && value.every((byte, index) => (byte & (mask?.[index] ?? 0)) === byte);
  if (isSubnet && flip === undefined && isEquality) {
    return `${text} ${sign === '==' ? '' : `${sign} `}${formatBytes(value)}/${prefix}`;
  }
  return `${whole(operand)} ${sign} ${hex(value, order)}`;
}

/** Expressions as one text. */
export function ruleText(expressions: readonly Reader[]): string {
  const rule = new RuleText();
  for (const one of expressions) rule.add(one);
  return rule.finish();
}

/** The expressions of an attribute of a rule. */
export function readRule(reader: Reader, name: string): string {
  const rule = new RuleText();
  reader.list(name, (one) => rule.add(one));
  return rule.finish();
}
