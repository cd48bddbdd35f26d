/** The decoder, built with the sanitizers, against what the tools of each format write. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { CODEC_SOURCES, sanitized } from './worker.ts';

const sources = [...CODEC_SOURCES, join(import.meta.dirname, '../../../native/image/decompress.cc')];
// Before the tests begin, whose time is limited.
const program = sanitized(join(import.meta.dirname, 'decompress-main.cc'), sources, ['zstd']);

interface Outcome {
  readonly format: string;
  readonly content: Buffer;
  readonly error: string | undefined;
}

function decompress(archive: Buffer, ...pieces: readonly number[]): Outcome {
  const { status, signal, stdout, stderr } = spawnSync(program, ['stream', ...pieces.map(String)], {
    input: archive,
    maxBuffer: 1 << 30,
    timeout: 60_000,
  });
  const [format = '', error, ...rest] = stderr.toString().trimEnd().split('\n');
  if (signal !== null || rest.length > 0 || status !== (error === undefined ? 0 : 1)) {
    throw new Error(`status ${status}, signal ${signal}: ${stderr.toString()}`);
  }
  return { format, content: stdout, error };
}

/** What each trial with a changed archive has come to. */
function trials(what: 'beginnings' | 'flips', archive: Buffer): string[] {
  return execFileSync(program, [what], { input: archive, encoding: 'utf8', maxBuffer: 1 << 26 })
    .trimEnd()
    .split('\n');
}

/** Compares by digest: a difference in megabytes is not to be printed. */
function expectContent(outcome: Outcome, format: string, content: Buffer): void {
  const summary = (bytes: Buffer) => `${bytes.length} ${createHash('sha256').update(bytes).digest('hex')}`;
  expect({ ...outcome, content: summary(outcome.content) }).toEqual({
    format,
    error: undefined,
    content: summary(content),
  });
}

const installed = (name: string) => spawnSync(name, ['--version'], { stdio: 'ignore' }).error === undefined;

/** Text with repetitions of many lengths and distances, the same in each run. */
function text(size: number): Buffer {
  let seed = 1;
  const random = (limit: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % limit;
  };
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size;) {
    if (at > 0 && random(3) !== 0) {
      const distance = 1 + random(Math.min(at, random(2) === 0 ? 40 : 1 << 20));
      const length = Math.min(size - at, 3 + random(random(8) === 0 ? 2000 : 20));
      for (let end = at + length; at < end; at++) bytes[at] = bytes[at - distance] ?? 0;
    } else {
      bytes[at++] = 97 + random(random(4) === 0 ? 150 : 20);
    }
  }
  return bytes;
}

/** The bytes that filters of machine code look for, in every order. */
function branches(size: number): Buffer {
  const marks = [
    'e8',
    'e9',
    'ff',
    '00',
    'eb',
    '48000001',
    '4bfffffd',
    '400001',
    '7fffff',
    '94',
    '97',
    '90',
    'f0f8',
    '10',
  ];
  let seed = 7;
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size;) {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    const mark =
      (seed >>> 8) % 5 === 0 ? Buffer.from([seed >>> 24]) : Buffer.from(marks[(seed >>> 12) % 14] ?? '', 'hex');
    at += mark.copy(bytes, at);
  }
  return bytes;
}

const CONTENTS: readonly (readonly [string, Buffer])[] = [
  ['nothing', Buffer.alloc(0)],
  ['one byte', Buffer.from('x')],
  ['repetitive text', text(3 << 20)],
  ['one long run', Buffer.alloc(20 << 20, 'a')],
  ['short periods', Buffer.concat([2, 3, 4, 5, 6, 7, 8, 9, 15, 17].map((n) => Buffer.alloc(70_001, randomBytes(n))))],
  ['what cannot be compressed', randomBytes(1 << 20)],
  ['a mixture', Buffer.concat([text(300_000), randomBytes(300_000), Buffer.alloc(300_000), text(300_000)])],
];

interface Format {
  readonly name: string;
  /** Command lines that write it. */
  readonly tools: readonly (readonly string[])[];
  /** What it says when an archive is cut off. */
  readonly early: string;
  /** So many bytes are needed to recognise it. */
  readonly mark: number;
}

