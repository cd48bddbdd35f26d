/** The numbers of a device, from what fstat(2) says. */
import { statSync } from 'node:fs';
import { expect, test } from 'vitest';
import { deviceNumbers } from '../../../src/kernel/device-number.ts';

/** As the C library packs them, with numbers that do not lose bits (makedev(3)). */
function makedev(major: bigint, minor: bigint): number {
  const low = (minor & 0xffn) | ((major & 0xfffn) << 8n);
  return Number(low | ((minor & 0xffffff00n) << 12n) | ((major & 0x1ffff000n) << 32n));
}

test.each([
  [0, 0],
  [1, 3],
  [8, 16],
  [259, 300],
  [4095, 0xff_ff_ff],
  [4096, 256],
  [0x1f_ff_ff, 0xff_ff_ff_ff],
])('the device %i:%i is found again in its packed number', (major, minor) => {
  expect(deviceNumbers(makedev(BigInt(major), BigInt(minor)))).toEqual({ major, minor });
});

test('the device number of /dev/null is read as 1:3', () => {
  expect(deviceNumbers(statSync('/dev/null').rdev)).toEqual({ major: 1, minor: 3 });
});
