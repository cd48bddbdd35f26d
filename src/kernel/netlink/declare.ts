/** Types that declare netlink messages (netlink(7)): each attribute by the kernel's name, with its number and kind. */

/** Numbers by the kernel's names. In a message, a value is one of the names, or several joined by `|`. */
export type Names = Readonly<Record<string, number>>;

/** Whole numbers. `be`: in network byte order (big-endian). */
export type Scalar = 'u8' | 'u16' | 'u32' | 'i32' | 'u64' | 'be16' | 'be32' | 'be64';

/** The fixed part of a message or of an attribute, in the order of its bytes. */
export type Header = readonly (readonly [name: string, kind: Scalar, names?: Names])[];

export type Kind =
  | { readonly kind: Scalar; readonly names?: Names }
  /** `text` ends with a NUL byte. `address`: an IPv4, IPv6 or Ethernet address, which is printed in the usual form. */
  | { readonly kind: 'text' | 'bytes' | 'address' }
  /** The pid of the container's first process. The launcher fills it in. */
  | { readonly kind: 'child' }
  /** Attributes within an attribute, after the header, if it has one. */
  | { readonly kind: 'nest'; readonly header?: Header; readonly attributes: () => Table }
  /** A structure without attributes. */
  | { readonly kind: 'struct'; readonly header: Header }
  /** A list: the attribute `element` several times, each with attributes of its own. */
  | { readonly kind: 'list'; readonly element: number; readonly attributes: () => Table }
  /** Attributes whose declaration depends on the value of the attribute `by` beside this one. */
  | { readonly kind: 'choice'; readonly by: string; readonly attributes: () => Readonly<Record<string, Table>> };

export type Table = Readonly<Record<string, readonly [number: number, kind: Kind]>>;

export interface MessageRow {
  readonly type: number;
  readonly header: Header;
  readonly attributes: () => Table;
}

/** Computes the value at its first use. A start without a network computes none of these tables. */
export function once<T extends object>(compute: () => T): () => T {
  let value: T | undefined;
  return () => (value ??= compute());
}

const scalar =
  (kind: Scalar) =>
  (number: number, names?: Names): readonly [number, Kind] => [
    number,
    names === undefined ? { kind } : { kind, names },
  ];

export const u8 = scalar('u8');
export const u16 = scalar('u16');
export const u32 = scalar('u32');
export const u64 = scalar('u64');
export const be16 = scalar('be16');
export const be32 = scalar('be32');
export const be64 = scalar('be64');
export const text = (number: number): readonly [number, Kind] => [number, { kind: 'text' }];
export const bytes = (number: number): readonly [number, Kind] => [number, { kind: 'bytes' }];
export const address = (number: number): readonly [number, Kind] => [number, { kind: 'address' }];
export const child = (number: number): readonly [number, Kind] => [number, { kind: 'child' }];
export const nest = (number: number, attributes: () => Table, header?: Header): readonly [number, Kind] => [
  number,
  { kind: 'nest', attributes: once(attributes), ...(header === undefined ? {} : { header }) },
];
export const struct = (number: number, header: Header): readonly [number, Kind] => [number, { kind: 'struct', header }];
export const list = (number: number, element: number, attributes: () => Table): readonly [number, Kind] => [
  number,
  { kind: 'list', element, attributes: once(attributes) },
];
export const choice = (
  number: number,
  by: string,
  attributes: () => Readonly<Record<string, Table>>,
): readonly [number, Kind] => [number, { kind: 'choice', by, attributes: once(attributes) }];
