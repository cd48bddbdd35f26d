/** The bytes of the files of kept plans, as native/front/kept.h describes them. */
import { isIdentity, type Input } from '../inputs/record.ts';
import { ERRNO } from '../kernel/constants.ts';
import { sizeOf, writeStruct, type FieldsOf } from '../kernel/layout.ts';
import { KEPT_FLAGS, KEPT_HEADER, KEPT_IDENTITY, KEPT_INPUT, KEPT_MAGIC, KEPT_VERSION } from '../kernel/wire.ts';

export class Writer {
  readonly #parts: Uint8Array[] = [];
  #size = 0;

  bytes(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#size += bytes.length;
  }
  u8(value: number): void {
    this.bytes(Uint8Array.of(value));
  }
  u32(value: number): void {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    this.bytes(bytes);
  }
  ranges(ranges: readonly { readonly first: number; readonly size: number }[]): void {
    for (const { first, size } of ranges) {
      this.u32(first);
      this.u32(size);
    }
  }
  text(text: string): void {
    const bytes = Buffer.from(text);
    this.u32(bytes.length);
    this.bytes(bytes);
    this.u8(0);
  }
  get size(): number {
    return this.#size;
  }
  done(): Buffer {
    return Buffer.concat(this.#parts, this.#size);
  }
}

/** Variables that boxctl looks up for itself. Any other that is set may be a secret: its value is not kept. */
const OWN_VARIABLE =
  /^(?:HOME|PATH|CI|TERM|COLUMNS|NO_COLOR|FORCE_COLOR|XDG_[A-Z]+(?:_HOME|_DIRS?)|BOXCTL_(?:STORE|PROGRESS|LAUNCHER)|CONTAINERS_REGISTRIES_CONF(?:_DIR)?)$/u;

/** Whether a variable has a value that must not be in a file. */
export const isForeign = (input: Input): input is Input & { readonly kind: 'variable'; readonly value: string } =>
  input.kind === 'variable' && input.value !== undefined && !OWN_VARIABLE.test(input.name);

/** Variables whose values are put in at each start. */
export interface Given {
  readonly names: ReadonlySet<string>;
  /** A value that looks like a secret is not put in. */
  readonly mustBePlain: boolean;
}

/** The fields of 64 bits come first in the structure, and then those of 32. */
function writeIdentity(out: Writer, input: Input & { readonly kind: 'path' }): void {
  const { found } = input;
  if (!isIdentity(found)) return;
  const bytes = new Uint8Array(sizeOf(KEPT_IDENTITY));
  const view = new DataView(bytes.buffer);
  const { mode, uid, gid } = found;
  const none = { dev: 0, ino: 0, rdev: 0, file_size: 0, mtime: 0, ctime: 0, reserved: 0 };
  writeStruct(view, 0, KEPT_IDENTITY, { ...none, mode, uid, gid });
  const wide = [found.dev, found.ino, found.rdev, found.size, found.mtime, found.ctime];
  for (const [index, value] of wide.entries()) view.setBigUint64(index * 8, BigInt.asUintN(64, value), true);
  out.bytes(bytes);
}

function writeInput(out: Writer, input: Input, given: Given | undefined): void {
  const head = (kind: number, flags: number, name: string): void => {
    out.u8(kind);
    out.u8(flags);
    out.text(name);
  };
  const optional = (kind: number, name: string, value: string | undefined): void => {
    head(kind, value === undefined ? KEPT_FLAGS.absent : 0, name);
    if (value !== undefined) out.text(value);
  };
  switch (input.kind) {
    case 'path': {
      const isThere = isIdentity(input.found);
      const follows = input.follows ? KEPT_FLAGS.follows : 0;
      head(
        KEPT_INPUT.path,
        follows | (input.isWhole ? KEPT_FLAGS.whole : 0) | (isThere ? 0 : KEPT_FLAGS.absent),
        input.path,
      );
      if (typeof input.found === 'string') out.u32(ERRNO[input.found] ?? 0);
      else writeIdentity(out, input);
      break;
    }
    case 'real':
      optional(KEPT_INPUT.real, input.path, input.leads);
      break;
    case 'access':
      head(KEPT_INPUT.access, input.isAllowed ? 0 : KEPT_FLAGS.absent, input.path);
      out.u32(input.mode);
      break;
    case 'text':
      head(KEPT_INPUT.text, input.text === undefined ? KEPT_FLAGS.absent : 0, input.path);
      out.u32(input.lines?.length ?? 0);
      for (const line of input.lines ?? []) out.text(line);
      if (input.text !== undefined) out.text(input.text);
      break;
    case 'table': {
      head(KEPT_INPUT.table, input.text === undefined ? KEPT_FLAGS.absent : 0, input.path);
      out.text(input.without);
      out.u32(input.columns.reduce((bits, column) => bits + 2 ** column, 0));
      if (input.text !== undefined) out.text(input.text);
      break;
    }
    case 'setting':
      head(KEPT_INPUT.setting, input.before === undefined ? KEPT_FLAGS.absent : 0, input.path);
      out.text(input.lock);
      if (input.before !== undefined) out.text(input.before);
      break;
    case 'addresses':
      optional(KEPT_INPUT.addresses, input.without, input.text);
      break;
    case 'file_system':
      head(KEPT_INPUT.fileSystem, input.type === undefined ? KEPT_FLAGS.absent : 0, input.path);
      if (input.type !== undefined) out.u32(input.type);
      break;
    case 'fact':
      optional(KEPT_INPUT.fact, input.name, input.value);
      break;
    case 'variable':
      if (isForeign(input) && input.value !== '' && given?.names.has(input.name) === true) {
        head(KEPT_INPUT.variable, KEPT_FLAGS.given | (given.mustBePlain ? KEPT_FLAGS.plain : 0), input.name);
      } else {
        optional(KEPT_INPUT.variable, input.name, input.value);
      }
  }
}

/** Before other inputs: what differs most often, and what costs least to look at. */
const ORDER: Readonly<Record<Input['kind'], number>> = {
  variable: 0,
  fact: 1,
  path: 2,
  real: 3,
  access: 4,
  file_system: 5,
  text: 6,
  addresses: 7,
  table: 8,
  setting: 9,
};

export function writeInputs(out: Writer, inputs: readonly Input[], given?: Given): void {
  for (const input of inputs.toSorted((a, b) => ORDER[a.kind] - ORDER[b.kind])) writeInput(out, input, given);
}

type Header = Omit<FieldsOf<typeof KEPT_HEADER>, 'magic' | 'version' | 'size'>;

/** A file with its header. */
export function keptFile(fields: Header, content: Writer): Buffer {
  const header = new Uint8Array(sizeOf(KEPT_HEADER));
  const size = header.length + content.size;
  writeStruct(new DataView(header.buffer), 0, KEPT_HEADER, {
    magic: KEPT_MAGIC,
    version: KEPT_VERSION,
    size,
    ...fields,
  });
  return Buffer.concat([header, content.done()]);
}
