import { expect, test } from 'vitest';
import { notePath, startRecording } from '../../../src/inputs/record.ts';
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
