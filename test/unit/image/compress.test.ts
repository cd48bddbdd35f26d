/** Layers are compressed to the same bytes everywhere, and every tool reads them. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compressTar, ownPlace, type Compressed, type Compression, type Part } from '../../../src/worker/work.ts';
import { imageHost, type ImageHost } from '../../support/image-host.ts';
import { prepareStore } from '../../../src/image/store.ts';
import { archive } from './archive-fixture.ts';

const hasZstd = spawnSync('zstd', ['--version'], { stdio: 'ignore' }).status === 0;
const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

let at: ImageHost;
beforeAll(() => {
  at = imageHost('unpacked');
  prepareStore(at.host.dirs.store);
});
afterAll(() => at.close());

/** Numbers that look random, the same in each run. */
function noise(size: number, seed = 1): Buffer {
  const out = Buffer.alloc(size);
  let state = seed;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    out[i] = state >>> 24;
  }
  return out;
}

/** Lines that repeat with changes, as text does. */
function lines(size: number): Buffer {
  const all = Array.from(
    { length: Math.ceil(size / 40) },
    (_, i) => `line ${i % 977} of ${(i * 7919) % 104729} and so on\n`,
  );
  return Buffer.from(all.join('')).subarray(0, size);
}

const MIB = 1 << 20;
const INPUTS: Readonly<Record<string, Buffer>> = {
  nothing: Buffer.alloc(0),
  'one byte': Buffer.from('x'),
  'three bytes': Buffer.from('xxx'),
  'what does not compress': noise(3 * MIB + 17),
  zeroes: Buffer.alloc(5 * MIB),
  'text of a part exactly': lines(MIB),
  'text of a part and a byte': lines(MIB + 1),
  'text of several parts': lines(4 * MIB + 4711),
  'text and noise by turns': Buffer.concat([lines(300_000), noise(200_000), lines(900_000), noise(70_000, 7)]),
  'a long distance': Buffer.concat([noise(32_768), noise(32_768), noise(32_769, 3), noise(32_769, 3)]),
};

async function compressed(
  data: Buffer,
  compression: Compression,
  level: number,
  part: Part = { offset: 0, size: 0 },
): Promise<Compressed & { readonly bytes: Buffer }> {
  const [from, to] = [join(at.base, 'from'), join(at.base, 'to')];
  writeFileSync(from, data);
  rmSync(to, { force: true });
  const [input, output] = [openSync(from, 'r'), openSync(to, 'wx')];
  try {
    const place = ownPlace(join(at.host.dirs.store, 'mnt'), at.host);
    const made = await compressTar({ fd: input, name: 'x', part }, output, { compression, level }, place);
    return { ...made, bytes: readFileSync(to) };
  } finally {
    closeSync(input);
    closeSync(output);
  }
}

const unzstd = (data: Buffer): Buffer => execFileSync('zstd', ['-dc'], { input: data, maxBuffer: 64 * MIB });

describe.each([
  ['gzip', [1, 2, 3, 4, 5, 6, 7, 8, 9, 0], gunzipSync],
  ['zstd', [1, 3, 19, 0], unzstd],
] as const)('%s', (compression, levels, decode) => {
  test.skipIf(compression === 'zstd' && !hasZstd).each(Object.entries(INPUTS))(
    '%s: what comes out is what went in, at each level, with its digests and sizes',
    async (_, data) => {
      for (const level of levels) {
        const { bytes, ...made } = await compressed(data, compression, level);
        expect(decode(bytes).equals(data)).toBe(true);
        expect(made).toMatchObject({
          sha256: sha256(bytes),
          size: bytes.length,
          plainSha256: sha256(data),
          plainSize: data.length,
        });
      }
    },
    120_000,
  );

  test('a part of a file is compressed by itself', async () => {
    const data = lines(100_000);
    const { bytes, plainSha256 } = await compressed(data, compression, 0, { offset: 512, size: 5000 });
    expect(decode(bytes).equals(data.subarray(512, 5512))).toBe(true);
    expect(plainSha256).toBe(sha256(data.subarray(512, 5512)));
  });

  test('the bytes are the same with one processor as with all, and after years', async () => {
    const data = Buffer.concat([lines(9 * MIB), noise(MIB), lines(9 * MIB)]);
    const whole = await compressed(data, compression, 0);
    execFileSync('taskset', ['-p', '-c', '0', String(process.pid)], { stdio: 'ignore' });
    try {
      expect((await compressed(data, compression, 0)).sha256).toBe(whole.sha256);
    } finally {
      execFileSync('taskset', ['-p', 'ffffffff', String(process.pid)], { stdio: 'ignore' });
    }
    // Of this version of the encoder. A change of it changes what images of old are pushed as: say so in the changelog.
    expect((await compressed(lines(3 * MIB), compression, 0)).sha256).toBe(
      {
        gzip: '44449dd2a22c63f89c5736e4d3c95b7c3e9b6562a8e0cf21b9ad1986a337f83f',
        zstd: '50c786a931fb2a86c76cf80a5e304ddd66cf009c668eb46c0b5c80cdb43b9ad2',
      }[compression],
    );
  });

  test('text takes hardly more room than with the reference', async () => {
    const data = lines(3 * MIB);
    const program = compression === 'gzip' ? ['gzip', '-6'] : ['zstd', '-3', '-q'];
    const [name = '', ...args] = program;
    const reference = execFileSync(name, [...args, '-c'], { input: data, maxBuffer: 64 * MIB });
    expect((await compressed(data, compression, 0)).size).toBeLessThan(reference.length * 1.05);
  });
});

test('without compression, the tar is written as it is', async () => {
  const data = lines(2 * MIB + 5);
  const { bytes, sha256: digest, plainSha256 } = await compressed(data, 'none', 0);
  expect(bytes.equals(data)).toBe(true);
  expect([digest, plainSha256]).toEqual([sha256(data), sha256(data)]);
});

test('a level that there is not is refused', async () => {
  await expect(compressed(Buffer.from('x'), 'gzip', 10)).rejects.toMatchObject({ code: 'E_IMAGE_BAD_ARCHIVE' });
  await expect(compressed(Buffer.from('x'), 'zstd', 20)).rejects.toMatchObject({ code: 'E_IMAGE_BAD_ARCHIVE' });
  await expect(compressed(Buffer.from('x'), 'none', 1)).rejects.toMatchObject({ code: 'E_IMAGE_BAD_ARCHIVE' });
});

test('a tar tells its newest file, and the machine that most of its programs are for', async () => {
  const elf = (machine: number): Buffer => {
    const head = Buffer.alloc(64);
    head.write('\x7fELF\x02\x01\x01', 'latin1');
    head.writeUInt16LE(2, 16);
    head.writeUInt16LE(machine, 18);
    return head;
  };
  const data = archive(
    { name: 'a', data: elf(62), mtime: 50 },
    { name: 'b', data: elf(183), mtime: 1_000_000_000 },
    { name: 'c', data: elf(183), mtime: 7 },
    { name: 'd', data: 'text' },
  );
  const [from, to] = [join(at.base, 'described'), openSync('/dev/null', 'w')];
  writeFileSync(from, data);
  const input = openSync(from, 'r');
  try {
    const place = ownPlace(join(at.host.dirs.store, 'mnt'), at.host);
    const options = { compression: 'none', level: 0, isDescribed: true } as const;
    const made = await compressTar({ fd: input, name: 'x', part: { offset: 0, size: 0 } }, to, options, place);
    expect(made).toMatchObject({ newest: '1000000000', machine: 183 });
  } finally {
    closeSync(input);
    closeSync(to);
  }
});