const FORMATS: readonly Format[] = [
  {
    name: 'gzip',
    tools: [
      ['gzip', '-1'],
      ['gzip', '-6'],
      ['gzip', '-9'],
      ['pigz', '-5', '--blocksize', '128', '--processes', '2'],
      ['pigz', '-11', '--iterations', '1'],
      ['pigz', '--huffman'],
      ['pigz', '--rle'],
    ],
    early: 'the gzip data ends too early',
    mark: 3,
  },
  {
    name: 'zstd',
    tools: [
      ['zstd', '-q', '-1'],
      ['zstd', '-q', '-19'],
      ['zstd', '-q', '--fast=5'],
      ['zstd', '-q', '--long=27'],
      ['zstd', '-q', '--no-check'],
      ['pzstd', '-q', '-p', '2'],
    ],
    early: 'the zstd data ends too early',
    mark: 4,
  },
  {
    name: 'xz',
    tools: [
      ['xz', '-0'],
      ['xz', '-6'],
      ['xz', '-9e'],
      ['xz', '-1', '--check=crc32'],
      ['xz', '-1', '--check=sha256'],
      ['xz', '-1', '--check=none'],
      ['xz', '-0', '-T2', '--block-size=100000'],
      ['xz', '--lzma2=preset=1,dict=4KiB,lc=0,lp=4,pb=0'],
      ['xz', '--lzma2=preset=1,lc=1,lp=2,pb=4'],
    ],
    early: 'the xz data ends too early',
    mark: 6,
  },
  {
    name: 'bzip2',
    tools: [
      ['bzip2', '-9'],
      ['bzip2', '-1'],
      ['lbzip2', '-n', '2'],
    ],
    early: 'the bzip2 data ends too early',
    mark: 6,
  },
];

function compress([tool = '', ...options]: readonly string[], content: Buffer): Buffer {
  return execFileSync(tool, [...options, '-c'], { input: content, maxBuffer: 1 << 30 });
}

describe.each(FORMATS)('$name', ({ name, tools, early, mark }) => {
  const available = tools.filter(([tool = '']) => installed(tool));
  const usual = available[0] ?? ['none'];

  describe.each(tools.map((tool) => [tool.join(' '), tool] as const))('%s', (_, tool) => {
    test.skipIf(!installed(tool[0] ?? '')).each(CONTENTS)('%s (needs the tool)', (_title, content) => {
      // The slowest tool only sees what it can do in a moment.
      const slow = tool.includes('-11') || (tool[0] === 'bzip2' && content.length > 4 << 20);
      const input = slow ? content.subarray(0, 200_000) : content;
      expectContent(decompress(compress(tool, input)), name, input);
    });
  });

  describe.skipIf(available.length === 0)('(needs its tool)', () => {
    test.each([
      ['single bytes', 1, 1],
      ['odd pieces', 7, 13],
      ['pieces about the size of the buffers', 131_071, 262_145],
      ['pieces that are small in the input and large in the output', 3, 1 << 20],
      ['pieces that are large in the input and small in the output', 1 << 20, 3],
    ])('content is the same when it is read and written in %s', (_title, into, out) => {
      const content = into * out < 100 ? text(20_000) : text(700_000);
      expectContent(decompress(compress(usual, content), into, out), name, content);
    });

    test('several streams give one content', () => {
      const parts = [text(1000), Buffer.alloc(0), text(300_000), Buffer.from('end')];
      const archive = Buffer.concat(parts.map((part, i) => compress(available[i % available.length] ?? usual, part)));
      for (const piece of [1 << 20, 5]) expectContent(decompress(archive, piece), name, Buffer.concat(parts));
    });

    test('each truncated archive is refused', () => {
      const stream = compress(usual, text(300));
      const lines = trials('beginnings', Buffer.concat([stream, stream]));
      for (const [size, line] of lines.entries()) {
        // A mark that is cut off is not recognised; behind the first stream it is garbage.
        if (size < mark || (size >= stream.length && size < stream.length + mark)) continue;
        expect({ size, line }).toEqual({
          size,
          line: size === lines.length - 1 ? `${name} same` : `${name}: ${early}`,
        });
      }
    });

    test('each flipped bit is noticed, or changes nothing', () => {
      const lines = trials('flips', compress(usual, text(400)));
      expect(lines.filter((line) => line.startsWith(name) && line.endsWith('other'))).toEqual([]);
      expect(lines.filter((line) => line.startsWith(`${name}: the ${name} data is damaged`)).length).toBeGreaterThan(
        lines.length / 2,
      );
    });
  });
});

