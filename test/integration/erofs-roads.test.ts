/** Archives that attack, repeat and contradict themselves: the index and the unpacker take them alike, to the letter. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bothRoads, INDEX_SOURCES, inNamespace, kernelComplaints } from '../support/erofs.ts';
import type { Roads } from '../support/erofs.ts';
import { runMutants } from '../support/mutants.ts';
import { archive } from '../unit/image/archive-fixture.ts';
import type { Fixture } from '../unit/image/archive-fixture.ts';

let base = '';
let complaints: string[] = [];
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'boxctl-erofs-'));
  complaints = kernelComplaints();
});
afterEach(() => {
  rmSync(base, { recursive: true });
  expect(kernelComplaints(complaints)).toEqual([]);
});

/** What the reports share. */
function reports({ index, unpack }: Roads): [unknown, unknown] {
  if (index.ok && unpack.ok) {
    const { entries, bytes, skipped } = index;
    return [
      { entries, bytes, skipped },
      { entries: unpack.entries, bytes: unpack.bytes, skipped: unpack.skipped },
    ];
  }
  const told = (report: Roads['index'] | Roads['unpack']) =>
    report.ok ? 'done' : `${report.error} (${report.entry}) ${report.errno}`;
  return [told(index), told(unpack)];
}

const le = (size: 2 | 4, value: number): number[] =>
  Array.from({ length: size }, (_, at) => Math.floor(value / 256 ** at) % 256);
type AclEntry = readonly [tag: number, perm: number, id: number];
const acl = (...entries: readonly AclEntry[]): Buffer =>
  Buffer.from([...le(4, 2), ...entries.flatMap(([tag, perm, id]) => [...le(2, tag), ...le(2, perm), ...le(4, id)])]);
const none = 0xffffffff;
const ACLS = [
  acl([1, 7, none], [2, 5, 1000], [4, 5, none], [16, 5, none], [32, 0, none]),
  acl([1, 6, none], [4, 4, none], [8, 7, 50], [8, 6, 51], [16, 7, none], [32, 4, none]),
  acl([1, 7, none], [4, 5, none], [32, 5, none]),
  acl([1, 7, none], [4, 5, none], [16, 1, none], [32, 5, none]),
  acl([1, 7, none], [2, 5, 1000], [4, 5, none], [32, 0, none]),
  acl([1, 7, none], [32, 5, none]),
  acl([4, 7, none], [1, 7, none], [32, 5, none]),
  acl([1, 7, none], [2, 5, none], [4, 5, none], [16, 5, none], [32, 0, none]),
  acl([1, 8, none], [4, 5, none], [32, 5, none]),
  acl(),
  Buffer.from([1, 0, 0, 0]),
  Buffer.from('x'),
];
const CAPABILITIES = [
  Buffer.from([1, 0, 0, 2, 0, 0x20, ...Array<number>(14).fill(0)]),
  Buffer.from([0, 0, 0, 2, 0, 0x20, ...Array<number>(14).fill(0)]),
  Buffer.from([1, 0, 0, 3, 0, 0x20, ...Array<number>(14).fill(0), 0xe8, 3, 0, 0]),
  Buffer.from([1, 0, 0, 3, 0, 0x20, ...Array<number>(14).fill(0)]),
  Buffer.from([1, 0, 0, 1, 0, 0x20, 0, 0, 0, 0, 0, 0]),
  Buffer.from('short'),
];

/** Names that others go through are folders mostly, so that most archives get on. */
const FOLDERS = ['a', 'b', 'a/c', 'b/a', './a', '/b//', 'a/./c'];
const NAMES = ['a/b', 'a/b', 'e', 'f', 'a/c/d', 'b/a/c', 'a//f', '/b/f', 'g/h/i/j', 'b/./e'];
const RARE = ['.', './', '', '..', 'a/../b', '../a', 'n'.repeat(255), 'a/b/c/d', '-', '!', '.-', '..a', 'é', 'a\u0001'];
const long = ['n'.repeat(256), `a/${'n'.repeat(256)}`, `${'n'.repeat(256)}/a`, 'd/'.repeat(300) + 'x'];

