/**
 * The record in a kept plan, thing by thing: had any of it been otherwise when the plan was made, the plan is not used. The record is
 * changed and not the world, so that nothing else differs.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { offsetOf, sizeOf } from '../../src/kernel/layout.ts';
import { KEPT_FLAGS, KEPT_HEADER, KEPT_IDENTITY, KEPT_INPUT } from '../../src/kernel/wire.ts';
import { Writer } from '../../src/state/kept-bytes.ts';
import { boxctl } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { hasLimits } from '../support/container.ts';
import { callers, plain, project, type Project } from '../support/front-project.ts';
import { frontAlone, neededNode, warm } from '../support/front.ts';
import type { TestUser } from '../support/user.ts';

const UP = ['up', '--quiet'];
const ENOENT = 2;
const EACCES = 13;

/** A file whose plan is made from every kind of input that a plan without a network has. */
function full(user: TestUser | undefined): Project {
  const made = project(
    {
      command: ['cat', '/data/x'],
      environment: { A: '${RECORD_UNSET:-none}' },
      security_opt: ['seccomp:./profile.json'],
      volumes: ['../outside:/data:ro', './inner:/inner', 'named:/named'],
      devices: ['/dev/zero:/dev/z'],
      user: 'root',
      ...(hasLimits && user === undefined ? { limits: { memory: '64MiB', pids: 50, cpus: 1 } } : {}),
    },
    user,
  );
  const around = dirname(made.folder);
  mkdirSync(join(around, 'real'));
  writeFileSync(join(around, 'real/x'), 'x\n');
  symlinkSync('real', join(around, 'outside'));
  mkdirSync(join(made.folder, 'inner/.git'), { recursive: true });
  writeFileSync(join(made.folder, 'inner/.git/HEAD'), 'ref: refs/heads/main\n');
  writeFileSync(join(made.folder, 'profile.json'), JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [] }));
  writeFileSync(join(around, 'config/boxctl/policy.yaml'), 'allow: [all]\n');
  if (user !== undefined) execFileSync('chown', ['-R', `${user.uid}:${user.gid}`, join(made.folder, 'inner')]);
  return made;
}

/** An input in the bytes of a kept plan. */
interface Kept {
  readonly kind: keyof typeof KEPT_INPUT;
  readonly flags: number;
  readonly name: string;
  /** Where it begins, where what follows its name does, and where it ends. */
  readonly from: number;
  readonly value: number;
  readonly to: number;
}

function inputsOf(bytes: Buffer): readonly Kept[] {
  const number = (field: 'words' | 'users' | 'inputs'): number => bytes.readUInt32LE(offsetOf(KEPT_HEADER, field));
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
    } else if (kind === 'fileSystem') at += isAbsent ? 0 : 4;
    else if (!isAbsent && (flags & KEPT_FLAGS.given) === 0) text();
    return { kind, flags, name, from, value, to: at };
  });
}

type Change = readonly [what: string, bytes: Buffer];

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
function changesOf(bytes: Buffer, input: Kept): readonly Change[] {
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

describe.skipIf(!hasBusybox).each(callers)('the record of a kept plan, as %s (needs busybox-static)', (_, user) => {
  test('is compared as a whole', async () => {
    const made = full(user);
    const ended = await warm(UP, made.options);
    expect(plain(ended)).toEqual({ status: 0, stdout: 'x\n', stderr: '' });
    const folder = join(made.options.env?.['BOXCTL_STORE'] ?? '', 'plans');
    const [name = ''] = readdirSync(folder).toSorted();
    const file = join(folder, name);
    const bytes = readFileSync(file);
    const inputs = inputsOf(bytes);
    expect(new Set(inputs.map(({ kind }) => kind))).toEqual(new Set(Object.keys(KEPT_INPUT)));
    // The reading here is right: what it says of the bytes is what boxctl says of the record.
    const listed = await boxctl(['plan', '--inputs', '--json'], made.options);
    const known = (JSON.parse(listed.stdout) as { readonly inputs: readonly { path?: string; name?: string }[] })
      .inputs;
    const names = new Set(inputs.map((input) => input.name));
    expect(known.map(({ path, name: of }) => path ?? of).filter((one) => one !== undefined && !names.has(one))).toEqual(
      [],
    );
    const used: string[] = [];
    let tried = 0;
    for (const input of inputs) {
      for (const [what, changed] of changesOf(bytes, input)) {
        tried++;
        writeFileSync(file, changed);
        if (!neededNode(await frontAlone(UP, made.options))) used.push(`${input.kind} ${input.name}: ${what}`);
      }
    }
    expect(used).toEqual([]);
    expect(tried).toBeGreaterThan(250);
    writeFileSync(file, bytes);
    expect(neededNode(await frontAlone(UP, made.options))).toBe(false);
  }, 300_000);
});
