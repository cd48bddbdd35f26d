/** What a plan was made from, for people and as data (specs/inputs.md). Values of variables are in neither: they may be secrets. */
import { isIdentity, nameOf, type Found, type Identity, type Input } from '../inputs/record.ts';
import { columns } from '../text/columns.ts';
import { safe } from '../text/safe.ts';

export interface Inputs {
  readonly inputs: readonly Input[];
  readonly gaps: readonly string[];
}

const KINDS: Readonly<Record<number, string>> = {
  0o140_000: 'socket',
  0o120_000: 'link',
  0o100_000: 'file',
  0o060_000: 'block device',
  0o040_000: 'folder',
  0o020_000: 'character device',
  0o010_000: 'fifo',
};

const kindOf = ({ mode }: Identity): string => KINDS[mode & 0o170_000] ?? 'unknown';

const MS_NS = 1_000_000n;

function timeOf(nanoseconds: bigint): string {
  const rest = String(((nanoseconds % MS_NS) + MS_NS) % MS_NS).padStart(6, '0');
  return new Date(Number((nanoseconds - BigInt(rest)) / MS_NS)).toISOString().replace('Z', `${rest}Z`);
}

function describeFound(found: Found, isWhole: boolean): string {
  if (!isIdentity(found)) return found === 'ENOENT' ? 'is not there' : `cannot be looked at: ${found}`;
  const { uid, gid, mode, size, ctime } = found;
  const bits = (mode & 0o7777).toString(8).padStart(4, '0');
  const what = `${kindOf(found)}, ${bits}, of ${uid}:${gid}`;
  return isWhole ? `${what}, ${size} bytes, changed ${timeOf(ctime)}` : what;
}

const MODES: Readonly<Record<number, string>> = {
  0: 'exists',
  1: 'can be executed',
  2: 'can be written',
  4: 'can be read',
};

function describeAccess(mode: number, isAllowed: boolean): string {
  const what = MODES[mode] ?? `can be opened with the bits ${mode}`;
  if (isAllowed) return what;
  return mode === 0 ? 'does not exist' : what.replace('can', 'cannot');
}

function describe(input: Input): readonly [string, string] {
  switch (input.kind) {
    case 'path':
      return [input.path, describeFound(input.found, input.isWhole)];
    case 'real':
      return [input.path, input.leads === input.path ? 'has no links' : `leads to ${input.leads ?? 'nothing'}`];
    case 'access':
      return [input.path, describeAccess(input.mode, input.isAllowed)];
    case 'text': {
      if (input.text === undefined) return [input.path, 'cannot be read'];
      const what = input.lines === undefined ? 'its text' : `its lines ${input.lines.join(', ')}`;
      return [input.path, `${what}: ${Buffer.byteLength(input.text)} bytes`];
    }
    case 'table': {
      if (input.text === undefined) return [input.path, 'cannot be read'];
      return [input.path, `its columns ${input.columns.join(', ')}, but of ${input.without}*: ${lines(input.text)}`];
    }
    case 'setting':
      return [input.path, input.before === undefined ? 'is not there' : `is ${input.before}, or was before boxctl`];
    case 'addresses':
      return [nameOf(input), `of interfaces that are up, but of ${input.without}*: ${lines(input.text)}`];
    case 'file_system':
      return [input.path, input.type === undefined ? 'is not there' : `is on a file system of type ${hex(input.type)}`];
    case 'fact':
      return [input.name, input.value];
    case 'variable':
      return [input.name, input.value === undefined ? 'is not set' : 'is set'];
  }
}

function lines(text: string): string {
  const count = text.split('\n').length - 1;
  return count === 1 ? '1 line' : `${count} lines`;
}

const hex = (value: number): string => `0x${value.toString(16)}`;

const GROUPS: readonly (readonly [string, readonly Input['kind'][]])[] = [
  ['files', ['path', 'real', 'access', 'text', 'file_system', 'table', 'setting']],
  ['variables', ['variable']],
  ['this process and host', ['fact', 'addresses']],
];

/** For people. */
export function printInputs({ inputs, gaps }: Inputs): string {
  const parts = GROUPS.flatMap(([title, kinds]) => {
    const rows = inputs.filter(({ kind }) => kinds.includes(kind)).map(describe);
    return rows.length === 0 ? [] : [`${title}\n${indented(columns(rows))}`];
  });
  const rest = gaps.length === 0 ? [] : [`not in this list\n${gaps.map((gap) => `  ${safe(gap)}\n`).join('')}`];
  return [...parts, ...rest].join('\n');
}

const indented = (text: string): string => text.replaceAll(/^(?=.)/gmu, '  ');

function foundToJson(found: Found): unknown {
  if (!isIdentity(found)) return { error: found };
  const { dev, ino, mode, uid, gid, rdev, size, mtime, ctime } = found;
  const numbers = { dev: String(dev), ino: String(ino), uid, gid, rdev: String(rdev), size: String(size) };
  return {
    kind: kindOf(found),
    mode: `0${(mode & 0o7777).toString(8)}`,
    ...numbers,
    mtime: timeOf(mtime),
    ctime: timeOf(ctime),
  };
}

function toJson(input: Input): unknown {
  switch (input.kind) {
    case 'path': {
      const { kind, path, follows, isWhole, found } = input;
      return { kind, path, follows, whole: isWhole, found: foundToJson(found) };
    }
    case 'real':
      return { kind: input.kind, path: input.path, leads: input.leads ?? null };
    case 'access':
      return { kind: input.kind, path: input.path, mode: input.mode, allowed: input.isAllowed };
    case 'text':
      return { kind: input.kind, path: input.path, lines: input.lines ?? null, text: input.text ?? null };
    case 'file_system':
      return { kind: input.kind, path: input.path, type: input.type ?? null };
    case 'table': {
      const { kind, path, columns: counted, without, text } = input;
      return { kind, path, columns: counted, without, text: text ?? null };
    }
    case 'setting':
      return { kind: input.kind, path: input.path, lock: input.lock, before: input.before ?? null };
    case 'addresses':
    case 'fact':
      return input;
    case 'variable':
      return { kind: input.kind, name: input.name, set: input.value !== undefined };
  }
}

/** For programs. */
export const inputsToJson = ({ inputs, gaps }: Inputs): unknown => ({ version: 1, inputs: inputs.map(toJson), gaps });
