/** The bytes of a kept plan: what its record has, and how it would be otherwise. */
import { offsetOf, sizeOf } from '../../src/kernel/layout.ts';
import { KEPT_FLAGS, KEPT_HEADER, KEPT_IDENTITY, KEPT_INPUT } from '../../src/kernel/wire.ts';
import { Writer } from '../../src/state/kept-bytes.ts';

const ENOENT = 2;
const EACCES = 13;

/** An input in the bytes of a kept plan. */
export interface Kept {
  readonly kind: keyof typeof KEPT_INPUT;
  readonly flags: number;
  readonly name: string;
  /** Where it begins, where what follows its name does, and where it ends. */
  readonly from: number;
  readonly value: number;
  readonly to: number;
}

/** Of the whole file. */
export function inputsOf(bytes: Buffer): readonly Kept[] {
  const number = (field: 'words' | 'users' | 'inputs' | 'background' | 'numbers'): number =>
    bytes.readUInt32LE(offsetOf(KEPT_HEADER, field));
  let at = sizeOf(KEPT_HEADER);
  const text = (): string => {
    const size = bytes.readUInt32LE(at);
    at += 4 + size + 1;
    return bytes.toString('utf8', at - size - 1, at - 1);
  };
  // The words, boxctl's own folder, and those of records and of what containers write.
  for (let count = number('words') + 3; count > 0; count--) text();
  // Ranges of user ids, each of two numbers.
  at += number('users') * 8;
  // The folder of containers and the name; what a claim of addresses is made by.
  if (number('background') > 0) for (let count = 2; count > 0; count--) text();
  if (number('numbers') > 0) for (let count = 4; count > 0; count--) text();
  const kinds = new Map(Object.entries(KEPT_INPUT).map(([name, kind]) => [kind as number, name as Kept['kind']]));
  return Array.from({ length: number('inputs') }, () => {
    const from = at;
    const kind = kinds.get(bytes.readUInt8(at)) ?? 'path';
    const flags = bytes.readUInt8(at + 1);
    at += 2;
    const name = text();
    const value = at;
    const isAbsent = (flags & KEPT_FLAGS.absent) !== 0;
    if (kind === 'access') at += 4;
    else if (kind === 'path') at += isAbsent ? 4 : sizeOf(KEPT_IDENTITY);
    else if (kind === 'text') {
      const lines = bytes.readUInt32LE(at);
      at += 4;
      for (let line = 0; line < lines; line++) text();
      if (!isAbsent) text();
    } else if (kind === 'table' || kind === 'setting') {
      text();
      if (kind === 'table') at += 4;
      if (!isAbsent) text();
    } else if (kind === 'fileSystem') at += isAbsent ? 0 : 4;
    else if (!isAbsent && (flags & KEPT_FLAGS.given) === 0) text();
    return { kind, flags, name, from, value, to: at };
  });
}

export type Change = readonly [what: string, bytes: Buffer];

/** The bytes with other ones in place of some of them. */
function spliced(bytes: Buffer, from: number, to: number, put: Uint8Array): Buffer {
  const changed = Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(to)]);
  changed.writeUInt32LE(changed.length, offsetOf(KEPT_HEADER, 'size'));
  return changed;
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
};

function head(input: Kept, flags: number): Buffer {
  const out = new Writer();
  out.u8(KEPT_INPUT[input.kind]);
  out.u8(flags);
  out.text(input.name);
  return out.done();
}

/** As if it had been otherwise: every field that counts, and that it was not there, or was. */
export function changesOf(bytes: Buffer, input: Kept): readonly Change[] {
  const { kind, flags, from, value, to } = input;
  const isAbsent = (flags & KEPT_FLAGS.absent) !== 0;
  const flipped = flags ^ KEPT_FLAGS.absent;
  const flip = (at: number): Buffer => spliced(bytes, at, at + 1, Uint8Array.of((bytes[at] ?? 0) ^ 1));
  const other = (what: string, put: Uint8Array): Change => [
    what,
    spliced(bytes, from, to, Buffer.concat([head(input, flipped), put])),
  ];
  const text = (of: string): Buffer => {
    const out = new Writer();
    out.text(of);
    return out.done();
  };
  switch (kind) {
    case 'path': {
      if (isAbsent) {
        return [
          ['another error', spliced(bytes, value, to, u32(bytes.readUInt32LE(value) === EACCES ? ENOENT : EACCES))],
          other('was there', Buffer.alloc(sizeOf(KEPT_IDENTITY))),
        ];
      }
      const fields = ['dev', 'ino', 'rdev', 'mode', 'uid', 'gid'] as const;
      const whole = ['file_size', 'mtime', 'ctime'] as const;
      const counts = (flags & KEPT_FLAGS.whole) === 0 ? fields : [...fields, ...whole];
      return [
        ...counts.map((field): Change => [field, flip(value + offsetOf(KEPT_IDENTITY, field))]),
        other('was not there', u32(ENOENT)),
      ];
    }
    case 'access':
      return [other('allowed or not', bytes.subarray(value, to))];
    case 'fileSystem':
      return isAbsent
        ? [other('was there', u32(1))]
        : [['magic', flip(value)], other('was not there', u32(0).subarray(4))];
    case 'text': {
      // The words of lines come first.
      if (isAbsent) return [other('could be read', Buffer.concat([bytes.subarray(value, to), text('x')]))];
      return [
        ['last byte', flip(to - 2)],
        ['first byte of the last line', flip(lineStart(bytes, value, to))],
      ];
    }
    case 'table':
    case 'setting': {
      const middle = value + 4 + bytes.readUInt32LE(value) + 1 + (kind === 'table' ? 4 : 0);
      if (isAbsent) return [other('was there', Buffer.concat([bytes.subarray(value, to), text('0')]))];
      return [
        ['last byte', flip(to - 2)],
        ['first byte', flip(middle + 4)],
        ['longer', spliced(bytes, middle, to, text(`${bytes.toString('utf8', middle + 4, to - 1)}x`))],
        other('was not there', bytes.subarray(value, middle)),
      ];
    }
    case 'addresses':
    case 'variable':
    case 'real':
    case 'fact': {
      if (isAbsent) return [other('was there', text('/nowhere'))];
      if ((flags & KEPT_FLAGS.given) !== 0) return [];
      const longer = spliced(bytes, value, to, text(`${bytes.toString('utf8', value + 4, to - 1)}x`));
      return [
        ['longer', longer],
        ...(to - value > 5 ? ([['last byte', flip(to - 2)]] as const) : []),
        other('was not there', text('').subarray(5)),
      ];
    }
  }
}

/** Of the last line of a text that ends with a line's end and a NUL, after the words of lines. */
function lineStart(bytes: Buffer, value: number, to: number): number {
  let at = value + 4;
  for (let words = bytes.readUInt32LE(value); words > 0; words--) at += 4 + bytes.readUInt32LE(at) + 1;
  return Math.max(bytes.lastIndexOf('\n', to - 3) + 1, at + 4);
}
