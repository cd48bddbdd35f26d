/**
 * Reads a netlink message value by value, and notices what was not read: words that leave a value out would hide it. What has no
 * words ends in NotInWords, and the message is then printed by its attributes.
 */
import type { Header, Kind, Table } from '../kernel/netlink/declare.ts';
import { isAttributes } from '../kernel/netlink/encode.ts';
import { CHILD, LINK, type Attributes, type Value } from '../kernel/netlink/message.ts';
import { numberOf } from '../kernel/netlink/names.ts';

export class NotInWords extends Error {}

export class Reader {
  readonly #table: Table;
  readonly #header: Header;
  readonly #values: Readonly<Record<string, Value>>;
  readonly #unread: Set<string>;

  constructor(table: Table, values: Readonly<Record<string, Value>>, header: Header = []) {
    this.#table = table;
    this.#header = header;
    this.#values = values;
    this.#unread = new Set(Object.keys(values));
  }

  /** What `words` makes of the values, all of which it has to read. */
  static all<T>(reader: Reader, words: (reader: Reader) => T): T {
    const made = words(reader);
    reader.#end();
    return made;
  }

  has(name: string): boolean {
    return name in this.#values;
  }

  /** A field of the header that the message does not name is 0. */
  number(name: string): number {
    const value = this.#take(name);
    if (value === undefined && this.#fieldNames(name) !== undefined) return 0;
    if ((typeof value !== 'number' && typeof value !== 'string') || value === LINK) throw new NotInWords(name);
    return numberOf(value, this.#namesOf(name));
  }

  /** The number by the name of the kernel's headers. */
  name(name: string): string {
    const number = this.number(name);
    const found = Object.entries(this.#namesOf(name) ?? {}).find(([, one]) => one === number)?.[0];
    if (found === undefined) throw new NotInWords(name);
    return found;
  }

  /** The names of the bits of a number. */
  bits(name: string): readonly string[] {
    const number = this.number(name);
    const found = Object.entries(this.#namesOf(name) ?? {}).filter(([, bit]) => bit !== 0 && (number & bit) === bit);
    if (found.reduce((sum, [, bit]) => sum | bit, 0) !== number) throw new NotInWords(name);
    return found.map(([bit]) => bit);
  }

  /** Says that the value is this one, as it has to be for the words to be true. */
  expect(name: string, number: number): void {
    if (this.has(name) && this.number(name) !== number) throw new NotInWords(name);
  }

  /** The number of an interface, or in its place the one that the launcher asks for. */
  interface(name: string): string {
    if (this.#values[name] !== LINK) return String(this.number(name));
    this.#take(name);
    return LINK;
  }

  child(name: string): string {
    if (this.#take(name) !== CHILD) throw new NotInWords(name);
    return CHILD;
  }

  text(name: string): string {
    const value = this.#take(name);
    if (typeof value !== 'string') throw new NotInWords(name);
    return value;
  }

  bytes(name: string): Uint8Array {
    const value = this.#take(name);
    if (!(value instanceof Uint8Array)) throw new NotInWords(name);
    return value;
  }

  nest<T>(name: string, words: (inner: Reader) => T): T {
    const kind = this.#kindOf(name);
    const value = this.#take(name);
    if (value === undefined || !isAttributes(value)) throw new NotInWords(name);
    if (kind?.kind === 'struct') return Reader.all(new Reader({}, value, kind.header), words);
    if (kind?.kind === 'nest') return Reader.all(new Reader(kind.attributes(), value, kind.header), words);
    if (kind?.kind !== 'choice') throw new NotInWords(name);
    const chosen = kind.attributes()[String(this.#values[kind.by])];
    if (chosen === undefined) throw new NotInWords(name);
    return Reader.all(new Reader(chosen, value), words);
  }

  list<T>(name: string, words: (inner: Reader) => T): readonly T[] {
    const kind = this.#kindOf(name);
    const value = this.#take(name);
    if (kind?.kind !== 'list' || !Array.isArray(value)) throw new NotInWords(name);
    return (value as readonly Attributes[]).map((one) => Reader.all(new Reader(kind.attributes(), one), words));
  }

  #end(): void {
    for (const name of this.#unread) {
      const isZero = this.#fieldNames(name) !== undefined && this.number(name) === 0;
      if (!isZero) throw new NotInWords(name);
    }
  }

  #take(name: string): Value | undefined {
    this.#unread.delete(name);
    return this.#values[name];
  }

  /** Of a field of the header. */
  #fieldNames(name: string): Header[number] | undefined {
    return this.#header.find(([field]) => field === name);
  }

  #namesOf(name: string): Readonly<Record<string, number>> | undefined {
    const kind = this.#kindOf(name);
    return this.#fieldNames(name)?.[2] ?? (kind !== undefined && 'names' in kind ? kind.names : undefined);
  }

  #kindOf(name: string): Kind | undefined {
    return this.#table[name]?.[1];
  }
}
