/** Structures of whole numbers, as C lays them out: each field at a multiple of its own size, little-endian. */

const SIZES = { u8: 1, u16: 2, u32: 4, i32: 4, u64: 8 } as const;
export type FieldType = keyof typeof SIZES;
export type Layout = readonly (readonly [name: string, type: FieldType])[];
/** The values of a structure by the names of its fields. A `u64` is exact up to 2^53. */
export type FieldsOf<L extends Layout> = { readonly [Field in L[number] as Field[0]]: number };

/** The size of a structure in bytes. Its fields have to leave no gaps: C would fill them with what was in memory. */
export function sizeOf(layout: Layout): number {
  return layout.reduce((size, [, type]) => size + SIZES[type], 0);
}

export function offsetOf<const L extends Layout>(layout: L, field: L[number][0]): number {
  const index = layout.findIndex(([name]) => name === field);
  return sizeOf(layout.slice(0, index));
}

/** Why C would lay the structure out with gaps; undefined where it would not. */
export function gapOf(layout: Layout): string | undefined {
  let at = 0;
  for (const [name, type] of layout) {
    if (at % SIZES[type] !== 0) return `${name} is at ${at}, which is no multiple of its size`;
    at += SIZES[type];
  }
  const widest = Math.max(...layout.map(([, type]) => SIZES[type]));
  return at % widest === 0 ? undefined : `the size ${at} is no multiple of ${widest}`;
}

export function writeStruct<const L extends Layout>(view: DataView, at: number, layout: L, fields: FieldsOf<L>): void {
  const values: Readonly<Record<string, number>> = fields;
  let offset = at;
  for (const [name, type] of layout) {
    const value = values[name] ?? 0;
    if (type === 'u8') view.setUint8(offset, value);
    else if (type === 'u16') view.setUint16(offset, value, true);
    else if (type === 'u32') view.setUint32(offset, value, true);
    else if (type === 'i32') view.setInt32(offset, value, true);
    else writeU64(view, offset, value);
    offset += SIZES[type];
  }
}

/** Not by BigInt, which takes several times as long. */
export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % 2 ** 32, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}

export function readStruct<const L extends Layout>(view: DataView, at: number, layout: L): FieldsOf<L> {
  const values: Record<string, number> = {};
  let offset = at;
  for (const [name, type] of layout) {
    values[name] = readField(view, offset, type);
    offset += SIZES[type];
  }
  // The loop has given a value to each of the layout's names; TypeScript cannot see that.
  return values as FieldsOf<L>;
}

function readField(view: DataView, at: number, type: FieldType): number {
  switch (type) {
    case 'u8':
      return view.getUint8(at);
    case 'u16':
      return view.getUint16(at, true);
    case 'u32':
      return view.getUint32(at, true);
    case 'i32':
      return view.getInt32(at, true);
    case 'u64':
      return readU64(view, at);
  }
}

/** Exact up to 2^53. */
export function readU64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}