test("the checksum is the same by the processor's instructions and without them", () => {
  for (const content of [Buffer.from('123456789'), text(100_003), randomBytes(1 << 20)]) {
    expect(Number(execFileSync(program, ['crc32'], { input: content }))).toBe(crc32(content));
  }
});

describe('gzip, by hand', () => {
  const content = text(1000);
  const plain = gzipSync(content);
  const withFields = (flags: number, fields: Buffer) => {
    const header = Buffer.from(plain.subarray(0, 10));
    header[3] = flags;
    return Buffer.concat([header, fields, plain.subarray(10)]);
  };

  test('every field of the header is skipped', () => {
    const extra = Buffer.concat([Buffer.from([0xff, 0xff]), Buffer.alloc(0xffff, 1)]);
    const fields = Buffer.concat([
      extra,
      Buffer.from('name\0'),
      Buffer.from(`${'c'.repeat(200_000)}\0`),
      Buffer.alloc(2),
    ]);
    expectContent(decompress(withFields(2 | 4 | 8 | 16, fields)), 'gzip', content);
    expectContent(decompress(withFields(2 | 4 | 8 | 16, fields), 1), 'gzip', content);
  });

  test('zeroes and garbage behind the last member are ignored', () => {
    for (const rest of [
      Buffer.alloc(10_240),
      Buffer.from('garbage'),
      Buffer.from([0x1f]),
      Buffer.alloc(300_000, 'x'),
    ]) {
      expectContent(decompress(Buffer.concat([plain, rest])), 'gzip', content);
    }
  });

  test.each([
    ['checksum', -8, 'the gzip data is damaged: its checksum does not match'],
    ['length', -4, 'the gzip data is damaged: its length does not match'],
  ])('a wrong %s at the end is an error', (_title, at, error) => {
    const archive = Buffer.from(plain);
    archive.writeUInt8(archive.readUInt8(archive.length + at) ^ 1, archive.length + at);
    expect(decompress(archive).error).toBe(error);
  });

  test.each([
    ['a reserved flag', withFields(0x20, Buffer.alloc(0)), 'its header has flags that are not known'],
    [
      'a second member of an unknown method',
      Buffer.concat([plain, Buffer.from('1f8b0700000000000000', 'hex')]),
      'method',
    ],
  ])('%s is an error', (_title, archive, error) => {
    expect(decompress(archive).error).toContain(error);
  });

  const backwards = (bits: string) => Array.from(bits, (_, i) => bits[bits.length - 1 - i]).join('');
  /** A member whose compressed data is given bit by bit, lowest first. */
  function member(bits: string): Buffer {
    const bytes = [];
    for (let at = 0; at < bits.length; at += 8) bytes.push(Number.parseInt(backwards(bits.slice(at, at + 8)), 2));
    return Buffer.concat([plain.subarray(0, 10), Buffer.from(bytes), Buffer.alloc(64, 0xff)]);
  }
  const number = (value: number, width: number) => backwards(value.toString(2).padStart(width, '0'));

  test.each([
    ['a block of the type that does not exist', '111'],
    [
      'a stored block whose length does not match its complement',
      `100${'0'.repeat(5)}${'1'.repeat(16)}${'1'.repeat(16)}`,
    ],
    ['a distance before the beginning', `110${'0000001'}${'00000'}`],
    ['a distance that does not exist', `110${'0000001'}${'11110'}`],
    ['a length that does not exist', `110${'11000110'}`],
    ['too many codes of lengths', `101${number(30, 5)}00000${number(0, 4)}`],
    ['too many codes of distances', `101${number(0, 5)}${number(30, 5)}${number(0, 4)}`],
    ['no code at all', `101${number(0, 5)}${number(0, 5)}${number(0, 4)}${'000'.repeat(4)}`],
    ['an oversubscribed code', `101${number(0, 5)}${number(0, 5)}${number(0, 4)}${'100'.repeat(4)}`],
    [
      'a repetition of nothing',
      `101${number(0, 5)}${number(0, 5)}${number(0, 4)}${'100'}${'000'}${'000'}${'100'}${'1'.repeat(9)}`,
    ],
  ])('%s is an error', (_title, bits) => {
    expect(decompress(member(bits)).error).toBe('the gzip data is damaged');
  });
});

