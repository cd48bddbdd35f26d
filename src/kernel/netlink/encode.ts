/** Encodes netlink messages, each at a multiple of 4 bytes, and lists the places where the launcher fills in a number. */
import type { Header, Kind, MessageRow, Names, Scalar, Table } from './declare.ts';
import { CHILD, LINK, type Attributes, type Message, type Value } from './message.ts';
import { numberOf } from './names.ts';
import { CONNTRACK_MESSAGES } from './conntrack.ts';
import { NFTABLES_MESSAGES } from './nftables.ts';
import { ROUTE_MESSAGES } from './route.ts';

export const NLM_F: Names = {
  NLM_F_REQUEST: 1,
  NLM_F_ACK: 4,
  /** In a request: returns all objects of the type. */
  NLM_F_DUMP: 0x300,
  NLM_F_REPLACE: 0x100,
  NLM_F_EXCL: 0x200,
  NLM_F_CREATE: 0x400,
  NLM_F_APPEND: 0x800,
};
const NLA_F_NESTED = 0x8000;
const HEADER_SIZE = 16;
const MAX_ATTRIBUTE = 0xffff;

export interface EncodedMessages {
  readonly bytes: Uint8Array;
  /** Offsets in `bytes` of numbers of 32 bits that the launcher fills in. The encoded number says which one (FILLED). */
  readonly places: readonly number[];
}

/** The codes of the numbers that the launcher fills in. */
const FILLED = { [CHILD]: 0, [LINK]: 1 } as const;

/** A message of a list, or an attribute in it. `offset` is where its bytes begin, counted from the start of the message. */
export interface Place {
  readonly message: number;
  readonly name: string;
  readonly offset: number;
}

const SIZES: Readonly<Record<Scalar, number>> = { u8: 1, u16: 2, u32: 4, i32: 4, u64: 8, be16: 2, be32: 4, be64: 8 };

export function rowOfMessage(type: string): MessageRow {
  const row = ROUTE_MESSAGES[type] ?? NFTABLES_MESSAGES[type] ?? CONNTRACK_MESSAGES[type];
  if (row === undefined) throw new Error(`no netlink message is declared as ${type}`);
  return row;
}

class Encoder {
  #bytes = new Uint8Array(4096);
  #view = new DataView(this.#bytes.buffer);
  #size = 0;
  readonly filled: number[] = [];
  /** Undefined: nobody asks for them. A start encodes thousands of attributes. */
  readonly places: Place[] | undefined;
  #message = 0;
  #start = 0;

  constructor(places?: Place[]) {
    this.places = places;
  }

  add(message: Message, index: number): void {
    const { type, header, attributes } = rowOfMessage(message.type);
    this.#message = index;
    this.#start = this.#size;
    const at = this.#reserve(HEADER_SIZE);
    this.#struct(header, message.header);
    this.#attributes(attributes(), message.attributes);
    this.#view.setUint32(at, this.#size - at, true);
    this.#view.setUint16(at + 4, type, true);
    this.#view.setUint16(at + 6, numberOf(message.flags, NLM_F), true);
    // The sequence number. The kernel repeats it in its answer.
    this.#view.setUint32(at + 8, index + 1, true);
  }

  done(): Uint8Array {
    return this.#bytes.subarray(0, this.#size);
  }

  #reserve(size: number): number {
    const at = this.#size;
    this.#size += size;
    while (this.#size > this.#bytes.length) {
      const larger = new Uint8Array(this.#bytes.length * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }

  #align(): void {
    this.#reserve(-this.#size & 3);
  }

  #number(kind: Scalar, value: number): void {
    const at = this.#reserve(SIZES[kind]);
    // Only now: to reserve may replace it.
    const view = this.#view;
    switch (kind) {
      case 'be32':
        return view.setUint32(at, value);
      case 'u8':
        return view.setUint8(at, value);
      case 'be16':
        return view.setUint16(at, value);
      case 'u16':
        return view.setUint16(at, value, true);
      case 'u32':
      case 'i32':
        return view.setUint32(at, value, true);
      case 'be64':
      case 'u64':
        return view.setBigUint64(at, BigInt(value), kind === 'u64');
    }
  }

