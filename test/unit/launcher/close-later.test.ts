/** Descriptors that the kernel closes for the launcher. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sanitized } from '../image/worker.ts';

const source = join(import.meta.dirname, '../../../native/launcher/close_later.cc');
const program = sanitized(join(import.meta.dirname, 'close-later-main.cc'), [source]);

test('a descriptor that is closed later is closed by the kernel, and nothing of it stays open', () => {
  expect(execFileSync(program, { encoding: 'utf8' })).toBe('closed 0\n');
});

test('a descriptor that cannot be given to the kernel is closed at once', () => {
  // Without a descriptor for the sockets: 0, 1, 2, the two ends of the pipe, and one for the folder of descriptors.
  const output = execFileSync('sh', ['-c', 'ulimit -n 6; exec "$0"', program], { encoding: 'utf8' });
  expect(output).toBe('closed 0\n');
});