describe('zstd, by hand', () => {
  const content = text(1000);
  const skippable = (size: number) => {
    const header = Buffer.alloc(8);
    header.writeUInt32LE(0x184d2a5e);
    header.writeUInt32LE(size, 4);
    return Buffer.concat([header, Buffer.alloc(size, 'x')]);
  };

  test.skipIf(!installed('zstd'))('skippable frames are ignored everywhere (needs zstd)', () => {
    const frame = compress(['zstd', '-q'], content);
    const archive = Buffer.concat([skippable(3), frame, skippable(0), frame, skippable(200_000)]);
    for (const piece of [1 << 20, 1])
      expectContent(decompress(archive, piece), 'zstd', Buffer.concat([content, content]));
    expect(decompress(archive.subarray(0, -1)).error).toBe('the zstd data ends too early');
  });

  test.skipIf(!installed('zstd'))('a window of more than 128 MiB is refused (needs zstd)', () => {
    // Its size need not be known before, and then the window is as large as was asked for.
    const archive = compress(['zstd', '-q', '--long=28', '--no-content-size'], content);
    expect(decompress(archive).error).toBe('the zstd data needs a window of more than 128 MiB');
    expectContent(decompress(compress(['zstd', '-q', '--long=27', '--no-content-size'], content)), 'zstd', content);
  });

  test.skipIf(!installed('zstd'))('garbage and a wrong checksum are refused (needs zstd)', () => {
    const frame = compress(['zstd', '-q', '--check'], content);
    expect(decompress(Buffer.concat([frame, Buffer.from('garbage')])).error).toContain('something else follows');
    frame.writeUInt8(frame.readUInt8(frame.length - 1) ^ 1, frame.length - 1);
    expect(decompress(frame).error).toBe('the zstd data is damaged: its checksum does not match');
  });

  test('a frame with a dictionary is refused', () => {
    expect(decompress(Buffer.from('28b52ffd2105000000290000616263646566', 'hex')).error).toContain('dictionary');
  });
});