  #struct(header: Header, values: Readonly<Record<string, unknown>>): void {
    for (const [name, kind, names] of header) {
      const value = values[name] ?? 0;
      if (typeof value !== 'number' && typeof value !== 'string') throw new TypeError(`${name} is no number`);
      if (value === LINK) this.#fill(LINK);
      else this.#number(kind, numberOf(value, names));
    }
  }

  #attributes(table: Table, attributes: Attributes, except?: Header): void {
    for (const name of Object.keys(attributes)) {
      const value = attributes[name];
      if (value === undefined) continue;
      if (except?.some(([field]) => field === name) === true) continue;
      const [number, kind] = table[name] ?? [];
      if (number === undefined || kind === undefined) throw new Error(`no attribute ${name} is declared here`);
      this.#attribute(name, number, kind, value, attributes);
    }
  }

  #attribute(name: string, number: number, kind: Kind, value: Value, beside: Attributes): void {
    this.places?.push({ message: this.#message, name, offset: this.#size - this.#start });
    const nested = kind.kind === 'nest' || kind.kind === 'list' || kind.kind === 'choice';
    const at = this.#reserve(4);
    this.#value(name, kind, value, beside);
    this.#wrap(at, nested ? number | NLA_F_NESTED : number);
  }

  /** Writes the header of an attribute, at `at`, when its content is written, and zeros up to a multiple of 4. */
  #wrap(at: number, number: number): void {
    const size = this.#size - at;
    if (size > MAX_ATTRIBUTE) throw new RangeError(`a netlink attribute cannot have ${size} bytes`);
    this.#view.setUint16(at, size, true);
    this.#view.setUint16(at + 2, number, true);
    this.#align();
  }

  #value(name: string, kind: Kind, value: Value, beside: Attributes): void {
    switch (kind.kind) {
      case 'text':
        if (typeof value !== 'string') break;
        return this.#text(value);
      case 'bytes':
      case 'address':
        if (!(value instanceof Uint8Array)) break;
        return this.#raw(value);
      case 'child':
        if (value !== CHILD) break;
        return this.#fill(CHILD);
      case 'list':
        if (!Array.isArray(value)) break;
        for (const one of value as readonly Attributes[]) {
          const at = this.#reserve(4);
          this.#attributes(kind.attributes(), one);
          this.#wrap(at, kind.element | NLA_F_NESTED);
        }
        return undefined;
      case 'nest':
        if (!isAttributes(value)) break;
        if (kind.header !== undefined) this.#struct(kind.header, value);
        return this.#attributes(kind.attributes(), value, kind.header);
      case 'struct':
        if (!isAttributes(value)) break;
        return this.#struct(kind.header, value);
      case 'choice': {
        const chosen = kind.attributes()[String(beside[kind.by])];
        if (chosen === undefined || !isAttributes(value)) break;
        return this.#attributes(chosen, value);
      }
      default:
        if (typeof value !== 'number' && typeof value !== 'string') break;
        if (value === LINK) return this.#fill(LINK);
        return this.#number(kind.kind, numberOf(value, kind.names));
    }
    throw new TypeError(`the attribute ${name} cannot be ${String(value)}`);
  }

  #fill(what: keyof typeof FILLED): void {
    this.filled.push(this.#size);
    this.#number('u32', FILLED[what]);
  }

  #raw(value: Uint8Array): void {
    const at = this.#reserve(value.length);
    this.#bytes.set(value, at);
  }

  #text(value: string): void {
    if (!/^[\x20-\x7e]*$/u.test(value)) throw new Error(`a name that the kernel would not take: ${value}`);
    const at = this.#reserve(value.length + 1);
    for (let i = 0; i < value.length; i++) this.#bytes[at + i] = value.charCodeAt(i);
    this.#bytes[at + value.length] = 0;
  }
}

export function isAttributes(value: Value): value is Attributes {
  return typeof value === 'object' && !(value instanceof Uint8Array) && !Array.isArray(value);
}

/** Throws if a message does not fit its declaration, which is a bug of the planner. */
export function encodeMessages(messages: readonly Message[]): EncodedMessages {
  const encoder = new Encoder();
  for (const [index, message] of messages.entries()) encoder.add(message, index);
  return { bytes: encoder.done(), places: encoder.filled };
}

/** The attribute at an offset in a message, which the kernel's answer to a wrong message has (NLMSGERR_ATTR_OFFS). */
export function attributeAt(messages: readonly Message[], message: number, offset: number): string | undefined {
  const places: Place[] = [];
  const encoder = new Encoder(places);
  for (const [index, one] of messages.entries()) encoder.add(one, index);
  return places.findLast((place) => place.message === message && place.offset === offset)?.name;
}