const name = fc.oneof(
  { weight: 60, arbitrary: fc.constantFrom(...NAMES, ...FOLDERS) },
  { weight: 3, arbitrary: fc.constantFrom(...RARE) },
  { weight: 1, arbitrary: fc.constantFrom(...long) },
);
const attributes = fc.dictionary(
  fc.constantFrom(
    'user.a',
    'user.b',
    'user.',
    'trusted.t',
    'other.x',
    'system.y',
    'security.selinux',
    'user.overlay.x',
  ),
  fc.constantFrom('', 'value', 'v'.repeat(700)),
  { maxKeys: 3 },
);
const special = fc.record({
  'security.capability': fc.option(fc.constantFrom(...CAPABILITIES), { nil: undefined }),
  'system.posix_acl_access': fc.option(fc.constantFrom(...ACLS), { nil: undefined }),
});
const fixture: fc.Arbitrary<Fixture> = fc
  .record({
    path: name,
    linkpath: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom('a/b', './a/b', 'k', 'e') },
      { weight: 1, arbitrary: name },
    ),
    folder: fc.integer({ min: 0, max: 5 }),
    type: fc.constantFrom('0', '0', '0', '5', '5', '5', '5', '1', '1', '2', '2', '3', '4', '6', '7', 'Z'),
    size: fc.constantFrom(0, 0, 1, 511, 512, 513, 2000, 5000),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.constantFrom(0, 0, 1000, 65535, 65536, 4294967294),
    gid: fc.constantFrom(0, 0, 1000, 65535, 65536, 4294967294),
    mtime: fc.constantFrom('0', '0', '0', '1.5', '-1.25', '1700000000.123456789', '8589934592'),
    device: fc.constantFrom([0, 0], [1, 3], [8, 1], [0xfff, 0xfffff], [4, 300]),
    attributes,
    special,
  })
  .map(({ path, linkpath, folder, type: any, size, mode, uid, gid, mtime, device, ...given }) => {
    const type = FOLDERS.includes(path) && folder > 0 ? '5' : any;
    return {
      name: 'placeholder',
      type,
      data: type === '0' || type === '7' ? 'd'.repeat(size) : '',
      mode,
      major: device[0] ?? 0,
      minor: device[1] ?? 0,
      pax: {
        path,
        linkpath,
        uid: String(uid),
        gid: String(gid),
        mtime,
        ...Object.fromEntries(
          Object.entries({ ...given.attributes, ...given.special }).flatMap(([key, value]) =>
            value === undefined ? [] : [[`SCHILY.xattr.${key}`, value]],
          ),
        ),
      },
    };
  });

/** Something for the rest to link to, to replace, and to go through. */
const start: Fixture[] = [
  { name: 'a', type: '5', mode: 0o700 },
  { name: 'a/b', data: 'linked', mtime: 1 },
  { name: 'k', type: '2', link: 'a/b' },
  { name: 'e', type: '1', link: 'a/b' },
];

describe.skipIf(process.geteuid?.() !== 0)('as root (skipped without: it mounts)', () => {
  test('random archives look the same mounted and unpacked', { timeout: 240_000 }, () => {
    const sample = fc.sample(fc.array(fixture, { minLength: 1, maxLength: 10 }), { numRuns: 150, seed: 0x0b0c });
    const roads = bothRoads(
      sample.map((fixtures, number) => archive(...(number % 3 === 0 ? [] : start), ...fixtures)),
      base,
    );
    for (const [number, road] of roads.entries()) {
      const shown = JSON.stringify(sample[number]);
      const [index, unpack] = reports(road);
      expect(index, shown).toEqual(unpack);
      expect(road.mounted, shown).toEqual(road.unpacked);
    }
    expect(roads.filter(({ index }) => index.ok).length).toBeGreaterThan(50);
    const seen = roads.flatMap(({ mounted }) => mounted);
    for (const part of ['posix_acl_access=', 'security.capability=', 'user.a=', 'trusted.t=', ' same=', ' -> ']) {
      expect(seen.filter((line) => line.includes(part)).length, part).toBeGreaterThan(10);
    }
  });

  test('the kernel mounts the indexes of mutated archives without an error in its log', { timeout: 240_000 }, () => {
    const kept = join(base, 'kept');
    mkdirSync(kept);
    const outcome = runMutants('fuzz-erofs', INDEX_SOURCES, base, 10_000, { BOXCTL_KEEP: kept });
    expect(outcome).toEqual({ status: 0, signal: null, stderr: '' });
    const script = `mkdir mounted
      for index in kept/*.index; do
        "$ERO" mount "$PWD/$index" "$PWD/\${index%.index}.tar" mounted
        "$ERO" snapshot mounted
        umount mounted
      done`;
    const lines = inNamespace(script, base).split('\n');
    expect(lines.filter((line) => line.startsWith('. ')).length).toBe(readdirSync(kept).length / 2);
    expect(readdirSync(kept).length).toBeGreaterThan(20);
    expect(lines.filter((line) => / (?:stat|open|read|opendir|readdir|llistxattr)=/u.test(line))).toEqual([]);
  });
});
