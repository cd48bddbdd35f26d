/** Internet addresses and subnets as people and the kernel write them (RFC 4291, RFC 5952). */

export type Family = 4 | 6;

/** An address with the bits of its host part; `value` is the number that it is. */
export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

/** All addresses that begin as `address` does, in the first `prefix` bits. `address` is written as `formatAddress` writes it. */
export interface Subnet {
  readonly family: Family;
  readonly address: string;
  readonly prefix: number;
}

/** Bits of an address. */
export function widthOf(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128;
}

function parseIpv4(text: string): readonly number[] | undefined {
  const parts = text.split('.');
  // A zero in front would be octal to inet_aton(3).
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/u.test(part) && Number(part) < 256)) {
    return undefined;
  }
  return parts.map(Number);
}

/** Groups of 16 bits; the last 32 bits may be written as IPv4. */
function parseGroups(text: string): readonly number[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (part.includes('.') && index === parts.length - 1) {
      const [a = 0, b = 0, c = 0, d = 0] = parseIpv4(part) ?? [-1];
      if (a < 0) return undefined;
      groups.push(a * 256 + b, c * 256 + d);
    } else if (/^[0-9a-f]{1,4}$/iu.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

function parseIpv6(text: string): readonly number[] | undefined {
  const [head = '', tail, ...more] = text.split('::');
  if (more.length > 0) return undefined;
  const [first, last] = [parseGroups(head), tail === undefined ? [] : parseGroups(tail)];
  if (first === undefined || last === undefined) return undefined;
  // The last 32 bits alone may be IPv4, and `head` is followed by others where there is a tail.
  if (tail !== undefined && head.includes('.')) return undefined;
  const missing = 8 - first.length - last.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...first, ...Array.from({ length: missing }, () => 0), ...last];
  return groups.flatMap((group) => [group >> 8, group & 0xff]);
}

/** The bytes of an address; undefined when the text is none. */
const parseBytes = (text: string): readonly number[] | undefined =>
  text.includes(':') ? parseIpv6(text) : parseIpv4(text);

/** Undefined when it is no address: neither four decimal numbers nor IPv6 without brackets and zone. */
export function parseAddress(text: string): Address | undefined {
  const bytes = parseBytes(text);
  if (bytes === undefined) return undefined;
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return { family: bytes.length === 4 ? 4 : 6, value: BigInt(`0x${hex}`) };
}

/** As the kernel prints it: IPv6 in lower case, with the longest run of zeros left out. */
export function formatAddress({ family, value }: Address): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.');
  const groups = Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(112 - 16 * index)) & 0xffffn));
  let [start, length] = [-1, 1];
  for (let from = 0; from < 8; from++) {
    let to = from;
    while (to < 8 && groups[to] === 0) to++;
    if (to - from > length) [start, length] = [from, to - from];
  }
  const hex = (list: readonly number[]): string => list.map((group) => group.toString(16)).join(':');
  return start < 0 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

/** The bytes of an address in the order of the network; empty when the text is no address. */
export function addressBytes(text: string): Uint8Array {
  return Uint8Array.from(parseBytes(text) ?? []);
}

const maskOf = (family: Family, prefix: number): bigint => {
  const width = BigInt(widthOf(family));
  return ((1n << width) - 1n) ^ ((1n << (width - BigInt(prefix))) - 1n);
};

/** Undefined when it is no subnet. `isExact` is false where bits after the prefix are set, which `subnet` does not have. */
export function parseSubnet(text: string): { readonly subnet: Subnet; readonly isExact: boolean } | undefined {
  const [, base = '', length = ''] = /^([^/]+)\/(0|[1-9]\d{0,2})$/u.exec(text) ?? [];
  const address = parseAddress(base);
  const prefix = Number(length);
  if (address === undefined || prefix > widthOf(address.family)) return undefined;
  const value = address.value & maskOf(address.family, prefix);
  const subnet = { family: address.family, address: formatAddress({ family: address.family, value }), prefix };
  return { subnet, isExact: value === address.value };
}

/** The subnet that holds this address alone; undefined when it is none. */
export function subnetOf(text: string): Subnet | undefined {
  const address = parseAddress(text);
  if (address === undefined) return undefined;
  return { family: address.family, address: formatAddress(address), prefix: widthOf(address.family) };
}

export function formatSubnet({ address, prefix }: Subnet): string {
  return `${address}/${prefix}`;
}

/** Whether all of `inner` is in `outer`. */
export function containsSubnet(outer: Subnet, inner: Subnet): boolean {
  if (outer.family !== inner.family || outer.prefix > inner.prefix) return false;
  const [first, second] = [parseAddress(outer.address), parseAddress(inner.address)];
  if (first === undefined || second === undefined) return false;
  return ((first.value ^ second.value) & maskOf(outer.family, outer.prefix)) === 0n;
}

export function containsAddress(outer: Subnet, text: string): boolean {
  const inner = subnetOf(text);
  return inner !== undefined && containsSubnet(outer, inner);
}

export function overlapsSubnet(a: Subnet, b: Subnet): boolean {
  return containsSubnet(a, b) || containsSubnet(b, a);
}

/** The address `index` places after the first one of a subnet; undefined where it would be outside of it. */
export function addressAt({ family, address, prefix }: Subnet, index: number): string | undefined {
  const first = parseAddress(address);
  if (first === undefined || BigInt(index) >= 1n << BigInt(widthOf(family) - prefix)) return undefined;
  return formatAddress({ family, value: first.value + BigInt(index) });
}

/** How many places an address of a subnet is after its first one. */
export function indexIn({ address }: Subnet, text: string): bigint | undefined {
  const [first, other] = [parseAddress(address), parseAddress(text)];
  return first === undefined || other === undefined ? undefined : other.value - first.value;
}
