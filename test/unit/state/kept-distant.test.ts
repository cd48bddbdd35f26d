import { describe, expect, test } from 'vitest';
import { notePath, startRecording, type Input } from '../../../src/inputs/record.ts';
import { distantInput } from '../../../src/state/kept-distant.ts';

const EXT4 = 0xef53;
const NFS = 0x6969;
const CIFS = -0xac_b2be; // As a signed number of 32 bits.

const recording = startRecording();
for (const path of ['/', '/usr', '/proc/self/status', '/not-there']) notePath(path);
recording.stop();

test.each([NFS, CIFS, 0x6573_5546])('a plan is not kept where an input is on a file system of type %d', (type) => {
  const distant = distantInput(recording.inputs, (path) => (path.startsWith('/proc/') ? type : EXT4));
  expect(distant).toBe('/proc/self/status');
});

test('each file system is asked once, and paths where nothing is have none', () => {
  const asked: string[] = [];
  const typeOf = (path: string): number => {
    asked.push(path);
    return EXT4;
  };
  expect(distantInput(recording.inputs, typeOf)).toBe(undefined);
  expect(asked).toEqual(['/', '/proc/self/status']);
});

test('the file systems of this host are asked', () => {
  expect(distantInput(recording.inputs)).toBe(undefined);
});

describe('a plan with an input in an image of a file system', () => {
  const SQUASHFS = 0x7371_7368;
  const WHOLE = 1_600_000_000_000_000_000n;
  const input = (dev: bigint, ctime: bigint): Input => ({
    kind: 'path',
    path: '/image/container.yaml',
    follows: true,
    isWhole: true,
    found: { dev, ino: 2n, mode: 0o100_644, uid: 0, gid: 0, rdev: 0n, size: 1n, mtime: ctime, ctime },
    at: 0,
  });
  const medium = (path: string, text: string | undefined): Input => ({ kind: 'text', path, lines: undefined, text });
  const on = (type: number, ...inputs: readonly Input[]): string | undefined => distantInput(inputs, () => type);
  const LOOP = 0x702n;
  const ANONYMOUS = 0x42n;

  test('is not kept where its times are of whole seconds and its medium has no number', () => {
    const numbered = medium('/sys/dev/block/7:2/diskseq', '5\n');
    expect(on(SQUASHFS, input(LOOP, WHOLE), medium('/sys/dev/block/7:2/diskseq', undefined))).toBe(
      '/image/container.yaml',
    );
    expect(on(SQUASHFS, input(ANONYMOUS, WHOLE), numbered)).toBe('/image/container.yaml');
    expect(on(SQUASHFS, input(LOOP, WHOLE), medium('/sys/dev/block/7:3/diskseq', '5\n'))).toBe('/image/container.yaml');
  });

  test('is kept where its medium has a number, where it has times of its own, and elsewhere', () => {
    expect(on(SQUASHFS, input(LOOP, WHOLE), medium('/sys/dev/block/7:2/diskseq', '5\n'))).toBe(undefined);
    expect(on(SQUASHFS, input(LOOP, WHOLE), medium('/sys/dev/block/7:2/../diskseq', '5\n'))).toBe(undefined);
    expect(on(SQUASHFS, input(LOOP, WHOLE + 1n))).toBe(undefined);
    expect(on(EXT4, input(LOOP, WHOLE))).toBe(undefined);
  });
});