describe('xz, by hand', () => {
  const content = text(1000);
  const xz = (...options: readonly string[]) => compress(['xz', ...options], content);

  /** Changes a byte of the first block's header, which has a CRC-32 of its own. */
  function withHeaderByte(archive: Buffer, at: number, value: number): Buffer {
    const changed = Buffer.from(archive);
    const size = (changed.readUInt8(12) + 1) * 4;
    changed.writeUInt8(value, 12 + at);
    changed.writeUInt32LE(crc32(changed.subarray(12, 12 + size - 4)), 12 + size - 4);
    return changed;
  }

  test.skipIf(!installed('xz'))('zeroes between streams and behind the last, in groups of four (needs xz)', () => {
    const archive = Buffer.concat([xz('-0'), Buffer.alloc(8), xz('-1'), Buffer.alloc(400_000)]);
    for (const piece of [1 << 20, 1])
      expectContent(decompress(archive, piece), 'xz', Buffer.concat([content, content]));
    expect(decompress(Buffer.concat([xz('-0'), Buffer.alloc(6)])).error).toBe('the xz data ends too early');
  });

  test.skipIf(!installed('xz'))('an unknown filter, and data that follows the stream, are named (needs xz)', () => {
    expect(decompress(withHeaderByte(xz('-0'), 2, 0x22)).error).toContain('a filter that is not known');
    expect(decompress(Buffer.concat([xz('-0'), Buffer.from('x'.repeat(20))])).error).toContain(
      'something else follows',
    );
  });

  const CODE: readonly (readonly [string, Buffer])[] = [
    ['machine code', readFileSync(process.execPath).subarray(0, 600_000)],
    ['bytes that look like branches of every kind', branches(300_001)],
    ['fewer bytes than an instruction has', Buffer.from([0xe8, 0, 0])],
    ['nothing', Buffer.alloc(0)],
  ];
  const FILTERS = [
    ['--x86'],
    ['--powerpc'],
    ['--ia64'],
    ['--arm'],
    ['--armthumb'],
    ['--sparc'],
    ['--arm64'],
    ['--x86=start=4096'],
    ['--ia64=start=65536'],
    ['--delta'],
    ['--delta=dist=256'],
    ['--delta=dist=3', '--x86'],
    ['--arm64', '--x86', '--delta=dist=4'],
    ['--block-size=70000', '--x86'],
  ];
  test.skipIf(!installed('xz')).each(FILTERS.map((each) => [each.join(' '), each] as const))(
    'what the filters %s did is undone (needs xz)',
    (_what, filters) => {
      for (const [, bytes] of CODE) {
        const options = ['-c', '-T1', ...filters, '--lzma2=preset=1'];
        const { stdout, status } = spawnSync('xz', options, { input: bytes, maxBuffer: 1 << 26 });
        // An older xz does not have all of them.
        if (status !== 0) continue;
        expectContent(decompress(stdout), 'xz', bytes);
        expectContent(decompress(stdout, 777, 333), 'xz', bytes);
      }
    },
  );

  test.skipIf(!installed('xz'))(
    'a dictionary of more than 1536 MiB is had as far as the content goes (needs xz)',
    () => {
      const archive = xz('-0');
      // The properties of LZMA2 are one byte, behind the filter's number and their size.
      const at = archive.indexOf(Buffer.from([0x21, 0x01]), 12) + 2 - 12;
      for (const exponent of [30, 31, 37, 38, 40]) {
        expectContent(decompress(withHeaderByte(archive, at, exponent)), 'xz', content);
      }
      expect(decompress(withHeaderByte(archive, at, 41)).error).toBe('the xz data is damaged');
    },
  );

  test.skipIf(!installed('xz')).each(['crc32', 'crc64', 'sha256'])(
    'a wrong check of kind %s is refused (needs xz)',
    (kind) => {
      const archive = xz('-0', `--check=${kind}`);
      // It lies in front of the index, whose length the footer tells.
      const at = archive.length - 12 - (archive.readUInt32LE(archive.length - 8) + 1) * 4 - 1;
      archive.writeUInt8(archive.readUInt8(at) ^ 1, at);
      expect(decompress(archive).error).toBe('the xz data is damaged: its checksum does not match');
    },
  );
});

describe('bzip2, by hand', () => {
  test.skipIf(!installed('bzip2'))('zeroes and garbage behind the last stream are ignored (needs bzip2)', () => {
    const content = text(1000);
    const stream = compress(['bzip2'], content);
    for (const rest of [Buffer.alloc(10_240), Buffer.from('garbage'), Buffer.from('BZh'), Buffer.alloc(300_000, 'x')]) {
      expectContent(decompress(Buffer.concat([stream, rest])), 'bzip2', content);
    }
  });

  test.skipIf(!installed('bzip2'))('a wrong checksum of the stream is refused (needs bzip2)', () => {
    // An empty one: its mark, then its checksum of zero.
    const stream = compress(['bzip2'], Buffer.alloc(0));
    stream.writeUInt8(1, stream.length - 1);
    expect(decompress(stream).error).toBe('the bzip2 data is damaged: its checksum does not match');
  });
});

test.each([
  ['a tar', Buffer.concat([Buffer.from('a.txt'), Buffer.alloc(1019)])],
  ['nothing', Buffer.alloc(0)],
  ['less than a mark', Buffer.from([0x1f])],
  ['text', Buffer.from('BZhello')],
])('%s is passed through', (_title, content) => {
  for (const pieces of [[], [1, 1]]) expectContent(decompress(content, ...pieces), 'none', content);
});
